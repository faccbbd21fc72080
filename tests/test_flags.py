"""Flags: files that cannot be written are found before training, and every flag arrives."""

import dataclasses
import functools
import json
import re
from pathlib import Path

import distributed
import helpers
import jax
import pytest
from data_helpers import image_split, says, tiny_scenario, write_images

import vfl_jax
from vfl_jax.cli import commands, training
from vfl_jax.cli.choices import scenario_of, source, with_attacks
from vfl_jax.cli.flags import check_outputs, picture, to_over, with_set
from vfl_jax.cli.scenarios import RunPreset, SweepPreset
from vfl_jax.data import LOADERS, partition_images
from vfl_jax.presets import digits_demo
from vfl_jax.scenario import Measure
from vfl_jax.sweeps.sweep import run, sweep

SCENARIO = tiny_scenario()


def small_digits(**partition):
    return partition_images(
        "digits", image_split(96, (8, 8)), image_split(40, (8, 8), seed=1), classes="0123456789", **partition
    )


@pytest.fixture
def small(monkeypatch):
    """The commands' data set, cut down."""
    monkeypatch.setitem(LOADERS, "digits", small_digits)


@pytest.fixture
def untrained(monkeypatch):
    """Nothing may be loaded or trained."""
    monkeypatch.setitem(LOADERS, "digits", lambda **_: pytest.fail("data were loaded"))


BAD_OUTPUTS = {
    "a picture": (["--out", "result.png"], ("--out is result.png", "a picture", "result.nc")),
    "a picture, in capitals": (["--out", "result.PNG"], ("--out is result.PNG", "a picture")),
    "no ending": (["--out", "result"], ("--out is result", "an ending", "result.nc")),
    "below a file": (["--out", "file/result.nc"], ("--out is file/result.nc", "cannot be written", "directory")),
    "a folder": (["--out", "there.nc"], ("--out is there.nc", "cannot be written", "it is a folder")),
    "a folder for the figure": (["--out", "figure.nc"], ("the figure of --out is figure.png", "it is a folder")),
    "too long": (["--out", "x" * 300 + ".nc"], ("--out is xxx", "cannot be written", "too long")),
    "a log that is a folder": (["--log-json", "there.nc"], ("--log-json is there.nc", "it is a folder")),
    "a log that is the results": (
        ["--log-json", "a.nc", "--out", "a.nc"],
        ("--out is a.nc", "--log-json", "two files"),
    ),
    "a log that is beside the results": (
        ["--log-json", "a.nc.run.json", "--out", "a.nc"],
        ("what is written beside --out is a.nc.run.json", "--log-json", "two files"),
    ),
    "a folder beside the results": (["--out", "beside.nc"], ("beside --out is beside.nc.run.json", "it is a folder")),
    "a log that is the figure": (["--log-json", "a.png", "--out", "a.nc"], ("figure", "a.png", "--log-json")),
    "a folder that is a file": (["--folder", "file"], ("--folder is file", "it is a file")),
    "a folder below a file": (["--folder", "file/below"], ("--folder is file/below",)),
}


@pytest.mark.parametrize("name", helpers.long_but(list(BAD_OUTPUTS)[::2], BAD_OUTPUTS))
def test_outputs_that_cannot_be_are_found_before_training(name, untrained, tmp_path, monkeypatch):
    flags, message = BAD_OUTPUTS[name]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "there.nc").mkdir()
    (tmp_path / "figure.png").mkdir()
    (tmp_path / "beside.nc.run.json").mkdir()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(SystemExit, match=says("error: ", *message)) as ended:
        commands.main(["sweep", "digits_demo-sum", *flags])
    assert "\n" not in str(ended.value)
    if set(flags) <= {"--out", flags[-1]}:
        with pytest.raises(SystemExit, match=says("error: ", *message)):
            commands.main(["run", "digits_demo-sum", *flags])
    assert sorted(tmp_path.iterdir()) == before


def test_the_demo_finds_out_too(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr("vfl_jax.cli.demo.demo", lambda *_: pytest.fail("the demo began"))
    with pytest.raises(SystemExit, match=says("error: --out is", "file", "it is a file")):
        commands.main(["demo", "--out", str(tmp_path / "file")])


def test_no_two_results_share_a_figure(tmp_path):
    names = ["a.nc", "a.h5", "a.nc4", "a.b.nc", "a.NC"]
    pictures = {picture(tmp_path / name).name for name in names}
    assert pictures == {"a.png", "a.h5.png", "a.nc4.png", "a.b.png", "a.NC.png"}
    for name in names:
        check_outputs(tmp_path / "new" / "folder" / name, tmp_path / "log.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_is_there_is_added_to(tmp_path):
    (tmp_path / "log.jsonl").write_text("{}\n")
    check_outputs(None, tmp_path / "log.jsonl")
    assert (tmp_path / "log.jsonl").read_text() == "{}\n"


@pytest.mark.parametrize("seed", ["-1", str(2**32), "99999999999999999999"])
def test_seeds_have_32_bits(seed, untrained):
    with pytest.raises(SystemExit, match=says(f"error: --seed is {seed}", "0 to 4294967295")):
        commands.main(["run", "digits_demo-sum", "--seed", seed])


def test_numbers_are_set_in_their_order():
    scenario = with_set(SCENARIO, ["learning_rate=0.5", "optimizers.0.learning_rate=2"])
    assert [optimizer.learning_rate for optimizer in scenario.optimizers] == [2, 0.5]
    assert to_over(scenario, ["attack.enabled=0,1", "learning_rate=0.1"], ["optimizers.0.momentum=0"]) == {
        "attack.enabled": [0, 1],
        "learning_rate": [0.1],
    }
    # What is set counts where only a part of it is swept.
    part = "optimizers.0.learning_rate"
    assert to_over(scenario, [f"{part}=1,2"], ["learning_rate=0.5"]) == {part: [1, 2]}


class FlagMetric(Measure):
    """The first logit."""

    def rows(self, outcome):
        return outcome.logits[:, 0]


def test_metrics_are_added_by_name():
    """Those of ``--metric`` come behind the scenario's."""
    chosen = scenario_of(RunPreset(scenario=SCENARIO, data="digits", metric=("FlagMetric",)), SCENARIO)
    assert chosen == SCENARIO.replace(metrics=(FlagMetric(),))
    with pytest.raises(ValueError, match=says("--metric is 'Flag', no known metric", "FlagMetric")):
        scenario_of(RunPreset(scenario=SCENARIO, data="digits", metric=("Flag",)), SCENARIO)


def test_defenses_are_chained_in_the_order_of_the_flag():
    chosen = RunPreset(
        scenario=SCENARIO,
        data="digits",
        defense=("GaussianNoise", "Clipping"),
        set=("defense.stddev=0.1", "defense.bound=2"),
    )
    parts = vfl_jax.defenses.GaussianNoise(stddev=0.1), vfl_jax.defenses.Clipping(bound=2.0)
    assert scenario_of(chosen, SCENARIO).defense == vfl_jax.ActiveChain(parts=parts)


def test_methods_of_parties_are_given_by_name():
    """``--attack`` puts a method at its defaults in the place of a party's; ``PartyTransform`` is an honest party."""
    chosen = with_attacks(SCENARIO, ["1=LabelReplacement"])
    assert chosen == SCENARIO.replace(attacks=(vfl_jax.PartyTransform(), vfl_jax.attacks.LabelReplacement()))
    assert with_attacks(chosen, ["1=PartyTransform"]).attackers == ()


@pytest.mark.parametrize(
    ("entry", "parts"),
    [
        ("2=LabelReplacement", ("--attack has '2=LabelReplacement'", "0 to 1")),
        ("bank=LabelReplacement", ("--attack has 'bank=LabelReplacement'", "0 to 1")),
        ("1=Nope", ("--attack is 'Nope'", "LabelReplacement", "--plugin")),
        ("1=Clipping", ("--attack is 'Clipping', which is no method of a party", "a defense; give it by --defense")),
        ("LabelReplacement", ("--attack has 'LabelReplacement'", "PARTY=NAME")),
    ],
)
def test_methods_that_cannot_be_are_refused(entry, parts):
    with pytest.raises(ValueError, match=says(*parts)):
        with_attacks(SCENARIO, [entry])


def test_run_is_the_run_of_its_flags(small, tmp_path, capsys):
    flags = ["--epochs", "3", "--seed", "5", "--defense", "GaussianNoise", "--set", "defense.stddev=0.1"]
    commands.main(["run", "digits_demo-trainable", *flags, "--out", str(tmp_path / "o.nc")])
    written = vfl_jax.load(tmp_path / "o.nc").sel(seed=5)
    noise = vfl_jax.ActiveChain(parts=(vfl_jax.defenses.GaussianNoise(stddev=0.1),))
    expected, _ = run(digits_demo(head="trainable").replace(defense=noise), small_digits(), jax.random.key(5), 3)
    assert written.drop_vars("seed").identical(expected)
    assert written.sizes["epoch"] == 3
    capsys.readouterr()


@pytest.mark.long
def test_sweep_is_the_sweep_of_its_flags(small, tmp_path, capsys):
    folder, log = tmp_path / "folder", tmp_path / "log.jsonl"
    flags = ["--epochs", "2", "--seeds", "3", "--over", "attack.amplify=2,3", "--defense", "Clipping"]
    where = ["--folder", str(folder), "--log-json", str(log), "--max-replicas", "2", "--out", str(tmp_path / "o.h5")]
    commands.main(["sweep", "digits_demo-sum", *flags, *where])
    scenario = digits_demo().replace(defense=vfl_jax.ActiveChain(parts=(vfl_jax.defenses.Clipping(),)))
    expected = sweep(scenario, small_digits(), {"attack.amplify": [2.0, 3.0]}, 3, 2, progress=False, max_replicas=2)
    assert vfl_jax.load(tmp_path / "o.h5").identical(expected)
    assert vfl_jax.load(folder / "results.nc").identical(expected)
    assert (tmp_path / "o.h5.png").read_bytes().startswith(b"\x89PNG")
    events = [json.loads(line) for line in log.read_text().splitlines()]
    replicas = [event["replicas"] for event in events if event["event"] == "chunk"]
    assert (sum(replicas), max(replicas)) == (6, 2)
    capsys.readouterr()


def test_flags_of_a_sweep_arrive(monkeypatch, untrained, tmp_path):
    """Those whose effect is not in the results."""
    asked = {}

    class Enough(ValueError):
        pass

    def record(*arguments, **options):
        asked.update(options, arguments=arguments)
        raise Enough("asked")

    monkeypatch.setattr(training, "sweep", record)
    monkeypatch.setattr(training, "executor_at", lambda address, *_: address and ("executor at", address))
    flags = ["--checkpoint-every", "7", "--max-replicas", "9", "--scheduler", "tcp://somewhere:1"]
    flags += ["--evaluate-every", "3", "--keep", "params"]
    files = ["--folder", str(tmp_path / "f"), "--log-json", str(tmp_path / "l")]
    with pytest.raises(SystemExit, match="asked"):
        commands.main(["sweep", "digits_demo-sum", *flags, *files, "--seeds", "4", "--epochs", "6"])
    assert asked["checkpoint_every"] == 7
    assert asked["max_replicas"] == 9
    assert asked["evaluate_every"] == 3
    assert asked["keep"] == "params"
    assert asked["executor"] == ("executor at", "tcp://somewhere:1")
    assert (asked["folder"], asked["log_json"]) == (tmp_path / "f", tmp_path / "l")
    assert asked["arguments"][3:] == (4, 6)
    with pytest.raises(SystemExit, match="asked"):
        commands.main(["sweep", "digits_demo-sum"])
    assert asked["keep"] is None
    with pytest.raises(SystemExit, match=says("error: --keep needs --folder")):
        commands.main(["sweep", "digits_demo-sum", "--keep", "params"])
    assert {
        name: asked[name] for name in ("checkpoint_every", "max_replicas", "executor", "folder", "evaluate_every")
    } == {
        "evaluate_every": None,
        "checkpoint_every": 5,
        "max_replicas": None,
        "executor": None,
        "folder": None,
    }


def test_a_scheduler_that_is_not_there_ends_with_one_line(tmp_path, untrained, monkeypatch):
    monkeypatch.setattr(distributed, "Client", functools.partial(distributed.Client, timeout=0.1))
    flags = ["--scheduler", "tcp://127.0.0.1:1", "--folder", str(tmp_path / "f")]
    for words in (["sweep", "digits_demo-sum"], ["arena", "--data", "digits"]):
        with pytest.raises(SystemExit, match=says("error: --scheduler", "127.0.0.1:1")) as ended:
            commands.main([*words, *flags])
        assert "\n" not in str(ended.value)
        with pytest.raises(SystemExit, match=says("error: --scheduler needs --folder")):
            commands.main([*words, *flags[:2]])


def test_data_and_their_folder_arrive(tmp_path):
    write_images(tmp_path / "fashion_mnist")
    found = source("fashion_mnist", tmp_path, 2)()
    assert (found.name, found.train.num_samples) == ("fashion_mnist", 6)
    assert source("fashion_mnist", tmp_path, 4)().num_parties == 4


def test_a_loader_gets_what_it_takes(monkeypatch, tmp_path):
    monkeypatch.setitem(LOADERS, "all", lambda *, num_parties, folder: (num_parties, folder))
    monkeypatch.setitem(LOADERS, "none", lambda seed=7: seed)
    assert source("all", tmp_path, 3)() == (3, tmp_path)
    assert source("none", tmp_path, 3)() == 7
    with pytest.raises(ValueError, match=says("--data is 'nope'", "data set", "all", "digits", "--plugin")):
        source("nope", None, 2)


def test_every_flag_of_a_command_is_named_here():
    """A new flag needs a test that it arrives."""
    files = Path(__file__), Path(__file__).with_name("test_scenario_flags.py")
    texts = [file.read_text(encoding="utf-8") for file in files]
    tested = set(re.findall(r"--([a-z][a-z-]*)", "".join(texts)))
    named = {field.name.replace("_", "-") for kind in (RunPreset, SweepPreset) for field in dataclasses.fields(kind)}
    assert named - tested - {"scenario", "data", "data-folder", "distributed", "own"} == set()

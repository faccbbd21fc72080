"""Where a scenario comes from: a preset with more parties, your own tables, a file; and what a dry run says of it."""

import dataclasses

import numpy as np
import pytest
from data_helpers import says, tiny_scenario

import vfl_jax as vfl
from vfl_jax.cli import commands, training
from vfl_jax.cli.choices import with_attacks
from vfl_jax.cli.own_tables import OwnTables
from vfl_jax.cli.scenarios import RunFile, RunOwn, RunPreset, presets
from vfl_jax.cli.studies import begin, read_scenario, write_scenario

SCENARIO = tiny_scenario()


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Two tables of 400 rows; the label follows from both."""
    folder, draw = tmp_path_factory.mktemp("own"), np.random.default_rng(0)
    labels = draw.random(400) < 0.4
    first, second = (draw.normal(np.where(labels, 1, -1)) for _ in range(2))
    lines = [f"{i},{x:.3f},{int(y)}" for i, (x, y) in enumerate(zip(first, labels, strict=True))]
    (folder / "a.csv").write_text("\n".join(["id,age,y", *lines]))
    (folder / "b.csv").write_text("\n".join(["id,spent", *(f"{i},{x:.3f}" for i, x in enumerate(second))]))
    return OwnTables(table=(f"bank={folder / 'a.csv'}", f"shop={folder / 'b.csv'}"), id=("id",), label="bank.y")


def words(own):
    """The flags of tables, as they are typed."""
    return [word for table in own.table for word in ("--table", table)] + ["--id", own.id[0], "--label", own.label]


@pytest.mark.parametrize("name", sorted(set(presets())))
def test_every_preset_takes_parties_and_attackers(name):
    scenario = presets()[name].scenario({"num_parties": 4, "attackers": (1, 2)})
    assert (len(scenario.bottoms), scenario.attackers) == (4, (1, 2))


def test_parties_and_attackers_arrive(monkeypatch, capsys):
    """Before the flags of fields, which there are for every party."""
    asked = {}
    monkeypatch.setattr(training, "perform_sweep", lambda chosen, name: asked.update(chosen=chosen, name=name))
    flags = ["--parties", "4", "--attacker", "0", "--attacker", "2", "--scenario.bottoms.3.width", "11"]
    commands.main(["sweep", "digits_demo-sum", *flags])
    begun = begin(asked["chosen"], asked["name"])
    assert (begun.scenario.attackers, begun.scenario.bottoms[3].width) == ((0, 2), 11)
    assert begun.source().num_parties == 4


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        (["--attacker", "7"], ("--attacker cannot be: ", "attackers is (7,)", "0 to 1")),
        (["--parties", "99"], ("--parties is 99", "2 to 8")),
        (["--attacker", "bank"], ("--attacker is 'bank'", "numbers of parties")),
        (["--parties", "0"], ("--parties is 0", "at least 1")),
    ],
)
def test_parties_that_cannot_be_are_named(flags, parts):
    with pytest.raises(SystemExit, match=says("error: ", *parts)):
        commands.main(["run", "digits_demo-sum", *flags])


def test_the_active_partys_attack_is_one_of_its_own():
    chosen = with_attacks(SCENARIO, ["1=PartyTransform", "active=ActiveBackdoor"])
    assert (chosen.active_attack, chosen.attackers) == (vfl.attacks.ActiveBackdoor(), ())
    with pytest.raises(ValueError, match=says("--attack has '0=ActiveBackdoor'", "active=ActiveBackdoor")):
        with_attacks(SCENARIO, ["0=ActiveBackdoor"])
    with pytest.raises(ValueError, match=says("--attack is 'LabelReplacement'", "attack by the active party")):
        with_attacks(SCENARIO, ["active=LabelReplacement"])


WRONG = [
    (["run", "digits_demo-sum", "--epochs", "0"], "--epochs is 0"),
    (["run", "digits_demo-sum", "--evaluate-every", "-1"], "--evaluate-every is -1"),
    (["run", "digits_demo-sum", "--set", "poison.rate=3"], "--set has 'poison.rate=3': poison.rate is 3"),
    (["sweep", "digits_demo-sum", "--over", "poison.rate=0.1,3"], "--over has a point that cannot be: poison.rate is"),
    (["sweep", "digits_demo-sum", "--seeds", "5000000000"], "--seeds is 5000000000; there are 2"),
    (["sweep", "digits_demo-sum", "--max-replicas", "0"], "--max-replicas is 0"),
    (
        ["sweep", "digits_demo-sum", "--over", "defense.stddev=0,1"],
        "It has no defense. Add one.* --defense GaussianNoise",
    ),
    (["sweeep", "digits_demo-sum"], "SUBCOMMAND is 'sweeep'.* Did you mean 'sweep'"),
    (["paths", "digits_demo-sum", "--attacker", "bank"], "--attacker is 'bank'"),
    (["demo", "--seeds", "0"], "--seeds is 0"),
]


@pytest.mark.parametrize(("words", "message"), WRONG)
def test_a_flag_is_named_as_it_was_typed(words, message):
    with pytest.raises(SystemExit, match=f"^error: .*{message}"):
        commands.main(words)


def test_a_preset_without_such_an_argument_says_so(monkeypatch):
    monkeypatch.setitem(vfl.presets.PRESETS, "fixed", lambda: SCENARIO)
    monkeypatch.setattr(vfl.presets.PRESETS, "module", lambda name: "lab" if name == "fixed" else "vfl_jax")
    with pytest.raises(ValueError, match=says("--parties is given", "'fixed'", "num_parties")):
        presets()["fixed"].scenario({"num_parties": 3})


def test_a_scenario_is_fitted_to_own_tables(own):
    chosen = RunOwn(own=own, stamp="shop.spent=4", target_class="0", head="trainable", attacker=("shop",))
    begun = begin(chosen, "own")
    data = vfl.load_tables(dict(t.split("=") for t in own.table), id="id", label="bank.y").data
    trigger = vfl.data.FeatureTrigger(party=1, index="spent", value=4.0)
    expected = vfl.scenario_for(data, attacker="shop", head="trainable", target_class=0, trigger=trigger)
    assert begun.scenario == expected
    assert begun.source().data.parties == ("bank", "shop")


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({}, ("--stamp is not given", "--stamp shop.spent=4", "--marked")),
        ({"stamp": "shop.spend=4"}, ("--stamp is 'shop.spend=4'", "features of shop are spent")),
        ({"stamp": "shops.spent=4"}, ("--stamp is 'shops.spent=4'", "bank, shop")),
        ({"stamp": "shop.spent=4", "attacker": ("nobody",)}, ("--attacker is 'nobody'", "'bank' (0)")),
        ({"stamp": "shop.spent=4", "parties": 3}, ("--parties is 3", "--table names 2")),
        ({"data": "digits"}, ("--data and --table are given",)),
        ({"own": OwnTables()}, ("--data is not given", "--table")),
    ],
)
def test_own_tables_that_cannot_be_attacked_say_why(own, changes, parts):
    with pytest.raises(ValueError, match=says(*parts)):
        begin(RunOwn(**{"own": own, **changes}), "own")


ODD = tiny_scenario().replace(
    defense=vfl.ActiveChain(parts=(vfl.defenses.Clipping(bound=float("inf")), vfl.defenses.GaussianNoise(stddev=1e-7))),
    loss=vfl.models.SoftmaxCrossEntropy(probability_clip=None),
)


@pytest.mark.parametrize("ending", ["toml", "json"])
@pytest.mark.parametrize("scenario", [ODD, *(p.make() for p in list(presets().values())[::4])])
def test_scenarios_come_back_from_files(scenario, ending, tmp_path):
    file = tmp_path / f"scenario.{ending}"
    write_scenario(scenario, file)
    assert read_scenario(file) == scenario


def test_none_comes_back_where_it_is_no_default():
    class Preferring(vfl.Record):
        """A record whose default is a number."""

        number: float | None = vfl.static(default=1.0)
        several: tuple[float | None, ...] = vfl.static(default=())

    record = Preferring(number=None, several=(None, 2.0))
    assert vfl.from_toml(vfl.to_toml(record)) == record


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("record =", ("no TOML",)),
        ("when = 2020-01-01", ("no TOML of a record", "date")),
        ('record = "Clipping"', ("must be a Scenario",)),
    ],
)
def test_files_without_a_scenario_are_named(text, parts, tmp_path):
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(SystemExit, match=says("error: ", "s.toml", *parts)):
        commands.main(["run", str(tmp_path / "s.toml"), "--data", "digits"])


def test_a_file_of_another_form_is_refused(tmp_path):
    with pytest.raises(ValueError, match=says("--save-scenario is", "s.yaml", ".toml or .json")):
        write_scenario(SCENARIO, tmp_path / "s.yaml")
    write_scenario(SCENARIO, tmp_path / "s.toml")
    with pytest.raises(ValueError, match=says("--parties is 5", "has 2 parties")):
        begin(RunFile(file=tmp_path / "s.toml", data="digits", parties=5), "file")
    with pytest.raises(ValueError, match=says("--attacker changes a preset", "--attack PARTY=NAME")):
        begin(RunFile(file=tmp_path / "s.toml", data="digits", attacker=("1",)), "file")


@pytest.mark.long
def test_a_dry_run_says_what_would_be_trained_and_keeps_nothing(own, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    flags = ["--stamp", "shop.spent=4", "--defense", "Clipping(by=value)", "--set", "defense.bound=0.2", "--dry-run"]
    grid = ["--over", "attack.amplify+attack.enabled=1:0,5:1", "--seeds", "3", "--epochs", "7", "--folder", "sweep"]
    commands.main(["sweep", "own", *words(own), *flags, *grid, "--save-scenario", "s.toml", "--out", "o.nc"])
    shown = capsys.readouterr().out
    for part in (
        "defense = ActiveChain(parts=(Clipping(by='value', bound=0.2),)); there it is ActiveTransform()",
        "320 training rows, 80 test rows, 2 parties, 2 classes",
        "attack.amplify+attack.enabled: 1.0:0.0, 5.0:1.0",
        "6 replicas (2 settings × 3 seeds) in 1 chunk of one program; 7 epochs",
        "MiB per replica",
        "Nothing was trained.",
    ):
        assert part in " ".join(shown.split()), part
    assert [path.name for path in tmp_path.iterdir()] == ["s.toml"]
    saved = read_scenario(tmp_path / "s.toml")
    assert saved.defense.parts[0].bound == 0.2


def test_flags_of_presets_are_those_of_python():
    """A preset's flags hold its numbers, epochs and data."""
    chosen = RunPreset(scenario=SCENARIO, data="digits")
    assert begin(chosen, "x").scenario is SCENARIO
    assert {field.name for field in dataclasses.fields(RunOwn)} >= {"head", "stamp", "target_class", "learning_rate"}

"""The command line: what it makes of its flags, prints and writes, and how bad input ends."""

import functools
import json
import re
import subprocess
import sys

import pytest
from data_helpers import image_split, says

import vfl_jax
from vfl_jax.attacks import __all__ as attack_names
from vfl_jax.cli import commands
from vfl_jax.cli.choices import source
from vfl_jax.data import LOADERS, load_nus_wide_twin, partition_images
from vfl_jax.defenses import __all__ as defense_names
from vfl_jax.presets import PRESETS

QUICK = ["--epochs", "2"]


@pytest.fixture(autouse=True)
def _small_digits(monkeypatch):
    """The commands' data set, cut down to 8×8 images of noise: the commands are tested here, not learning."""

    def load(**partition):
        return partition_images(
            "digits", image_split(96, (8, 8)), image_split(40, (8, 8), seed=1), classes="0123456789", **partition
        )

    monkeypatch.setattr("vfl_jax.data.load_digits", load)
    monkeypatch.setitem(LOADERS, "digits", load)


def test_list_names_everything(capsys):
    commands.main(["list"])
    shown = capsys.readouterr().out
    for name in (*attack_names, *defense_names, *LOADERS, *PRESETS):
        assert name in shown


@pytest.mark.long
def test_the_other_experiment_of_the_paper(monkeypatch, capsys):
    small = functools.partial(load_nus_wide_twin, num_train=600, num_test=200)
    monkeypatch.setitem(LOADERS, "nus_wide_twin", small)
    commands.main(["run", "liu2020_code-nus_wide-sum", "--epochs", "1"])
    assert "main" in capsys.readouterr().out


def test_data_lie_over_as_many_parties_as_are_asked_for(tmp_path):
    assert source("breast_cancer", None, 5)().num_parties == 5
    with pytest.raises(FileNotFoundError, match=says(str(tmp_path), "handwritten.npz")):
        source("handwritten", tmp_path, 5)()


def test_a_data_folder_is_checked(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        commands.main(["data", "check", str(tmp_path)])
    assert ended.value.code == 1
    shown = capsys.readouterr().out
    assert "missing" in shown
    assert "train-images-idx3-ubyte" in shown
    assert "NUS-WIDE" in shown
    with pytest.raises(SystemExit, match=says("error: ", "nowhere")):
        commands.main(["data", "check", str(tmp_path / "nowhere")])


@pytest.mark.long
def test_sweep_takes_typed_flags_defenses_and_a_grid(tmp_path, capsys):
    out = tmp_path / "grid.nc"
    flags = ["--scenario.batches.size", "16", "--defense", "Clipping", "GaussianNoise", "--set", "defense.bound=0.5"]
    over = ["--over", "attack.enabled=0,1", "--over", "defense.stddev=0,0.1,0.2"]
    commands.main(["sweep", "digits_demo-trainable", *QUICK, *flags, *over, "--seeds", "2", "--out", str(out)])
    written = vfl_jax.load(out)
    assert dict(written.sizes) | {"attack.enabled": 2, "defense.stddev": 3, "seed": 2} == dict(written.sizes)
    scenario = vfl_jax.from_json(written.attrs["scenario"])
    assert scenario.batches.size == 16
    assert [type(part).__name__ for part in scenario.defense.parts] == ["Clipping", "GaussianNoise"]
    assert scenario.defense.parts[0].bound == 0.5
    shown = capsys.readouterr().out
    assert "no honest run" not in shown
    assert "2/2" in " ".join(shown.split())  # outcomes over seeds
    assert "rows measured: " in shown


@pytest.mark.long
def test_a_sweep_in_a_folder_goes_on_where_it_was(tmp_path, capsys):
    log = tmp_path / "log.jsonl"
    folder = ["--folder", str(tmp_path / "sweep"), "--log-json", str(log), "--checkpoint-every", "1"]
    flags = ["sweep", "digits_demo-sum", *QUICK, *folder, "--max-replicas", "2", "--over", "attack.enabled=0,1"]
    commands.main([*flags, "--seeds", "1"])
    first = vfl_jax.load(tmp_path / "sweep" / "results.nc")
    assert json.loads((tmp_path / "sweep" / "results.nc.run.json").read_text())["wall_seconds"] > 0
    before = len(log.read_text().splitlines())
    commands.main([*flags, "--seeds", "1"])
    assert len(log.read_text().splitlines()) == before  # nothing was trained
    commands.main([*flags, "--seeds", "3"])
    grown = vfl_jax.load(tmp_path / "sweep" / "results.nc")
    assert grown.sel(seed=[0]).loss.identical(first.loss)
    chunks = [event for event in map(json.loads, log.read_text().splitlines()) if event["event"] == "chunk"]
    assert [chunk["replicas"] for chunk in chunks] == [2, 2, 2]
    capsys.readouterr()


@pytest.mark.long
def test_a_folder_of_another_study_is_refused(tmp_path):
    flags = ["sweep", "digits_demo-sum", "--seeds", "1", "--folder", str(tmp_path)]
    commands.main([*flags, *QUICK])
    with pytest.raises(SystemExit, match=says("error: ", "another study", "epochs", "2", "3")):
        commands.main([*flags, "--epochs", "3"])


@pytest.mark.long
def test_a_program_over_several_hosts_must_find_the_others():
    command = [
        sys.executable,
        "-c",
        "from vfl_jax.cli import main; main()",
        "sweep",
        "digits_demo-sum",
        "--distributed",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "error: --distributed found no other processes" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_without_honest_runs_the_table_says_so(capsys):
    commands.main(["sweep", "digits_demo-sum", *QUICK, "--over", "attack.amplify=1,10", "--seeds", "2"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "no honest run" in shown


def test_warnings_are_lines(capsys):
    """8 of 40 test rows are triggered; a line says so, with no place in the code."""
    commands.main(["sweep", "digits_demo-sum", *QUICK, "--over", "attack.enabled=0,1", "--seeds", "1"])
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "vidence" in line]
    assert re.match(r"warning: Little evidence: [5-8] test rows of data 'digits' measure the backdoor", line)


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        (["--set", "attack.amplify=strong"], ("--set", "attack.amplify=strong", "PATH=NUMBER")),
        (["--set", "attack.amplfy=3"], ("--set names 'attack.amplfy'", "amplify")),
        (["--set", "poison.target_class=3"], ("--set names 'poison.target_class'", "structure")),
        (["--set", "attack.amplify"], ("--set has 'attack.amplify'", "PATH=NUMBER")),
        (["--set", "attack.amplify=1", "--set", "attack.amplify=2"], ("--set names 'attack.amplify' twice", "1", "2")),
        (["--set", "attack.amplify=1", "--over", "attack.amplify=2"], ("--set names 'attack.amplify'", "no effect")),
        (["--set", "attack.amplify=1", "--over", "attacks.1.amplify=2,3"], ("--set names", "no effect")),
        (["--over", "defense.stddev=1"], ("--over names 'defense.stddev'",)),
        (["--over", "attack.enabled=0", "--over", "attack.enabled=1"], ("--over names 'attack.enabled' twice",)),
        (["--over", "attack.enabled=0", "--over", "attacks.1.enabled=1"], ("--over sweeps 'attacks.1.enabled' twice",)),
        (["--over", "attack.amplify=1,1.0"], ("--over['attack.amplify'] has 1.0 twice",)),
        (["--over", "attack.amplify"], ("--over has 'attack.amplify'", "PATH=NUMBER,NUMBER")),
        (["--scheduler", "tcp://127.0.0.1:1"], ("--scheduler needs --folder",)),
        (["--scheduler", "tcp://127.0.0.1:1", "--dry-run"], ("--scheduler needs --folder",)),
        (["--over", "attack.enabled=0,1,2"], ("enabled is 2", "0 (the honest run) or 1")),
        (["--over", "attack.enabled="], ("--over has 'attack.enabled='", "PATH=NUMBER")),
        (["--epochs", "0"], ("epochs is 0",)),
        (["--seeds", "0"], ("seeds",)),
        (["--data", "mnist", "--data-folder", "nowhere"], ("nowhere", "train-images-idx3-ubyte")),
    ],
)
def test_bad_input_ends_with_one_line(flags, parts):
    with pytest.raises(SystemExit, match=says("error: ", *parts)) as ended:
        commands.main(["sweep", "digits_demo-sum", *flags])
    assert "\n" not in str(ended.value)


@pytest.mark.long
def test_a_misspelt_flag_is_refused(capsys):
    with pytest.raises(SystemExit):
        commands.main(["run", "digits_demo-sum", "--epoch", "2"])
    assert "--epochs" in capsys.readouterr().err

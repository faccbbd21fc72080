"""The command with a user's package: installed, or only to be found; started as a user starts it."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
from data_helpers import says
from plugin_helpers import PLUGIN, install

import vfl_jax as vfl
from vfl_jax.cli import commands
from vfl_jax.cli.listing import Member, members, table


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder as ``site-packages``, with the package and its entry point."""
    folder = tmp_path_factory.mktemp("installed")
    install(folder)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder to work in, with the package's module and no entry point."""
    folder = tmp_path_factory.mktemp("project")
    install(folder, entry_point=False)
    return folder


def command(*words, packages=None, folder=None):
    """The process of a command, in a folder, with one more place of packages."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"JAX_PLATFORMS": "cpu", "COLUMNS": "200"} | ({} if packages is None else {"PYTHONPATH": packages})
    start = "import sys; sys.path.pop(0); from vfl_jax.cli import main; main()"  # as a script, without the folder
    return subprocess.run(
        [sys.executable, "-c", start, *map(str, words)], capture_output=True, text=True, env=environment, cwd=folder
    )


@pytest.mark.long
def test_an_installed_package_is_listed_with_its_module(installed):
    done = command("list", packages=installed)
    assert done.returncode == 0, done.stderr
    lines = {
        cells[2]: cells for line in done.stdout.splitlines() if len(cells := [c.strip() for c in line.split("│")]) > 3
    }
    expected = {
        "LabReversal": ("attack", "methods"),
        "LabRounding": ("defense", "methods"),
        "LabBottom": ("bottom", "models"),
        "LabNormed": ("bottom", "models"),
        "LabHead": ("head", "models"),
        "LabFocal": ("loss", "models"),
        "LabAdamW": ("optimizer", "models"),
        "lab_surprise": ("metric", "metrics"),
        "lab_readings": ("data set", "study"),
        "lab_study": ("preset", "study"),
        "lab_normed": ("preset", "study"),
    }
    assert {name: (lines[name][1], lines[name][4]) for name in expected} == {
        name: (kind, f"{PLUGIN}.{module}") for name, (kind, module) in expected.items()
    }
    assert lines["LabReversal"][3].startswith("Pulls back the negative")  # the rest may stand on the next line
    assert lines["Clipping"][4] == lines["digits"][4] == "vfl_jax"


@pytest.mark.long
def test_the_command_and_python_and_json_are_one(installed, project, tmp_path):
    """A sweep of a plug-in's preset with flags of its records; its scenario again, as a file."""
    out, again, text = tmp_path / "preset.nc", tmp_path / "json.nc", tmp_path / "scenario.json"
    flags = ["--epochs", 2, "--seeds", 2, "--over", "attack.enabled=0,1"]
    own = ["--scenario.loss.focus", 1.5, "--set", "defense.unit=0.01"]
    done = command("sweep", "lab_normed", *flags, *own, "--out", out, packages=installed)
    assert done.returncode == 0, done.stderr
    for column in ("enabled", "lab_surprise"):  # a name breaks at its dots
        assert column in done.stdout
    results = vfl.load(out)
    assert dict(results.sizes) | {"attack.enabled": 2, "seed": 2, "epoch": 2} == dict(results.sizes)
    methods, models = ("LabReversal", "LabRounding"), ("LabBottom", "LabNormed", "LabHead", "LabFocal", "LabAdamW")
    for part in (*methods, *models, "lab_surprise", '"focus": 1.5'):
        assert part in results.attrs["scenario"]

    text.write_text(results.attrs["scenario"])
    words = ["sweep", "json", text, "--data", "lab_readings", *flags, "--out", again]
    done = command(*words, "--plugin", PLUGIN, folder=project)
    assert done.returncode == 0, done.stderr
    assert vfl.load(again).attrs["scenario"] == results.attrs["scenario"]
    for name in ("loss", "lab_surprise"):
        np.testing.assert_array_equal(vfl.load(again)[name], results[name])

    done = command(*words, folder=project)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {text}: 'record' is 'Lab")
    assert "--plugin" in done.stderr


@pytest.mark.long
def test_help_tells_what_a_plugin_adds(project):
    """``--plugin`` may stand anywhere, because it is read first."""
    numbers = ("--scenario.attacks.1.strength", "--scenario.optimizers.0.num-steps")
    for asked, told in (("--help", ("--plugin", "--data")), ("--help-all", numbers)):
        done = command("--plugin", PLUGIN, "run", "lab_study", asked, folder=project)
        assert done.returncode == 0, done.stderr
        for words in told:
            assert words in done.stdout


@pytest.mark.long
def test_a_plugin_that_fails_ends_with_one_line(tmp_path):
    (tmp_path / "lab_broken.py").write_text("raise OSError('no such disk')\n")
    for words in (["--plugin", "lab_broken"], ["--plugin=lab_broken"]):
        done = command("list", *words, folder=tmp_path)
        assert done.returncode == 1
        assert done.stderr.startswith("error: plug-in 'lab_broken' cannot be imported (OSError: no such disk)")
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("{", ("no JSON",)),
        ('{"record": "Clipping"}', ("Clipping", "must be a Scenario")),
        (None, ("scenario.json", "No such file")),
    ],
)
def test_files_that_hold_no_scenario_are_named(text, parts, tmp_path):
    file = tmp_path / "scenario.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SystemExit, match=says("error: ", *parts)) as ended:
        commands.main(["run", "json", str(file), "--data", "digits"])
    assert str(file) in str(ended.value)


def test_without_plugins_the_list_has_no_column_of_modules(monkeypatch):
    own = [member for member in members() if member.module.partition(".")[0] == "vfl_jax"]
    monkeypatch.setattr("vfl_jax.cli.listing.members", lambda: own)
    assert [column.header for column in table().columns] == ["kind", "name", "what it is"]
    assert {"trigger", "optimizer", "regularizer"} <= {member.kind for member in own}


def test_what_has_no_docstring_has_none_in_the_list(monkeypatch):
    made = dataclasses.make_dataclass("Undescribed", [("number", float)])
    monkeypatch.setattr("vfl_jax.cli.listing.members", lambda: [Member("attack", "Undescribed", made, "lab")])
    name, about = (list(table().columns[place].cells) for place in (1, 2))
    assert (name, about) == (["Undescribed"], [""])

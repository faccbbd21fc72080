"""What the command says of itself: nothing is wider than 80 columns, every preset and subcommand has a line."""

import importlib.metadata
import re
import subprocess
import sys

import pytest
from data_helpers import says

from vfl_jax.cli import commands, training
from vfl_jax.cli.doctor import diagnoses
from vfl_jax.cli.overview import OWN, PRESET_LINES
from vfl_jax.cli.paths import paths_of
from vfl_jax.cli.scenarios import presets
from vfl_jax.cli.subcommands import SUBCOMMANDS
from vfl_jax.core.extras import EXTRAS
from vfl_jax.core.record import numbers

WORDS = [
    [],
    ["--help"],
    ["--version"],
    *([name, "--help"] for name in SUBCOMMANDS),
    ["run", "digits_demo-sum", "--help"],
    ["sweep", OWN, "--help"],
    ["sweep", "scenario.toml", "--help"],
    ["run", "liu2020_code-trainable", "--help-all"],
    ["paths", "liu2020_code-trainable", "--defense", "GaussianNoise", "Clipping"],
    ["doctor"],
]


def said(words, capsys):
    """What the command prints."""
    try:
        commands.main(words)
    except SystemExit as ended:
        if ended.code:
            raise
    return capsys.readouterr().out


@pytest.mark.parametrize("words", WORDS, ids=lambda words: " ".join(words) or "nothing")
def test_nothing_is_wider_than_80_columns(words, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = said(words, capsys)
    assert shown.strip()
    assert [line for line in shown.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("words", [["run", "digits_demo-sum"], ["sweep", OWN], *([name] for name in SUBCOMMANDS)])
def test_every_flag_says_what_it_is(words, capsys, monkeypatch):
    """Its default or its type alone says too little."""
    monkeypatch.setenv("COLUMNS", "80")
    flags = said([*words, "--help"], capsys).splitlines()
    assert [line for line in flags if re.match(r"│ --\S+( \S+)?\s+(\(default: \S+\))?\s*│", line)] == []


def test_help_begins_with_two_examples_and_names_everything(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = said(["--help"], capsys).splitlines()
    first = lines[: lines.index("usage: vfl-jax SUBCOMMAND [FLAGS]")]
    assert sum(line.startswith("  vfl-jax ") for line in first) == 2
    for name in (*SUBCOMMANDS, *PRESET_LINES):
        assert any(line.startswith(f"  {name} ") for line in lines), name
    assert set(PRESET_LINES) == set(presets()) | {OWN, "FILE.toml"}


def test_examples_of_the_help_are_commands(capsys, monkeypatch):
    """Every flag in them is known."""
    seen = []
    monkeypatch.setattr(training, "perform_sweep", lambda chosen, name: seen.append((name, chosen.over)))
    text = said(["--help"], capsys).partition("usage:")[0].replace("\\\n", " ")
    for line in text.splitlines():
        if line.startswith("  vfl-jax "):
            commands.main(line.split()[1:])
    assert [name for name, _ in seen] == ["digits_demo-sum", OWN]


def test_the_fields_of_a_scenario_are_hidden_until_all_are_asked_for(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    short, long = (said(["run", "zou2022", flag], capsys) for flag in ("--help", "--help-all"))
    assert "--scenario." not in short
    assert "--help-all" in short
    assert len(short.splitlines()) < 60
    assert long.count("--scenario.") > 40
    assert "--scenario.attacks.1.amplify" in long
    assert "--table" in long


def test_the_version_is_the_installed_one(capsys):
    assert said(["--version"], capsys) == f"vfl-jax {importlib.metadata.version('vfl_jax')}\n"


def test_nothing_says_what_to_do_first(capsys):
    shown = said([], capsys)
    assert "vfl-jax demo" in shown
    assert "vfl-jax doctor" in shown


def test_a_wrong_preset_names_the_right_one():
    with pytest.raises(SystemExit, match=says("error: PRESET is 'digits_demo'", "digits_demo-sum")):
        commands.main(["run", "digits_demo"])


def test_every_number_has_its_path_and_meaning():
    for name, preset in presets().items():
        scenario = preset.make()
        found = paths_of(scenario)
        assert {number.path: number.value for number in found} == numbers(scenario)
        assert [number.path for number in found if not number.meaning] == [], name


def test_the_doctor_names_what_is_missing(tmp_path, monkeypatch):
    (tmp_path / "phishing").mkdir()
    monkeypatch.chdir(tmp_path)
    found = {(one.what, one.state): one for one in diagnoses(tmp_path)}
    assert "phishing (0/" in found["data sets", "missing"].found
    assert str(tmp_path) in found["data sets", "missing"].mend
    assert found["results", "works"]
    monkeypatch.delenv("VFL_JAX_DATA", raising=False)
    assert "export VFL_JAX_DATA" in next(one for one in diagnoses(None) if one.what == "data folder").mend
    monkeypatch.setitem(EXTRAS, "cluster", "no-such-package")
    assert next(d for d in diagnoses(tmp_path) if d.what == "extra cluster").mend == "pip install 'vfl_jax[cluster]'"


def test_the_doctor_ends_with_status_1_where_nothing_can_be_written(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def refuse(*args, **keywords):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(SystemExit) as ended:
        commands.main(["doctor", "--data-folder", str(tmp_path)])
    assert ended.value.code == 1
    assert "broken   results" in (shown := capsys.readouterr().out)
    assert "Read-only file system" in shown


@pytest.mark.long
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed(shell, capsys):
    assert "digits_demo-sum" in said(["completion", shell], capsys)


def test_a_command_that_ctrl_c_ends_says_how_it_goes_on(monkeypatch, capsys):
    def interrupted(chosen, name):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "perform_sweep", interrupted)
    for flags, message in (([], "interrupted.\n"), (["--folder", "f"], "interrupted. The same command goes on")):
        with pytest.raises(SystemExit) as ended:
            commands.main(["sweep", "digits_demo-sum", *flags])
        assert ended.value.code == 130
        assert capsys.readouterr().err.startswith(message)


def test_nobody_who_reads_on_is_no_error():
    words = [sys.executable, "-m", "vfl_jax.cli", "--help"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (141, b"")


def test_a_file_that_is_missing_is_named_in_words(tmp_path):
    with pytest.raises(SystemExit, match=r"error: .*nowhere\.toml: No such file or directory\.$"):
        commands.main(["run", str(tmp_path / "nowhere.toml")])

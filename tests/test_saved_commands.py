"""``report``, ``show``, ``plot`` and ``status`` on what lies in files and folders."""

import json
import shutil
from pathlib import Path

import pytest

import vfl_jax as vfl
from vfl_jax.cli import commands
from vfl_jax.cli.saved import _seeds
from vfl_jax.reports.readings import read
from vfl_jax.statistics.meetings import is_arena
from vfl_jax.sweeps.store.status import status

OVER = {"attack.enabled": [0, 1]}
EXPERIMENTS = Path(__file__).parents[1] / "experiments"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished sweep of two chunks."""
    path = tmp_path_factory.mktemp("saved") / "sweep"
    scenario = vfl.presets.digits_demo()
    vfl.sweep(scenario, vfl.load_digits, OVER, 2, 2, folder=path, max_replicas=2, progress=False)
    return path


@pytest.mark.parametrize(("seeds", "words"), [((0, 1, 2, 7), "0, 1, 2, 7"), ((0, 1, 2, 7, 9), "0 … 9 (5)")])
def test_of_many_seeds_the_first_and_the_last_are_shown(seeds, words):
    assert _seeds(seeds) == words


def test_a_folder_and_a_file_are_reported(folder, tmp_path, capsys):
    files = ["--html", str(tmp_path / "r.html"), "--csv", str(tmp_path / "r.csv")]
    commands.main(["report", str(folder), *files])
    assert "wrote" in capsys.readouterr().out
    assert "<title>sweep: does the attack get through?</title>" in (tmp_path / "r.html").read_text()
    assert (tmp_path / "r.csv").read_text().startswith("attack.enabled,main accuracy")
    commands.main(["report", str(folder / "results.nc"), "--html", str(tmp_path / "s.html")])
    assert (tmp_path / "s.html").read_bytes() == (tmp_path / "r.html").read_bytes()


def test_show_prints_the_answer_first(folder, capsys):
    commands.main(["show", str(folder)])
    shown = capsys.readouterr().out
    assert shown.index("attack") < shown.index("Every setting")
    assert "main" in shown
    assert "outcomes" in shown


def test_plot_writes_a_picture(folder, tmp_path):
    commands.main(["plot", str(folder), "--out", str(tmp_path / "p.png")])
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_status_counts_chunks_epochs_and_what_is_left(folder, tmp_path, capsys):
    (whole,) = status(folder)
    assert (len(whole.chunks), whole.num_finished, whole.share_done, whole.seconds_left) == (2, 2, 1.0, 0.0)
    part = tmp_path / "part"
    shutil.copytree(folder, part)
    (part / "results.nc").unlink()
    lost = whole.chunks[1]
    (part / "chunks" / f"{lost.name}.nc").unlink()
    (part / "checkpoints" / lost.name / "00000001-abc").mkdir(parents=True)
    for name in ("1a-b", "9-", "99999999-abc"):  # others' entries, and an epoch that the study lacks, count as none
        (part / "checkpoints" / lost.name / name).mkdir()
    before = sorted(part.rglob("*"))
    (half,) = status(part)
    assert (half.num_finished, half.share_done, half.has_results) == (1, 0.75, False)
    assert half.chunks[1].epochs == 1
    assert half.seconds_left == pytest.approx(half.chunks[0].wall_seconds / 2)
    commands.main(["status", str(part)])
    shown = capsys.readouterr().out
    assert "1 of 2 chunks finished, 75% of the epochs done" in shown
    assert lost.name in shown
    assert "1/2" in shown
    assert "begun" in shown
    assert max(map(len, shown.splitlines()[1:])) <= 80
    assert sorted(part.rglob("*")) == before
    with pytest.raises(SystemExit, match=r"has no results\.nc.*vfl-jax status"):
        commands.main(["show", str(part)])


def test_cases_are_reported_side_by_side(folder, tmp_path, capsys):
    for name in ("a", "b"):
        shutil.copytree(folder, tmp_path / "cases" / name)
    commands.main(["report", str(tmp_path / "cases"), "--csv", str(tmp_path / "r.csv")])
    lines = (tmp_path / "r.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["result", "a", "a", "b", "b"]
    commands.main(["status", str(tmp_path / "cases")])
    assert "2 sweeps have begun" in capsys.readouterr().out


@pytest.mark.long
def test_an_arena_says_who_wins():
    results = vfl.load(EXPERIMENTS / "arena" / "results" / "handwritten.nc")
    assert is_arena(results)
    reading = read(results, "arena")
    assert reading.answer[0].startswith("The strongest is ")
    assert "leaves the strongest attack a lift of" in reading.answer[1]
    first = next(iter(reading.tables.values()))[0]
    assert first["attack"] in reading.answer[0]
    assert first["lift"] in reading.answer[0]
    assert len(reading.figures) == 2
    few = read(results.assign(num_test=results["num_test"] * 0 + 29), "few")
    assert few.answer == ["Not enough to say: no board has more than 29 test rows, and it takes 30."]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["report"], "report needs a file of results"),
        (["report", "x.nc"], "report needs a file to write: --html"),
        (["report", "x.nc", "--csv", "a", "--html", "a"], "name one file"),
        (["report", "missing.nc", "--csv", "a.csv"], "no such file"),
        (["plot", "x.nc", "--out", "p.gif"], r"--out is p\.gif; its ending"),
        (["status", "."], "no folder of a sweep or an arena"),
    ],
)
def test_mistakes_are_named(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=f"(?i){words}"):
        commands.main(arguments)


def test_json_in_a_page_is_the_scenario(folder):
    reading = read(vfl.load(folder / "results.nc"), "sweep")
    (scenario,) = (text for title, text in reading.repeat.items() if title.startswith("The scenario"))
    assert json.loads(scenario) == json.loads(vfl.presets.digits_demo().to_json())

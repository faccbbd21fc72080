"""No output takes the place of an input or of another output, and no flag drops what was typed before."""

import pytest
from data_helpers import says
from result_helpers import sweep_of

import vfl_jax as vfl
from vfl_jax.cli import main
from vfl_jax.reports.reporting import names_of

OWN = ["--table", "bank=a.csv", "--table", "shop=b.csv", "--id", "id", "--label", "bank.y"]
FILE = 'id = "id"\nlabel = "bank.y"\n[table]\nbank = "a.csv"\nshop = "b.csv"\n'
STUDY = ["sweep", "own", *OWN, "--stamp", "shop.b=4", "--epochs", "1", "--seeds", "1"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with two tables, a file that names them, a scenario, and results; the working folder."""
    rows = range(60)
    (tmp_path / "a.csv").write_text("id,y,a\n" + "".join(f"{i},{i % 2},{i % 7}\n" for i in rows))
    (tmp_path / "b.csv").write_text("id,b\n" + "".join(f"{i},{i % 5}\n" for i in rows))
    (tmp_path / "tables.toml").write_text(FILE)
    (tmp_path / "scenario.json").write_text(vfl.presets.digits_demo().to_json())
    vfl.save(results(), tmp_path / "grid.nc")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def results():
    found = sweep_of([[0.9, 0.9], [0.9, 0.9]], [[0.1, 0.1], [0.9, 0.9]])
    return found.assign(attack_success_rate=found["backdoor_accuracy"])


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


OVERWRITES = [
    (["report", "grid.nc", "--html", "./grid.nc"], "--html is grid.nc, and so is the file of the results 'grid'"),
    (["audit", *OWN, "--results", "a.csv"], "--results is a.csv, and so is the table of 'bank'"),
    (["audit", "tables.toml", "--results", "b.csv"], "--results is b.csv, and so is the table of 'shop'"),
    (["audit", "tables.toml", "--results", "tables.toml"], "and so is the file that names your tables"),
    (["audit", *OWN, "--out", "x.html", "--results", "x.html"], "--results is x.html, and so is --out"),
    ([*STUDY, "--out", "a.csv"], "--out is a.csv, and so is the table of 'bank'"),
    ([*STUDY, "--log-json", "a.csv"], "--log-json is a.csv, and so is the table of 'bank'"),
    ([*STUDY, "--save-scenario", "x.toml", "--out", "x.toml"], "--save-scenario is x.toml, and so is --out"),
    ([*STUDY, "--folder", "x.nc", "--out", "x.nc"], "--out is x.nc, and so is --folder"),
    (
        ["run", "scenario.json", "--data", "digits", "--save-scenario", "scenario.json"],
        "--save-scenario is scenario.json, and so is the file of the scenario",
    ),
]
TWICE = [
    (["report", "grid.nc", "--html", "x.html", "--html", "y.html"], "--html is given twice, with x.html and with"),
    (["audit", *OWN, "--seeds", "10", "--seeds=20"], "--seeds is given twice, with 10 and with 20"),
    (["audit", *OWN, "--label", "bank.a"], "--label is given twice, with bank.y and with bank.a"),
    ([*STUDY, "--epochs", "3"], "--epochs is given twice, with 1 and with 3"),
    ([*STUDY, "--defense", "SignSGD", "--defense", "Clipping"], "--defense is given twice, with SignSGD and with"),
]


@pytest.mark.parametrize(
    ("words", "said", "advice"),
    [*((*case, "they must be two files") for case in OVERWRITES), *((*case, "give it once") for case in TWICE)],
)
def test_a_flag_that_writes_over_another_or_is_given_twice_is_refused(here, words, said, advice):
    before = contents(here)
    with pytest.raises(SystemExit, match=advice) as error:
        main(words)
    assert said in str(error.value)
    assert contents(here) == before


def test_a_report_keeps_its_results_and_writes_all_files_or_none(here):
    before = contents(here)
    with pytest.raises(ValueError, match=r"html is grid.nc, and so is the file of the results 'grid'"):
        vfl.report("grid.nc", html="grid.nc")
    with pytest.raises(ValueError, match=r"csv is ./x, and so is html"):
        vfl.report(results(), html="x", csv="./x")
    with pytest.raises(OSError, match="cannot be written"):
        vfl.report(results(), html="page.html", latex=here)
    assert contents(here) == before


def test_files_of_one_stem_keep_their_endings():
    assert names_of(["/x/grid.nc", "/y/grid.nc"]) == ["x/grid", "y/grid"]  # beneath the root
    assert names_of(["x/grid.nc", "x/grid.h5", "y/other.nc"]) == ["grid.nc", "grid.h5", "other"]
    assert names_of(["x/grid.nc", "y/grid.nc"]) == ["x/grid", "y/grid"]
    with pytest.raises(ValueError, match="one of them twice"):
        names_of(["x/grid.nc", "x/grid.nc"])


def test_names_that_read_alike_are_refused():
    with pytest.raises(ValueError, match=says("names [1, '1']", "read alike")):
        vfl.report({1: results(), "1": results()})


def test_a_setting_called_result_stays_beside_the_name_of_the_result(tmp_path):
    other = results().expand_dims(result=["first"])
    vfl.report({"plain": other, "again": other}, csv=tmp_path / "table.csv")
    header, first, *_ = (tmp_path / "table.csv").read_text().splitlines()
    assert header.startswith("which result,")
    assert {"plain", "first"} <= set(first.split(","))


def test_what_lies_beside_results_is_kept(here):
    with pytest.raises(ValueError, match=says("html is grid.nc.run.json, and so is what lies beside the file of")):
        vfl.report("grid.nc", html="grid.nc.run.json")
    with pytest.raises(SystemExit, match="and so is --folder"):
        main(["arena", "--data", "digits", "--folder", "x.nc", "--out", "x.nc"])

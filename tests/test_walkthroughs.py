"""Five users' tasks from beginning to end, as they would type them, each on little data and few epochs."""

import csv
import html
import io
import re
import sys
import textwrap

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from data_helpers import says
from experiment_helpers import quick_compilation

import vfl_jax as vfl
from vfl_jax.cli import commands
from vfl_jax.sweeps import displays

LEVELS = [0.0, 0.05, 1.0]


@pytest.fixture(autouse=True)
def quick():
    with quick_compilation():
        yield


@pytest.fixture
def own_names():
    """What a walkthrough registers is gone after it."""
    kept = [(registry, dict(registry)) for registry in (vfl.data.LOADERS, vfl.presets.PRESETS)]
    yield
    for registry, before in kept:
        registry.clear()
        registry.update(before)


@pytest.mark.long
def test_a_researcher_redoes_figure_6(tmp_path, capsys):
    """Noise on the gradients under the trainable head: a sweep, its figure, a table for the paper, numbers for R."""
    scenario = vfl.presets.liu2020_code(head="trainable", task="nus_wide")
    scenario = scenario.replace(defense=vfl.defenses.GaussianNoise())
    data = vfl.load_nus_wide_twin(num_train=6000, num_test=1000)
    over = {"attack.enabled": [0, 1], "defense.stddev": LEVELS}
    results = vfl.sweep(scenario, data, over, seeds=2, epochs=6, progress=False)

    attacked, honest = vfl.attacked(results), vfl.honest(results)
    figure = vfl.plots.against(attacked, "defense.stddev", floor=honest)
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["0", "0.05", "1"]
    picture = matplotlib.image.imread(io.BytesIO(figure._repr_png_()))
    assert picture[..., :3].std() > 0.01  # something is drawn
    main = honest["main_task_accuracy"].isel(epoch=-1)
    assert (main.sel({"defense.stddev": 0.0}) > main.sel({"defense.stddev": 1.0})).all()  # so much noise costs accuracy

    vfl.show(results)
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    vfl.report(results, latex=tmp_path / "noise.tex", html=tmp_path / "noise.html")
    table = (tmp_path / "noise.tex").read_text()
    assert table.count(r" \\") == 1 + len(LEVELS) * 2
    frame = vfl.tidy(results)
    frame.to_csv(tmp_path / "noise.csv", index=False)
    again = pd.read_csv(tmp_path / "noise.csv")
    last = again.query("epoch == 6 and seed == 1 and is_attacked")
    expected = attacked["backdoor_accuracy"].sel(seed=1, epoch=6)
    np.testing.assert_allclose(last["backdoor_accuracy"], expected, rtol=1e-6)


def write_tables(folder, rows=2400):
    """A bank's and a shop's table as CSV, with some ids that the other lacks; the shop's spending tells who repays."""
    rng = np.random.default_rng(0)
    spending = rng.normal(size=rows)
    repays = np.where(spending + 0.3 * rng.normal(size=rows) > -0.3, "yes", "no")
    bank = [["id", "age", "income", "repays"]]
    bank += [[i, rng.integers(20, 70), f"{rng.normal(2000, 300):.2f}", repays[i]] for i in range(rows)]
    shop = [["id", "spending", "visits", "town"]]
    towns = ("Aachen", "Bonn", "Celle")
    shop += [[i, f"{spending[i]:.3f}", rng.integers(9), rng.choice(towns)] for i in rng.permutation(rows)[: rows - 20]]
    for name, table in (("bank.csv", bank), ("shop.csv", shop)):
        with (folder / name).open("w", newline="") as file:
            csv.writer(file).writerows(table)


@pytest.mark.long
def test_an_engineer_asks_what_a_partner_could_do(tmp_path, monkeypatch, capsys):
    """Two tables, one command, and the answer as it stands on the page: what leaks, what is planted, what stops it."""
    monkeypatch.chdir(tmp_path)
    write_tables(tmp_path, rows=600)
    tables = ["audit", "--table", "bank=bank.csv", "--table", "shop=shop.csv", "--id", "id"]
    with pytest.raises(SystemExit, match=says("error: ", "no column 'repay'", "'repays'")):  # it has
        commands.main([*tables, "--label", "bank.repay"])
    with pytest.raises(SystemExit, match=says("--attacker", "'ship'", "'shop'")):  # who could be malicious
        commands.main([*tables, "--label", "bank.repays", "--attacker", "ship"])
    asked = [*tables, "--label", "bank.repays", "--minutes", "0.5", "--epochs", "5", "--results", "audit.nc"]
    commands.main(asked)
    said = capsys.readouterr()
    assert re.search(
        says(
            "580 rows joined; ids that another table lacks: bank 20 of 600, shop 0 of 580",
            "'shop' is malicious",
            "10 seeds",
        ),
        " ".join(said.err.split()),
    )  # before it starts

    page = (tmp_path / "audit.html").read_text(encoding="utf-8")
    assert len(page) < 2_000_000
    assert not re.search(r'(src|href)="(?!#|data:)', page)  # it needs nothing beside itself
    (answer,) = re.findall(r'<div class="answer">(.*?)</div>', page, re.DOTALL)
    reading, planting, stopping = map(html.unescape, re.findall(r"<p>(.*?)</p>", answer, re.DOTALL))
    leak = re.search(r"A malicious “shop” could read (\d+)% of your labels \(naming .* would give (\d+)%", reading)
    assert int(leak[1]) > int(leak[2]) + 10  # gradients under a trainable head tell labels
    assert "backdoor" in planting
    assert re.search("defense|stop", stopping)
    assert f"vfl-jax {' '.join(asked[:-2])}" in html.unescape(page)  # how to repeat it
    for sentence in (reading, planting, stopping):
        assert sentence in " ".join(said.out.split())  # as it was printed

    commands.main(["show", "audit.nc"])
    shown = capsys.readouterr().out
    assert " ".join(shown.split()).startswith(reading)
    assert max(map(len, shown.splitlines())) <= 80
    assert vfl.Audit.load("audit.nc").results.sizes["seed"] == 10


METHOD = '''
    """A student's attack: the attacker answers every gradient with its negative."""

    import vfl_jax as vfl


    class Backwards(vfl.Attack):
        """Pulls back the negative of every gradient that the active party sends."""

        strength: float = 1.0

        def on_download(self, key, state, view, gradient):
            return -self.strength * gradient, state


    class OneRowOnly(vfl.Attack):
        """A mistake: its message has another shape than the one that it replaces."""

        def on_upload(self, key, state, view, embedding):
            return embedding[:1], state
'''


@pytest.mark.long
def test_a_student_brings_an_attack_into_the_arena(tmp_path, monkeypatch, capsys):
    """One file of one's own: checked, listed by the command, and held against the package's attacks and defenses."""
    (tmp_path / "backwards.py").write_text(textwrap.dedent(METHOD))
    monkeypatch.syspath_prepend(tmp_path)
    assert vfl.load_plugins("backwards") == ("backwards",)
    module = sys.modules["backwards"]
    vfl.testing.check_method(module.Backwards)
    with pytest.raises(AssertionError, match=says("OneRowOnly.on_upload returns", "it must keep")):
        vfl.testing.check_method(module.OneRowOnly)
    commands.main(["list", "--plugin", "backwards"])
    assert "Backwards" in capsys.readouterr().out

    digits = vfl.board_for(vfl.load_digits(), epochs=2)
    attacks = {"replacement": vfl.attacks.GradientReplacement(), "backwards": module.Backwards(strength=3.0)}
    found = vfl.arena(attacks, {"clipping": vfl.defenses.Clipping(bound=0.1)}, {"digits": digits}, 2, progress=False)
    frame = vfl.tidy(found)
    assert len(frame) == 2 * 2 * 2
    mine = frame.query("attack == 'backwards' and defense == 'none'")
    assert (mine["main_accuracy"] < mine["main_accuracy_honest"] - 0.05).all()  # it spoils the model
    vfl.show(found)
    shown = capsys.readouterr().out
    assert "backwards" in shown
    assert max(map(len, shown.splitlines())) <= 80


CELLS = [
    "%matplotlib inline\nimport vfl_jax as vfl\ndata = vfl.load_digits()\ndata",
    "scenario = vfl.presets.digits_demo().replace(defense=vfl.defenses.GaussianNoise())\nscenario",
    "results = vfl.sweep(scenario, data, {'attack.enabled': [0, 1]}, seeds=2, epochs=3)",
    "vfl.show(results)",
    "vfl.plots.curves({'attacked': vfl.attacked(results), 'honest': vfl.honest(results)})",
    "vfl.compare(vfl.honest(results), vfl.attacked(results))",
]


@pytest.mark.long
def test_a_notebook_shows_everything_by_itself():
    """Cells that end with a name show tables and figures, each figure once, and training is a bar."""
    nbclient = pytest.importorskip("nbclient", reason="a notebook runs where nbclient and ipykernel are installed")
    pytest.importorskip("ipykernel", reason="a notebook runs where nbclient and ipykernel are installed")
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    shown = [[output.get("data", {}) for output in cell.outputs] for cell in notebook.cells]
    data, scenario, training, answer, curves, comparison = shown
    assert "1,437 training rows" in data[0]["text/html"]
    assert "<code>digits_demo()</code>, but" in scenario[0]["text/html"]
    assert any("<progress" in output.get("text/html", "") for output in training)
    assert not any(output.get("name") == "stderr" for output in notebook.cells[2].outputs)
    assert [kind for output in answer for kind in output if kind in ("text/html", "image/png")] == [
        *("text/html", "image/png", "text/html", "text/html"),
    ]
    assert [set(output) & {"image/png"} for output in curves] == [{"image/png"}]  # once
    assert any("paired by seed" in output.get("text/html", "") for output in comparison)


@pytest.mark.long
def test_a_script_of_the_same_cells_runs_without_a_notebook(capsys):
    assert not displays.in_notebook()
    names: dict = {}
    for source in CELLS:
        exec(compile(source.replace("%matplotlib inline\n", ""), "cell", "exec"), names)
    captured = capsys.readouterr()
    assert captured.out.startswith("No, the attack did not get through")
    assert "To train: 4 replicas" in captured.err
    assert max(map(len, (captured.out + captured.err).splitlines())) <= 80


@pytest.mark.long
def test_a_maintainer_adds_data_and_a_preset_and_resumes_a_folder(tmp_path, monkeypatch, capsys, own_names):
    """Registered names work at the command line; a sweep that was stopped goes on; two states of it compare."""
    monkeypatch.chdir(tmp_path)

    @vfl.register_data("sensors")
    def load_sensors():
        rng = np.random.default_rng(1)
        rows, labels = rng.normal(size=(300, 6)).astype(np.float32), np.arange(300) % 3
        rows[:, 4] += labels
        return vfl.from_arrays({"ours": rows[:, :2], "theirs": rows[:, 2:]}, labels, name="sensors")

    def sensors():
        trigger = vfl.data.FeatureTrigger(party=1, index=0, value=4.0)
        return vfl.scenario_for(load_sensors(), attacker="theirs", trigger=trigger)

    vfl.register_preset("sensors", sensors, data="sensors")
    assert repr(sensors()) == "Scenario of sensors()"
    command = ["sweep", "sensors", "--over", "attack.enabled=0,1", "--epochs", "2", "--folder", "runs"]
    commands.main([*command, "--seeds", "2", "--out", "first.nc"])
    chunk = next((tmp_path / "runs" / "chunks").glob("*.nc"))
    written = chunk.stat().st_mtime_ns
    commands.main([*command, "--seeds", "3", "--out", "second.nc"])
    assert chunk.stat().st_mtime_ns == written  # it is read, not trained again
    first, second = vfl.load("first.nc"), vfl.load("second.nc")
    assert first["loss"].identical(second["loss"].sel(seed=[0, 1]))
    found = vfl.compare(first, second)
    assert found.left_out == ["Left out: seed 2 of b, which a lacks."]
    assert (found.table["difference_median"].dropna() == 0).all()
    assert found.differs == [{"what": "seeds", "a": "0, 1", "b": "0 to 2"}]
    assert vfl.row_ids(second)["poison_ids"].sizes["seed"] == 3

    capsys.readouterr()
    commands.main(["status", "runs"])
    assert "100% of the epochs done" in capsys.readouterr().out
    commands.main(["report", "runs", "--html", "sensors.html", "--markdown", "sensors.md"])
    assert "theirs: GradientReplacement" in (tmp_path / "sensors.html").read_text()

"""What the outcome depends on: initial parameters against a sweep's, predictors against NumPy, tables by hand."""

import json

import jax
import matplotlib
import numpy as np
import pytest
from data_helpers import says, tiny_data, tiny_scenario
from experiment_helpers import quick_compilation
from result_helpers import COLLAPSED, FAILURE, SUCCESS, attacked, results_of, save_results, table_rows
from sklearn.metrics import roc_auc_score

from experiments.liu2020.what_success_depends_on import prediction, report, units
from experiments.liu2020.what_success_depends_on.cases import BASES, CASES, MODEL, ROWS, SCENARIOS, TARGET_ROWS
from experiments.liu2020.what_success_depends_on.factors import FACTORS
from experiments.shared import outcomes
from experiments.shared.outcomes import read
from experiments.shared.separation import area, area_with_interval
from vfl_jax.core.files import save
from vfl_jax.models import MLP
from vfl_jax.replica.draws import draw
from vfl_jax.sweeps import training
from vfl_jax.sweeps.sweep import run, sweep

pytestmark = pytest.mark.usefixtures("results_in_memory")

BY_NAME = {case.name: case for case in CASES}
SEEDS = (3, 0, 18)
BOTTOMS = (MLP(hidden=(5,), width=3, output_relu=True),) * 2


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    """Pictures of few pixels are drawn faster."""
    monkeypatch.setitem(matplotlib.rcParams, "savefig.dpi", 20)


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Nothing here runs for long."""
    with quick_compilation():
        yield


@pytest.fixture(scope="module")
def tiny(quick):
    """Data, scenario, and what the seeds start with."""
    data, scenario = tiny_data(), tiny_scenario(bottoms=BOTTOMS)
    return data, scenario, units.initial(scenario, data, SEEDS)


def equal(one, other):
    return jax.tree.all(jax.tree.map(np.array_equal, one, other))


def of_seed(tree, place):
    return jax.tree.map(lambda leaf: leaf[place], tree)


class Stopped(Exception):
    """Carries the state before the first step."""


@pytest.fixture
def stopping(monkeypatch):
    """Training that stops before its first step."""

    def stop(self, state, *rest):
        raise Stopped(state)

    monkeypatch.setattr(training._Loop, "run", stop)


def test_initial_parameters_are_those_that_a_replica_starts_from(tiny, stopping):
    data, scenario, (params, draws) = tiny
    for i, seed in enumerate(SEEDS):
        with pytest.raises(Stopped) as stopped:
            run(scenario, data, jax.random.key(seed), epochs=1)
        (state,) = stopped.value.args
        assert equal(of_seed(params, i), state.params)
        drawn = draw(scenario, data, jax.random.key(seed))
        for ids, expected in ((draws.poison_ids, drawn.poison_ids), (draws.target_ids, drawn.target_ids)):
            assert sorted(ids[i]) == sorted(expected)
    assert not equal(of_seed(params, 0), of_seed(params, 1))


def test_initial_parameters_are_those_that_a_sweep_starts_from(tiny, stopping):
    data, scenario, (params, _) = tiny
    with pytest.raises(Stopped) as stopped:
        sweep(scenario, data, seeds=SEEDS, epochs=1, progress=False, max_replicas=len(SEEDS))
    (state,) = stopped.value.args
    assert equal(params, jax.tree.map(lambda leaf: leaf[..., 0, :], state.params))


def test_predictors_against_numpy(tiny):
    data, scenario, (params, draws) = tiny
    found = units.measure(scenario, data, SEEDS)
    assert list(found) == ["seed", *units.PREDICTORS]
    rows = data.train.features[1].reshape(30, -1)
    for i in range(len(SEEDS)):
        (w1, b1), (w2, b2) = ((layer["kernel"][i], layer["bias"][i]) for layer in params[1].values())
        poison = draws.poison_ids[i]
        stamped = rows[poison].copy()
        stamped[:, -1] = 1.0  # pixel (3, 3) is the last of the lower half
        ordinary = np.delete(rows, poison, axis=0)

        def unit(x, w1=w1, b1=b1, w2=w2, b2=b2):
            hidden = np.maximum(x @ w1 + b1, 0)
            return hidden, hidden @ w2[:, 0] + b2[0]

        hidden, on_poison = unit(stamped)
        _, on_ordinary = unit(ordinary)
        # The kernel of two rows: the product of the gradients of the unit, before its ReLU, with respect to parameters.
        active = (hidden > 0).astype(float)
        kernel = hidden @ hidden.T + 1 + (stamped @ stamped.T + 1) * ((active * w2[:, 0] ** 2) @ active.T)
        expected = {
            "seed": SEEDS[i],
            "alive": (on_poison > 0).mean(),
            "mean": on_poison.mean(),
            "alive, ordinary": (on_ordinary > 0).mean(),
            "mean, ordinary": on_ordinary.mean(),
            "target row": unit(rows[draws.target_ids[i]])[1].item(),
            "positive weight": (active @ np.maximum(w2[:, 0], 0)).mean(),
            "push": (kernel * (on_poison > 0)).mean(),
        }
        assert {name: values[i] for name, values in found.items()} == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert 0 < np.mean(found["alive"]) < 1


def test_units_are_measured_once_for_each_data_set(tmp_path, monkeypatch):
    data, calls = tiny_data(), []

    def measure(scenario, data, seeds):
        calls.append(scenario.poison.draw)
        return {"seed": list(seeds)}

    monkeypatch.setattr(units, "load_task", lambda task: data)
    monkeypatch.setattr(units, "measure", measure)
    assert units.read_units(tmp_path) is None
    units.write_units(tmp_path)
    found = units.read_units(tmp_path)
    assert found["data"] == data.fingerprint()
    assert {draw: len(measured["seed"]) for draw, measured in found["lists"].items()} == {"fixed": 60, "per_seed": 20}
    units.write_units(tmp_path)
    assert calls == ["fixed", "per_seed"]
    (tmp_path / units.FILE).write_text(json.dumps({"data": "other", "lists": {}}))
    units.write_units(tmp_path)
    assert units.read_units(tmp_path) == found


@pytest.mark.parametrize("base", BASES)
def test_every_case_is_a_setting_of_a_factor(base):
    found = {case.name: results_of(case, attacked(), seeds=1) for case in CASES if case.honest_of is None}
    settings = [setting for of_factor in FACTORS[base].values() for setting in of_factor]
    cases = {case.name for case in CASES if case.title.startswith(f"{BASES[base].title}: ")}
    assert {f"{setting.case}_{base}" for setting in settings} == cases
    points = [setting.find(found, base) for setting in settings if f"{setting.case}_{base}" in found]
    assert all(point is not None for point in points)
    for of_factor in FACTORS[base].values():
        assert [setting.case for setting in of_factor].count("base") == 1


def test_settings_stand_in_their_order():
    rows = [int(s.label.split(",")[0].removeprefix("row ")) for s in FACTORS["mnist"]["target row"]]
    assert rows == list(TARGET_ROWS)
    assert [s.label for s in FACTORS["mnist"]["poison rate"]] == ["0.001", "0.003", "0.01", "0.03"]


def test_the_text_with_both_halves_as_published_is_the_published_run():
    """So that nothing in which they differ is left out."""
    of = {base: {name: getattr(SCENARIOS[base], name) for name in (*ROWS, *MODEL)} for base in ("mnist", "text_mnist")}
    assert SCENARIOS["text_mnist"].replace(**of["mnist"]) == SCENARIOS["mnist"]
    by_name = {case.name: case.scenario for case in CASES}
    assert by_name["rows_text_mnist"].replace(**{n: of["mnist"][n] for n in MODEL}) == SCENARIOS["mnist"]
    assert by_name["model_text_mnist"].replace(**{n: of["text_mnist"][n] for n in MODEL}) == SCENARIOS["text_mnist"]


def test_rows_say_what_the_numbers_are(tmp_path):
    def save(name, values, seeds=4):
        save_results(tmp_path, CASES, name, values, seeds=seeds)

    save("base_mnist", attacked(backdoor_accuracy=[0.9, 0.8, 0.1, 0.2, 0.7]), seeds=5)
    save("blur_none_mnist", attacked(backdoor_accuracy=[0.9, 0.1, 0.6, 0.2]))
    save("learning_rate_mnist", lambda s: SUCCESS if s["attack.enabled"] and s["learning_rate"] == 0.03 else FAILURE)
    save("no_clip_mnist", lambda s: COLLAPSED if s["attack.amplify"] == 50 else FAILURE)
    rows = report.table(read(tmp_path, CASES), "mnist")
    assert [(row["factor"], row["setting"]) for row in rows] == [
        ("the published run", ""),
        ("blurring", "none"),
        *(("learning rate", rate) for rate in ("0.003", "0.03", "0.1")),
        *(("probability clip", f"none, γ = {gamma}") for gamma in (10, 50)),
    ]
    successes = [row["successes"].split()[0] for row in rows]
    assert successes == ["3/5", "2/4", "0/4", "4/4", "0/4", "0/4", "0/4"]
    assert [row["collapsed"] for row in rows] == ["0/5", *["0/4"] * 5, "4/4"]
    assert rows[0]["backdoor"].startswith("0.700 [")
    changes = [row["successes won, lost"] for row in rows]
    assert changes[:4] == ["–", "+1, −1 of 4", "+0, −2 of 4", "+2, −0 of 4"]
    # Of the four seeds that both have: 0, −0.7, 0.5 and 0.
    assert rows[1]["backdoor, minus the unchanged"].startswith("0.000 [-0.7")
    assert report.table(read(tmp_path, CASES), "nus_wide") == []


@pytest.mark.parametrize("name", ["base_mnist", "order_file_nus_wide", "no_clip_mnist", "rows_text_mnist"])
def test_a_report_of_a_single_case(tmp_path, name):
    save_results(tmp_path, CASES, name, attacked(**SUCCESS))
    report.write_report(tmp_path)
    text = (tmp_path / "tables.md").read_text()
    assert all(row["successes"].startswith("4/4") for row in table_rows(text, "factor", "successes"))
    (picture,) = [path.name for path in tmp_path.glob("*.png")]
    assert picture == f"{next(base for base in reversed(BASES) if name.endswith(base))}.png"
    assert f"![backdoor accuracy by factor, every seed a point]({picture})" in text
    assert "before training" not in text
    assert BY_NAME[name].title not in text.partition("**Not trained yet**")[2]


def test_a_case_without_its_honest_runs_is_not_reported(tmp_path):
    save_results(tmp_path, CASES, "blur_none_mnist", attacked(**SUCCESS))
    report.write_report(tmp_path)
    assert (tmp_path / "tables.md").read_text().startswith("### Runtime")
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.parametrize("other", [{"seeds": 3}, {"fingerprint": "of other data"}])
def test_honest_runs_of_other_seeds_or_data_are_not_borrowed(tmp_path, other):
    save_results(tmp_path, CASES, "base_mnist", attacked(**SUCCESS), **other)
    save_results(tmp_path, CASES, "blur_none_mnist", attacked(**SUCCESS))
    found = read(tmp_path, CASES)
    assert list(found) == ["base_mnist"]
    missing = outcomes.runtimes(CASES, found).partition("**Not trained yet**, or without honest runs to borrow:")[2]
    assert BY_NAME["blur_none_mnist"].title in missing


def test_a_time_that_was_not_kept_is_told_from_one_that_was(tmp_path):
    for name in ("base_mnist", "blur_none_mnist"):
        save(results_of(BY_NAME[name], attacked(**SUCCESS)), tmp_path / f"{name}.nc")
    (tmp_path / "base_mnist.nc.run.json").unlink()
    rows = table_rows(outcomes.runtimes(CASES, read(tmp_path, CASES)), "case", "replicas")
    assert [(row["minutes"], row["devices"]) for row in rows] == [("not kept", "not kept"), ("1.5", "2 × cpu")]


def test_borrowed_honest_runs_are_not_counted_twice(tmp_path):
    for name, seeds in {"base_mnist": 5, "blur_none_mnist": 4}.items():
        save_results(tmp_path, CASES, name, attacked(**SUCCESS), seeds=seeds)
    rows = table_rows(outcomes.runtimes(CASES, read(tmp_path, CASES)), "case", "replicas")
    assert {row["case"]: row["replicas"] for row in rows} == {
        BY_NAME["base_mnist"].title: "10",
        BY_NAME["blur_none_mnist"].title: "4",
    }


def test_no_results_are_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=says("no results")):
        report.write_report(tmp_path)


def measured(seeds, **numbers):
    """As the file has them, the fixed list only."""
    plain = {name: list(np.linspace(0, 1, len(seeds))) for name in units.PREDICTORS}
    return {"data": "of the data", "lists": {"fixed": {"seed": list(seeds)} | plain | numbers}}


def test_outcomes_are_related_by_seed(tmp_path, monkeypatch):
    monkeypatch.setenv("VFL_JAX_RESULTS", str(tmp_path))  # authors_run has none
    save_results(
        tmp_path,
        CASES,
        "base_mnist",
        attacked(
            backdoor_accuracy=[0.9, 0.2, 0.8, 0.1, 0.7, 0.95], main_task_accuracy=[0.95, 0.95, 0.95, 0.95, 0.95, 0.5]
        ),
        seeds=[0, 1, 2, 20, 21, 22],
    )
    # In another order than the results, and with a seed that these do not have.
    alive = dict(zip([22, 21, 20, 9, 2, 1, 0], [0.9, 0.6, 0.2, 0.5, 0.5, 0.1, 0.8], strict=True))
    (tmp_path / units.FILE).write_text(json.dumps(measured(list(alive), alive=list(alive.values()))))
    report.write_report(tmp_path)
    text = (tmp_path / "tables.md").read_text()
    by_life = [tuple(row.values()) for row in table_rows(text, "unit")]
    short = [(title, unit, wins.split()[0], lost, odd) for title, unit, wins, lost, _, odd in by_life]
    assert short == [
        ("the published run", "dead", "1/3", "0/3", "2"),
        ("the published run", "alive", "2/3", "1/3", "22"),
        ("the published run, seeds from 20", "dead", "0/1", "0/1", "–"),
        ("the published run, seeds from 20", "alive", "1/2", "1/2", "22"),
    ]
    whole = table_rows(text, "predictor")[: len(units.PREDICTORS)]
    assert [row["predictor"] for row in whole] == list(units.PREDICTORS)
    assert all(row["runs"] == "the published run (3 of 6 succeed)" for row in whole)
    # Successes have 0.8, 0.5 and 0.6, the others 0.1, 0.2 and 0.9: 6 of 9 pairs are in order.
    assert whole[0]["area under the curve"].startswith("0.67 [")
    # Ranks by seed: alive 5, 1, 3, 2, 4, 6; backdoor 5, 2, 4, 1, 3, 6: 1 − 6·4/210.
    assert whole[0]["rank correlation"].startswith("0.89 (p = ")
    assert (tmp_path / "initial_units.png").is_file()


def test_numbers_of_other_data_are_refused():
    found = {"base_mnist": results_of(BY_NAME["base_mnist"], attacked(), fingerprint="of other data")}
    with pytest.raises(ValueError, match=says("other data", "'the published run'", "measure them again")):
        prediction.related(found, measured([0, 1, 2, 3]))


def test_what_does_not_vary_has_no_correlation(tmp_path, monkeypatch):
    monkeypatch.setenv("VFL_JAX_RESULTS", str(tmp_path))
    found = {"base_mnist": results_of(BY_NAME["base_mnist"], attacked(**SUCCESS))}
    (group,) = prediction.related(found, measured([0, 1, 2, 3]))
    assert {row["rank correlation"] for row in prediction._by_predictor(group)} == {"–"}
    assert {row["area under the curve"] for row in prediction._by_predictor(group)} == {"–"}


def test_the_area_under_the_curve():
    rng = np.random.default_rng(0)
    high, low = rng.normal(1, 1, 30).round(1), rng.normal(0, 1, 20).round(1)
    expected = roc_auc_score([1] * 30 + [0] * 20, np.concatenate([high, low]))
    assert area(high, low) == pytest.approx(expected)
    assert area(low, high) == pytest.approx(1 - expected)
    text = area_with_interval(high, low)
    bounds = [float(bound) for bound in text.partition("[")[2].rstrip("]").split(", ")]
    assert bounds[0] < expected < bounds[1]
    assert text.startswith(f"{expected:.2f} [")
    # Pairs that are drawn anew together keep their order: of nine comparisons, 6 hold in three pairs, 7 in two of them.
    together, apart = (area_with_interval([1.0, 2.0, 3.0], [0.9, 1.9, 2.9], paired=paired) for paired in (True, False))
    assert (together, apart) == ("0.67 [0.67, 1.00]", "0.67 [0.11, 1.00]")
    assert [area_with_interval([1.0], [0.0, 2.0]), area_with_interval([], [1.0])] == ["0.50", "–"]

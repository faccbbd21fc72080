"""Metrics of a user's own: their values by hand, their names, their code in a folder, tables, JSON and pickle."""

import functools
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import says, tiny_data, tiny_scenario

from vfl_jax import reports
from vfl_jax.core.files import load, save
from vfl_jax.core.record import from_json
from vfl_jax.replica import attack_all, evaluate, init, predict, prepare
from vfl_jax.scenario import Measure, measure
from vfl_jax.statistics import summary
from vfl_jax.sweeps.cases import sweep_cases
from vfl_jax.sweeps.sweep import run, sweep

DATA = tiny_data()
OVER = {"attack.enabled": [0.0, 1.0]}


@measure
def lead_of_target(outcome):
    """How far τ's logit is above the mean logit, on attacked rows."""
    lead = outcome.logits[:, outcome.target_class] - outcome.logits.mean(axis=-1)
    return jnp.where(outcome.is_attacked, lead, jnp.nan)


class IsSure(Measure):
    """Whether the largest score is above a level, which can be swept."""

    level: float = 0.5

    @property
    def name(self):
        return "is_sure"

    def rows(self, outcome):
        return jax.nn.softmax(outcome.logits).max(axis=-1) > self.level


def scenario(*metrics, **fields):
    return tiny_scenario(metrics=metrics or (lead_of_target, IsSure(level=0.4)), **fields)


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)


@pytest.mark.long
def test_metrics_are_means_over_rows_by_hand():
    """Both passes, from logits that predict gives, on rows stamped in NumPy."""
    results, state = run(scenario(), DATA, jax.random.key(0), epochs=2)
    replica = prepare(scenario(), DATA, jax.random.key(0))
    x, labels = DATA.test.features, DATA.test.labels
    ranks = np.asarray(replica.draws.test_poison_rank)
    passes = {"": ranks < 6, "full_": labels != 0}  # half of 12 rows are poisoned; τ is 0
    for prefix, is_attacked in passes.items():
        stamped = x[1].copy()
        stamped[is_attacked, -1, -1] = 1.0
        logits = np.asarray(predict(replica, state, (x[0], stamped), jax.random.key(5)))[:, :]
        counted = np.ones(12, bool) if prefix == "" else is_attacked
        last = results.isel(epoch=-1)
        lead = (logits[:, 0] - logits.mean(axis=-1))[is_attacked]
        np.testing.assert_allclose(last[f"{prefix}lead_of_target"], lead.mean(), rtol=1e-5)
        assert int(last[f"{prefix}lead_of_target_count"]) == is_attacked.sum()
        sure = softmax(logits[counted]).max(axis=-1) > 0.4
        np.testing.assert_allclose(last[f"{prefix}is_sure"], sure.mean(), rtol=1e-6)
        assert int(last[f"{prefix}is_sure_count"]) == counted.sum()
    assert {"lead_of_target", "is_sure"} <= evaluate(replica, state, 0).keys()
    assert {"full_lead_of_target", "full_is_sure"} <= attack_all(replica, state, 0).keys()


@pytest.fixture(scope="module")
def results():
    return sweep(scenario(), DATA, OVER | {"metrics.1.level": [0.0, 1.0]}, seeds=2, epochs=1, progress=False)


@pytest.mark.long
def test_a_number_of_a_metric_is_swept(results):
    last = results["is_sure"].isel(epoch=-1)
    assert (last.sel({"metrics.1.level": 0.0}) == 1).all()
    assert (last.sel({"metrics.1.level": 1.0}) == 0).all()


@pytest.mark.long
def test_tables_have_a_column_for_each_and_none_without(results, tmp_path):
    loaded = load(save(results, tmp_path / "results.nc"))
    for found in (results, loaded):
        table = summary(found)
        honest = found.isel(epoch=-1).sel({"attack.enabled": 0.0, "metrics.1.level": 1.0})
        expected = float(honest["lead_of_target"].median())
        assert table["lead_of_target_median"].loc[(0.0, 1.0)] == pytest.approx(expected)
        assert [row["is_sure"][:5] for row in reports.rows(found)] == ["1.000", "0.000"] * 2
        assert reports.to_terminal(reports.rows(found), "t").columns[-1] == "is_sure"
    plain = sweep(tiny_scenario(), DATA, OVER, seeds=1, epochs=1, progress=False)
    assert "metrics" not in plain.attrs
    assert not [column for column in summary(plain) if column.startswith(("lead", "is_sure"))]


@pytest.mark.long
def test_cases_of_which_one_has_a_metric():
    cases = {"with": scenario(lead_of_target), "without": tiny_scenario()}
    found = sweep_cases(cases, DATA, seeds=1, epochs=1, progress=False)
    cells = {row["case"]: row["lead_of_target"] for row in reports.rows(found)}
    assert cells["without"] == reports.UNDEFINED
    assert cells["with"].startswith(f"{found['lead_of_target'].sel(case='with').item():.3f}")


def test_json_and_pickle_give_the_same_metric():
    for one in (lead_of_target, IsSure(level=0.3)):
        assert from_json(one.to_json()) == one
        again = pickle.loads(pickle.dumps(one))
        assert again == one
        assert type(again) is type(one)
    assert pickle.loads(pickle.dumps(scenario())) == scenario()


def made(factor, through="global"):
    """A metric of one name and one module, whose helper is of its module or of an enclosing function."""
    source = {
        "itself": f"""
@measure
def ChangedMetric(outcome):
    return {factor} * outcome.logits[:, 0]
""",
        "global": f"""
def helper(x):
    return {factor} * x
@measure
def ChangedMetric(outcome):
    return helper(outcome.logits[:, 0])
""",
        "closure": f"""
def enclosing():
    factor = {factor}
    @measure
    def ChangedMetric(outcome):
        return factor * outcome.logits[:, 0]
    return ChangedMetric
ChangedMetric = enclosing()
""",
    }
    names = {"measure": measure, "__name__": __name__}
    exec(source[through], names)
    return names["ChangedMetric"]


@pytest.mark.long
@pytest.mark.parametrize("through", ["itself", "global", "closure"])
def test_a_folder_notices_a_changed_metric(through, tmp_path):
    options = {"seeds": 1, "epochs": 1, "folder": tmp_path, "progress": False}
    first = sweep(scenario(made(1.0, through)), DATA, **options)
    assert sweep(scenario(made(1.0, through)), DATA, **options).identical(first)
    with pytest.raises(ValueError, match=says("ChangedMetric (metrics.0)", "accept_changed_code=True")):
        sweep(scenario(made(2.0, through)), DATA, **options)


def named(name):
    return type(name, (Measure,), {"rows": lambda self, outcome: outcome.logits[:, 0], "__module__": __name__})()


@pytest.mark.parametrize("name", ["loss", "seed", "full_story", "story_count", "story_by_class"])
def test_names_that_results_have_otherwise_are_refused_at_once(name):
    with pytest.raises(ValueError, match=says(f"metrics has {name!r}, which is the name of a metric of the package")):
        scenario(named(name))


def test_a_name_twice_is_refused():
    with pytest.raises(ValueError, match=says("metrics has 'is_sure' 2 times")):
        scenario(IsSure(), IsSure(level=0.9))


def test_a_metric_that_returns_no_value_per_row_is_named():
    @measure
    def one_number(outcome):
        return outcome.logits.mean()

    with pytest.raises(ValueError, match=says("The metric one_number returns float32[]", "float32[12]")):
        run(scenario(one_number), DATA, jax.random.key(0), epochs=1)


RETURNED = {
    "one number": (lambda logits: logits.mean(), "float32[]"),
    "rows of numbers": (lambda logits: logits, "float32[12, 3]"),
    "complex numbers": (lambda logits: logits[:, 0].astype(jnp.complex64), "complex64[12]"),
    "a text": (lambda logits: "far", "a str"),
    "nothing": (lambda logits: None, "a NoneType"),
}


@pytest.mark.parametrize("what", RETURNED)
def test_what_is_no_number_per_row_is_told_with_the_metric(what):
    value, said = RETURNED[what]

    @measure
    def reached(outcome):
        return value(outcome.logits)

    replica = prepare(scenario(reached), DATA, jax.random.key(0))
    state = jax.eval_shape(init, replica)
    with pytest.raises(ValueError, match=says("The metric reached", said, "float32[12]")):
        jax.eval_shape(evaluate, replica, state, 0)


@pytest.mark.parametrize(
    "function", [lambda outcome: outcome.labels, functools.partial(max), 3], ids=["lambda", "partial", "number"]
)
def test_a_function_without_a_name_is_no_metric(function):
    with pytest.raises(ValueError, match=says("measure takes a function with a name", "def")):
        measure(function)

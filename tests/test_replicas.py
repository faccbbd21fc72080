"""One replica of a sweep is the run of that seed and point alone, whatever its neighbours do."""

import chex
import jax
import numpy as np
import pytest
from training_helpers import digits_scenario, digits_weights, small_digits

from vfl_jax.data import load_digits
from vfl_jax.defenses import GaussianNoise
from vfl_jax.presets import digits_demo
from vfl_jax.replica import phases
from vfl_jax.scenario import BatchPlan
from vfl_jax.sweeps import programs
from vfl_jax.sweeps.grid import parse
from vfl_jax.sweeps.grid_axis import state_axes
from vfl_jax.sweeps.sweep import run, sweep

pytestmark = pytest.mark.optimized

EPOCHS = 13  # of 8 steps: 104 steps
OVER = {"attack.amplify": [1.0, 10.0], "defense.stddev": [0.0, 0.01], "attack.enabled": [0.0, 1.0]}
SEEDS = (0, 3, 11)

LOSS_TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}
# One product for all grid points may sum in another order than one product alone: measured, up to 5e-7 in a loss and
# 1e-7 in a parameter. Rarely a ReLU whose sum is within rounding of zero opens in one program and not in the other,
# which moves a loss by a few 1e-6 and single weights by more.
PARAMETER_TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}
METRICS = ("loss", "train_accuracy", "main_task_accuracy", "backdoor_accuracy", "test_loss")


def quiet_sweep(*arguments, **options):
    return sweep(*arguments, **options, progress=False)


def assert_same(found, expected):
    """All metrics of two results of equal shape; a metric of rows may differ by one row."""
    for name in METRICS:
        one_row = 1.5 / float(expected[f"{name}_count"].min())
        tolerance = LOSS_TOLERANCE if name.endswith("loss") else {"rtol": 0, "atol": one_row}
        np.testing.assert_allclose(found[name], expected[name], **tolerance, err_msg=name)
    for name in ("is_finite", "poison_ids", "target_ids"):
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


@pytest.fixture(scope="module")
def swept():
    """(results, final states with axes [S, G, ...] in front) of the whole grid."""
    scenario, data = digits_scenario(), small_digits()
    train_epoch, states = programs.train_epoch, []

    def recording(*arguments):
        state, *rest = train_epoch(*arguments)
        if not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(state)):
            states[:] = [jax.device_get(state)]
        return state, *rest

    recording.lower = train_epoch.lower
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(programs, "train_epoch", recording)
        results = quiet_sweep(scenario, data, OVER, seeds=SEEDS, epochs=EPOCHS)
    one_seed = jax.tree.map(lambda leaf: leaf[0], states[0])
    axes = state_axes(one_seed, with_grid=True)
    return results, jax.tree.map(lambda leaf, axis: np.moveaxis(leaf, axis + 1, 1), states[0], axes)


@pytest.mark.parametrize("seed", SEEDS)
def test_replica_equals_the_run_alone(swept, seed):
    results, states = swept
    scenarios = parse(digits_scenario(), OVER).scenarios(digits_scenario())
    points = np.ndindex(*(len(values) for values in OVER.values()))
    for g, (point, scenario) in enumerate(zip(points, scenarios, strict=True)):
        alone, state = run(scenario, small_digits(), jax.random.key(seed), EPOCHS)
        replica = results.isel(dict(zip(OVER, point, strict=True))).sel(seed=seed)
        assert_same(replica, alone)
        own = jax.tree.map(lambda leaf, g=g: leaf[SEEDS.index(seed), g], states)
        for part in ("params", "head_params", "attack_states", "defense_state"):
            jax.tree.map(
                lambda a, b: np.testing.assert_allclose(a, b, **PARAMETER_TOLERANCE),
                getattr(own, part),
                getattr(state, part),
            )


def test_the_grid_matters(swept):
    """The points of the grid differ from each other by far more than the tolerance, but for what is neutral."""
    last = swept[0].loss.isel(epoch=-1)
    attacked, honest = last.sel({"attack.enabled": 1.0}), last.sel({"attack.enabled": 0.0})
    for difference in (attacked - honest, attacked.diff("attack.amplify"), last.diff("defense.stddev")):
        assert (np.abs(difference) > 1e-4).all()
    np.testing.assert_allclose(honest.diff("attack.amplify"), 0, atol=1e-5)


def test_neighbours_do_not_matter(swept):
    """Other seeds beside it, fewer grid points, another order of both."""
    over = {"attack.enabled": [1.0], "defense.stddev": [0.01, 0.3, 0.0], "attack.amplify": [10.0]}
    others = quiet_sweep(digits_scenario(), small_digits(), over, seeds=(7, 3), epochs=EPOCHS)
    points = {"seed": [3], "attack.amplify": [10.0], "attack.enabled": [1.0], "defense.stddev": [0.0, 0.01]}
    order = swept[0].loss.dims
    assert_same(others.sel(points).transpose(*order, ...), swept[0].sel(points).transpose(*order, ...))


def test_one_trace_for_a_grid_and_none_for_later_epochs(monkeypatch):
    traces = []

    @chex.assert_max_traces(n=1)
    def counted(*arguments):
        traces.append(1)
        return step(*arguments)

    step = phases.step
    monkeypatch.setattr(phases, "step", counted)
    chex.clear_trace_counter()
    # A structure of its own, so that no earlier test has compiled it.
    scenario = digits_scenario(defense=GaussianNoise(stddev=0.004), batches=BatchPlan(size=33))
    quiet_sweep(scenario, small_digits(), OVER, seeds=2, epochs=3, given=digits_weights())
    assert len(traces) == 1
    # Other numbers, the same program.
    quiet_sweep(
        scenario, small_digits(), OVER | {"attack.amplify": [3.0, 4.0]}, seeds=[8, 9], epochs=2, given=digits_weights()
    )
    assert len(traces) == 1


def test_diverging_replica_is_marked_and_alone():
    """One learning rate blows up and stays marked to the last epoch; its neighbours are what they are without it."""
    scenario = digits_scenario(defense=GaussianNoise(stddev=0.003))
    results = quiet_sweep(
        scenario, small_digits(), {"learning_rate": [0.01, 1e8, 0.02]}, seeds=2, epochs=3, given=digits_weights()
    )
    assert not results.is_finite.sel(learning_rate=1e8).any()
    assert results.is_finite.sel(learning_rate=[0.01, 0.02]).all()
    calm = quiet_sweep(
        scenario, small_digits(), {"learning_rate": [0.01, 0.015, 0.02]}, seeds=2, epochs=3, given=digits_weights()
    )
    assert calm.is_finite.all()
    assert_same(results.isel(learning_rate=[0, 2]), calm.isel(learning_rate=[0, 2]))


def test_swept_poison_rate_equals_separate_run():
    """The smaller of two rates, whose rows are the first of the larger one's."""
    scenario, data = digits_scenario(), small_digits()
    rate, epochs = scenario.poison.rate, 4
    results = quiet_sweep(
        scenario, data, {"poison.rate": [rate, 0.3]}, seeds=(2, 5), epochs=epochs, given=digits_weights()
    )
    alone, _ = run(scenario, data, jax.random.key(5), epochs, digits_weights())
    count = len(alone.poison_ids)
    assert count == round(rate * data.train.num_samples)
    # The results hold the rows of the largest rate.
    assert len(results.poison_row) == round(0.3 * data.train.num_samples)
    assert_same(results.isel({"poison.rate": 0, "poison_row": slice(count)}).sel(seed=5), alone)
    assert (np.abs(results.loss.diff("poison.rate").isel(epoch=-1)) > 1e-3).all()


def test_zipped_axes_equal_separate_runs():
    pairs, epochs = [(1.0, 0.0), (10.0, 0.01), (5.0, 0.02)], 4
    over = {("attack.amplify", "defense.stddev"): pairs}
    results = quiet_sweep(digits_scenario(), small_digits(), over, seeds=2, epochs=epochs, given=digits_weights())
    dimension = "attack.amplify+defense.stddev"
    assert results.loss.dims == (dimension, "seed", "epoch")
    np.testing.assert_allclose(results["defense.stddev"], [stddev for _, stddev in pairs])
    for i, (amplify, stddev) in enumerate(pairs):
        (scenario,) = parse(
            s := digits_scenario(), {"attack.amplify": [amplify], "defense.stddev": [stddev]}
        ).scenarios(s)
        alone, _ = run(scenario, small_digits(), jax.random.key(1), epochs, digits_weights())
        assert_same(results.isel({dimension: i}).sel(seed=1), alone)


@pytest.mark.parametrize("head", ["sum", "trainable"])
def test_replica_equals_the_run_alone_after_fifty_epochs(head):
    """On all of the digits: 1,100 steps, over which rounding has time to grow."""
    scenario, data, epochs = digits_demo(head=head), load_digits(), 50
    swept = quiet_sweep(scenario, data, {"attack.enabled": [1, 0]}, seeds=[4, 7], epochs=epochs)
    alone, _ = run(scenario, data, jax.random.key(7), epochs)
    replica = swept.sel(seed=7).isel({"attack.enabled": 0})
    np.testing.assert_allclose(replica.loss, alone.loss, rtol=0, atol=5e-4)
    np.testing.assert_allclose(replica.main_task_accuracy, alone.main_task_accuracy, rtol=0, atol=2e-3)

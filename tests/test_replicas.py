"""One replica of a sweep is the run of that seed and point alone, whatever its neighbours do."""

import jax
import numpy as np
import pytest
from replica_helpers import OVER, assert_same, quiet_sweep
from training_helpers import digits_scenario, small_digits

from vfl_jax.data import load_digits
from vfl_jax.presets import digits_demo
from vfl_jax.sweeps import programs
from vfl_jax.sweeps.grid import parse
from vfl_jax.sweeps.grid_axis import state_axes
from vfl_jax.sweeps.sweep import run

pytestmark = pytest.mark.optimized

EPOCHS = 13  # of 8 steps: 104 steps
SEEDS = (0, 3, 11)

# One product for all grid points may sum in another order than one product alone: measured, up to 5e-7 in a loss and
# 1e-7 in a parameter. Rarely a ReLU whose sum is within rounding of zero opens in one program and not in the other,
# which moves a loss by a few 1e-6 and single weights by more.
PARAMETER_TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}


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


@pytest.mark.long
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


@pytest.mark.long
def test_the_grid_matters(swept):
    """The points of the grid differ from each other by far more than the tolerance, but for what is neutral."""
    last = swept[0].loss.isel(epoch=-1)
    attacked, honest = last.sel({"attack.enabled": 1.0}), last.sel({"attack.enabled": 0.0})
    for difference in (attacked - honest, attacked.diff("attack.amplify"), last.diff("defense.stddev")):
        assert (np.abs(difference) > 1e-4).all()
    np.testing.assert_allclose(honest.diff("attack.amplify"), 0, atol=1e-5)


@pytest.mark.long
def test_neighbours_do_not_matter(swept):
    """Other seeds beside it, fewer grid points, another order of both."""
    over = {"attack.enabled": [1.0], "defense.stddev": [0.01, 0.3, 0.0], "attack.amplify": [10.0]}
    others = quiet_sweep(digits_scenario(), small_digits(), over, seeds=(7, 3), epochs=EPOCHS)
    points = {"seed": [3], "attack.amplify": [10.0], "attack.enabled": [1.0], "defense.stddev": [0.0, 0.01]}
    order = swept[0].loss.dims
    assert_same(others.sel(points).transpose(*order, ...), swept[0].sel(points).transpose(*order, ...))


@pytest.mark.long
@pytest.mark.parametrize("head", ["sum", "trainable"])
def test_replica_equals_the_run_alone_after_fifty_epochs(head):
    """On all of the digits: 1,100 steps, over which rounding has time to grow."""
    scenario, data, epochs = digits_demo(head=head), load_digits(), 50
    swept = quiet_sweep(scenario, data, {"attack.enabled": [1, 0]}, seeds=[4, 7], epochs=epochs)
    alone, _ = run(scenario, data, jax.random.key(7), epochs)
    replica = swept.sel(seed=7).isel({"attack.enabled": 0})
    np.testing.assert_allclose(replica.loss, alone.loss, rtol=0, atol=5e-4)
    np.testing.assert_allclose(replica.main_task_accuracy, alone.main_task_accuracy, rtol=0, atol=2e-3)

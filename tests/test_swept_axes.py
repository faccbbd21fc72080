"""Whatever is swept, a replica is the run of its seed and point alone; a grid is one program, traced once."""

import chex
import jax
import numpy as np
import pytest
from replica_helpers import OVER, assert_same, quiet_sweep
from training_helpers import digits_scenario, digits_weights, small_digits

from vfl_jax.core.row_ids import row_ids
from vfl_jax.defenses import GaussianNoise
from vfl_jax.replica import phases
from vfl_jax.scenario import BatchPlan
from vfl_jax.sweeps.grid import parse
from vfl_jax.sweeps.sweep import run


@pytest.mark.long
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


@pytest.mark.long
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


@pytest.mark.long
def test_swept_poison_rate_equals_separate_run():
    """The smaller of two rates, whose rows are the first of the larger one's."""
    scenario, data = digits_scenario(), small_digits()
    rate, epochs = scenario.poison.rate, 4
    results = quiet_sweep(
        scenario, data, {"poison.rate": [rate, 0.3]}, seeds=(2, 5), epochs=epochs, given=digits_weights()
    )
    alone, _ = run(scenario, data, jax.random.key(5), epochs, digits_weights())
    count = row_ids(alone).sizes["poison_row"]
    assert count == round(rate * data.train.num_samples)
    # The results hold the rows of the largest rate.
    assert row_ids(results).sizes["poison_row"] == round(0.3 * data.train.num_samples)
    assert_same(results.isel({"poison.rate": 0}).sel(seed=5), alone)
    assert (np.abs(results.loss.diff("poison.rate").isel(epoch=-1)) > 1e-3).all()


@pytest.mark.long
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

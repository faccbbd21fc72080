"""One replica of a sweep is the run of that seed and point alone, whatever its neighbours do."""

import chex
import jax
import numpy as np
import pytest
from training_helpers import digits_scenario, small_digits

from vfl_jax import simulation
from vfl_jax import sweep as sweep_module
from vfl_jax.grid import parse, state_axes
from vfl_jax.sweep import run, sweep

EPOCHS = 13  # of 8 steps: 104 steps
OVER = {"attack.amplify": [1.0, 10.0], "defense.stddev": [0.0, 0.01], "attack.enabled": [0.0, 1.0]}
SEEDS = (0, 3, 11)

LOSS_TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}
# XLA forms one product for all grid points and sums in another order; 104 steps carry that along.
PARAMETER_TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}
METRICS = ("loss", "train_accuracy", "main_task_accuracy", "backdoor_accuracy", "test_loss")


def quiet_sweep(*arguments, **options):
    return sweep(*arguments, **options, progress=False)


def assert_same(found, expected):
    """All metrics of two results of equal shape; a metric of rows may differ by one row."""
    for name in METRICS:
        tolerance = LOSS_TOLERANCE if name.endswith("loss") else {"rtol": 0, "atol": 1.5 / 19}
        np.testing.assert_allclose(found[name], expected[name], **tolerance, err_msg=name)
    for name in ("is_finite", "poison_ids", "target_ids"):
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


@pytest.fixture(scope="module")
def swept():
    """(results, final states with axes [S, G, ...] in front) of the whole grid."""
    scenario, data = digits_scenario(), small_digits()
    train_all, states = sweep_module._train_all, []

    def recording(*arguments):
        state, *rest = train_all(*arguments)
        states[:] = [jax.device_get(state)]
        return state, *rest

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep_module, "_train_all", recording)
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
    assert (np.abs(attacked - honest) > 1e-3).all()
    assert (np.abs(attacked.diff("attack.amplify")) > 1e-3).all()
    assert (np.abs(last.diff("defense.stddev")) > 1e-3).all()
    np.testing.assert_allclose(honest.diff("attack.amplify"), 0, atol=1e-5)


def test_neighbours_do_not_matter(swept):
    """Other seeds beside it, fewer grid points, another order of both."""
    over = {"attack.enabled": [1.0], "defense.stddev": [0.01, 0.3, 0.0], "attack.amplify": [10.0]}
    others = quiet_sweep(digits_scenario(), small_digits(), over, seeds=(7, 3), epochs=EPOCHS)
    points = {"seed": [3], "attack.amplify": [10.0], "attack.enabled": [1.0], "defense.stddev": [0.0, 0.01]}
    order = swept[0].loss.dims
    assert_same(others.sel(points).transpose(*order, ...), swept[0].sel(points).transpose(*order, ...))


def test_seeds_by_number_are_seeds_by_name():
    options = {"epochs": 1}
    by_number = quiet_sweep(digits_scenario(), small_digits(), seeds=2, **options)
    by_name = quiet_sweep(digits_scenario(), small_digits(), seeds=[0, 1], **options)
    assert by_number.identical(by_name)


def test_one_trace_for_a_grid_and_none_for_later_epochs(monkeypatch):
    traces = []

    @chex.assert_max_traces(n=1)
    def counted(*arguments):
        traces.append(1)
        return step(*arguments)

    step = simulation.step
    monkeypatch.setattr(simulation, "step", counted)
    chex.clear_trace_counter()
    # A size of its own, so that no earlier test has compiled it.
    data = small_digits(num_train=250, num_test=40)
    quiet_sweep(digits_scenario(), data, OVER, seeds=2, epochs=3)
    assert len(traces) == 1
    # Other numbers, the same program.
    quiet_sweep(digits_scenario(), data, OVER | {"attack.amplify": [3.0, 4.0]}, seeds=[8, 9], epochs=2)
    assert len(traces) == 1


def test_diverging_replica_is_marked_and_alone():
    """One learning rate blows up; its neighbours are what they are without it."""
    # Plain loss and linear outputs, so that nothing saturates before it overflows.
    scenario = digits_scenario(defense=digits_scenario().defense.parts[0])
    results = quiet_sweep(scenario, small_digits(), {"learning_rate": [0.01, 1e8, 0.02]}, seeds=2, epochs=2)
    assert (results.is_finite == np.array([True, False, True])[:, None, None]).all()
    calm = quiet_sweep(scenario, small_digits(), {"learning_rate": [0.01, 0.02]}, seeds=2, epochs=2)
    assert_same(results.isel(learning_rate=[0, 2]), calm)


def test_once_diverged_stays_marked():
    """Nothing is reset at an epoch's end: a replica that was not finite once is marked to the last epoch."""
    results = quiet_sweep(digits_scenario(), small_digits(), {"learning_rate": [1e8]}, seeds=2, epochs=3)
    assert not results.is_finite.isel(epoch=-1).any()
    assert (results.is_finite.diff("epoch").astype(int) <= 0).all()


def test_swept_poison_rate_equals_separate_runs():
    rates, seeds, epochs = [0.05, 0.1, 0.3], (2, 5), 4
    results = quiet_sweep(digits_scenario(), small_digits(), {"poison.rate": rates}, seeds=seeds, epochs=epochs)
    for i, rate in enumerate(rates):
        for seed in seeds:
            scenario = digits_scenario(poison=digits_scenario().poison.replace(rate=rate))
            alone, _ = run(scenario, small_digits(), jax.random.key(seed), epochs)
            replica = results.isel({"poison.rate": i}).sel(seed=seed)
            # The results hold the rows of the largest rate; a smaller one has the first of them.
            count = len(alone.poison_ids)
            assert count == round(rate * small_digits().train.num_samples)
            np.testing.assert_array_equal(replica.poison_ids[:count], alone.poison_ids)
            assert_same(replica.assign(poison_ids=replica.poison_ids[:count]), alone)


def test_zipped_axes_equal_separate_runs():
    pairs, epochs = [(1.0, 0.0), (10.0, 0.01), (5.0, 0.02)], 4
    over = {("attack.amplify", "defense.stddev"): pairs}
    results = quiet_sweep(digits_scenario(), small_digits(), over, seeds=(4,), epochs=epochs)
    dimension = "attack.amplify+defense.stddev"
    assert results.loss.dims == (dimension, "seed", "epoch")
    np.testing.assert_allclose(results["defense.stddev"], [stddev for _, stddev in pairs])
    for i, (amplify, stddev) in enumerate(pairs):
        (scenario,) = parse(s := digits_scenario(), {"attack.amplify": [amplify], "defense.stddev": [stddev]}).scenarios(s)
        alone, _ = run(scenario, small_digits(), jax.random.key(4), epochs)
        assert_same(results.isel({dimension: i}).sel(seed=4), alone)

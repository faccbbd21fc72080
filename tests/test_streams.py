"""Draws: named streams that do not disturb each other, poison and target rows, orders of batches."""

import itertools

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from training_helpers import digits_scenario, small_digits

from vfl_jax.core.record import cast
from vfl_jax.defenses import GaussianNoise, LaplaceNoise, Sparsification
from vfl_jax.protocol.chains import ActiveChain
from vfl_jax.protocol.transforms import ActiveTransform, PartyTransform
from vfl_jax.replica import initial, phases, preparation
from vfl_jax.replica.draws import Given, draw, epoch_ids
from vfl_jax.scenario import BatchPlan
from vfl_jax.sweeps.sweep import run

DEFENSES = {
    "none": ActiveTransform(),
    "noise": GaussianNoise(stddev=0.1),
    "more": ActiveChain(parts=(LaplaceNoise(scale=0.1), GaussianNoise(stddev=0.1), Sparsification(drop_rate=0.5))),
}


def everything_drawn(scenario, seed=5, given=Given()):
    """(draws, initial state, batches of two epochs) of one seed."""
    data = small_digits()
    draws = jax.tree.map(jnp.asarray, draw(scenario, data, jax.random.key(seed), given))
    inputs = preparation.to_device(scenario, data, given)
    numbers = jax.tree.map(jnp.asarray, cast(scenario))
    state = initial.init(scenario.shapes(data), inputs, numbers, draws, given)
    return draws, state, [epoch_ids(scenario, draws, jnp.int32(epoch)) for epoch in range(2)]


def ids_of(scenario, seed=0, epoch=0, given=Given(), data=None):
    draws = jax.tree.map(jnp.asarray, draw(scenario, data or small_digits(), jax.random.key(seed), given))
    return np.asarray(epoch_ids(scenario, draws, jnp.int32(epoch))[0])


@pytest.mark.parametrize("other", ["noise", "more", "honest"])
def test_another_method_moves_no_other_draw(other):
    plain = digits_scenario(defense=DEFENSES["none"])
    changed = (
        plain.replace(attacks=(PartyTransform(),) * 2) if other == "honest" else plain.replace(defense=DEFENSES[other])
    )
    draws, state, batches = everything_drawn(plain)
    draws_2, state_2, batches_2 = everything_drawn(changed)
    fields = ("poison_rank", "test_poison_rank", "poison_ids", "target_ids", "pool")
    for name in fields:
        np.testing.assert_array_equal(getattr(draws, name), getattr(draws_2, name))
    for name in ("params", "head_params"):
        jax.tree.map(np.testing.assert_array_equal, getattr(state, name), getattr(state_2, name))
    jax.tree.map(np.testing.assert_array_equal, batches, batches_2)


def test_a_part_in_front_moves_no_noise_behind():
    """Only its place in a chain gives a part its key, not what the parts before it draw."""
    message = jnp.zeros((4, 3))

    def sent(first):
        chain = ActiveChain(parts=(first, GaussianNoise(stddev=0.05)))
        return chain.on_send(jax.random.key(0), ((), ()), helpers.active_view([0]), (message, message))[0]

    jax.tree.map(np.testing.assert_array_equal, sent(LaplaceNoise(scale=0.0)), sent(ActiveTransform()))


def test_seeds_differ():
    draws, state, batches = everything_drawn(digits_scenario(), seed=0)
    draws_2, state_2, batches_2 = everything_drawn(digits_scenario(), seed=1)
    assert set(np.asarray(draws.poison_ids)) != set(np.asarray(draws_2.poison_ids))
    assert not np.array_equal(state.params[0]["dense_0"]["kernel"], state_2.params[0]["dense_0"]["kernel"])
    assert not np.array_equal(batches[0][0], batches_2[0][0])
    # Parties of equal shape do not start alike.
    assert not np.array_equal(state.params[0]["dense_0"]["kernel"], state.params[1]["dense_0"]["kernel"])


@pytest.mark.parametrize("num_targets", [1, 10])
def test_poison_rows_are_never_target_rows(num_targets):
    """At the highest rate that is possible every other row is poisoned."""
    num_rows = small_digits().train.num_samples
    poison = digits_scenario().poison.replace(num_targets=num_targets, rate=(num_rows - num_targets) / num_rows)
    for seed in range(10):
        draws = draw(digits_scenario(poison=poison), small_digits(), jax.random.key(seed))
        assert len(draws.poison_ids) == num_rows - num_targets
        assert len(set(draws.target_ids)) == num_targets
        assert not set(draws.poison_ids) & set(draws.target_ids)
        assert (np.asarray(small_digits().train.labels)[draws.target_ids] == poison.target_class).all()
    with pytest.raises(ValueError, match="at most"):
        draw(digits_scenario(poison=poison.replace(rate=1.0)), small_digits(), jax.random.key(0))


def test_poison_rates_nest():
    sets = []
    for rate in (0.02, 0.1, 0.11, 0.5):
        poison = digits_scenario().poison.replace(rate=rate)
        scenario, data = digits_scenario(poison=poison), small_digits()
        draws, _, _ = everything_drawn(scenario)
        sets.append(set(np.asarray(draws.poison_ids)))
        # What the attacker is told is the same set.
        arguments = scenario.shapes(data), preparation.to_device(scenario, data), cast(scenario), draws
        is_poison = np.asarray(phases.grant(*arguments).is_poison)
        assert set(np.flatnonzero(is_poison)) == sets[-1]
    assert all(smaller < larger for smaller, larger in itertools.pairwise(sets))


@pytest.mark.long
def test_poison_rows_are_uniform():
    """Every row is poisoned about as often: 200 seeds, a fifth of the rows each."""
    poison = digits_scenario().poison.replace(rate=0.2)
    data = small_digits(num_train=64, num_test=32)
    counts = np.zeros(64)
    for seed in range(200):
        draws = draw(digits_scenario(poison=poison), data, jax.random.key(seed))
        counts[draws.poison_ids] += 1
    assert counts.sum() == 200 * 13
    # A share p = 13/64 of 200 seeds: mean 40.6, standard deviation 5.7; the target class has slightly less.
    assert (np.abs(counts - 200 * 13 / 64) < 5 * 5.7).all()


def test_fixed_rows_are_the_same_for_all_seeds():
    def rows(seed, **changes):
        poison = digits_scenario().poison.replace(num_targets=3, **changes)
        draws = draw(digits_scenario(poison=poison), small_digits(), jax.random.key(seed))
        return tuple(np.asarray(x).tolist() for x in (draws.poison_ids, draws.target_ids, draws.test_poison_rank))

    assert rows(0, draw="fixed") == rows(1, draw="fixed")
    for fixed, other in zip(rows(0, draw="fixed"), rows(0, draw="fixed", fixed_seed=1), strict=True):
        assert fixed != other
    for one, other in zip(rows(0), rows(1), strict=True):
        assert one != other


def test_file_order():
    scenario = digits_scenario(batches=BatchPlan(size=30, order="file"))
    for epoch in range(2):
        np.testing.assert_array_equal(ids_of(scenario, epoch=epoch), np.arange(240).reshape(8, 30))


def test_shuffled_order():
    scenario = digits_scenario(batches=BatchPlan(size=30, order="shuffled"))
    first, second = ids_of(scenario, epoch=0), ids_of(scenario, epoch=1)
    for ids in (first, second):
        assert ids.shape == (8, 30)
        assert len(np.unique(ids)) == ids.size
    assert not np.array_equal(first, second)
    # Not always the same 16 rows are left out.
    assert set(first.ravel()) != set(second.ravel())
    np.testing.assert_array_equal(first, ids_of(scenario, epoch=0))


@pytest.mark.parametrize(("size", "num_rows"), [(8, 64), (32, 1024)], ids=["by_permutation", "by_first_distinct"])
def test_sampled_order(size, num_rows):
    """A fresh sample in every step: distinct rows, every row and every pair of rows equally likely."""
    scenario = digits_scenario(batches=BatchPlan(size=size, order="sampled"))
    data = small_digits(num_train=num_rows)
    draws = jax.tree.map(jnp.asarray, draw(scenario, data, jax.random.key(0)))
    ids, _ = jax.jit(jax.vmap(lambda epoch: epoch_ids(scenario, draws, epoch)))(jnp.arange(200))
    ids = np.asarray(ids).reshape(-1, size)
    num_batches = len(ids)
    assert num_batches == 200 * (num_rows // size)
    assert all(len(np.unique(batch)) == size for batch in ids)

    def deviation(counts, share):
        """Of each count from its mean, in standard deviations of a binomial."""
        return np.abs(counts - num_batches * share) / np.sqrt(num_batches * share * (1 - share))

    assert deviation(np.bincount(ids.ravel(), minlength=num_rows), size / num_rows).max() < 5
    for place in (0, size - 1):
        assert deviation(np.bincount(ids[:, place], minlength=num_rows), 1 / num_rows).max() < 6
    partners = np.bincount(ids[(ids == 3).any(axis=1)].ravel(), minlength=num_rows)
    share = size * (size - 1) / num_rows / (num_rows - 1)
    assert deviation(np.delete(partners, 3), share).max() < 5
    # Unlike an epoch of shuffled batches, some rows turn up twice in an epoch and others not at all.
    assert len(np.unique(ids[: num_rows // size])) < num_rows


@pytest.mark.parametrize("order", ["file", "shuffled", "sampled"])
def test_given_batches_stand_in_place_of_any_order(order):
    scenario = digits_scenario(batches=BatchPlan(size=32, order=order))
    rng = np.random.default_rng(0)
    batches = np.stack([rng.permutation(256)[:160].reshape(5, 32) for _ in range(3)])
    for epoch in range(3):
        np.testing.assert_array_equal(ids_of(scenario, epoch=epoch, given=Given(batch_ids=batches)), batches[epoch])


@pytest.mark.long
def test_run_follows_given_batches():
    """The batches that a seed would draw, given, are the same run; others are not, and too few are an error."""
    scenario, data, key = digits_scenario(), small_digits(), jax.random.key(0)
    own = np.stack([ids_of(scenario, epoch=epoch) for epoch in range(2)])
    drawn, _ = run(scenario, data, key, 2)
    given, _ = run(scenario, data, jax.random.clone(key), 2, Given(batch_ids=own))
    other, _ = run(scenario, data, jax.random.clone(key), 2, Given(batch_ids=own[:, :, ::-1][::-1]))
    np.testing.assert_allclose(given.loss, drawn.loss, rtol=1e-6)
    assert (np.abs(other.loss - drawn.loss) > 1e-4).all()
    with pytest.raises(ValueError, match="batch_ids"):
        run(scenario, data, jax.random.clone(key), 3, Given(batch_ids=own))


def test_pairs_leave_the_poison_rows_out_of_the_batches():
    poison = digits_scenario().poison.replace(mode="appended_pair", num_targets=4)
    scenario = digits_scenario(poison=poison, attacks=(PartyTransform(),) * 2)
    draws, _, batches = everything_drawn(scenario)
    rows, poison_ids = np.asarray(batches[0][0]), set(np.asarray(draws.poison_ids))
    assert rows.shape[1] == 34
    assert not set(rows[:, :32].ravel()) & poison_ids
    assert set(rows[:, 32]) <= poison_ids
    assert set(rows[:, 33]) <= set(np.asarray(draws.target_ids))

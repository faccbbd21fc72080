"""What a seed draws: bad requests are refused, given choices are respected, rates nest."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import NUM_CLASSES, properties, says, tiny_data, tiny_scenario
from hypothesis import given
from hypothesis import strategies as st

from vfl_jax.attacks import ActiveBackdoor
from vfl_jax.core.checks import shown
from vfl_jax.data import NaturalTrigger, Trigger
from vfl_jax.protocol.knowledge import ORDINARY, POISON, TARGET
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.replica.draws import ALWAYS, Given, _distinct, draw, epoch_ids, num_draws, poison_count, steps_per_epoch
from vfl_jax.scenario import BatchPlan
from vfl_jax.sweeps.grid import parse

DATA = tiny_data()  # 30 training rows, 12 test rows; row i is of class i mod 3
NUM_TRAIN, NUM_TEST = 30, 12
KEY = jax.random.key(0)


def drawn(plan=None, key=KEY, data=DATA, batches=None, **choices):
    scenario = tiny_scenario(plan=plan)
    return draw(scenario.replace(batches=batches or scenario.batches), data, key, Given(**choices))


BAD_IDS = {
    "outside": ((3, 30), ("ids from 3 to 30", "0 to 29")),
    "below": ((-1, 3), ("ids from -1 to 3", "0 to 29")),
    "twice": ((3, 6, 3), ("row twice", "once")),
    "too many": (tuple(range(31)), ("31 rows", "only 30 samples")),
    "fractions": ((0.5, 3.0), ("whole numbers", "float64", "(2,)")),
    "nested": (((3, 6),), ("list of whole numbers", "(1, 2)")),
}


@pytest.mark.long
@pytest.mark.parametrize("where", ["planned", "given"])
@pytest.mark.parametrize("name", ["poison_ids", "target_ids"])
@pytest.mark.parametrize("case", BAD_IDS)
def test_bad_ids_are_refused(case, name, where):
    ids, message = BAD_IDS[case]
    choice = {name: ids}
    if where == "planned" and case in ("fractions", "nested"):  # a plan holds whole numbers alone
        message = (shown(ids[0]), "must be a whole number")
    with pytest.raises(ValueError, match=says(name, *message)):
        drawn(choice) if where == "planned" else drawn(**choice)


def test_ids_of_test_rows_are_checked_against_the_test_set():
    with pytest.raises(ValueError, match=says("test_poison_ids", "0 to 12", "0 to 11")):
        drawn({"test_poison_ids": (0, 12)})
    with pytest.raises(ValueError, match=says("test_poison_ids", "2 to 29", "0 to 11")):
        drawn(test_poison_ids=[2, 29])


BAD_PLANS = {
    "target of another class": ({"target_ids": (0, 4)}, ("target_ids", "row 4", "label is 1", "target_class, 0")),
    "poison and target overlap": (
        {"target_ids": (0, 3), "poison_ids": (3, 5)},
        ("Row 3", "both a poison and a target row"),
    ),
    "no target": ({"target_ids": ()}, ("target_ids is empty", "at least one row")),
    "too many targets": ({"num_targets": 11}, ("num_targets is 11", "10 training rows of class 0")),
    "no free row of the class": (
        {"poison_ids": tuple(range(0, 30, 3))},
        ("num_targets is 1", "only 0 training rows of class 0"),
    ),
    "every row poisoned": ({"rate": 1.0}, ("poison.rate 1", "30 poison rows", "30 training", "at most 29")),
    "targets leave too few": (
        {"rate": 0.9, "target_ids": (0, 3, 6, 9)},
        ("poison.rate 0.9", "27 poison rows", "4 of them target rows", "at most 26"),
    ),
    "a pair without a poison row": (
        {"rate": 0.0, "mode": "appended_pair"},
        ("poison.rate is 0.0", "appended_pair", "at least one row"),
    ),
    "a pair with a swept rate": (
        {"rate": np.array([0.1, 0.2], np.float32), "mode": "appended_pair"},
        ("poison.rate is [0.1 0.2]", "appended_pair", "one sweep each"),
    ),
}


@pytest.mark.parametrize("case", BAD_PLANS)
def test_plans_that_cannot_be_drawn_are_refused(case):
    plan, message = BAD_PLANS[case]
    with pytest.raises(ValueError, match=says(*message)):
        drawn(plan)


def test_batches_larger_than_the_data_are_refused():
    plan = BatchPlan(size=31)
    with pytest.raises(ValueError, match=says("batches.size is 31", "only 30 rows")):
        steps_per_epoch(drawn(batches=plan), plan)
    # In a pair plan the poison rows leave the pool: 6 of 30.
    plan = BatchPlan(size=25)
    with pytest.raises(ValueError, match=says("batches.size is 25", "only 24 rows")):
        steps_per_epoch(drawn({"mode": "appended_pair"}, batches=plan), plan)


BAD_BATCHES = {
    "no epochs": (np.zeros((4, 8), int), ("shape (4, 8)", "(epochs, steps, 8)")),
    "another size": (np.zeros((1, 4, 7), int), ("shape (1, 4, 7)", "(epochs, steps, 8)")),
    "no steps": (np.zeros((1, 0, 8), int), ("shape (1, 0, 8)", "(epochs, steps, 8)")),
    "outside": (np.full((1, 1, 8), 30), ("ids from 30 to 30", "0 to 29")),
    "below": (np.full((1, 1, 8), -1), ("ids from -1 to -1", "0 to 29")),
    "fractions": (np.full((1, 1, 8), 0.5), ("float64", "whole numbers")),
    "a row twice": (
        np.concatenate([np.arange(24).reshape(3, 8), [[0, 1, 2, 3, 4, 5, 6, 3]]]).reshape(2, 2, 8),
        ("row 3 twice in step 1 of epoch 1", "every id must be there once"),
    ),
}


@pytest.mark.parametrize("case", BAD_BATCHES)
def test_bad_given_batches_are_refused(case):
    ids, message = BAD_BATCHES[case]
    with pytest.raises(ValueError, match=says("given.batch_ids", *message)):
        drawn(batch_ids=ids)


@pytest.mark.parametrize(
    ("rate", "num_rows", "mode"),
    [("rate", NUM_TRAIN, "in_place"), ("test_rate", NUM_TEST, "in_place"), ("test_rate", NUM_TEST, "appended_pair")],
)
def test_a_rate_that_rounds_to_no_row_is_refused(rate, num_rows, mode):
    """Half a row is none, as NumPy and JAX round; 0 says that none is meant."""
    plan = {"mode": mode, rate: 0.5 / num_rows}
    message = says(f"poison.{rate} is", f"of {num_rows} t", "rounds to none", f"at least {1 / num_rows:.2g}")
    with pytest.raises(ValueError, match=message):
        drawn(plan)
    with pytest.raises(ValueError, match=message):
        drawn({"mode": mode, rate: np.array([0.4, 0.0, 0.1 / num_rows], np.float32)})
    for allowed in (0.51 / num_rows, 0.0, np.array([0.0, 0.4], np.float32)):
        drawn({"mode": mode, rate: allowed})


def test_a_rate_without_effect_may_round_to_no_row():
    """Where nobody attacks, or the rows are named, or lie there by nature."""
    none = {"rate": 0.001, "test_rate": 0.001}
    scenario = tiny_scenario(plan=none, attacks=(PartyTransform(),) * 2)
    assert draw(scenario, DATA, KEY).poison_ids.size == 0
    with pytest.raises(ValueError, match=says("poison.rate", "rounds to none")):
        draw(scenario.replace(active_attack=ActiveBackdoor()), DATA, KEY)
    assert drawn(none | {"poison_ids": (1,), "test_poison_ids": (2,)}).poison_ids.tolist() == [1]
    marked = np.arange(NUM_TRAIN) == 4
    data = dataclasses.replace(DATA, train=DATA.train.replace(has_trigger=marked))
    assert drawn(none | {"trigger": NaturalTrigger()}, data=data).poison_ids.tolist() == [4]


class ShiftTrigger(Trigger):
    """Test only: adds to every feature of the last party."""

    size: float = 1.0

    def masks(self, data):
        return (None,) * (data.num_parties - 1) + (np.ones(data.train.features[-1].shape[1:], bool),)

    def stamp(self, mask, features, is_poisoned):
        return features if mask is None else features + self.size * is_poisoned[:, None, None]


def test_rows_of_an_own_trigger_that_stamps_are_drawn():
    """Though it derives from no trigger of the package that does; and its rates may be swept."""
    draws = drawn({"trigger": ShiftTrigger(), "rate": 0.2})
    assert len(draws.poison_ids) == 6
    assert len(poisoned_at(draws, 0.1)) == 3
    parse(tiny_scenario(plan={"trigger": ShiftTrigger()}), {"poison.rate": [0.1, 0.2]})


def poisoned_at(draws, rate, num_rows=NUM_TRAIN):
    """The rows that carry the trigger at a rate, by the rule the training step uses."""
    count = int(poison_count(jnp.float32(rate), num_rows))
    return set(np.flatnonzero(draws.poison_rank < count).tolist())


@properties
@given(st.integers(0, 2**31), st.lists(st.floats(0, 0.875, width=32), min_size=2, max_size=4))
def test_rates_nest_and_never_reach_a_target_row(seed, rates):
    draws = drawn({"rate": np.float32(max(rates)), "num_targets": 3}, jax.random.key(seed))
    targets = set(draws.target_ids.tolist())
    assert len(targets) == 3
    assert all(DATA.train.labels[row] == 0 for row in targets)
    sets = [poisoned_at(draws, rate) for rate in sorted(rates)]
    assert all(small <= large for small, large in itertools.pairwise(sets))
    assert [len(s) for s in sets] == [round(float(np.float32(rate) * np.float32(NUM_TRAIN))) for rate in sorted(rates)]
    assert sets[-1] == set(draws.poison_ids.tolist())
    assert not sets[-1] & targets
    assert sorted(draws.poison_rank.tolist()) == list(range(NUM_TRAIN))


def test_a_swept_rate_draws_for_the_largest():
    swept = drawn({"rate": np.array([0.1, 0.5, 0.2], np.float32)})
    alone = drawn({"rate": 0.5})
    np.testing.assert_array_equal(swept.poison_ids, alone.poison_ids)
    np.testing.assert_array_equal(swept.poison_rank, alone.poison_rank)
    assert len(swept.poison_ids) == 15


@pytest.mark.parametrize("rate", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("where", ["planned", "given"])
def test_given_rows_count_whatever_the_rate(rate, where):
    ids = {"poison_ids": (7, 2, 11), "test_poison_ids": (5,), "target_ids": (9, 0)}
    plan = {"rate": rate, "test_rate": rate}
    draws = drawn(plan | ids) if where == "planned" else drawn(plan, **{k: np.array(v) for k, v in ids.items()})
    assert draws.poison_ids.tolist() == [7, 2, 11]
    assert draws.target_ids.tolist() == [9, 0]
    assert poisoned_at(draws, rate) == {2, 7, 11}
    assert np.flatnonzero(draws.test_poison_rank < int(poison_count(jnp.float32(rate), NUM_TEST))).tolist() == [5]


def test_given_rows_come_before_planned_ones():
    draws = drawn({"poison_ids": (1, 2), "target_ids": (0,)}, poison_ids=[4], target_ids=[3])
    assert (draws.poison_ids.tolist(), draws.target_ids.tolist()) == ([4], [3])


def test_an_empty_list_means_no_poison_row():
    draws = drawn({"poison_ids": ()}, test_poison_ids=[])
    assert draws.poison_ids.shape == (0,)
    assert poisoned_at(draws, 1.0) == set()
    assert ALWAYS not in draws.test_poison_rank


def test_drawn_targets_avoid_given_poison_rows():
    poison = [row for row in range(0, 30, 3) if row not in (12, 21)]
    for seed in range(5):
        draws = drawn({"num_targets": 2}, jax.random.key(seed), poison_ids=poison)
        assert set(draws.target_ids.tolist()) == {12, 21}


def test_rows_are_drawn_per_seed_or_once():
    seeds = [jax.random.key(seed) for seed in range(4)]
    per_seed = [drawn(key=key) for key in seeds]
    fixed = [drawn({"draw": "fixed"}, key) for key in seeds]
    other = drawn({"draw": "fixed", "fixed_seed": 1}, seeds[0])
    assert len({tuple(d.poison_ids.tolist()) for d in per_seed}) == 4
    assert len({(*d.poison_ids.tolist(), *d.target_ids.tolist()) for d in fixed}) == 1
    assert other.poison_ids.tolist() != fixed[0].poison_ids.tolist()
    np.testing.assert_array_equal(drawn(key=jax.random.key(2)).poison_rank, per_seed[2].poison_rank)


def batches_of(plan, batches, epochs=2, **choices):
    scenario = tiny_scenario(plan=plan, batches=batches)
    draws = draw(scenario, DATA, KEY, Given(**choices))
    return draws, [tuple(map(np.asarray, epoch_ids(scenario, draws, jnp.int32(e)))) for e in range(epochs)]


@pytest.mark.parametrize("order", ["file", "shuffled", "sampled"])
def test_batches_are_distinct_rows(order):
    draws, epochs = batches_of({}, BatchPlan(size=8, order=order), epochs=3)
    for ids, roles in epochs:
        assert ids.shape == roles.shape == (3, 8)  # 30 rows: 6 are left out
        assert (roles == ORDINARY).all()
        assert all(len(set(batch.tolist())) == 8 for batch in ids)
        if order != "sampled":
            assert len(set(ids.ravel().tolist())) == 24
        if order == "file":
            assert ids.ravel().tolist() == list(range(24))
    same = [np.array_equal(a[0], b[0]) for a, b in itertools.pairwise(epochs)]
    assert all(same) if order == "file" else not any(same)
    assert steps_per_epoch(draws, BatchPlan(size=8)) == 3


def test_sampled_batches_of_a_large_pool_are_distinct_and_uniform():
    plan = BatchPlan(size=32, order="sampled")
    data = tiny_data(num_train=1024)
    scenario = tiny_scenario(batches=plan)
    draws = jax.tree.map(jnp.asarray, draw(scenario, data, KEY))
    ids_of = jax.jit(lambda epoch: epoch_ids(scenario, draws, epoch)[0])
    ids = np.stack([ids_of(jnp.int32(epoch)) for epoch in range(40)]).reshape(-1, 32)
    assert all(len(set(batch.tolist())) == 32 for batch in ids)
    # 1280 batches of 32 out of 1024 rows: every row 40 times on average, standard deviation 6.2.
    counts = np.bincount(ids.ravel(), minlength=1024)
    assert counts.min() > 40 - 6 * 6.2
    assert counts.max() < 40 + 6 * 6.2
    assert 30 < counts.var() < 48


FEW = [(8, 8), (31, 600), (32, 511), (64, 66)]
MORE = [(8, 200), (9, 12), (16, 40), (31, 33), (32, 40), (40, 640)]


def test_small_batches_of_many_rows_have_no_row_twice():
    """As few as 4 draws out of 32 rows would all be one row once in 30,000 times."""
    batches = jax.jit(jax.vmap(lambda key: _distinct(key, 32, 2)))(jax.random.split(jax.random.key(0), 20_000))
    assert (batches[:, 0] != batches[:, 1]).all()


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 16, 31, 32, 64, 256])
def test_too_few_distinct_draws_are_rarer_than_can_be(size):
    """Exactly, by the number of distinct rows among the draws, at the smallest number of rows that is drawn so."""
    num_rows = 16 * size
    seen = np.arange(num_rows + 1) / num_rows
    chances = np.zeros(num_rows + 1)
    chances[0] = 1.0
    for _ in range(num_draws(size)):
        again, anew = chances * seen, chances * (1 - seen)
        chances = again + np.concatenate([[0.0], anew[:-1]])
    assert chances.sum() == pytest.approx(1)
    assert chances[:size].sum() < 1e-20


def test_small_batches_of_many_rows_take_little_memory():
    scenario = tiny_scenario(batches=BatchPlan(size=16, order="sampled"))
    draws = draw(scenario, tiny_data(num_train=64), KEY).replace(pool=jnp.arange(48_000, dtype=jnp.int32))
    ids_of = jax.jit(lambda epoch: epoch_ids(scenario, draws, epoch)[0]).lower(jnp.int32(0)).compile()
    assert ids_of.memory_analysis().temp_size_in_bytes < 100e6  # a permutation for each of 3,000 batches took 2.9e9


@pytest.mark.parametrize(("size", "num_rows"), [*FEW, *(pytest.param(*more, marks=pytest.mark.long) for more in MORE)])
def test_a_sampled_batch_has_no_row_twice_out_of_however_few(size, num_rows):
    scenario = tiny_scenario(batches=BatchPlan(size=size, order="sampled"))
    draws = draw(scenario, tiny_data(num_train=num_rows), KEY).replace(pool=jnp.arange(num_rows, dtype=jnp.int32))
    ids_of = jax.jit(jax.vmap(lambda epoch: epoch_ids(scenario, draws, epoch)[0]))
    batches = np.asarray(ids_of(jnp.arange(300))).reshape(-1, size)
    assert ((batches >= 0) & (batches < num_rows)).all()
    assert (np.diff(np.sort(batches, axis=1), axis=1) > 0).all()


def test_a_pair_is_appended_to_every_batch():
    draws, epochs = batches_of({"mode": "appended_pair", "num_targets": 4}, BatchPlan(size=4), epochs=3)
    poison, targets = set(draws.poison_ids.tolist()), set(draws.target_ids.tolist())
    assert (len(poison), len(targets), len(draws.pool)) == (6, 4, 24)
    assert not poison & set(draws.pool.tolist())
    assert targets <= set(draws.pool.tolist())
    for ids, roles in epochs:
        assert roles.tolist() == [[ORDINARY] * 4 + [POISON, TARGET]] * 6
        assert set(ids[:, 4].tolist()) <= poison
        assert set(ids[:, 5].tolist()) <= targets
        assert not set(ids[:, :4].ravel().tolist()) & poison
    assert len({int(i) for ids, _ in epochs for i in ids[:, 4]}) > 1  # drawn anew at every step


def test_given_batches_are_used_as_they_are():
    given_ids = np.arange(2 * 3 * 8).reshape(2, 3, 8) % 30
    draws, epochs = batches_of({}, BatchPlan(size=8, order="sampled"), batch_ids=given_ids)
    for epoch, (ids, _) in enumerate(epochs):
        np.testing.assert_array_equal(ids, given_ids[epoch])
    assert steps_per_epoch(draws, BatchPlan(size=8)) == 3


def test_what_is_given_has_a_fingerprint():
    assert Given().fingerprint() is None
    first = Given(poison_ids=np.array([1, 2]))
    assert first.fingerprint() == Given(poison_ids=np.array([1, 2])).fingerprint()
    others = [
        Given(poison_ids=np.array([2, 1])),
        Given(target_ids=np.array([1, 2])),
        Given(poison_ids=np.array([1, 2]), blur=np.zeros((30, NUM_CLASSES), np.float32)),
    ]
    assert len({g.fingerprint() for g in [first, *others]}) == 4


def test_an_attack_on_a_natural_trigger_that_no_row_carries_is_refused():
    scenario = tiny_scenario(plan={"trigger": NaturalTrigger()})
    with pytest.raises(ValueError, match=says("poison.trigger", "NaturalTrigger", "no training row", "has_trigger")):
        draw(scenario, DATA, jax.random.key(0))
    honest = scenario.replace(attacks=(PartyTransform(),) * 2)
    assert draw(honest, DATA, jax.random.key(0)).poison_ids.size == 0

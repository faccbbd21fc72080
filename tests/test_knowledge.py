"""What a scenario grants attackers: known labels, a class per attacker, and rows that a seed draws as it always did."""

import helpers
import jax
import numpy as np
import pytest
from data_helpers import says

from vfl_jax import replica as replica_api
from vfl_jax.core.bags import multi_hot
from vfl_jax.core.record import from_json
from vfl_jax.data import FeatureTrigger
from vfl_jax.models import Linear
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.knowledge import UNKNOWN
from vfl_jax.protocol.transforms import ActiveAttack, ActiveTransform, Attack, PartyTransform
from vfl_jax.protocol.triggers import EmbeddingTrigger, NaturalTrigger
from vfl_jax.replica import capabilities
from vfl_jax.replica.draws import Given, draw
from vfl_jax.replica.state import Streams
from vfl_jax.scenario import BatchPlan, PoisonPlan, Scenario

C = helpers.NUM_CLASSES
TRIGGER = FeatureTrigger(party=1, index=0, value=9.0)
DATA = helpers.table_data()
LABELS = DATA.train.labels


def scenario_of(attacks=(PartyTransform(), Attack()), active_attack=ActiveTransform(), **plan):
    plan = {"trigger": TRIGGER, "rate": 0.25, "test_rate": 0.25, "target_class": 1} | plan
    return Scenario(
        bottoms=(Linear(width=C),) * len(attacks),
        optimizers=(Optimizer(),) * len(attacks),
        attacks=attacks,
        active_attack=active_attack,
        poison=PoisonPlan(**plan),
        batches=BatchPlan(size=8),
    )


def drawn(data=DATA, seed=3, given=Given(), **plan):
    return draw(scenario_of(**plan), data, jax.random.key(seed), given)


def counts(draws):
    """The number of known rows of every class; each known label is the true one."""
    known = np.asarray(draws.known_labels)
    assert known.dtype == np.int32
    np.testing.assert_array_equal(known[known != UNKNOWN], LABELS[known != UNKNOWN])
    assert set(known[known == UNKNOWN]) <= {-1}
    return np.bincount(known[known != UNKNOWN], minlength=C).tolist()


@pytest.mark.parametrize("num_known", [0, 1, 4, 16])
def test_so_many_rows_of_every_class_are_known(num_known):
    found = drawn(num_known=num_known, num_targets=2, rate=0.1)
    assert counts(found) == [num_known, max(2, num_known), num_known]
    np.testing.assert_array_equal(np.sort(found.target_ids), np.flatnonzero(found.known_labels == 1))


def test_knowing_more_moves_no_row_that_was_drawn_before():
    """The target rows stay, and the poison rows but for those that have become known target rows."""
    few, many = drawn(num_targets=2), drawn(num_targets=2, num_known=6)
    assert set(few.target_ids) < set(many.target_ids)
    np.testing.assert_array_equal(many.target_ids[:2], few.target_ids)
    order = [row for row in np.argsort(few.poison_rank) if row not in many.target_ids]
    np.testing.assert_array_equal(np.argsort(many.poison_rank)[: len(order)], order)
    smaller = drawn(num_targets=2, num_known=4)
    assert set(np.flatnonzero(smaller.known_labels >= 0)) < set(np.flatnonzero(many.known_labels >= 0))
    for name in ("test_poison_rank", "pool"):
        np.testing.assert_array_equal(getattr(few, name), getattr(many, name))


def test_the_rows_of_target_class_come_from_their_old_stream():
    """A permutation of the class by the stream of target rows, as ever."""
    allowed = np.flatnonzero(LABELS == 1)
    expected = jax.random.permutation(Streams.of(jax.random.key(3)).targets, allowed)[:3]
    for num_known in (0, 3):
        np.testing.assert_array_equal(drawn(num_targets=3, num_known=num_known).target_ids, expected)


@pytest.mark.parametrize("plan", [{}, {"num_known": 5}, {"party_targets": (0, 2)}, {"num_known": 5, "rate": 0.8}])
def test_poison_rows_are_never_target_rows(plan):
    for seed in range(4):
        found = drawn(seed=seed, num_targets=3, **plan)
        assert not set(found.poison_ids) & set(found.target_ids)
        assert len(found.poison_ids) == round(48 * plan.get("rate", 0.25))


def test_of_other_classes_poison_rows_may_be_known():
    found = drawn(num_known=16, rate=0.6, num_targets=1)
    assert set(found.poison_ids) & set(np.flatnonzero(found.known_labels >= 0))
    assert counts(found) == [16, 16, 16]


def test_given_target_rows_are_all_that_is_known_of_their_class():
    for fields in ({"given": Given(target_ids=[4, 7])}, {"target_ids": (4, 7)}):
        assert set(np.flatnonzero(drawn(num_known=3, **fields).known_labels == 1)) == {4, 7}
        assert counts(drawn(num_known=3, **fields)) == [3, 2, 3]
        assert counts(drawn(**fields)) == [0, 2, 0]


def test_a_fixed_draw_knows_the_same_rows_for_every_seed():
    fixed = [drawn(seed=seed, num_known=4, draw="fixed", fixed_seed=7).known_labels for seed in (0, 1)]
    anew = [drawn(seed=seed, num_known=4).known_labels for seed in (0, 1)]
    np.testing.assert_array_equal(*fixed)
    assert helpers.differs(*anew)


def natural(rows):
    has_trigger = np.isin(np.arange(48), rows)
    train = DATA.train.replace(has_trigger=has_trigger)
    return type(DATA)(**{**vars(DATA), "train": train})


def test_rows_that_carry_the_trigger_by_nature_are_no_target_rows():
    carrying = (1, 4, 7, 10, 13, 2, 3)
    found = drawn(natural(carrying), trigger=NaturalTrigger(), num_known=9, num_targets=3)
    assert set(found.poison_ids) == set(carrying)
    assert not set(found.target_ids) & set(carrying)
    assert counts(found) == [9, 9, 9]


ERRORS = {
    "more targets than rows": ({"num_targets": 17}, ("num_targets is 17", "16 training rows of class 1")),
    "more known than rows": ({"num_known": 17}, ("num_known is 17", "16 training rows of class")),
    "known of the class without the trigger": (
        {"num_known": 15, "trigger": NaturalTrigger(), "poison_ids": (1, 4)},
        ("num_known is 15", "14 training rows of class 1 are free of the trigger"),
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_rows_that_are_not_there_are_told_by_the_field_that_asks(case):
    plan, words = ERRORS[case]
    with pytest.raises(ValueError, match=says(*words)):
        drawn(rate=0.1, **plan)


# A class per attacker


def knowledge_of(party, **fields):
    scenario = scenario_of(**fields)
    one = replica_api.prepare(scenario, fields.get("data", DATA), jax.random.key(3))
    return capabilities.of_party(one.scenario, one.knowledge, party)


def test_each_attacker_knows_its_class_and_rows_of_it():
    attackers = (Attack(), Attack())
    for party, wanted in enumerate((2, 0)):
        known = knowledge_of(party, attacks=attackers, party_targets=(2, 0), target_class=2, num_targets=3)
        assert int(known.target_class) == wanted
        assert known.target_class.dtype == np.int32
        assert np.bincount(LABELS[np.asarray(known.is_target)], minlength=C).tolist() == [
            3 * (c == wanted) for c in range(C)
        ]
        view = helpers.party_view(np.arange(48), knowledge=known)
        is_poison, is_target = known.find(view)
        np.testing.assert_array_equal(is_target, known.is_target)
        np.testing.assert_array_equal(is_poison, known.is_poison)
        assert not (is_poison & is_target).any()


def test_honest_parties_ask_for_no_rows():
    """Only the classes that attackers want have target rows; the class of an active party's attack is one of them."""
    found = drawn(party_targets=(0, 2), num_targets=2)
    assert counts(found) == [0, 0, 2]
    found = drawn(party_targets=(0, 2), num_targets=2, active_attack=ActiveAttack())
    assert counts(found) == [0, 2, 2]


def test_given_target_rows_may_be_of_every_wanted_class():
    fields = {"attacks": (Attack(), Attack()), "party_targets": (2, 0)}
    assert counts(drawn(given=Given(target_ids=[2, 0, 3]), **fields)) == [2, 0, 1]
    with pytest.raises(ValueError, match=says("target_ids has row 1", "0 or 2")):
        drawn(given=Given(target_ids=[2, 1]), **fields)


WRONG = {
    "too few": ((0,), {}, ("party_targets has 1 entries", "2 parties")),
    "no class": ((0, 3), {}, ("party_targets.1 is 3", "0 to 2")),
    "below": ((-1, 0), {}, ("party_targets.0 is -1", "0 to 2")),
    "a pair": ((0, 1), {"mode": "appended_pair"}, ("party_targets", "in_place")),
}


@pytest.mark.parametrize("case", WRONG)
def test_classes_of_parties_are_checked(case):
    targets, plan, words = WRONG[case]
    with pytest.raises(ValueError, match=says(*words)):
        scenario_of(party_targets=targets, **plan).check(DATA)


def test_plans_of_before_have_the_json_of_before():
    for name in ("num_known", "party_targets", "attack_trigger"):
        assert name not in PoisonPlan().to_json()
    plan = PoisonPlan(num_known=2, party_targets=(0, 1), attack_trigger=FeatureTrigger(party=1, index=("a", 2)))
    assert from_json(plan.to_json()) == plan
    assert plan != PoisonPlan()


# Triggers


def named(data):
    names = tuple(tuple(f"{'ab'[k]}{i}" for i in range(12)) for k in range(2))
    return type(data)(**{**vars(data), "feature_names": names})


@pytest.mark.parametrize("index", ["b5", 5, -7, ("b0", "b11"), (0, "b7", -1), [3]])
@pytest.mark.parametrize("weighted", [True, False])
def test_a_stamped_bag_is_its_multi_hot_rows_with_entries_set(index, weighted):
    data = named(helpers.bag_data(weighted=weighted))
    trigger = FeatureTrigger(party=1, index=index, value=2.5)
    masks = trigger.masks(data)
    assert masks[0] is None
    listed = index if isinstance(index, tuple | list) else (index,)
    places = sorted(int(i[1:]) if isinstance(i, str) else i % 12 for i in listed)
    np.testing.assert_array_equal(np.flatnonzero(masks[1]), places)
    rows = np.arange(48) % 3 == 0
    expected = multi_hot(data.train.features[1])
    expected[np.ix_(rows, places)] = 2.5
    found = jax.jit(trigger.stamp)(masks[1], data.train.features[1], rows)
    np.testing.assert_allclose(multi_hot(found), expected)


@pytest.mark.parametrize("index", [2, (0, 1), (-1, 1)])
def test_a_stamped_array_has_entries_set(index):
    trigger = FeatureTrigger(party=1, index=index, value=2.5)
    rows, expected = np.arange(48) % 3 == 0, DATA.train.features[1].copy()
    expected[np.ix_(rows, np.atleast_1d(index))] = 2.5
    found = trigger.stamp(trigger.masks(DATA)[1], DATA.train.features[1], rows)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ((5, -7), ("names feature 5 twice", "-7")),
        (("b5", 5), ("names feature 5 twice",)),
        ((), ("trigger.index is empty",)),
        ("c1", ("trigger.index is 'c1'", "no feature of that name", "b0, b1")),
        (12, ("trigger.index is 12", "0 to 11")),
    ],
)
def test_features_that_are_not_there_or_twice_are_refused(index, words):
    with pytest.raises(ValueError, match=says(*words)):
        FeatureTrigger(party=1, index=index).masks(named(helpers.bag_data()))


def test_a_trigger_in_the_embedding_draws_rows_as_a_stamped_one():
    stamped, embedded = drawn(rate=0.25), drawn(rate=0.25, trigger=EmbeddingTrigger())
    np.testing.assert_array_equal(embedded.poison_ids, stamped.poison_ids)
    np.testing.assert_array_equal(embedded.test_poison_rank, stamped.test_poison_rank)
    assert len(embedded.poison_ids) == 12
    scenario = scenario_of(trigger=EmbeddingTrigger())
    assert scenario.attack_trigger == EmbeddingTrigger()
    scenario.check(DATA)
    assert EmbeddingTrigger().masks(DATA) == (None, None)
    for features in (*DATA.train.features, helpers.bag_data().train.features[1]):
        assert EmbeddingTrigger().stamp(None, features, np.ones(48, bool)) is features


def test_everyone_knows_the_shape_of_a_row():
    for data, expected in ((DATA, ((5,), (3,))), (helpers.image_data(), ((3, 6), (3, 6)))):
        assert scenario_of().shapes(data).row_shapes == expected
    assert scenario_of().shapes(helpers.bag_data()).row_shapes == ((4,), None)

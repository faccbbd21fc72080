"""Other numbers of parties: the same features in the same order, in blocks as even as can be."""

import dataclasses

import helpers
import numpy as np
import pytest
from data_helpers import properties, says, tiny_data
from hypothesis import assume, given
from hypothesis import strategies as st

from vfl_jax.core.bags import BagOfIds, multi_hot
from vfl_jax.data.own.arrays import from_arrays
from vfl_jax.data.repartition import repartition
from vfl_jax.protocol.triggers import PixelTrigger

NUM_ROWS = 12
LABELS = np.arange(NUM_ROWS) % 2
widths = st.lists(st.integers(1, 30), min_size=2, max_size=16)


def numbered(party_widths):
    """Dense parties whose entries are row · 1000 + the number of the feature over all parties."""
    table = 1000.0 * np.arange(NUM_ROWS)[:, None] + np.arange(sum(party_widths))
    blocks = np.split(table, np.cumsum(party_widths)[:-1], axis=1)
    return from_arrays(
        {f"firm {k}": block for k, block in enumerate(blocks)},
        LABELS,
        test=[0, 5, 6],
        has_trigger=np.arange(NUM_ROWS) % 3 == 0,
        feature_names=[[f"{i:g}" for i in block[0]] for block in blocks],
    )


def random_bags(vocabularies, is_weighted, seed):
    """Bags of 0 to 6 ids, which may repeat; weights, where a party has them, that add up exactly."""
    rng = np.random.default_rng(seed)
    parties = {}
    for k, vocabulary in enumerate(vocabularies):
        rows = [rng.integers(0, vocabulary, rng.integers(0, 7)).tolist() for _ in range(NUM_ROWS)]
        weights = [rng.integers(1, 9, len(row)) / 4 for row in rows] if is_weighted[k % len(is_weighted)] else None
        parties[f"firm {k}"] = BagOfIds.of(rows, vocabulary, weights)
    return from_arrays(parties, LABELS, test=[0, 5, 6])


def joined(rows):
    """All features side by side, [N, F]."""
    parts = [multi_hot(x) if isinstance(x, BagOfIds) else x.reshape(len(x), -1) for x in rows.features]
    return np.concatenate(parts, axis=1)


def check_all_but_the_partition(new, old):
    for name in ("train", "test"):
        after, before = getattr(new, name), getattr(old, name)
        np.testing.assert_array_equal(joined(after), joined(before))
        np.testing.assert_array_equal(after.labels, before.labels)
        np.testing.assert_array_equal(after.has_trigger, before.has_trigger)
    assert (new.name, new.classes, new.active_party) == (old.name, old.classes, None)


def block_widths(data):
    return [x.vocabulary if isinstance(x, BagOfIds) else x.shape[1] for x in data.train.features]


def check_the_cuts(new, old_widths):
    """No party is wider than it must be, and none holds features of two that were there before."""
    allowed = range(1, max(old_widths) + 1)
    narrowest = next(m for m in allowed if sum(-(-width // m) for width in old_widths) <= new.num_parties)
    assert max(block_widths(new)) == narrowest
    assert set(np.cumsum(old_widths)) <= set(np.cumsum(block_widths(new)))


@properties
@given(widths, st.integers(2, 16))
def test_dense_features_stay_what_they_are(party_widths, num_parties):
    assume(num_parties <= sum(party_widths))
    data = numbered(party_widths)
    new = repartition(data, num_parties)
    assert new.num_parties == len(set(new.parties)) == len(new.train.features) == num_parties
    check_all_but_the_partition(new, data)
    assert [list(map(float, names)) for names in new.feature_names] == [x[0].tolist() for x in firsts(new)]
    if num_parties >= len(party_widths):
        check_the_cuts(new, party_widths)


def firsts(data):
    """Every party's features of training row 1, less the number of the row."""
    return [x[:1] - 1000 for x in data.train.features]


@properties
@given(widths, st.integers(2, 16), st.lists(st.booleans(), min_size=1, max_size=3), st.integers(0, 9))
def test_bags_stay_what_they_are(vocabularies, num_parties, is_weighted, seed):
    assume(num_parties <= sum(vocabularies))
    data = random_bags(vocabularies, is_weighted, seed)
    new = repartition(data, num_parties)
    assert new.num_parties == num_parties
    check_all_but_the_partition(new, data)
    for rows in (new.train, new.test):
        for bag in rows.features:
            bag.check("the bag")
            assert np.asarray(bag.ids).dtype == np.int32
    if num_parties >= len(vocabularies):
        check_the_cuts(new, vocabularies)
        assert not any(is_weighted) or any(bag.weights is not None for bag in new.train.features)


def test_parties_are_named_for_what_they_came_from():
    data = numbered([5, 2])
    assert repartition(data, 3).parties == ("firm 0, block 0", "firm 0, block 1", "firm 1")
    assert block_widths(repartition(data, 3)) == [2, 3, 2]
    assert repartition(numbered([5, 2, 4]), 2).parties == ("firm 0", "firm 1 + firm 2")
    assert repartition(data, 2).parties == data.parties


def test_images_are_flattened():
    data = tiny_data()
    new = repartition(data, 3)
    check_all_but_the_partition(new, data)
    assert block_widths(new) == [4, 4, 8]


@pytest.mark.parametrize("num_parties", [2, 3, 5, 16])
def test_pixels_keep_their_positions(num_parties):
    """Cut up or joined, the trigger is stamped where it was."""
    data, trigger = tiny_data(by="quadrants", num_parties=4), PixelTrigger(pixels=((0, 1), (3, 3)))
    new = repartition(data, num_parties)
    is_poisoned = np.ones(data.train.num_samples, bool)
    images = []
    for some in (data, new):
        whole = np.full((some.train.num_samples, 16), np.nan, np.float32)
        for k, mask in enumerate(trigger.masks(some)):
            stamped = trigger.stamp(mask, some.train.features[k], is_poisoned)
            whole[:, some.positions[k].ravel()] = np.reshape(stamped, (len(whole), -1))
        images.append(whole)
    assert (images[0][:, [1, 15]] == 1).all()
    np.testing.assert_array_equal(*images)


def test_dense_and_bags_are_cut_but_never_joined():
    data = helpers.bag_data()
    check_all_but_the_partition(repartition(data, 5), data)
    assert block_widths(repartition(data, 6)) == [2, 2, 3, 3, 3, 3]
    table = np.ones((NUM_ROWS, 2))
    mixed = {"numbers": table, "tags": BagOfIds.of([[0]] * NUM_ROWS, 3), "more numbers": table}
    with pytest.raises(ValueError, match=says("tags, more numbers", "'arrays'", "cannot be joined", "bags", "dense")):
        repartition(from_arrays(mixed, LABELS), 2)


@pytest.mark.parametrize("num_parties", [-1, 0, 1, 8])
def test_a_number_of_parties_that_cannot_be_is_refused(num_parties):
    with pytest.raises(ValueError, match=says(f"num_parties is {num_parties}", "7 features", "2 to 7")):
        repartition(numbered([5, 2]), num_parties)


def test_the_active_party_is_one_of_the_new():
    data = dataclasses.replace(numbered([5, 2]), active_party=1)
    assert repartition(data, 3, active_party=2).active_party == 2
    assert repartition(data, 3).active_party is None
    assert repartition(data, 2, active_party=0).active_party == 0


@pytest.mark.parametrize("active_party", [-1, 3])
def test_an_active_party_that_is_none_is_refused(active_party):
    with pytest.raises(ValueError, match=says(f"active_party is {active_party}", "0 to 2", "None")):
        repartition(numbered([5, 2]), 3, active_party=active_party)

"""Triggers: in the right cells of the right parties, on poisoned rows and masked entries only."""

import dataclasses

import helpers
import jax
import numpy as np
import pytest
from data_helpers import image_split, numbered_images, properties, says, tiny_data, tiny_scenario
from hypothesis import given
from hypothesis import strategies as st

from vfl_jax.attacks import GradientReplacement
from vfl_jax.data import FeatureTrigger, NaturalTrigger, PixelTrigger, partition_images, partition_table
from vfl_jax.presets import MNIST_PIXELS
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.replica.draws import ALWAYS, draw


def mnist_sized(**partition):
    return partition_images("numbered", numbered_images(4, (28, 28)), numbered_images(2, (28, 28)), **partition)


def table():
    split = image_split(12, (5,))
    return partition_table("table", split, split, by=[[0, 1, 2], [3, 4]])


def cells(masks):
    """Where each party's trigger lies, in that party's own coordinates."""
    return {k: [tuple(cell) for cell in np.argwhere(mask)] for k, mask in enumerate(masks) if mask is not None}


MNIST_CELLS = [
    # The four pixels of section 7.1 are (25, 27), (26, 26), (27, 25) and (27, 27) of the joint image.
    ({"num_parties": 2}, {1: [(11, 27), (12, 26), (13, 25), (13, 27)]}),
    ({"num_parties": 2, "by": "columns"}, {1: [(25, 13), (26, 12), (27, 11), (27, 13)]}),
    ({"num_parties": 4}, {3: [(4, 27), (5, 26), (6, 25), (6, 27)]}),
    ({"num_parties": 4, "by": "quadrants"}, {3: [(11, 13), (12, 12), (13, 11), (13, 13)]}),
    # 28 rows over 16 parties: the last two have two rows each, 24 and 25, 26 and 27.
    ({"num_parties": 16}, {14: [(1, 27)], 15: [(0, 26), (1, 25), (1, 27)]}),
]


@pytest.mark.parametrize(("partition", "expected"), MNIST_CELLS)
def test_the_four_pixels_of_mnist_lie_in_the_right_cells(partition, expected):
    data = mnist_sized(**partition)
    masks = PixelTrigger(pixels=MNIST_PIXELS).masks(data)
    assert cells(masks) == expected
    assert all(m is None or m.shape == block.shape for m, block in zip(masks, data.positions, strict=True))
    # The features under the mask are the pixels themselves: each tells its own number.
    found = {int(p) for k in expected for p in data.train.features[k][0][masks[k]]}
    assert found == {28 * row + column for row, column in MNIST_PIXELS}


@properties
@given(st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=9), st.integers(2, 8))
def test_a_spread_trigger_is_whole(pixels, num_parties):
    data = partition_images("a", numbered_images(2, (8, 8)), numbered_images(2, (8, 8)), num_parties=num_parties)
    masks = PixelTrigger(pixels=tuple(pixels)).masks(data)
    whole = np.concatenate(
        [np.zeros(b.shape, bool) if m is None else m for m, b in zip(masks, data.positions, strict=False)]
    )
    assert {tuple(cell) for cell in np.argwhere(whole)} == pixels
    assert all(m is None or m.any() for m in masks)


def test_a_trigger_of_one_party():
    data = mnist_sized(by="quadrants", num_parties=4)
    spread = PixelTrigger(pixels=MNIST_PIXELS).masks(data)
    alone = PixelTrigger(pixels=MNIST_PIXELS, party=3).masks(data)
    assert cells(alone) == cells(spread)


def test_pixels_of_a_list_partition():
    split = numbered_images(3, (2, 3))
    data = partition_images("lists", split, split, by=[[5, 0], [1, 4]])
    masks = PixelTrigger(pixels=((0, 0), (1, 1), (0, 2))).masks(data)
    assert [m.tolist() for m in masks] == [[False, True], [False, True]]  # nobody holds pixel (0, 2)


@pytest.mark.parametrize(("index", "cell"), [(0, (0, 0)), (5, (1, 1)), (-1, (1, 3)), (-8, (0, 0))])
def test_a_feature_is_counted_flattened(index, cell):
    masks = FeatureTrigger(party=1, index=index).masks(tiny_data())
    assert cells(masks) == {1: [cell]}
    assert masks[1].shape == (2, 4)


@pytest.mark.parametrize("index", [0, 11, -12])
def test_a_feature_of_bags_is_an_id(index):
    masks = FeatureTrigger(party=1, index=index).masks(helpers.bag_data())
    assert cells(masks) == {1: [(index % 12,)]}
    assert masks[1].shape == (12,)


IMAGE, TABLE, BAGS = tiny_data(), table(), helpers.bag_data()
BAD_TRIGGERS = {
    "outside the party's block": (
        IMAGE,
        PixelTrigger(pixels=((3, 3), (1, 0)), party=1),
        ("trigger.pixels", "(1, 0)", "outside the block of party 1", "party=None"),
    ),
    "row outside": (
        IMAGE,
        PixelTrigger(pixels=((4, 0),)),
        ("trigger.pixels", "(4, 0)", "rows 0 to 3", "columns 0 to 3"),
    ),
    "column outside": (IMAGE, PixelTrigger(pixels=((0, 9),)), ("trigger.pixels", "(0, 9)", "columns 0 to 3")),
    "negative pixel": (IMAGE, PixelTrigger(pixels=((-1, 0),)), ("trigger.pixels", "(-1, 0)", "rows 0 to 3")),
    "no pixels": (IMAGE, PixelTrigger(pixels=()), ("trigger.pixels", "empty", "at least one")),
    "pixels of a table": (
        TABLE,
        PixelTrigger(pixels=((0, 0),)),
        ("PixelTrigger", "'table' has no image", "FeatureTrigger"),
    ),
    "party outside": (IMAGE, PixelTrigger(pixels=((0, 0),), party=2), ("trigger.party is 2", "0 to 1")),
    "feature's party outside": (TABLE, FeatureTrigger(party=-1, index=0), ("trigger.party is -1", "0 to 1")),
    "index outside": (TABLE, FeatureTrigger(party=1, index=2), ("trigger.index is 2", "2 features", "0 to 1")),
    "id outside": (BAGS, FeatureTrigger(party=1, index=12), ("trigger.index is 12", "12 features", "0 to 11")),
    "pixels of bags": (BAGS, PixelTrigger(pixels=((0, 0),)), ("PixelTrigger", "'bags' has no image", "FeatureTrigger")),
    "index below": (TABLE, FeatureTrigger(party=1, index=-3), ("trigger.index is -3", "2 features", "0 to 1")),
}


@pytest.mark.parametrize("case", BAD_TRIGGERS)
def test_a_trigger_that_does_not_fit_is_refused(case):
    data, trigger, message = BAD_TRIGGERS[case]
    with pytest.raises(ValueError, match=says(*message)):
        trigger.masks(data)


@pytest.mark.parametrize("trigger", [PixelTrigger(pixels=((0, 0), (1, 3))), FeatureTrigger(party=0, index=0)])
def test_a_trigger_must_touch_an_attacker(trigger):
    scenario = tiny_scenario(plan={"trigger": trigger})
    with pytest.raises(ValueError, match=says("poison.trigger", "parties [0]", "attackers are [1]")):
        scenario.check(tiny_data())
    # An attack at party 0 is touched by it; without any attack there is nobody to touch.
    scenario.replace(attacks=(GradientReplacement(), PartyTransform())).check(tiny_data())
    scenario.replace(attacks=(PartyTransform(),) * 2).check(tiny_data())


def test_a_spread_trigger_may_touch_others_too():
    scenario = tiny_scenario(plan={"trigger": PixelTrigger(pixels=((0, 0), (3, 3)))})
    scenario.check(tiny_data())


@properties
@given(
    st.lists(st.booleans(), min_size=5, max_size=5),
    st.lists(st.booleans(), min_size=6, max_size=6),
    st.floats(-2, 2, width=32),
)
def test_stamping_changes_poisoned_rows_at_masked_entries_only(is_poisoned, mask, value):
    features = np.arange(30, dtype=np.float32).reshape(5, 2, 3) + 10
    is_poisoned, mask = np.array(is_poisoned), np.array(mask).reshape(2, 3)
    stamped = PixelTrigger(pixels=((0, 0),), value=value).stamp(mask, jax.numpy.asarray(features), is_poisoned)
    expected = features.copy()
    for row in np.flatnonzero(is_poisoned):
        expected[row][mask] = np.float32(value)
    assert stamped.dtype == np.float32
    np.testing.assert_array_equal(stamped, expected)


def test_stamping_keeps_the_dtype_and_leaves_others_alone():
    counts = np.ones((3, 4), np.int32)
    stamped = FeatureTrigger(party=0, index=1, value=7).stamp(
        np.array([0, 1, 0, 0], bool), counts, np.array([1, 0, 1], bool)
    )
    assert stamped.dtype == np.int32
    assert stamped.tolist() == [[1, 7, 1, 1], [1, 1, 1, 1], [1, 7, 1, 1]]
    assert PixelTrigger(pixels=((0, 0),)).stamp(None, counts, np.ones(3, bool)) is counts
    assert NaturalTrigger().stamp(None, counts, np.ones(3, bool)) is counts


def test_natural_rows_are_the_poison_rows_at_any_rate():
    data = tiny_data()
    train, test = np.zeros(30, bool), np.zeros(12, bool)
    train[[4, 9, 28]] = test[[0, 7]] = True
    rows = {"train": data.train.replace(has_trigger=train), "test": data.test.replace(has_trigger=test)}
    data = dataclasses.replace(data, **rows)
    for rate in (0.0, 0.5, 1.0):
        scenario = tiny_scenario(plan={"trigger": NaturalTrigger(), "rate": rate, "test_rate": rate})
        scenario.check(data)
        found = draw(scenario, data, jax.random.key(3))
        assert found.poison_ids.tolist() == [4, 9, 28]
        assert np.flatnonzero(found.poison_rank == ALWAYS).tolist() == [4, 9, 28]
        assert np.flatnonzero(found.test_poison_rank == ALWAYS).tolist() == [0, 7]
        assert found.poison_rank[~train].min() > 30  # the rate reaches none of the others
        assert not set(found.target_ids.tolist()) & {4, 9, 28}
    assert NaturalTrigger().masks(data) == (None, None)

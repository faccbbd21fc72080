"""Partitions: every entry goes to the party and the place it is said to, and nothing is lost or doubled."""

import dataclasses

import helpers
import numpy as np
import pytest
from data_helpers import image_split, numbered_images, properties, says, tiny_data
from hypothesis import assume, given
from hypothesis import strategies as st

from vfl_jax.data import PixelTrigger, partition_images, partition_table
from vfl_jax.presets import MNIST_PIXELS

sides = st.integers(2, 9)


def numbered(shape, num_train=3, num_test=2, **partition):
    """Data whose entries tell where they came from."""
    return partition_images(
        "numbered", numbered_images(num_train, shape), numbered_images(num_test, shape), **partition
    )


def check_every_entry(data, shape):
    """Blocks are disjoint, and every entry of every party is the pixel that ``positions`` says."""
    positions = np.concatenate([block.ravel() for block in data.positions])
    assert len(np.unique(positions)) == len(positions)
    for rows in (data.train, data.test):
        whole = numbered_images(rows.num_samples, shape)[0].reshape(rows.num_samples, -1)
        for features, block in zip(rows.features, data.positions, strict=True):
            assert features.dtype == np.float32
            assert features.shape == (rows.num_samples, *block.shape)
            np.testing.assert_array_equal(features, whole[:, block])


@properties
@given(st.tuples(sides, sides), st.sampled_from(["rows", "columns"]), st.integers(2, 9))
def test_stripes(shape, by, num_parties):
    axis = 0 if by == "rows" else 1
    assume(num_parties <= shape[axis])
    data = numbered(shape, by=by, num_parties=num_parties)
    check_every_entry(data, shape)
    # Put side by side again, the blocks are the image.
    np.testing.assert_array_equal(np.concatenate(data.positions, axis=axis).ravel(), np.arange(np.prod(shape)))
    widths = [block.shape[axis] for block in data.positions]
    assert max(widths) - min(widths) <= 1
    assert len(data.parties) == num_parties == len(set(data.parties))


@properties
@given(st.tuples(sides, sides))
def test_quadrants(shape):
    data = numbered(shape, by="quadrants", num_parties=4)
    check_every_entry(data, shape)
    upper, lower = (np.concatenate(pair, axis=1) for pair in (data.positions[:2], data.positions[2:]))
    np.testing.assert_array_equal(np.concatenate([upper, lower]).ravel(), np.arange(np.prod(shape)))
    assert all(block.ndim == 2 and block.size for block in data.positions)


@properties
@given(st.permutations(list(range(12))), st.integers(2, 5), st.integers(0, 12))
def test_lists_of_pixels(order, num_parties, used):
    lists = [list(part) for part in np.array_split(order[:used], num_parties)]
    assume(all(lists))
    data = numbered((3, 4), by=lists)
    check_every_entry(data, (3, 4))
    assert [block.tolist() for block in data.positions] == lists
    assert data.num_parties == num_parties


def test_sixteen_parties_of_mnist_size():
    data = numbered((28, 28), by="rows", num_parties=16)
    assert [len(block) for block in data.positions] == [1, 2, 2, 2] * 4
    with_trigger = [k for k, mask in enumerate(PixelTrigger(pixels=MNIST_PIXELS).masks(data)) if mask is not None]
    assert with_trigger == [14, 15]


def test_columns_of_a_table():
    rng = np.random.default_rng(0)
    table, labels = rng.normal(size=(7, 5)).astype(np.float32), np.arange(7) % 2
    data = partition_table("table", (table, labels), (table[:3], labels[:3]), by=[[4, 0], [2]], active_party=1)
    np.testing.assert_array_equal(data.train.features[0], table[:, [4, 0]])
    np.testing.assert_array_equal(data.test.features[1], table[:3, [2]])
    assert (data.active_party, data.image_shape, data.classes) == (1, None, ("0", "1"))
    assert data.train.labels.dtype == np.int32
    np.testing.assert_array_equal(data.train.labels, labels)


def test_classes_are_counted_over_both_splits_unless_named():
    images, labels = image_split(6)
    more = labels.copy()
    more[-1] = 4
    assert partition_images("a", (images, labels), (images, more)).classes == ("0", "1", "2", "3", "4")
    assert partition_images("a", (images, labels), (images, labels), classes=("x", "y", "z")).classes == ("x", "y", "z")


def test_the_fingerprint_tells_data_and_partitions_apart():
    data = tiny_data()
    assert data.fingerprint() == tiny_data().fingerprint()
    changed = tiny_data()
    changed.test.features[1][0, 0, 0] += 0.5
    relabelled = tiny_data()
    relabelled.train.labels[0] = 2
    marked = tiny_data()
    marked.train.has_trigger[3] = True
    others = [
        changed,
        relabelled,
        marked,
        tiny_data(by="columns"),
        tiny_data(num_parties=4, by="quadrants"),
        tiny_data(active_party=1),
        tiny_data(num_train=29),
        dataclasses.replace(data, classes=("a", "b", "c")),
    ]
    assert len({other.fingerprint() for other in [data, *others]}) == len(others) + 1


def test_results_that_exist_hold_the_fingerprint_of_today():
    assert tiny_data().fingerprint() == "47a3e28d4666455ce19ff6f53dc09ae4c624f1555ed3254df4a0247592ab91c2"


def test_the_fingerprint_tells_vocabularies_and_bags_apart():
    others = [helpers.bag_data(vocabulary=13), helpers.bag_data(weighted=False), helpers.bag_data(seed=1)]
    prints = [data.fingerprint() for data in (helpers.bag_data(), *others, helpers.as_multi_hot(helpers.bag_data()))]
    assert len(set(prints)) == len(prints)
    assert helpers.bag_data().fingerprint() == prints[0]


BAD_PARTITIONS = {
    "more parties than rows": ({"by": "rows", "num_parties": 5}, ("num_parties is 5", "4 rows", "2 to 4")),
    "more parties than columns": ({"by": "columns", "num_parties": 7}, ("num_parties is 7", "6 columns", "2 to 6")),
    "one party": ({"by": "rows", "num_parties": 1}, ("num_parties is 1", "2 to 4")),
    "quadrants of two": ({"by": "quadrants"}, ("num_parties is 2", "quadrants", "4 parties")),
    "unknown kind": ({"by": "diagonals"}, ("'diagonals'", "'rows'", "'columns'", "'quadrants'", "list of indices")),
    "index outside": ({"by": [[0, 1], [2, 24]]}, ("party 1", "2 to 24", "0 to 23")),
    "index below": ({"by": [[-1, 1], [2, 3]]}, ("party 0", "-1 to 1", "0 to 23")),
    "index twice": ({"by": [[0, 1], [2, 1]]}, ("feature 1 twice", "one party at most")),
    "index twice in a party": ({"by": [[0, 0], [2, 1]]}, ("feature 0 twice",)),
    "no features": ({"by": [[0, 1], []]}, ("party 1 no features", "at least one")),
    "one list": ({"by": [[0, 1]]}, ("1 parties", "at least 2")),
    "no whole numbers": ({"by": [[0.5, 1], [2, 3]]}, ("party 0", "[0.5, 1.0]", "whole numbers")),
    "active party outside": ({"active_party": 2}, ("active_party is 2", "0 to 1", "None")),
    "active party below": ({"active_party": -1}, ("active_party is -1", "0 to 1")),
}


@pytest.mark.parametrize("case", BAD_PARTITIONS)
def test_bad_partitions_are_refused(case):
    partition, message = BAD_PARTITIONS[case]
    with pytest.raises(ValueError, match=says(*message)):
        numbered((4, 6), **partition)


def test_quadrants_of_a_line_are_refused():
    with pytest.raises(ValueError, match=says("quadrants", "1 × 6")):
        numbered((1, 6), by="quadrants", num_parties=4)


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (image_split(6), (image_split(6)[0], np.arange(5)), ("test", "(6, 4, 4)", "(5,)", "[N, H, W] and [N]")),
        (image_split(6, (16,)), image_split(6, (16,)), ("train", "(6, 16)", "[N, H, W]")),
        (image_split(6), image_split(6, (5, 4)), ("test", "(5, 4)", "train", "(4, 4)")),
    ],
)
def test_arrays_that_do_not_fit_are_refused(train, test, message):
    with pytest.raises(ValueError, match=says(*message)):
        partition_images("bad", train, test)


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (image_split(6), image_split(6), ("train", "(6, 4, 4)", "[N, F]")),
        (image_split(6, (5,)), image_split(6, (4,)), ("test", "(4,)", "train", "(5,)")),
    ],
)
def test_tables_that_do_not_fit_are_refused(train, test, message):
    with pytest.raises(ValueError, match=says(*message)):
        partition_table("bad", train, test, by=[[0, 1], [2]])

"""Data sets from arrays in memory: every kind of features, splits, labels; what does not fit is refused by name."""

import numpy as np
import pandas as pd
import pytest
from data_helpers import properties, says
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array, csr_array, csr_matrix

from vfl_jax.core.bags import BagOfIds, multi_hot
from vfl_jax.data.own.arrays import from_arrays, take
from vfl_jax.data.own.scaling import scaled
from vfl_jax.data.own.splits import split_rows

NUM_ROWS = 20
LABELS = np.arange(NUM_ROWS) % 2
TEST_ROWS = [1, 2, 7, 16]
TRAIN_ROWS = np.setdiff1d(np.arange(NUM_ROWS), TEST_ROWS)


def table(width=3, seed=0):
    return np.random.default_rng(seed).normal(2, 3, (NUM_ROWS, width)).astype(np.float32)


def binary(width=5):
    return (np.random.default_rng(1).random((NUM_ROWS, width)) < 0.4).astype(float)


PARTIES = {"bank": table(), "shop": table(2, seed=1)}


def changed(party, row, column, value):
    """The parties with one other value."""
    values = PARTIES[party].copy()
    values[row, column] = value
    return PARTIES | {party: values}


def test_arrays_by_party():
    has_trigger = np.arange(NUM_ROWS) % 5 == 1
    data = from_arrays(
        PARTIES,
        LABELS,
        test=TEST_ROWS,
        has_trigger=has_trigger,
        active_party="shop",
        name="mine",
        feature_names=[["a", "b", "c"], ["d", "e"]],
    )
    assert (data.name, data.parties, data.classes, data.active_party) == ("mine", ("bank", "shop"), ("0", "1"), 1)
    assert data.feature_names == (("a", "b", "c"), ("d", "e"))
    for rows, ids in ((data.train, TRAIN_ROWS), (data.test, TEST_ROWS)):
        for features, values in zip(rows.features, PARTIES.values(), strict=True):
            assert features.dtype == np.float32
            np.testing.assert_array_equal(features, values[ids])
        np.testing.assert_array_equal(rows.labels, LABELS[ids])
        np.testing.assert_array_equal(rows.has_trigger, has_trigger[ids])
        assert rows.labels.dtype == np.int32


@pytest.mark.parametrize(
    "kind",
    [
        pd.DataFrame,
        lambda values: pd.DataFrame(values).astype(object),
        np.ndarray.tolist,
        lambda values: values.astype(np.float64),
    ],
    ids=["DataFrame", "DataFrame of objects", "lists", "float64"],
)
def test_dense_features_of_any_kind(kind):
    data = from_arrays({party: kind(values) for party, values in PARTIES.items()}, LABELS, test=TEST_ROWS)
    assert data.fingerprint() == from_arrays(PARTIES, LABELS, test=TEST_ROWS).fingerprint()


@pytest.mark.parametrize("kind", [csr_array, csr_matrix, coo_array])
def test_sparse_features_become_bags(kind):
    data = from_arrays({"bank": table(), "words": kind(binary())}, LABELS, test=TEST_ROWS)
    for rows, ids in ((data.train, TRAIN_ROWS), (data.test, TEST_ROWS)):
        bag = rows.features[1]
        assert (bag.vocabulary, bag.weights) == (5, None)
        np.testing.assert_array_equal(multi_hot(bag), binary()[ids])


def test_sparse_numbers_become_weights():
    values = binary() * np.arange(1, 6)
    data = from_arrays({"bank": table(), "words": csr_array(values)}, LABELS, test=TEST_ROWS)
    np.testing.assert_array_equal(multi_hot(data.train.features[1]), values[TRAIN_ROWS])


def test_bags_stay_bags():
    bags = BagOfIds.of([[i % 4, 3] for i in range(NUM_ROWS)], 4, [[0.5, 2.0]] * NUM_ROWS)
    data = from_arrays({"bank": table(), "words": bags}, LABELS, test=TEST_ROWS, standardise=True)
    np.testing.assert_array_equal(multi_hot(data.test.features[1]), multi_hot(bags)[TEST_ROWS])


def test_images_keep_their_shape():
    images = np.arange(NUM_ROWS * 6, dtype=np.float32).reshape(NUM_ROWS, 2, 3)
    data = from_arrays({"a": images, "b": table()}, LABELS, test=TEST_ROWS)
    np.testing.assert_array_equal(data.test.features[0], images[TEST_ROWS])


@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame, csr_array])
def test_one_array_is_split_by_columns(kind):
    values = np.concatenate([table(), binary()], axis=1)
    whole = [from_arrays(kind(values), LABELS, by=by, test=TEST_ROWS) for by in (3, [[4, 0], [7]])]
    expected = [[[0, 1], [2, 3, 4], [5, 6, 7]], [[4, 0], [7]]]
    for data, blocks in zip(whole, expected, strict=True):
        assert data.parties == tuple(f"party {k}" for k in range(len(blocks)))
        for features, block in zip(data.test.features, blocks, strict=True):
            dense = multi_hot(features) if isinstance(features, BagOfIds) else features
            np.testing.assert_array_equal(dense, values[TEST_ROWS][:, block].astype(np.float32))


@pytest.mark.parametrize(
    ("labels", "classes", "names"),
    [
        (np.where(LABELS == 0, "no", "yes"), None, ("no", "yes")),
        (np.where(LABELS == 0, "no", "yes"), ["yes", "no"], ("yes", "no")),
        (LABELS.astype(bool), None, ("False", "True")),
        (LABELS * 4 - 2, None, ("-2", "2")),
        (pd.Series(LABELS * 1.5), None, ("0.0", "1.5")),
        (pd.Series(np.where(LABELS == 0, "no", "yes"), dtype="category"), None, ("no", "yes")),
    ],
)
def test_labels_of_any_kind(labels, classes, names):
    data = from_arrays(PARTIES, labels, test=TEST_ROWS, classes=classes)
    assert data.classes == names
    flipped = classes == ["yes", "no"]
    np.testing.assert_array_equal(data.train.labels, (1 - LABELS if flipped else LABELS)[TRAIN_ROWS])


def test_standardised_on_the_training_rows_alone():
    values = table()
    values[:, 1] = 7.25
    values[TEST_ROWS, 1] = 9.0
    with pytest.warns(UserWarning, match=says("constant over the training rows: party 'bank', column 1 (1 in all)")):
        data = from_arrays({"bank": values, "shop": table(2)}, LABELS, test=TEST_ROWS, standardise=True)
    train, test = (rows.features[0] for rows in (data.train, data.test))
    np.testing.assert_allclose(train[:, [0, 2]].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(train[:, [0, 2]].std(axis=0), 1, rtol=1e-6)
    mean, deviation = values[TRAIN_ROWS].mean(axis=0, dtype=float), values[TRAIN_ROWS].std(axis=0, dtype=float)
    np.testing.assert_allclose(test[:, 0], (values[TEST_ROWS, 0] - mean[0]) / deviation[0], rtol=1e-6)
    assert (train[:, 1] == 0).all()
    assert (test[:, 1] == 0).all()
    assert train.dtype == np.float32


def test_what_rounding_leaves_of_a_constant_is_no_deviation():
    values = np.full((NUM_ROWS, 1), 0.1, np.float32)
    values[0] = np.nextafter(np.float32(0.1), np.float32(1))
    result, is_constant = scaled(values, np.ones(NUM_ROWS, bool))
    assert (result == 0).all()
    assert is_constant.all()


@properties
@given(
    st.lists(st.integers(8, 40), min_size=2, max_size=5),
    st.sampled_from([0.2, 0.25, 0.5]),
    st.integers(0, 1000),
)
def test_a_share_is_drawn_alike_in_all_classes(counts, share, seed):
    codes = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    is_test = split_rows(share, codes, seed)
    np.testing.assert_array_equal(is_test, split_rows(share, codes, seed))
    assert is_test.sum() == np.ceil(share * len(codes))
    drawn = np.bincount(codes[is_test], minlength=len(counts))
    assert (np.abs(drawn - share * np.array(counts)) <= 1).all()


def test_another_seed_draws_another_split():
    first, second = (from_arrays(PARTIES, LABELS, seed=seed).test.features[0] for seed in (0, 1))
    assert not np.array_equal(first, second)


@properties
@given(st.sets(st.integers(0, NUM_ROWS - 1), min_size=1, max_size=NUM_ROWS - 1), st.permutations(range(NUM_ROWS)))
def test_given_rows_are_tested_on(rows, order):
    given_order = [row for row in order if row in rows]
    flags = np.isin(np.arange(NUM_ROWS), list(rows))
    for test in (given_order, np.array(given_order, np.uint8), flags):
        np.testing.assert_array_equal(split_rows(test, LABELS, 0), flags)


def test_rows_are_taken_of_every_leaf():
    bag = BagOfIds.of([[0], [1, 2], [2]], 3, [[1.0], [2.0, 3.0], [4.0]])
    np.testing.assert_array_equal(multi_hot(take(bag, np.array([2, 0]))), [[0, 0, 4], [1, 0, 0]])


BAD_LABELS = np.where(np.arange(NUM_ROWS) == 3, None, LABELS)
ODD_ONE = np.where(np.arange(NUM_ROWS) == 3, 2, LABELS)
BAD = {
    "nan": ({"parties": changed("shop", 4, 1, np.nan)}, ("'shop'", "not finite", "row 4", "column 1")),
    "infinite": ({"parties": changed("bank", 0, 2, -np.inf)}, ("'bank'", "not finite", "row 0", "column 2")),
    "strings": ({"parties": PARTIES | {"shop": [["x", "1"]] * NUM_ROWS}}, ("'shop'", "no numbers", "'x'")),
    "ragged": ({"parties": PARTIES | {"shop": [[1.0]] * 19 + [[1.0, 2.0]]}}, ("'shop'", "no numbers")),
    "one dimension": ({"parties": PARTIES | {"shop": np.ones(NUM_ROWS)}}, ("'shop'", "(20,)", "[N, F]")),
    "no columns": ({"parties": PARTIES | {"shop": np.ones((NUM_ROWS, 0))}}, ("'shop'", "(20, 0)", "[N, F]")),
    "bad bag": (
        {"parties": PARTIES | {"shop": BagOfIds(np.full((NUM_ROWS, 1), 3), vocabulary=3)}},
        ("'shop'", "id 3 in row 0", "0 to 2"),
    ),
    "too few rows": ({"parties": PARTIES | {"shop": table()[:-1]}}, ("'shop'", "19 rows", "20 labels")),
    "too few bags": ({"parties": PARTIES | {"shop": csr_array(binary()[:-1])}}, ("'shop'", "19 rows", "20 labels")),
    "one party": ({"parties": {"bank": table()}}, ("['bank']", "at least 2")),
    "by with a dict": ({"by": 2}, ("by splits one array", "Leave it out")),
    "one array without by": ({"parties": table()}, ("one array", "by how many parties")),
    "one array of images": ({"parties": np.ones((NUM_ROWS, 2, 2)), "by": 2}, ("(20, 2, 2)", "[N, F]")),
    "more parties than columns": ({"parties": table(), "by": 4}, ("by is 4", "3 columns", "2 to 3")),
    "fewer than two": ({"parties": table(), "by": 1}, ("by is 1", "2 to 3")),
    "a column outside": ({"parties": table(), "by": [[0], [3]]}, ("party 1", "3 to 3", "0 to 2")),
    "a column twice": ({"parties": table(), "by": [[0], [0, 1]]}, ("feature 0 twice",)),
    "labels of two dimensions": ({"labels": LABELS[:, None]}, ("labels", "(20, 1)", "[N]")),
    "no label": ({"labels": BAD_LABELS}, ("labels has none in 1 rows", "first of which is 3")),
    "label is nan": ({"labels": np.where(LABELS == 1, np.nan, 0.0)}, ("none in 10 rows", "first of which is 1")),
    "one class": ({"labels": np.zeros(NUM_ROWS)}, ("one class alone, 0.0", "at least 2")),
    "a class twice": ({"classes": [0, 1, 1]}, ("[0, 1, 1]", "none twice")),
    "a label of no class": ({"labels": ODD_ONE, "classes": [0, 1]}, ("labels has", "2", "row 3", "[0, 1]")),
    "a class that only test has": ({"labels": ODD_ONE, "test": [3, 4]}, ("classes [2]", "no training rows")),
    "a class without rows": ({"classes": [0, 1, 5]}, ("classes [5]", "no training rows")),
    "a class too small to draw": (
        {"labels": ODD_ONE},
        ("test is 0.2", "drawn alike in all classes", "class 2 has 1 row of 20", "say by test which rows test"),
    ),
    "a share of everything": ({"test": 1.0}, ("test is 1.0", "between 0 and 1")),
    "a share of nothing": ({"test": 0.0}, ("test is 0.0", "between 0 and 1")),
    "a share of nearly nothing": ({"test": 0.01}, ("test is 0.01", "cannot be drawn alike")),
    "a row outside": ({"test": [0, 20]}, ("0 to 20", "0 to 19")),
    "a row below": ({"test": [-1, 2]}, ("-1 to 2", "0 to 19")),
    "no rows": ({"test": np.zeros(NUM_ROWS, bool)}, ("test holds 0 of 20", "both splits")),
    "an empty list": ({"test": np.array([], int)}, ("test holds 0 of 20", "both splits")),
    "all rows": ({"test": range(NUM_ROWS)}, ("test holds 20 of 20", "both splits")),
    "flags of another length": ({"test": np.ones(3, bool)}, ("bool[3]", "bool[20]")),
    "a whole number": ({"test": 4}, ("int64[]", "a share", "row numbers")),
    "triggers of another length": ({"has_trigger": np.ones(3, bool)}, ("has_trigger", "bool[3]", "bool[20]")),
    "triggers by number": ({"has_trigger": LABELS}, ("has_trigger", "int64[20]", "bool[20]")),
    "dates": (
        {"parties": PARTIES | {"shop": np.full((NUM_ROWS, 2), "2020-01-01", "datetime64[D]")}},
        ("'shop'", "no numbers", "dates"),
    ),
    "beyond float32": (
        {"parties": PARTIES | {"shop": table(2).astype(float) * 1e39}},
        ("'shop'", "not finite", "row 0"),
    ),
    "equal names": ({"parties": {1: table(), "1": table(), 2: table()}}, ("[1, '1', 2]", "same name")),
    "names of other features": ({"feature_names": [["a"], ["b", "c"]]}, ("[1, 2]", "[3, 2]")),
    "weights that are not finite": (
        {"parties": PARTIES | {"shop": csr_array(np.diag(np.full(NUM_ROWS, np.nan)))}},
        ("'shop'", "not finite", "row 0"),
    ),
    "a truth value for a party": ({"active_party": True}, ("active_party is True",)),
    "an unknown party": ({"active_party": "firm"}, ("'firm'", "None", "'bank' (0), 'shop' (1)")),
    "a party outside": ({"active_party": 2}, ("active_party is 2", "'bank' (0), 'shop' (1)")),
}


def test_numbers_of_numpy_are_numbers():
    data = from_arrays(table(4), LABELS, by=np.int64(2), test=TEST_ROWS, active_party=np.int64(1))
    assert (data.num_parties, data.active_party) == (2, 1)


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_refused(case):
    arguments, message = BAD[case]
    with pytest.raises(ValueError, match=says(*message)):
        from_arrays(**({"parties": PARTIES, "labels": LABELS} | arguments))

"""What users hand over, of any library: hidden values stay hidden, rows stay aligned, numbers stay exact."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from data_helpers import properties, says
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array, csr_array

from vfl_jax.core.bags import BagOfIds
from vfl_jax.data.own.arrays import from_arrays
from vfl_jax.data.own.inputs import column_of
from vfl_jax.data.own.scaling import merged, scaled
from vfl_jax.data.own.splits import encode_labels, split_rows
from vfl_jax.data.own.values import exact
from vfl_jax.data.partition import partition_table

NUM_ROWS = 20
ROWS = np.arange(NUM_ROWS)
LABELS = ROWS % 2
IS_TEST = np.isin(ROWS, [1, 2, 7, 16])
BANK = np.random.default_rng(0).normal(2, 3, (NUM_ROWS, 3)).astype(np.float32)
SHOP = np.random.default_rng(1).normal(size=(NUM_ROWS, 2)).astype(np.float32)
pa = pytest.importorskip("pyarrow")
pl = pytest.importorskip("polars")


def load(bank=BANK, labels=LABELS, **changes):
    return from_arrays({"bank": bank, "shop": SHOP}, labels, **({"test": IS_TEST} | changes))


EXPECTED = load().fingerprint()


def masked(values, *places):
    mask = np.zeros(values.shape, bool)
    for place in places:
        mask[place] = True
    return np.ma.array(values, mask=mask)


KINDS = {
    "Polars": pl.DataFrame,
    "an Arrow table": lambda values: pa.table(pd.DataFrame(values).rename(columns=str)),
    "a dict of columns": lambda values: {f"c{i}": column for i, column in enumerate(values.T)},
    "nullable": lambda values: pd.DataFrame(values).convert_dtypes(),
    "Arrow-backed": lambda values: pd.DataFrame(values).convert_dtypes(dtype_backend="pyarrow"),
    "pandas' sparse": lambda values: pd.DataFrame(values).astype(pd.SparseDtype(float)),
    "categories": lambda values: pd.DataFrame(values).astype("category"),
    "decimals": lambda values: pd.DataFrame(values).map(lambda x: Decimal(float(x))),
    "texts": lambda values: pd.DataFrame(values).map(lambda x: repr(float(x))),
    "nothing masked": masked,
    "xarray": xr.DataArray,
    "columns of one name": lambda values: pd.DataFrame(values, columns=["a", "a", "b"]),
    "bfloat16's bits": lambda values: values.astype(np.float64).tolist(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_features_of_any_library(kind):
    assert load(KINDS[kind](BANK)).fingerprint() == EXPECTED


@pytest.mark.parametrize("kind", ["Polars", "an Arrow table", "nullable"])
def test_one_frame_is_split_by_columns(kind):
    one = from_arrays(KINDS[kind](BANK), LABELS, by=2, test=IS_TEST)
    assert one.fingerprint() == from_arrays(BANK, LABELS, by=2, test=IS_TEST).fingerprint()


YES = np.where(LABELS == 1, "yes", "no")
LABEL_KINDS = {
    "pandas' categories": pd.Categorical,
    "nullable texts": lambda texts: pd.array(texts, dtype="string"),
    "Arrow-backed": lambda texts: pd.Series(texts, dtype="string[pyarrow]"),
    "Polars": pl.Series,
    "Polars' categories": lambda texts: pl.Series(texts, dtype=pl.Categorical),
    "Arrow": lambda texts: pa.array(texts),
    "an Arrow dictionary": lambda texts: pa.array(texts).dictionary_encode(),
    "a list": list,
    "bytes": lambda texts: [text.encode() for text in texts],
    "objects": lambda texts: texts.astype(object),
}


@pytest.mark.parametrize("kind", LABEL_KINDS)
def test_labels_of_any_library(kind):
    assert load(labels=LABEL_KINDS[kind](YES)).fingerprint() == load(labels=YES).fingerprint()


FLAGS = ROWS % 5 == 1
FLAG_KINDS = {
    "nullable": lambda flags: pd.array(flags, dtype="boolean"),
    "a series": pd.Series,
    "Polars": pl.Series,
    "Arrow": pa.array,
    "a list": list,
    "objects": lambda flags: flags.astype(object),
    "masked": masked,
}


@pytest.mark.parametrize("kind", FLAG_KINDS)
def test_flags_of_any_library(kind):
    data = load(has_trigger=FLAG_KINDS[kind](FLAGS), test=FLAG_KINDS[kind](IS_TEST))
    assert data.fingerprint() == load(has_trigger=FLAGS).fingerprint() != EXPECTED


HIDDEN = {
    "a masked feature": ({"bank": masked(BANK, (4, 1))}, ("'bank' is missing", "not finite", "row 4, column 1")),
    "a masked whole number": ({"bank": masked(BANK.astype(int), (4, 1))}, ("'bank'", "row 4, column 1")),
    "lists of masked rows": ({"bank": list(masked(BANK, (4, 1)))}, ("'bank'", "row 4, column 1")),
    "a gap in a frame": ({"bank": pd.DataFrame({"a": pd.array([1] * 19 + [None])})}, ("row 19, column 0 ('a')",)),
    "a gap in Polars": ({"bank": pl.DataFrame({"a": [1] * 19 + [None]})}, ("row 19, column 0 ('a')",)),
    "nothing but gaps": ({"bank": pa.table({"a": pa.nulls(NUM_ROWS)})}, ("row 0, column 0 ('a')",)),
    "a masked label": ({"labels": masked(LABELS, 3)}, ("labels has none in 1 rows", "first of which is 3")),
    "a nullable label": ({"labels": pd.array([*LABELS[:-1], None], dtype="Int64")}, ("first of which is 19",)),
    "a label of Polars": ({"labels": pl.Series([*LABELS.tolist()[:-1], None])}, ("first of which is 19",)),
    "a missing category": ({"labels": pd.Categorical([*YES[:-1], None])}, ("first of which is 19",)),
    "a masked flag": ({"has_trigger": masked(FLAGS, 3)}, ("has_trigger holds nothing in row 3",)),
    "a missing flag": ({"has_trigger": pd.array([*FLAGS[:-1], None])}, ("has_trigger holds nothing in row 19",)),
    "a masked test flag": ({"test": masked(IS_TEST, 3)}, ("test holds nothing in place 3",)),
    "a masked test row": ({"test": masked(np.array([1, 2]), 1)}, ("test holds nothing in place 1",)),
    "masked ids of bags": ({"bank": BagOfIds(masked(LABELS[:, None], (2, 0)), vocabulary=3)}, ("'bank'", "masked")),
    "masked weights of bags": (
        {"bank": BagOfIds(LABELS[:, None], masked(BANK[:, :1], (2, 0)), vocabulary=3)},
        ("'bank'", "masked"),
    ),
}
UNFIT = {
    "complex numbers": ({"bank": BANK + 1j}, ("'bank'", "complex numbers")),
    "complex objects": ({"bank": np.full((NUM_ROWS, 1), 1j, object)}, ("'bank'", "complex numbers", "row 0, column 0")),
    "a complex column": ({"bank": pd.DataFrame({"a": BANK[:, 0] + 1j})}, ("'bank'", "complex", "column 'a'")),
    "durations in objects": (
        {"bank": np.array([[1.0, datetime.timedelta(1)]] * NUM_ROWS, object)},
        ("'bank'", "dates or durations", "row 0, column 1"),
    ),
    "dates in a frame": (
        {"bank": pd.DataFrame({"a": ROWS, "t": pd.date_range("2020", periods=NUM_ROWS)})},
        ("'bank'", "datetime64", "column 't'"),
    ),
    "durations in a frame": (
        {"bank": pd.DataFrame({"t": pd.to_timedelta(ROWS, unit="s")})},
        ("'bank'", "timedelta64", "column 't'"),
    ),
    "amounts": ({"bank": pd.DataFrame({"sum": ["1,234"] * NUM_ROWS})}, ("column 'sum'", "'1,234'", "load_tables")),
    "amounts in an array": ({"bank": np.array([["1", "28,7"]] * NUM_ROWS)}, ("'28,7'", "row 0, column 1")),
    "texts of Polars": ({"bank": pl.DataFrame({"a": ["x"] * NUM_ROWS})}, ("column 'a'", "'x'")),
    "a number beyond all floats": ({"bank": np.full((NUM_ROWS, 1), 10**400)}, ("'bank'", "too large")),
    "a lazy frame": ({"bank": pl.DataFrame(BANK).lazy()}, ("'bank' has values that are no numbers",)),
    "complex sparse numbers": ({"bank": csr_array(np.eye(NUM_ROWS) * 1j)}, ("'bank' is sparse complex128[20, 20]",)),
    "sparse numbers beyond float32": ({"bank": csr_array(np.eye(NUM_ROWS) * 1e39)}, ("'bank'", "not finite in row 0")),
    "a sparse row": ({"bank": coo_array(np.ones(NUM_ROWS))}, ("'bank' is sparse float64[20]", "[N, F]")),
    "columns of several lengths": ({"bank": {"a": [1.0], "b": [1.0, 2.0]}}, ("'bank' has columns of 1, 2 rows",)),
    "labels of several kinds": ({"labels": [0, "1"] * 10}, ("labels has values of several kinds",)),
    "truth values beside numbers": (
        {"labels": [1, True, 0, 0] * 5},
        ("several kinds", "0 beside True"),
    ),
    "truth values beside texts": (
        {"labels": [True, "no"] * 10},
        ("several kinds", "True beside 'no'"),
    ),
    "declared truth values beside numbers": ({"labels": [1, False] * 10, "classes": [0, 1]}, ("several kinds",)),
    "labels but for blanks": ({"labels": ["a", "b", "b ", "a"] * 5}, ("['b', 'b ']", "differ in blanks alone")),
    "an infinite label": ({"labels": np.where(LABELS, np.inf, 0)}, ("labels has inf in row 1",)),
    "labels in a column": ({"labels": pd.DataFrame({"y": LABELS})}, ("labels has shape (20, 1)",)),
    "no labels": ({"labels": None}, ("labels is None",)),
    "a mask of 0 and 1": ({"test": IS_TEST.astype(int)}, ("test has 20 numbers that are all 0 or 1", "truth values")),
    "rows of several lengths": ({"test": [[1], [2, 3]]}, ("test has shape (2, …)",)),
    "a condition": ({"test": ("bank", ">", 3)}, ("[3]; it must be a share",)),
    "classes without an order": ({"classes": {0, 1}}, ("classes is {0, 1}; expected a list",)),
    "a mask of texts": ({"test": ["yes"] * NUM_ROWS}, ("[20]; it must be a share", "bool[20]")),
}


@pytest.mark.parametrize("case", [*HIDDEN, *UNFIT])
def test_what_is_hidden_or_does_not_fit_is_refused(case):
    changes, message = (HIDDEN | UNFIT)[case]
    with pytest.raises(ValueError, match=says(*message)):
        load(**changes)


def test_masked_values_are_refused_where_arrays_are_split():
    with pytest.raises(ValueError, match=says("parties is missing", "row 4, column 1")):
        from_arrays(masked(BANK, (4, 1)), LABELS, by=2)
    with pytest.raises(ValueError, match=says("train has values or labels that are masked")):
        partition_table("mine", (masked(BANK, (4, 1)), LABELS), (BANK, LABELS), by=[[0], [1]])
    with pytest.raises(ValueError, match=says("rows has masked numbers in row 1")):
        BagOfIds.of([[1], masked(np.array([1, 2]), 0)], 3)


CLIENTS = pd.Index(ROWS + 100, name="client")
OTHER_ORDER = CLIENTS[::-1]
LAST_TWO_SWAPPED = CLIENTS[[*range(len(CLIENTS) - 2), -1, -2]]


def test_rows_of_one_index_are_paired():
    given_flags, given_test = pd.Series(FLAGS, CLIENTS), pd.Series(IS_TEST, CLIENTS)
    data = load(pd.DataFrame(BANK, CLIENTS), pd.Series(LABELS, CLIENTS), has_trigger=given_flags, test=given_test)
    assert data.fingerprint() == load(has_trigger=FLAGS).fingerprint()


@pytest.mark.parametrize(
    ("changes", "who"),
    [
        ({"labels": pd.Series(LABELS, OTHER_ORDER)}, "labels has another index than party 'bank'"),
        ({"labels": pd.Series(LABELS)}, "labels has another index than party 'bank'"),
        ({"labels": pd.Series(LABELS, LAST_TWO_SWAPPED)}, "labels has another index than party 'bank': its row 18"),
        ({"has_trigger": pd.Series(FLAGS, OTHER_ORDER)}, "has_trigger has another index than party 'bank'"),
        ({"test": pd.Series(IS_TEST, OTHER_ORDER)}, "test has another index than party 'bank'"),
        ({"labels": xr.DataArray(LABELS, {"client": np.array(OTHER_ORDER)})}, "labels has another index"),
    ],
)
def test_rows_of_another_order_are_refused(changes, who):
    with pytest.raises(ValueError, match=says(who, "paired by place", ".to_numpy()")):
        load(pd.DataFrame(BANK, CLIENTS), **changes)


def test_parties_of_another_order_are_refused():
    bank, shop = pd.DataFrame(BANK, CLIENTS), pd.DataFrame(SHOP, OTHER_ORDER)
    with pytest.raises(ValueError, match=says("party 'shop' has another index than party 'bank'", "119, not 100")):
        from_arrays({"bank": bank, "shop": shop}, LABELS)
    with pytest.raises(ValueError, match=says("labels has another index than parties")):
        from_arrays(bank, pd.Series(LABELS, OTHER_ORDER), by=2)
    with pytest.raises(ValueError, match=says("party 'bank', column 'b' has another index")):
        load({"a": pd.Series(ROWS), "b": pd.Series(ROWS, OTHER_ORDER)})


@pytest.mark.parametrize("kind", ["a dict", "several columns", "of xarray", "a data set"])
def test_columns_of_another_order_than_other_parties_are_refused(kind):
    column = pd.Series(BANK[:, 0], OTHER_ORDER)
    bank = {
        "a dict": {"x": column},
        "several columns": {"w": ROWS, "x": column},
        "of xarray": {"x": column.to_xarray()},
        "a data set": column.rename("x").to_xarray().to_dataset(),
    }[kind]
    shop = pd.DataFrame(SHOP, CLIENTS)
    with pytest.raises(ValueError, match=says("party 'shop' has another index than party 'bank', column 'x'")):
        from_arrays({"bank": bank, "shop": shop}, LABELS, test=IS_TEST)
    with pytest.raises(ValueError, match=says("labels has another index than party 'bank', column 'x'")):
        load(bank, pd.Series(LABELS, CLIENTS))
    data = load(bank, pd.Series(LABELS, OTHER_ORDER))
    np.testing.assert_array_equal(data.test.features[0][:, -1], BANK[IS_TEST, 0])


def test_a_number_that_names_two_parties_is_refused():
    for names in ((1, 0), ("1", "0"), ("1.0", "shop"), ("01", "shop")):
        parties = dict(zip(names, (BANK, SHOP), strict=True))
        with pytest.raises(ValueError, match=says("active_party is 1, which is the name of one", f"text '{names[0]}'")):
            from_arrays(parties, LABELS, test=IS_TEST, active_party=1)
        assert from_arrays(parties, LABELS, test=IS_TEST, active_party=str(names[0])).active_party == 0
    assert from_arrays({0: BANK, 1: SHOP}, LABELS, test=IS_TEST, active_party=1).active_party == 1


def test_a_share_is_read_as_it_is_written():
    expected = split_rows(0.2, LABELS, 0)
    for share in (np.float32(0.2), np.array(0.2), np.float64(0.2)):
        np.testing.assert_array_equal(split_rows(share, LABELS, 0), expected)


integers = st.integers(-(2**63), 2**64 - 1) | st.integers(2**63 - 3, 2**63 + 3) | st.integers(-(10**30), 10**30)


@properties
@given(st.lists(integers, min_size=1, max_size=6))
def test_whole_numbers_of_any_size_stay_exact(numbers):
    for kind in (list, lambda values: pd.Series(values, dtype=object), lambda values: [Decimal(x) for x in values]):
        assert exact(column_of("it", kind(numbers))).tolist() == numbers


def test_labels_of_64_bits_stay_apart():
    codes, classes = encode_labels(np.array([2**63, 2**63 + 1], np.uint64), None)
    assert (codes.tolist(), classes) == ([0, 1], [2**63, 2**63 + 1])


PRICES = np.repeat(np.arange(60) / 8, 5)
PRICES[0] = 99.5


@pytest.mark.parametrize(
    ("labels", "count", "looks"),
    [
        (PRICES, 61, "a number"),  # some stand several times
        ([Decimal(f"{price:.3f}") for price in PRICES], 61, "a number"),
        (np.arange(300) // 1.9, 158, "a number"),
        ([f"n{i // 1.9}" for i in range(300)], 158, "a name"),
        (range(9), 9, "a number"),
    ],
)
def test_what_is_measured_is_no_label(labels, count, looks):
    message = f"y has {count} different values in {len(labels)} rows; it looks like {looks}, not a class"
    with pytest.raises(ValueError, match=says(message)):
        encode_labels(list(labels), None, "y")
    assert len(encode_labels(list(labels), sorted(set(labels)))[1]) == count  # who names all classes means them


@pytest.mark.parametrize("labels", [PRICES[1:], [*range(60), *range(59), 0], [0.5] * 4 + [1.5], [1, 2, 2]])
def test_what_repeats_is_a_label(labels):
    assert encode_labels(labels, None)[1] == sorted(set(np.asarray(labels).tolist()))


ALL = np.ones(NUM_ROWS, bool)
OFFSETS = {
    "Unix times": 1.7e9 + 20 * ROWS,
    "milliseconds": 1_700_000_000_000 + 20_000 * ROWS,
    "nanoseconds": 1_700_000_000_000_000_000 + 10**9 * ROWS,
    "a million": 1e6 + 0.9 * np.sin(ROWS),
    "float32 days": (1.7e9 + 86_400 * ROWS).astype(np.float32),
    "small": 1e-30 * (1 + ROWS),
    "zero on average": ROWS - 9.5,
    "tiny": 1e-170 * (1 + ROWS),
    "the tiniest": 1e-310 * (1 + ROWS),
    "huge": 1e60 * (1 + ROWS),
    "the largest": 8e306 * (1 + ROWS),
    "huge and far": 1e200 * (1e6 + ROWS),
}


@pytest.mark.parametrize("case", OFFSETS)
def test_columns_far_from_zero_are_standardised(case):
    values = OFFSETS[case][:, None]
    result, is_constant = scaled(np.hstack([values, BANK[:, :1]]), ALL)
    assert not is_constant.any()
    np.testing.assert_array_equal(result[:, 1:], scaled(BANK[:, :1], ALL)[0])  # whatever stands beside it
    result = result[:, :1]
    exactly = values.astype(np.longdouble)
    np.testing.assert_allclose(result, (exactly - exactly.mean()) / exactly.std(), rtol=1e-4, atol=1e-6)
    data = load(pd.DataFrame({"t": OFFSETS[case], "a": BANK[:, 0]}), standardise=True)
    assert abs(data.train.features[0].std(axis=0) - 1).max() < 1e-5


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("mean", [0.1, 1.0, 300.0])
def test_a_deviation_of_8_eps_is_none(dtype, mean):
    eps = float(np.finfo(dtype).eps)
    signs = np.where(LABELS, 1, -1)[:, None]
    for factor, expected in ((0, True), (6, True), (12, False)):
        # Kept as float64, so that only eps differs.
        _, is_constant = scaled(mean * (1 + factor * eps * signs), ALL, eps)
        assert is_constant.tolist() == [expected]
    assert scaled(np.full((NUM_ROWS, 1), mean, dtype), ALL)[1].all()


def test_many_equal_rows_are_constant():
    values = np.repeat([[0.1, 1.7e12 + 0.1]], 300_000, axis=0)
    result, is_constant = scaled(values, np.ones(len(values), bool))
    assert is_constant.all()
    assert not result.any()


def test_each_column_of_a_frame_has_its_own_eps():
    jitter = np.float32(0.1) + np.spacing(np.float32(0.1)) * LABELS
    wide = jitter.astype(np.float64)
    with pytest.warns(UserWarning, match=says("party 'bank', column 1 ('narrow') (1 in all)")):
        data = load(pd.DataFrame({"wide": wide, "narrow": jitter.astype(np.float32)}), standardise=True)
    assert data.train.features[0].std(axis=0).round(3).tolist() == [1, 0]


def test_columns_that_float32_cannot_tell_apart_are_named():
    seconds = 1_700_000_000 + 10.0 * ROWS
    frame = pd.DataFrame({"t": seconds, "a": BANK[:, 0], "u": seconds.astype(np.int64)})
    found = "column 0 ('t'), 2 of 20; party 'bank', column 2 ('u'), 2 of 20. Say standardise=True"
    with pytest.warns(UserWarning, match=says(f"party 'bank', {found}")):
        load(frame)
    with pytest.warns(UserWarning, match=says("party 'party 1', column 0, 2 of 20. Say")):
        from_arrays(np.stack([ROWS, seconds], axis=1), LABELS, by=2, test=IS_TEST)
    # Rows that lie far apart are looked at, too.
    long = np.sort(np.tile(seconds, 100) + np.repeat(np.arange(100) * 200.0, 20))
    assert merged(long[:, None])[0][1:] == (len(np.unique(long)), len(np.unique(long.astype(np.float32))))


@pytest.mark.parametrize("kind", ["drawn", "float32", "constant", "whole", "a few equal"])
def test_other_columns_are_not_named(kind):
    values = {
        "drawn": np.random.default_rng(0).normal(1, 1e-4, (3000, 2)),
        "float32": (1.7e9 + 10 * ROWS[:, None]).astype(np.float32),
        "constant": np.full((20, 1), 0.1),
        "whole": ROWS[:, None] * 1000,
        "a few equal": np.append(ROWS / 7, ROWS[-1] / 7 + 1e-12)[:, None],
    }[kind]
    assert merged(values) == []


@pytest.mark.parametrize("dtype", [float, "Float64", object])
def test_numbers_beyond_float32_are_standardised_or_refused(dtype):
    frame = pd.DataFrame({"x": pd.Series(1e60 * ROWS, dtype=dtype), "y": ROWS})
    data = load(frame, standardise=True)
    np.testing.assert_array_equal(data.train.features[0][:, 0], data.train.features[0][:, 1])
    with pytest.raises(ValueError, match=says("party 'bank'", "beyond float32 in row 1, column 0 ('x')")):
        load(frame)


def test_a_test_row_beyond_float32_is_refused():
    values = np.where(IS_TEST, 1e38, 1e-30 * ROWS)[:, None]
    with pytest.raises(ValueError, match=says("party 'bank', standardised,", "beyond float32 in row")):
        load(values, standardise=True)

"""Tables of any library, ids that meet exactly, conditions and names as people write them."""

import datetime
import io
from decimal import Decimal
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from data_helpers import properties, says
from hypothesis import given
from hypothesis import strategies as st
from table_helpers import NUM_ROWS, bank, load, shop

from vfl_jax.data.own.table.conditions import Where
from vfl_jax.data.own.table.kinds import Categorical, Numeric, Tags
from vfl_jax.data.own.tables import load_tables

pa = pytest.importorskip("pyarrow")
pl = pytest.importorskip("polars")
ROWS = np.arange(NUM_ROWS)


def firms(left, right, **columns):
    """Two tables of these ids."""
    return {
        "a": pd.DataFrame({"id": left, "y": np.arange(len(left)) % 2, "v": np.arange(len(left))}),
        "b": pd.DataFrame({"id": right, "w": np.arange(len(right))} | columns),
    }


def join(left, right, **changes):
    return load_tables(firms(left, right), **({"id": "id", "label": "a.y", "standardise": False} | changes))


KINDS = {
    "Polars": pl.from_pandas,
    "an Arrow table": pa.Table.from_pandas,
    "a record batch": pa.RecordBatch.from_pandas,
    "Arrow-backed": lambda frame: frame.convert_dtypes(dtype_backend="pyarrow"),
    "nullable": lambda frame: frame.convert_dtypes(),
    "a dict of columns": lambda frame: {name: cells.tolist() for name, cells in frame.items()},
    "a dict of arrays": lambda frame: {name: cells.to_numpy() for name, cells in frame.items()},
    "objects": lambda frame: frame.astype(object),
    "turned twice": lambda frame: frame.T.T,
    "an index that is a column, too": lambda frame: frame.set_index("id", drop=False),
    "categories": lambda frame: frame.astype("category"),
    "an Arrow dictionary": lambda frame: pa.table(
        {name: pa.array(cells).dictionary_encode() for name, cells in frame.items()}
    ).to_pandas(types_mapper=pd.ArrowDtype),
    "Polars' categories": lambda frame: pl.from_pandas(frame).with_columns(pl.col(pl.String).cast(pl.Categorical)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_tables_of_any_library(kind):
    data, report = load(KINDS[kind](bank()), KINDS[kind](shop()))
    of_frames, of_report = load()
    assert data.fingerprint() == of_frames.fingerprint()
    assert data.feature_names == of_frames.feature_names
    assert report == of_report


NOT_TABLES = {
    "an open file": (io.StringIO("id,b\n1,2\n"), "is a StringIO; expected a path", "pandas.read_csv"),
    "an array": (np.ones((3, 2)), "is a ndarray; expected a path", "pandas.DataFrame(array"),
    "None": (None, "is a NoneType; expected a path"),
    "a lazy frame": (pl.DataFrame({"id": [1]}).lazy(), "is a LazyFrame; expected", "collect()"),
    "records": ([{"id": 1}], "is a list; expected"),
    "a series": (pl.Series([1]), "cannot read as a table"),
    "single values": ({"id": 1, "b": 2}, "column 'id' is 1; expected one value per row"),
    "several lengths": ({"id": [1, 2], "b": [1]}, "has columns of 1, 2 rows"),
    "an address": ("https://example.org/b.csv", "is at https://example.org/b.csv; give pandas.read_csv"),
    "a folder": (".", "is a folder; give a file"),
    "an index of other values": (
        shop().set_index(pd.Index(range(NUM_ROWS + 2), name="id")),
        "has 'id' as a column and, with other values, as its index",
    ),
}


@pytest.mark.parametrize("case", NOT_TABLES)
def test_what_is_no_table_is_refused(case):
    source, *message = NOT_TABLES[case]
    with pytest.raises(ValueError, match=says(*message)):
        load_tables({"bank": bank(), "shop": source}, id="id", label="bank.y")
    with pytest.raises(ValueError, match="'shop'"):
        load_tables({"bank": bank(), "shop": source}, id="id", label="bank.y")


def test_frames_without_pyarrow_say_what_to_install(monkeypatch):
    frame = pl.from_pandas(shop())
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(
        ImportError, match=says("table of 'shop' is a polars DataFrame", "pip install 'vfl_jax[parquet]'")
    ):
        load(shop=frame)


hashes = st.integers(0, 2**64 - 1) | st.integers(2**63 - 4, 2**63 + 4) | st.integers(2**53 - 4, 2**53 + 4)


@properties
@given(st.sets(hashes, min_size=4, max_size=12), st.sets(hashes, min_size=4, max_size=12), st.booleans())
def test_ids_of_64_bits_meet_exactly(left, right, is_unsigned):
    common = sorted({1, 2, 2**63 + 1, 2**63 + 2})
    left, right = [*common, *sorted(left - set(common))], [*sorted(right - set(common)), *common]
    kind = (lambda ids: np.array(ids, np.uint64)) if is_unsigned else (lambda ids: pd.Series(ids, dtype=object))
    data, _ = join(kind(left), np.array(right, np.uint64), test=kind(common[:2]))
    expected = [i for i in left if i in set(right)]
    for rows, ids in ((data.test, expected[:2]), (data.train, expected[2:])):
        assert rows.features[0][:, 0].tolist() == [left.index(i) for i in ids]
        assert rows.features[1][:, 0].tolist() == [right.index(i) for i in ids]


NUM_IDS = 12
PLACES = list(range(NUM_IDS))
SAME_IDS = {
    "unsigned and signed": (np.array(PLACES, np.uint64), np.array(PLACES, np.int16)),
    "floats that are whole": (np.array(PLACES, np.float32), PLACES),
    "beyond 64 bits": ([10**30 + i for i in PLACES], [Decimal(10**30 + i) for i in PLACES]),
    "UUIDs": ([UUID(int=i) for i in PLACES], [str(UUID(int=i)) for i in PLACES]),
    "bytes": ([b"k%d" % i for i in PLACES], [f"k{i}" for i in PLACES]),
    "days and texts": (
        pd.date_range("2020", periods=NUM_IDS),
        [str(day.date()) for day in pd.date_range("2020", periods=NUM_IDS)],
    ),
    "times of another zone": (
        pd.date_range("2020", periods=NUM_IDS, freq="h").as_unit("ns"),
        pd.date_range("2020", periods=NUM_IDS, freq="h").as_unit("s"),
    ),
}


@pytest.mark.parametrize("case", SAME_IDS)
def test_equal_ids_meet(case):
    left, right = (pd.Series(list(ids) if isinstance(ids, list) else ids) for ids in SAME_IDS[case])
    data, report = join(left, right[::-1].reset_index(drop=True), test=left[:4])
    assert report.train_rows + report.test_rows == NUM_IDS
    np.testing.assert_array_equal(data.train.features[0] + data.train.features[1], NUM_IDS - 1)
    np.testing.assert_array_equal(data.test.features[0][:, 0], PLACES[:4])


OTHER_IDS = {
    "neighbours of 64 bits": (
        np.array(PLACES, np.uint64) + 2**63,
        np.array(PLACES, np.uint64) + 2**63 + 100,
        "no id in common",
    ),
    "rounded": (np.array(PLACES) + 2.0**53, PLACES, "holds 9007199254740992.0 as an id, a floating number"),
    "rounded float32": (
        np.array(PLACES, np.float32) + 2**24,
        PLACES,
        "as an id, a floating number: from 16,777,216 on",
    ),
    "infinite": ([np.inf, *PLACES[1:]], PLACES, "holds inf as an id"),
    "several kinds": (pd.Series([1, "2"] * 6, dtype=object), PLACES, "ids of several kinds, such as 1, '2'"),
    "a blank more": (["k0 ", "k1", "k2", "k3"], ["k0", "k1", "k2", "k3"], "has id 'k0 '", "has 'k0': 1 ids"),
    "zeros before": (["007", "100", "101"], ["7", "100", "101"], "has id '007'", "has '7'", "leading zeros"),
    "a fraction of nothing": (["7.0", "8.0", "x"], ["7", "8", "x"], "has id '7.0'", "2 ids would meet but for"),
    "an invisible blank": (["\ufeff7a", "8a"], ["7a", "8a"], "1 ids would meet"),
    "composed letters": (["M\u00fcller", "x"], ["Mu\u0308ller", "x"], "1 ids would meet"),
    "letters of another case": (["AB1", "cd2", "3"], ["ab1", "CD2", "3"], "2 ids would meet", "another case"),
    "signed and not": (np.array([-1, 2, 3]), np.array([2**64 - 1, 2**63, 2**63 + 1], np.uint64), "no id in common"),
}


@pytest.mark.parametrize("case", OTHER_IDS)
def test_ids_that_only_seem_equal_are_refused(case):
    left, right, *message = OTHER_IDS[case]
    with pytest.raises(ValueError, match=says(*message)):
        join(left, right)


@pytest.mark.parametrize("ids", [["7", "07", "8", "9"], ["a", "A", "b", "B"], ["7", "7.0", "8", "9"]])
def test_what_tells_ids_apart_is_kept(ids):
    _, report = join(ids, ids[::-1], test=ids[2:])
    assert report.train_rows + report.test_rows == 4


def test_few_letters_of_another_case_are_other_ids():
    _, report = join(["a", "b", "c", "d", "E"], ["e", "a", "b", "c", "d"], test=["c", "d"])
    assert report.parties["a"].rows_lost == 1


IDS = np.arange(100, 124)
MASK = IDS < 106
NO_LISTS = {
    "a mask": (MASK, "test is a mask of 24 rows", "table['id'][mask]"),
    "a list of flags": (MASK.tolist(), "test is a mask of 24 rows"),
    "a mask of pandas": (pd.Series(MASK), "test is a mask"),
    "a nullable mask": (pd.array(MASK, dtype="boolean"), "test is a mask"),
    "a mask of Polars": (pl.Series(MASK), "test is a mask"),
    "a mask of 0 and 1": (MASK.astype(int), "test is a mask"),
    "a masked id": (np.ma.array([100, 101], mask=[False, True]), "test lists nothing in place 1"),
    "no id": ([None, 101], "test lists nothing in place 0"),
    "two kinds": ([100, "101"], "test has ids of several kinds"),
    "a neighbour of 64 bits": ([2**63 + 100], "none of them was joined"),
    "rounded ids": ([2.0**60], "test holds 1.152921504606847e+18 as an id"),
    "a flag beside ids": ([True, 105], "test has ids of several kinds"),
    "a table": (pd.DataFrame({"id": [100]}), "test has shape (1, 1)"),
}


@pytest.mark.parametrize("case", NO_LISTS)
def test_what_is_no_list_of_ids_is_refused(case):
    test, *message = NO_LISTS[case]
    with pytest.raises(ValueError, match=says(*message)):
        load(test=test)


def test_ids_to_test_on_of_another_kind_say_so(tmp_path):
    for name, table in firms(range(40), range(40)).items():
        table.assign(id=[f"{i:05d}" for i in range(40)]).to_csv(tmp_path / f"{name}.csv", index=False)
    tables = {name: tmp_path / f"{name}.csv" for name in "ab"}
    with pytest.raises(
        ValueError, match=says("test lists texts as ids, such as '00001'", "whole numbers, such as 0", "007")
    ):
        load_tables(tables, id="id", label="a.y", test=["00001", "00002"])
    assert load_tables(tables, id="id", label="a.y", test=[1, 2]).data.test.num_samples == 2


@pytest.mark.parametrize("labels", [[1, True, 0, 0], [1, "1", 0, "0"], [True, "True", False, False]])
def test_labels_of_several_kinds_are_refused(labels):
    with pytest.raises(ValueError, match=says("column 'y' has values of several kinds", "Make them one")):
        load(bank().assign(y=pd.Series(labels * (NUM_ROWS // 4), dtype=object)))


def test_a_condition_of_another_kind_is_refused_in_words():
    for where, message in (
        (
            ("shop.spent", ">", "0"),
            ("trigger compares 'shop.spent' with '0' (str)", "holds numbers, such as 0.0, 1.5"),
        ),
        (("bank.city", "<", 3), ("trigger compares 'bank.city' with 3 (int)", "holds texts, such as 'Bonn', 'Oslo'")),
    ):
        with pytest.raises(ValueError, match=says(*message, "Give a value of their kind")):
            load(trigger=where)


def test_ids_to_test_on_that_are_spelt_otherwise_are_refused():
    ids = [f"k{i}" for i in PLACES]
    with pytest.raises(ValueError, match=says("test lists id 'k1 ', and 'k1' was joined: 1 ids would meet")):
        join(ids, ids, test=["k0", "k1 "])


FILES = {
    "beside gaps": ("", "line 2, column 'id' holds nothing; 1 such cells"),
    "beside a sign": ("-1", None),
    "beyond 64 bits": (str(2**64 + 7), None),
}


def test_truth_values_beside_gaps_stay_so(tmp_path):
    path = tmp_path / "bank.csv"
    bank().assign(owner=[None, *([True, False] * 11), True]).to_csv(path, index=False)
    kinds = {"shop.words": Tags(), "bank.owner": Categorical(fill="unknown")}
    names = load(path, columns=kinds)[0].feature_names[0]
    assert {"owner=False", "owner=True"} <= set(names)


@pytest.mark.parametrize("case", FILES)
def test_files_of_64_bit_ids_are_read_exactly(tmp_path, case):
    first, message = FILES[case]
    ids = [first, *(2**63 + i for i in range(12))]
    for name, column in (("a", "y"), ("b", "w")):
        lines = [f"{id},{i % 2},{i}" for i, id in enumerate(ids)]
        (tmp_path / f"{name}.csv").write_text("\n".join([f"id,{column},{name}", *lines]) + "\n")
    paths = {name: tmp_path / f"{name}.csv" for name in "ab"}
    if message:
        with pytest.raises(ValueError, match=says("a.csv", message)):
            load_tables(paths, id="id", label="a.y")
        return
    other = pd.DataFrame({"id": pd.Series([int(id) for id in ids], dtype=object), "b": range(13)})
    for tables in (paths, paths | {"b": other}):
        data, report = load_tables(tables, id="id", label="a.y", standardise=False, test=[2**63, 2**63 + 1])
        assert report.train_rows + report.test_rows == 13
        assert data.test.features[1][:, -1].tolist() == [1, 2]


@pytest.mark.parametrize(
    "kind",
    [set, tuple, pd.Series, pd.Index, pl.Series, pa.array, lambda ids: np.array(ids, np.uint64), lambda ids: iter(ids)],
)
def test_lists_of_ids_of_any_library(kind):
    ids = [100, 101, 102, 103, 104, 105]
    assert load(test=kind(ids))[0].fingerprint() == load(test=ids)[0].fingerprint()


def test_a_condition_may_be_a_tuple():
    where = Where("bank.age", "<", 26)
    for plain in (tuple(where), list(where), (("bank", "age"), "<", 26), [["bank", "age"], "<", 26]):
        assert load(test=plain)[0].fingerprint() == load(test=where)[0].fingerprint()
        assert load(trigger=plain)[0].fingerprint() == load(trigger=where)[0].fingerprint()


CONDITIONS = {
    "an operator there is not": ({"test": ("bank.age", ">=", 26)}, "test.comparison is '>='", "'==', '<', '>', 'has'"),
    "a trigger's": ({"trigger": ("bank.age", "!=", 26)}, "trigger.comparison is '!='"),
    "a masked value": ({"trigger": Where("bank.age", ">", np.ma.masked)}, "trigger compares with masked; expected one"),
    "no value": ({"test": Where("bank.age", ">", None)}, "test compares with None; expected one value"),
    "not a number": ({"test": Where("bank.age", ">", np.nan)}, "test compares with nan; expected one value"),
    "several values": (
        {"trigger": Where("bank.city", "==", ["Rome", "Oslo"])},
        "trigger compares with ['Rome', 'Oslo']",
    ),
    "columns in a list": ({"columns": ["shop.words"]}, "columns is ['shop.words']; expected a dict of kinds"),
    "classes without an order": ({"classes": {0, 1}}, "classes is {0, 1}; expected a list"),
    "two parts": ({"trigger": ("bank.age", 26)}, "trigger is ('bank.age', 26); expected Where(column"),
    "a name": ({"trigger": "bank.age"}, "trigger is 'bank.age'; expected Where("),
    "several columns": ({"id": ["id", "day"]}, "id is ['id', 'day']; expected the name of one column", "astype(str)"),
    "several by party": ({"id": {"bank": ("id", "day"), "shop": "id"}}, "id is ('id', 'day'); expected"),
    "no id": ({"id": None}, "id is None; expected the name of one column"),
    "a column to drop": ({"drop": "bank.age"}, "drop is 'bank.age'; expected a list of columns, as ['bank.age']"),
    "no label": ({"label": None}, "label names column None; expected 'party.column'"),
    "half a label": ({"label": ("bank",)}, "label names column ('bank',); expected"),
    "a time that is none": (
        {"bank": bank().assign(t=pd.date_range("2020", periods=NUM_ROWS)), "test": Where("bank.t", ">", "soon")},
        "test compares 'bank.t' with 'soon': it holds times",
    ),
    "complex numbers": ({"bank": bank().assign(age=1j * ROWS)}, "column 'age' holds complex values"),
    "dates as numbers": (
        {
            "bank": bank().assign(age=pd.date_range("2020", periods=NUM_ROWS)),
            "columns": {"bank.age": Numeric()},
        },
        "column 'age' holds datetime64 values; expected numbers",
    ),
    "durations as numbers": (
        {"bank": bank().assign(age=pd.to_timedelta(ROWS, unit="s")), "columns": {"bank.age": Numeric()}},
        "column 'age' holds timedelta64 values; expected numbers",
    ),
    "nothing at all": (
        {"bank": bank().assign(age=pd.Series(pd.arrays.ArrowExtensionArray(pa.nulls(NUM_ROWS))))},
        "column 'age' holds nothing; 24 such cells",
        "drop=['bank.age']",
    ),
    "labels but for blanks": (
        {"bank": bank().assign(y=["a", "b", "b "] * 8)},
        "column 'y' has ['b', 'b '], which differ in blanks alone",
    ),
    "too large for a float": (
        {"bank": bank().assign(age=pd.Series([10**400] * NUM_ROWS, dtype=object))},
        "column 'age' holds 1000",
        "expected a finite number",
    ),
}


@pytest.mark.parametrize("case", CONDITIONS)
def test_what_cannot_be_meant_is_refused(case):
    changes, *message = CONDITIONS[case]
    with pytest.raises(ValueError, match=says(*message)):
        load(**changes)


def test_parties_are_a_dict():
    with pytest.raises(ValueError, match=says("tables is a list; expected a dict")):
        load_tables([bank(), shop()], id="id", label="bank.y")


def test_parties_may_be_numbers_in_any_order():
    data, _ = load_tables({1: bank(), 0: shop()}, id="id", label="1.y", columns={"0.words": Tags()}, test=0.25)
    assert (data.parties, data.active_party) == (("1", "0"), 0)


def test_times_are_compared_as_times():
    days = pd.date_range("2020-01-01 12:00", periods=NUM_ROWS)
    for cells in (days, days.date + datetime.timedelta(days=1)):
        for value in (
            "2020-01-19",
            pd.Timestamp("2020-01-19"),
            np.datetime64("2020-01-19"),
            datetime.date(2020, 1, 19),
        ):
            data, _ = load(bank().assign(day=cells), test=Where("bank.day", ">", value))
            assert data.test.num_samples == 6


def test_numbers_are_compared_in_their_own_dtype():
    frame = bank().assign(age=np.where(ROWS < 6, 0.1, 0.7).astype(np.float32))
    for where in (Where("bank.age", "==", 0.1), Where("bank.age", "<", np.float64(0.7)), Where("bank.age", ">", 0.1)):
        _, report = load(frame, trigger=where)
        assert report.train_triggered + report.test_triggered == (18 if where.comparison == ">" else 6)


def test_ordered_categories_are_compared_in_their_order():
    sizes = pd.Categorical(["S", "M", "L"] * 8, categories=["S", "M", "L"], ordered=True)
    _, report = load(bank().assign(city=sizes), trigger=Where("bank.city", ">", "S"))
    assert report.train_triggered + report.test_triggered == 16
    with pytest.raises(ValueError, match=says("trigger compares 'bank.city' with 'XL'", "'S', 'M', 'L'")):
        load(bank().assign(city=sizes), trigger=Where("bank.city", ">", "XL"))


NUMBERS = {
    "whole": [int(i) for i in ROWS],
    "floats": [i / 2 for i in ROWS],
    "decimals": [Decimal(int(i)) / 8 for i in ROWS],
    "mixed": [Decimal(int(i)) if i % 2 else float(i) for i in ROWS],
    "large": [10**15 * int(i) for i in ROWS],
    "beyond 64 bits": [10**29 * int(i) for i in ROWS],
}


@pytest.mark.parametrize("case", NUMBERS)
def test_objects_that_are_numbers_are_numbers(case):
    cells = pd.Series(NUMBERS[case], dtype=object)
    data, report = load(bank().assign(age=cells), standardise=False)
    assert report.parties["bank"].columns["age"].kind == "numeric"
    ages = np.concatenate([rows.features[0][:, 0] for rows in (data.train, data.test)])
    np.testing.assert_array_equal(np.sort(ages), np.array(NUMBERS[case], np.float64).astype(np.float32))


def test_constant_columns_are_reported():
    frame = bank().assign(age=0.1, score=1.7e12 + ROWS)
    data, report = load(frame)
    of_columns = report.parties["bank"].columns
    assert [of_columns[name].is_constant for name in ("age", "score", "city")] == [True, False, False]
    assert "age: numeric, constant over the training rows and therefore set to 0" in str(report)
    assert abs(data.train.features[0][:, 1].std() - 1) < 1e-5
    with pytest.warns(UserWarning, match=says("'bank', column 'score', 1 of 24. Say standardise=True")):
        _, report = load(frame, standardise=False)
    assert not report.parties["bank"].columns["age"].is_constant


def test_numbers_beyond_float32_are_standardised_or_refused():
    frame = bank().assign(age=1e60 * ROWS, score=1e-170 * ROWS)
    data, report = load(frame)
    assert not any(report.parties["bank"].columns[name].is_constant for name in ("age", "score"))
    assert abs(data.train.features[0][:, :2].std(axis=0) - 1).max() < 1e-5
    with pytest.raises(ValueError, match=says("row 1", "'age' holds 1e+60; expected a finite number that float32")):
        load(frame, standardise=False)


def test_texts_that_are_no_categories_are_refused():
    names = [f"client {i} of {i}" for i in ROWS]
    with pytest.raises(ValueError, match=says("column 'city' holds texts that are rather names", "6 of 6 test rows")):
        load(bank().assign(city=names))
    _, report = load(bank().assign(city=names), columns={"bank.city": Categorical(), "shop.words": Tags()})
    assert report.parties["bank"].columns["city"].num_unknown == 6

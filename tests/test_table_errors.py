"""Every mistake in a table is met with its file, line and column, what was found, and what to do."""

import gzip
import sys

import numpy as np
import pandas as pd
import pytest
from data_helpers import says
from table_helpers import NUM_ROWS, bank, load, shop, write

from vfl_jax.data.own.table.columns import MOST_CATEGORIES
from vfl_jax.data.own.table.conditions import Where
from vfl_jax.data.own.table.kinds import Categorical, Numeric, Tags
from vfl_jax.data.own.tables import load_tables

BANK_CSV = "id,y,age\n" + "".join(f"{i},{i % 2},{20 + i}\n" for i in range(100, 124))
"""Lines 1 (the header) to 25."""

FILES = {
    "an empty file": ("", "is empty; expected a header and rows"),
    "blank lines only": ("\n\n", "is empty; expected a header and rows"),
    "a header only": ("id,y,age\n", "has a header and no rows"),
    "semicolons": (
        BANK_CSV.replace(",", ";"),
        "has one column, 'id;y;age'",
        "likely ';'",
        "pandas.read_csv(path, sep=';')",
    ),
    "tabs": (BANK_CSV.replace(",", "\t"), "has one column", "likely '\\t'"),
    "one column": ("id\n1\n2\n", "has the one column 'id'; expected an id and at least one more"),
    "a column twice": (BANK_CSV.replace("id,y", "id,age", 1), "has column 'age' twice, as columns 2 and 3"),
    "a column without a name": (BANK_CSV.replace("y", "", 1), "no name for column 2"),
    "a long line": (BANK_CSV.replace("\n103,1,", "\n103,1,x,"), "has 4 cells on line 5; the header has 3", "quotes"),
    "a long first line": (BANK_CSV.replace("\n100,0,", "\n100,0,x,"), "has 4 cells on line 2; the header has 3"),
    "long lines everywhere": (BANK_CSV.replace("\n", ",\n").replace("age,", "age"), "has 4 cells on line 2"),
    "a short line": (BANK_CSV.replace("\n103,1,123", "\n103,1"), "has 2 cells on line 5; the header has 3"),
    "a long line after a blank one": (BANK_CSV.replace("\n103,1,", "\n\n103,1,x,"), "has 4 cells on line 6"),
    "no number": (
        BANK_CSV.replace("123\n", "12o\n", 1),
        "line 5, column 'age' holds '12o', where most cells are numbers",
    ),
    "an infinite number": (
        BANK_CSV.replace("123\n", "-inf\n", 1),
        "line 5, column 'age' holds -inf; expected a finite",
    ),
    "too large a number": (
        BANK_CSV.replace("123\n", "1e309\n", 1),
        "line 5, column 'age' holds ",  # inf, or the text, as the version of pandas reads it
        "; expected a finite",
    ),
    "no number at all": (
        BANK_CSV.replace("123\n", "\n", 1).replace("124\n", "NA\n", 1),
        "line 5, column 'age' holds nothing; 2 such cells",
        "Numeric(fill='mean')",
        "drop=['bank.age']",
    ),
    "an id twice": (
        BANK_CSV.replace("\n105,", "\n103,"),
        "line 7, column 'id' holds id 103 again, which line 5 has already; 1 rows repeat",
    ),
    "no id": (
        BANK_CSV.replace("\n105,", "\n,"),
        "line 7, column 'id' holds nothing; 1 such cells",
        "Every row needs an id",
    ),
    "no label": (
        BANK_CSV.replace("\n105,1,", "\n105,,").replace("\n109,1,", "\n109,,"),
        "line 7, column 'y' holds nothing; 2 such cells",
        "id 105: every joined row needs a label",
    ),
    "ids that are texts": (
        BANK_CSV.replace("\n105,", "\n105x,"),
        "bank.csv has texts for ids, such as '100'",
        "shop",
        "whole numbers, such as 125",
        "Write them alike",
    ),
    "ids with fractions": (
        BANK_CSV.replace("\n105,", "\n105.5,"),
        "numbers with a fraction for ids, such as 100.0",
        "whole numbers",
    ),
    "other ids": (
        BANK_CSV.replace("\n1", "\n9"),
        "have no id in common: 900, 901, 902, … (24 in all) on one side, 125, 124, 123, … (26 in all)",
        "'id' and 'id'",
    ),
    "an open quote": (BANK_CSV.replace("\n103,", '\n"103,'), "has 1 cells on line 5"),
}


@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
@pytest.mark.parametrize("case", FILES)
def test_a_bad_file_is_refused(tmp_path, case, ending):
    text, *message = FILES[case]
    path = write(tmp_path / f"bank.{ending}", text)
    with pytest.raises(ValueError, match=says("bank.csv", *(part.removeprefix("bank.csv") for part in message))):
        load(path)


def parquet(path):
    return path.with_suffix(".parquet")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bank.csv", BANK_CSV.encode("utf-16"), ("is not UTF-8 text", "save it as UTF-8")),
        ("bank.csv", BANK_CSV.replace("y", "größe").encode("latin-1"), ("is not UTF-8 text",)),
        ("bank.csv", BANK_CSV.replace("123\n", "ß\n").encode("latin-1"), ("is not UTF-8 text",)),
        ("bank.csv.gz", BANK_CSV.encode(), ("is not a whole gzip file", "fetch it again")),
        ("bank.csv.gz", gzip.compress(BANK_CSV.encode(), mtime=0)[:-20], ("is not a whole gzip file",)),
        ("bank.csv.gz", gzip.compress(BANK_CSV.encode(), mtime=0)[:-8] + bytes(8), ("is not a whole gzip file",)),
        ("bank.xlsx", b"PK", ("must end in one of .csv, .csv.gz, .tsv, .tsv.gz, .parquet", "DataFrame")),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=says(name, *message)):
        load(tmp_path / name)


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path):
    (tmp_path / "bank.csv").write_bytes(b"\xef\xbb\xbf" + BANK_CSV.encode())
    assert load(tmp_path / "bank.csv")[0].feature_names[0] == ("age",)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=says("nowhere.csv, the table of 'bank'", "is not there")):
        load(tmp_path / "nowhere.csv")


def test_a_damaged_parquet_file_is_refused(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "bank.parquet"
    bank().to_parquet(path)
    for content in (b"", b"id,y", path.read_bytes()[:-10]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=says("bank.parquet is not a whole Parquet file", "fetch it again")):
            load(path)


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "bank.parquet").touch()
    for name in ("pyarrow", "fastparquet"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=says("bank.parquet", "pip install 'vfl_jax[parquet]'")):
        load(tmp_path / "bank.parquet")


def changed(frame, row, **cells):
    """A frame with other cells in one row."""
    frame = frame.astype(dict.fromkeys(cells, object))
    for name, cell in cells.items():
        frame.loc[row, name] = cell
    return frame


DATES = pd.date_range("2020-01-01", periods=NUM_ROWS)
NAMES = [f"name {i} of {i}" for i in range(MOST_CATEGORIES + 1)]
LONG = pd.DataFrame({"id": range(len(NAMES)), "y": [0, 1] * (len(NAMES) // 2) + [0], "name": NAMES})

ARGUMENTS = {
    "an unknown party": ({"label": "firm.y"}, "label names column 'firm.y'", "'bank', 'shop'"),
    "no party": ({"label": "y"}, "label names column 'y'; expected 'party.column' or ('party', 'column')"),
    "an unknown label": (
        {"label": "bank.z"},
        "the data frame of 'bank' has no column 'z', which label names; it has 'id', 'y', 'age'",
    ),
    "an unknown id": ({"id": "key"}, "has no column 'key', which id names"),
    "ids of other parties": ({"id": {"bank": "id"}}, "id names columns of 'bank'; the parties are 'bank', 'shop'"),
    "an unknown column": (
        {"columns": {"shop.word": Tags()}},
        "'shop' has no column 'word', which columns names; it has 'id', 'spent', 'words'",
    ),
    "no kind": (
        {"columns": {"shop.words": "tags"}},
        "columns gives 'shop.words' 'tags'; expected Numeric(), Categorical() or Tags()",
    ),
    "an unknown column to drop": ({"drop": ["bank.ages"]}, "no column 'ages', which drop names"),
    "a kind for what is dropped": (
        {"columns": {"shop.words": Tags()}, "drop": ["shop.words"]},
        "columns has 'shop.words', which drop takes",
    ),
    "a kind for the id": ({"columns": {"bank.id": Numeric()}}, "columns has 'bank.id', which id takes"),
    "a kind for the split": (
        {"columns": {"bank.age": Numeric()}, "test": Where("bank.age", ">", 30)},
        "columns has 'bank.age', which test takes",
    ),
    "an unknown split": ({"test": Where("bank.split", "==", "test")}, "no column 'split', which test names"),
    "a split that none is in": (
        {"test": Where("bank.city", "==", "Rom")},
        "test: no joined row has 'bank.city' == 'Rom'",
        "'Bonn', 'Oslo', 'Rome'",
    ),
    "a split that all are in": ({"test": Where("bank.age", ">", 0)}, "test holds 24 of 24 rows"),
    "a share above 1": ({"test": 1.5}, "test is 1.5"),
    "a whole number": ({"test": 1}, "test is 1; expected a share"),
    "a column's name": ({"test": "bank.split"}, "test is 'bank.split'; expected a share such as 0.2, Where("),
    "ids to test on that are not there": (
        {"test": [1, 2]},
        "test lists 2 ids, such as 1, 2, and none of them was joined",
        "100, 101, 102",
    ),
    "ids to test on that are texts": (
        {"test": ["100"]},
        "test lists texts as ids, such as '100', and the ids that were",
    ),
    "a measured label": (
        {"bank": bank().assign(y=np.linspace(0, 1, NUM_ROWS))},
        "the data frame of 'bank', column 'y' has 24 different values in 24 rows; it looks like a number, not a class",
        "make few classes of it",
        "have 24 rows in common",
    ),
    "a name as the label": (
        {"bank": bank().assign(y=[f"n{i}" for i in range(NUM_ROWS)])},
        "column 'y' has 24 different values in 24 rows; it looks like a name, not a class. Name another column. The",
    ),
    "a label of one class": (
        {"bank": bank().assign(y="no")},
        "the data frame of 'bank', column 'y' has one class alone, 'no'; there must be at least 2 classes",
    ),
    "a class without training rows": ({"test": list(range(100, 124, 2))}, "classes [0] have no training rows"),
    "a label of no class": (
        {"classes": (0, 2)},
        "'bank', row 1 (counted from 0), column 'y' holds 1; classes are 0, 2",
    ),
    "a trigger's unknown column": (
        {"trigger": Where("shop.tags", "has", "x")},
        "no column 'tags', which trigger names",
    ),
    "a trigger that is nowhere": (
        {"trigger": Where("shop.words", "has", "blck")},
        "trigger: no joined row has 'shop.words' has 'blck'",
        "'black-cat', 'blue'",
    ),
    "a trigger of another type": (
        {"trigger": Where("bank.age", "==", "30")},
        "trigger: no joined row has 'bank.age' == '30'",
    ),
    "a trigger that cannot be compared": (
        {"trigger": Where("bank.city", ">", 3)},
        "trigger compares 'bank.city' with 3",
    ),
    "a number compared with a text": ({"trigger": Where("bank.age", ">", "3")}, "trigger compares 'bank.age' with '3'"),
    "an unknown comparison": (
        {"trigger": Where("bank.age", ">=", 3)},
        "trigger.comparison is '>='",
        "'==', '<', '>', 'has'",
    ),
    "tags that are compared": (
        {"trigger": Where("shop.words", "==", "red")},
        "trigger compares 'shop.words' by '=='; 'has' is for columns of Tags()",
    ),
    "tags of a category": ({"trigger": Where("bank.city", "has", "Rome")}, "trigger compares 'bank.city' by 'has'"),
    "a party without features": ({"drop": ["shop.spent", "shop.words"], "columns": {}}, "'shop' has no features"),
    "a text declared a number": (
        {"columns": {"bank.city": Numeric()}},
        "'bank', row 0 (counted from 0), column 'city' holds 'Rome'; expected a finite number",
        "drop=['bank.city']",
    ),
    "numbers declared tags": (
        {"columns": {"shop.spent": Tags()}},
        "'shop', row 25 (counted from 0), column 'spent' holds 0.0 (floating); expected tags",
    ),
    "dates": (
        {"bank": bank().assign(age=DATES)},
        "column 'age' holds datetime64 values; expected numbers, texts or truth values",
        "drop=['bank.age']",
    ),
    "a category that is missing": (
        {"bank": changed(bank(), 3, city=None)},
        "row 3 (counted from 0), column 'city' holds nothing",
        "Categorical(fill='unknown')",
    ),
    "a text among numbers": (
        {"bank": changed(bank(), 3, age="x")},
        "row 3 (counted from 0), column 'age' holds 'x', where most cells are numbers",
    ),
    "tags in lists, undeclared": (
        {"shop": shop().assign(words=[["red"]] * 26), "columns": {}},
        "column 'words' holds mixed values",
        "columns={'shop.words': Tags()} for lists",
    ),
    "a mean of nothing": (
        {"bank": bank().assign(age=np.nan), "columns": {"bank.age": Numeric(fill="mean")}},
        "column 'age' holds nothing; 24 such cells",
    ),
    "names": (
        {"bank": LONG, "shop": pd.DataFrame({"id": LONG["id"], "v": 1}), "columns": {}},
        "column 'name' holds 1001 different texts; up to 1000 are taken for categories",
        "drop=['bank.name']",
    ),
    "no tags": (
        {"shop": shop().assign(words="")},
        "column 'words' has no tags in the training rows",
        "drop=['shop.words']",
    ),
    "an empty frame": ({"shop": shop()[:0]}, "the data frame of 'shop' has a header and no rows"),
    "a frame's column twice": (
        {"bank": pd.concat([bank(), bank()[["age"]]], axis=1)},
        "has column 'age' twice, as columns 3 and 6",
    ),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_a_bad_argument_is_refused(case):
    changes, *message = ARGUMENTS[case]
    with pytest.raises(ValueError, match=says(*message)):
        load(**changes)


def test_tables_that_only_meet_in_pairs_are_refused():
    tables = {
        "a": pd.DataFrame({"id": [1, 2], "y": [0, 1], "v": [1, 2]}),
        "b": pd.DataFrame({"id": [1, 3], "v": [1, 2]}),
        "c": pd.DataFrame({"id": [2, 4], "v": [1, 2]}),
    }
    with pytest.raises(ValueError, match=says("no id is in the tables of all of 'a', 'b', 'c'", "some of 'a'")):
        load_tables(tables, id="id", label="a.y")


def test_one_party_is_not_enough():
    with pytest.raises(ValueError, match=says("parties are ['bank']", "at least 2")):
        load_tables({"bank": bank()}, id="id", label="bank.y")


def test_cells_of_rows_that_are_not_joined_do_not_matter():
    unjoined = changed(shop(), 0, spent=None)
    assert unjoined["id"][0] == 125
    data, _ = load(shop=unjoined, columns={"shop.words": Tags(), "shop.spent": Numeric()})
    assert data.fingerprint() == load()[0].fingerprint()


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (Tags, {"separator": ""}, ("Tags.separator is empty",)),
        (Tags, {"most": 0}, ("Tags.most is 0", "above 0")),
        (Tags, {"most": 3, "vocabulary": ("a",)}, ("Tags.most is 3", "without a vocabulary")),
        (Tags, {"vocabulary": {"b", "a"}}, ("Tags.vocabulary is {", "expected a list")),
        (Tags, {"vocabulary": "ab"}, ("Tags.vocabulary is 'ab'", "expected a list")),
        (Tags, {"vocabulary": ()}, ("Tags.vocabulary is empty",)),
        (Tags, {"vocabulary": ("a", "a")}, ("a tag twice",)),
        (Numeric, {"fill": "median"}, ("Numeric.fill is 'median'", "'mean' or None")),
        (Numeric, {"fill": float("inf")}, ("Numeric.fill is inf", "finite")),
        (Categorical, {"fill": 3}, ("Categorical.fill is 3", "text")),
    ],
)
def test_a_kind_checks_its_fields(kind, fields, message):
    with pytest.raises(ValueError, match=says(*message)):
        kind(**fields)

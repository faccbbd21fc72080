"""Flags of your own tables: they load what ``load_tables`` loads, a file says the same, and mistakes are named."""

import pickle
import shlex

import numpy as np
import pytest
from data_helpers import says

import vfl_jax as vfl
from vfl_jax.cli.advice import said
from vfl_jax.cli.own_tables import OwnTables, condition


@pytest.fixture
def folder(tmp_path):
    """Two tables of forty rows."""
    rows = range(40)
    (tmp_path / "a.csv").write_text("id,age,job,y\n" + "".join(f"{i},{i % 7},j{i % 3},{i % 2}\n" for i in rows))
    (tmp_path / "b.csv").write_text("id,buys,spent\n" + "".join(f"{i},t{i % 4};u,{i % 5}.5\n" for i in rows))
    return tmp_path


def flags_of(folder, **more):
    tables = (f"bank={folder / 'a.csv'}", f"shop={folder / 'b.csv'}")
    return OwnTables(**{"table": tables, "id": ("id",), "label": "bank.y", **more})


def assert_same(flags, folder, **arguments):
    tables = {"bank": str(folder / "a.csv"), "shop": str(folder / "b.csv")}
    expected = vfl.load_tables(tables, id="id", label="bank.y", name="bank+shop", **arguments).data
    found = pickle.loads(pickle.dumps(flags.source()))().data  # as a worker gets it
    assert found.parties == expected.parties == ("bank", "shop")
    assert (found.active_party, found.name, found.feature_names) == (0, "bank+shop", expected.feature_names)
    for mine, other in zip(found.train.features, expected.train.features, strict=True):
        np.testing.assert_array_equal(np.asarray(mine), np.asarray(other))
    np.testing.assert_array_equal(found.train.has_trigger, expected.train.has_trigger)
    np.testing.assert_array_equal(found.test.labels, expected.test.labels)


def test_tables_are_those_of_load_tables(folder):
    assert_same(flags_of(folder, drop=("shop.buys",)), folder, drop=["shop.buys"])


def test_every_flag_arrives(folder):
    flags = flags_of(
        folder,
        column=("bank.age=Categorical", "shop.buys=Categorical(fill=none)"),
        drop=("shop.spent",),
        test="0.4",
        marked="bank.job==j2",
    )
    kinds = {"bank.age": vfl.data.Categorical(), "shop.buys": vfl.data.Categorical(fill="none")}
    assert_same(flags, folder, columns=kinds, drop=["shop.spent"], test=0.4, trigger=("bank.job", "==", "j2"))
    assert_same(flags_of(folder, test="bank.age>4"), folder, test=("bank.age", ">", 4))
    pairs = ("bank=id", "shop=id")
    assert flags_of(folder, id=pairs).source().keywords["id"] == {"bank": "id", "shop": "id"}


def test_a_file_says_the_same_and_flags_win(folder):
    file = folder / "tables.toml"
    file.write_text(
        'id = "id"\nlabel = "shop.spent"\ntest = 0.4\ndrop = ["shop.spent"]\n'
        '[table]\nbank = "a.csv"\nshop = "b.csv"\n[column]\n"shop.buys" = "Categorical"\n'
    )
    kinds = {"shop.buys": vfl.data.Categorical()}
    flags = OwnTables(tables=file, label="bank.y")
    assert flags.is_given
    assert_same(flags, folder, columns=kinds, drop=["shop.spent"], test=0.4)
    assert not OwnTables().is_given


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"table": ("bank",)}, ("--table has 'bank'", "bank=a.csv")),
        ({"table": ("bank=a.csv",)}, ("--table names 1 of your parties", "at least two")),
        ({"table": ("bank=a.csv", "bank=b.csv")}, ("--table names 'bank' twice",)),
        ({"id": ()}, ("--table needs --id COLUMN",)),
        ({"label": None}, ("--table needs --label PARTY.COLUMN",)),
        ({"column": ("bank.age=Categories",)}, ("--column has 'Categories'", "Numeric, Categorical, Tags")),
        ({"column": ("bank.age=Tags(by=1)",)}, ("--column has 'Tags(by=1)'", "separator")),
        ({"test": "many"}, ("--test is 'many'", "bank.job==student")),
        ({"marked": "bank.age=3"}, ("--marked is 'bank.age=3'", "PARTY.COLUMN==VALUE")),
    ],
)
def test_mistakes_are_named(folder, changes, parts):
    with pytest.raises(ValueError, match=says(*parts)):
        flags_of(folder, **changes).source()


@pytest.mark.parametrize(("text", "parts"), [("tabel = 1", ("'tabel'", "table, id, label")), ("id =", ("no TOML",))])
def test_a_file_that_says_something_else_is_named(tmp_path, text, parts):
    (tmp_path / "t.toml").write_text(text)
    with pytest.raises(ValueError, match=says("--tables is", "t.toml", *parts)):
        OwnTables(tables=tmp_path / "t.toml").source()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("bank.job == 'a b'", ("bank.job", "==", "a b")),
        ("shop.buys has tea", ("shop.buys", "has", "tea")),
        ("bank.income<-2.5", ("bank.income", "<", -2.5)),
        ("bank.job==self employed", ("bank.job", "==", "self employed")),
    ],
)
def test_conditions_are_read(text, parts):
    assert condition("--marked", text) == parts


LEFT_OUT = "--drop bank.age"
AS_TEXTS = "--column bank.age=Categorical"
AS_NUMBERS = "--column 'bank.age=Numeric(fill=mean)'"
COMMA, GROUPS = (f"--column 'bank.age=Numeric({sign}=\",\")'" for sign in ("decimal", "thousands"))
TAGS = """--column 'bank.age=Tags(separator=";", value_separator=":")'"""
ADVISED = {
    "an empty number": (["", *["1.5"] * 39], (AS_NUMBERS, LEFT_OUT)),
    "an empty category": (["", *["red"] * 39], ("--column 'bank.age=Categorical(fill=unknown)'", LEFT_OUT)),
    "names": (["a" * i for i in range(1, 41)], (LEFT_OUT, AS_TEXTS)),
    "no number": (["x", *["1.5"] * 39], (AS_TEXTS,)),
    "a comma": (['"1,234"'] * 40, (COMMA, GROUPS)),
    "amounts": ([f"{i} kr" for i in range(40)], ("--column 'bank.age=Numeric(unit=kr)'", AS_TEXTS, LEFT_OUT)),
    "tags and values": ([f"a:{i};b:2" for i in range(40)], (TAGS, AS_TEXTS, LEFT_OUT)),
}
"""Cells of a column, and the flags that mend what is wrong with them."""


def written(folder, cells):
    rows = [f"{i},{cell},j{i % 3},{i % 2}\n" for i, cell in enumerate(cells)]
    (folder / "a.csv").write_text("id,age,job,y\n" + "".join(rows))


@pytest.mark.parametrize("case", ADVISED)
def test_flags_in_errors_can_be_pasted(folder, case):
    cells, advised = ADVISED[case]
    written(folder, cells)
    with pytest.raises(ValueError, match="column 'age'") as refused:
        flags_of(folder, drop=("shop.buys",)).source()()
    message = said(refused.value, ["audit", "--table", "bank=a.csv"])
    for python in ("columns=", "drop=[", "fill='"):
        assert python not in message
    for words in advised:
        assert words in message
        flag, text = shlex.split(words)
        more = {"drop": (text,)} if flag == "--drop" else {"column": (text,)}
        loaded = flags_of(folder, **{"drop": (), **more}).source()().data
        assert loaded.parties == ("bank", "shop")


def test_errors_advise_the_keys_of_the_file(folder):
    written(folder, [""] + ["1.5"] * 39)
    file = folder / "tables.toml"
    file.write_text('id = "id"\nlabel = "bank.y"\ndrop = ["shop.buys"]\n[table]\nbank = "a.csv"\nshop = "b.csv"\n')
    with pytest.raises(ValueError, match=says("columns={'bank.age': Numeric(fill='mean')}", "drop=['bank.age']")) as no:
        OwnTables(tables=file).source()()
    for words in (["audit", str(file)], ["run", "own", "--tables", str(file)], ["run", "own", f"--tables={file}"]):
        message = said(no.value, words)
        assert f'[column] "bank.age" = "Numeric(fill=mean)" in {file}' in message
        assert f'drop = ["bank.age"] in {file}' in message
    assert "--drop bank.age;" in said(no.value, ["audit", str(file), "--drop", "shop.buys"])  # the flag wins
    file.write_text(file.read_text() + '[column]\n"bank.age" = "Numeric(fill=mean)"\n')
    OwnTables(tables=file).source()()


@pytest.mark.parametrize(
    ("changes", "typed", "parts"),
    [
        ({"label": "bank.z"}, "--label", ("has no column 'z', which --label names",)),
        ({"drop": ("bank.z",)}, "--drop", ("which --drop names",)),
        ({"column": ("bank.z=Numeric",)}, "--column", ("which --column names",)),
        ({"marked": "bank.z==3"}, "--marked", ("which --marked names",)),
        ({"drop": ("z",)}, "--drop", ("--drop names column 'z'; expected 'party.column', where",)),
        ({"marked": "bank.job==zz"}, "--marked", ("--marked: no joined row has",)),
        ({"column": ("bank.y=Numeric",)}, "--column", ("--column has 'bank.y', which --label takes",)),
    ],
)
def test_errors_name_flags(folder, changes, typed, parts):
    with pytest.raises(ValueError, match=r"'(bank\.)?[zy]'|'zz'") as refused:
        flags_of(folder, **changes).source()()
    message = said(refused.value, ["audit", "--table", "bank=a.csv", typed, "x"])
    for part in parts:
        assert part in message

"""The TOML file of your own tables: every form that TOML offers is taken, and what cannot be is named."""

import pytest
from data_helpers import says
from test_audit import results

import vfl_jax as vfl
from vfl_jax import audits
from vfl_jax.cli import main
from vfl_jax.cli.own_tables import OwnTables
from vfl_jax.core.toml_text import from_toml, to_toml
from vfl_jax.presets import digits_demo

TABLES = '[table]\nbank = "a.csv"\nshop = "b.csv"\n'
GOOD = f'id = "id"\nlabel = "bank.y"\n{TABLES}'


def read(folder, text, encoding="utf-8"):
    (folder / "t.toml").write_text(text, encoding)
    return OwnTables(tables=folder / "t.toml").source()


def test_dotted_keys_and_lists_mean_what_quoted_ones_do(tmp_path):
    expected = read(tmp_path, f'{GOOD}[column]\n"bank.zip" = "Categorical"\n').keywords
    assert read(tmp_path, f'{GOOD}[column]\nbank.zip = "Categorical"\n').keywords == expected
    assert read(tmp_path, f'column = ["bank.zip=Categorical"]\n{GOOD}').keywords == expected
    assert read(tmp_path, f'id = "id"\nlabel.bank = "y"\n{TABLES}').keywords["label"] == "bank.y"


def test_tables_lie_beside_the_file_in_every_form(tmp_path):
    (sources,) = read(tmp_path, GOOD).args
    assert sources["bank"] == str(tmp_path / "a.csv")
    listed = 'table = ["bank=a.csv", "shop=b.csv"]\nid = "id"\nlabel = "bank.y"\n'
    assert read(tmp_path, listed).args == (sources,)


def test_a_mark_at_the_beginning_is_no_part_of_the_file(tmp_path):
    assert read(tmp_path, GOOD, "utf-8-sig").keywords == read(tmp_path, GOOD).keywords
    assert from_toml("\ufeff" + to_toml(digits_demo())) == digits_demo()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace('id = "id"', "id = 1"), ("in which id is 1; write id =",)),
        (f"drop = 3\n{GOOD}", ("in which drop is 3; write drop = [",)),
        (f"drop = [3]\n{GOOD}", ("in which drop is [3]",)),
        (f"test = true\n{GOOD}", ("in which test is True; write test = 0.2",)),
        (f"test = [1, 2]\n{GOOD}", ("in which test is [1, 2]",)),
        (f'marked = ["bank.a>0"]\n{GOOD}', ("in which marked is ['bank.a>0']",)),
        (GOOD.replace('"bank.y"', '["bank.y"]'), ("in which label is ['bank.y']",)),
        (GOOD.replace('"a.csv"', "3"), ("in which table is", "3", "write [table]")),
        (GOOD.replace("bank =", '"b=ank" ='), ("in which table is", "b=ank")),
        (f"{GOOD}[column]\n'bank.a' = 3\n", ("in which column is {'bank.a': 3}",)),
        (f"tabel = 3\n{GOOD}", ("has 'tabel'. Did you mean 'table'?", "Its keys are table, id")),
        ("x = " + "[" * 100_000, ("no TOML: it goes too deep",)),
    ],
)
def test_what_a_key_cannot_hold_is_named(tmp_path, text, words):
    with pytest.raises(ValueError, match=says("--tables is", "t.toml", *words)):
        read(tmp_path, text)


def test_toml_that_goes_too_deep_is_refused():
    for text in ("x = " + "[" * 100_000, f"[{'.'.join('a' * 3000)}]"):
        with pytest.raises(ValueError, match="too deep"):
            from_toml(text)


def test_an_audit_takes_the_number_of_a_party(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        audits, "audit", lambda data, **options: asked.append(options["attacker"]) or vfl.Audit(results())
    )
    for text in ("1", "party 1"):
        main(["audit", "--data", "digits", "--attacker", text, "--out", str(tmp_path / "page.html")])
    main(["audit", "--data", "digits", "--out", str(tmp_path / "page.html")])
    assert asked == [1, "party 1", None]

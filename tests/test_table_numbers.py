"""Numbers that texts hold: read where they can be read in one way, refused by their column where not."""

import pandas as pd
import pytest
from data_helpers import properties, says
from hypothesis import given
from hypothesis import strategies as st
from table_helpers import NUM_ROWS, bank, load

from vfl_jax.data.own.table.conditions import Where
from vfl_jax.data.own.table.kinds import Categorical, Numeric, Tags
from vfl_jax.data.own.table.numbers import STYLES, parse

READ = {
    "a decimal comma": ("{:.1f}", ".,", "", ""),
    "four decimals": ("{:.4f}", ".,", "", ""),
    "a plain text": ("{:.2f}", "", "", ""),
    "percent": ("{:.0f}", "", "", "%"),
    "percent apart": ("{:.1f}", ".,", "", " %"),
    "dollars": ("{:.2f}", "", "$", ""),
    "euros after": ("{:.2f}", ".,", "", " €"),
    "a currency by letters": ("{:.0f}", "", "CHF ", ""),
    "negative": ("{:.0f}", "", "-", ""),
    "a longer minus": ("{:.0f}", "", "−", ""),
    "minus and a unit": ("{:.2f}", "", "-$", ""),
    "a minus after": ("{:.1f}", "", "", "-"),
    "in accounts": ("{:.2f}", "", "(", ")"),
    "powers of ten": ("{:.0f}e-2", "", "", ""),
    "blanks around": (" {:.0f} ", "", "", ""),
}


@pytest.mark.parametrize("case", READ)
def test_texts_are_read_as_numbers(case):
    form, change, before, after = READ[case]
    numbers = [1.5 * i + 11 for i in range(NUM_ROWS)]
    texts = [form.format(x) for x in numbers]
    sign = -1 if "-" in before + after or "−" in before or "(" in before else 1
    expected = [sign * float(text) for text in texts]
    cells = [before + (text.replace(*change) if change else text) + after for text in texts]
    assert features(cells) == pytest.approx(sorted(expected), rel=1e-6)


def features(cells, kind=None):
    """The numbers that a column became, sorted."""
    columns = {"shop.words": Tags()} | ({"bank.age": kind} if kind else {})
    data, report = load(bank().assign(age=cells), columns=columns, standardise=False)
    assert report.parties["bank"].columns["age"].kind == "numeric"
    place = data.feature_names[0].index("age")
    return sorted(x for rows in (data.train, data.test) for x in rows.features[0][:, place].tolist())


GROUPED = {
    "commas and a point": (["1,234.50", "12.00"], None, [12, 1234.5]),
    "points and a comma": (["1.234,50", "12,00"], None, [12, 1234.5]),
    "two groups": (["1,234,567", "1,234"], None, [1234, 1234567]),
    "blanks": (["1 234", "12 345,5"], None, [1234, 12345.5]),
    "narrow blanks": (["1\u202f234,5", "12"], None, [12, 1234.5]),
    "apostrophes": (["1'234.5", "12’345"], None, [1234.5, 12345]),
    "lakhs": (["1,23,456", "12,34,567.5"], None, [123456, 1234567.5]),
    "a zero before": (["0,125", "1,250"], None, [0.125, 1.25]),
    "declared groups": (["1,234", "12"], Numeric(thousands=","), [12, 1234]),
    "a declared comma": (["1,234", "12"], Numeric(decimal=","), [1.234, 12]),
    "declared numbers": (["7", "8"], Numeric(), [7, 8]),
    "numbers among texts": ([1.5, "2,5"], None, [1.5, 2.5]),
}


@pytest.mark.parametrize("case", GROUPED)
def test_digits_are_grouped(case):
    cells, kind, expected = GROUPED[case]
    assert sorted(set(features(cells * (NUM_ROWS // 2), kind))) == pytest.approx(expected, rel=1e-6)


REFUSED = {
    "thousands or a fraction": (
        ["1,234", "2,500"],
        None,
        "column 'age' holds numbers that can be read in several ways: '1,234' may be 1.234 or 1234",
        "columns={'bank.age': Numeric(decimal=',') or Numeric(thousands=',')}",
    ),
    "with small ones": (["1,234", "999"], None, "'1,234' may be 1.234 or 1234"),
    "with a sign": (["$1,234", "$999"], None, "'$1,234' may be"),
    "points": (["1.234", "2.500"], None, "'1.234' may be 1234 or 1.234"),
    "two ways": (["1,234.5", "1.234,5"], None, "column 'age' holds numbers that are not written in one way"),
    "two currencies": (["$5", "€5"], None, "column 'age' holds numbers of several units, such as '$5', '€5'"),
    "some with percent": (["45%", "0.45"], None, "column 'age' holds numbers of several units"),
    "another comma": (["1.5", "2.5"], Numeric(decimal=","), "not written in one way with decimal ','"),
    "a text": (["x", "2,5"], Numeric(), "row 0 (counted from 0), column 'age' holds 'x'; expected a finite number"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_be_read_in_no_or_several_ways_is_refused(case):
    cells, kind, *message = REFUSED[case]
    columns = {"shop.words": Tags()} | ({"bank.age": kind} if kind else {})
    with pytest.raises(ValueError, match=says(*message)):
        load(bank().assign(age=cells * (NUM_ROWS // 2)), columns=columns)
    kept = load(bank().assign(age=cells * (NUM_ROWS // 2)), columns=columns | {"bank.age": Categorical()}).report
    assert kept.parties["bank"].columns["age"].num_features == 2


def test_one_text_among_written_numbers_is_named():
    cells = ["1,5"] * (NUM_ROWS - 1) + ["x"]
    with pytest.raises(ValueError, match=says("row 23", "'age' holds 'x', where most cells are numbers")):
        load(bank().assign(age=cells))


def test_numbers_that_are_missing_are_filled():
    cells = ["1,5", "2,5"] * (NUM_ROWS // 2 - 1) + [None, "9,5"]
    with pytest.raises(ValueError, match=says("row 22", "column 'age' holds nothing", "Numeric(fill='mean')")):
        load(bank().assign(age=cells))
    assert features(cells, Numeric(fill=3))[-3:] == [2.5, 3, 9.5]


@pytest.mark.parametrize(
    "cells",
    [
        ["7", "8"],
        ["007", "008"],
        ["18-25", "65+"],
        ["12:30", "13:45"],
        ["10.0.0.1", "10.0.0.2"],
        ["1.2.3", "1.2.4"],
        ["5k", "6k"],
        ["5 doors", "3 doors"],
        ["1-2 years", "3-4 years"],
        ["10%", "none", "none"],
        ["7", "unknown", "unknown"],
        [f"{i} months" for i in range(1, 13)],
        ["A1", "B2"],
        ["1st", "2nd"],
        ["2020-01-01", "2020-01-02"],
        ["01.02.2020", "03.02.2020"],
    ],
)
def test_codes_stay_categories(cells):
    _, report = load(bank().assign(age=(cells * NUM_ROWS)[:NUM_ROWS]))
    assert report.parties["bank"].columns["age"].kind == "categorical"


AMOUNTS = {
    "R$ {}": "R$",
    "R$ -{}": "R$",
    "Rs. {}": "Rs.",
    "US$ {}": "US$",
    "CA${}": "CA$",
    "{} kr": "kr",
    "{} zł": "zł",
    "{}k": "k",
    "$ {}K": "K",
    "{} percent": "percent",
    "{},5 MB": "MB",
    "{}\u00a0°C": "°C",
    "<{}": "<",
    "S{}": "S",
}


@pytest.mark.parametrize("form", AMOUNTS)
def test_amounts_are_asked_about(form):
    """Also where the values repeat, so that test rows have those of training rows."""
    unit, cells = AMOUNTS[form], [form.format(i % 13 + 1) for i in range(4 * NUM_ROWS)]
    tables = {"bank": bank_of(cells), "shop": shop_of(cells)}
    message = "column 'age' holds texts that are rather amounts", "13 of 13", f"Numeric(unit={unit!r}) or Categorical()"
    with pytest.raises(ValueError, match=says(*message)):
        load(**tables, columns={})
    for kind, count in ((Categorical(), 13), (Numeric(unit=unit), 1)):
        data, report = load(**tables, columns={"bank.age": kind}, standardise=False)
        assert report.parties["bank"].columns["age"].num_features == count
    sign, fraction = (-1 if "-" in form else 1), (0.5 if ",5" in form else 0)
    found = {x for rows in (data.train, data.test) for x in rows.features[0][:, 0].tolist()}
    assert found == {sign * (i + fraction) for i in range(1, 14)}


def bank_of(cells):
    rows = range(len(cells))
    return pd.DataFrame({"id": rows, "y": [i % 2 for i in rows], "age": cells})


def shop_of(cells):
    return pd.DataFrame({"id": range(len(cells)), "spent": range(len(cells))})


OTHER_AMOUNTS = {
    "two units": ([f"{i}k" for i in range(20)] + [f"{i}.5M" for i in range(20)], "'k' or 'M'", "in one unit"),
    "before and behind": ([f"~{i} kg" for i in range(20)], "'~ … kg'", "in one unit"),
    "a few others": ([f"{i} kg" for i in range(20)] + ["none", "3 t"], "20 of 22", "beside 'kg'", "Numeric(unit='kg')"),
}


@pytest.mark.parametrize("case", OTHER_AMOUNTS)
def test_amounts_that_no_unit_makes_numbers_are_asked_about(case):
    cells, *message = OTHER_AMOUNTS[case]
    with pytest.raises(ValueError, match=says("rather amounts", *message)):
        load(bank=bank_of(cells * 3), shop=shop_of(cells * 3), columns={})


CODES = {
    "few levels of several units": [f"{i} {unit}" for i in range(10) for unit in ("kg", "lb", "st")],
    "leading zeros": [f"S{i:03d}" for i in range(30)],
    "many letters": [f"{letter}{i}" for letter in "ABCDEFG" for i in range(20)],
    "two numbers": [f"{i} of {i + 1}" for i in range(30)],
    "versions": [f"v1.{i}.0" for i in range(30)],
    "streets": [f"{i} street {'abcdefg'[i % 7]}" for i in range(30)],
}


@pytest.mark.parametrize("case", CODES)
def test_many_codes_stay_categories(case):
    cells = CODES[case] * 6
    _, report = load(bank=bank_of(cells), shop=shop_of(cells), columns={})
    assert report.parties["bank"].columns["age"].kind == "categorical"


def test_a_unit_stands_beside_every_number():
    cells = ["5 kr", "6 kr"] * (NUM_ROWS // 2)
    assert set(features(cells, Numeric(unit="kr"))) == {5, 6}
    assert set(features(["1.234 kr", "5 kr"] * (NUM_ROWS // 2), Numeric(unit="kr", thousands="."))) == {5, 1234}
    with pytest.raises(ValueError, match=says("numbers of several units, such as '6 kr', '7'")):
        features([*cells[:-1], "7"], Numeric(unit="kr"))
    with pytest.raises(ValueError, match=says("holds '7 €/kr'; expected a finite number")):
        features([*cells[:-1], "7 €/kr"], Numeric(unit="kr"))
    where = Where("bank.age", ">", 5)
    _, report = load(
        bank().assign(age=cells), columns={"shop.words": Tags(), "bank.age": Numeric(unit="kr")}, trigger=where
    )
    assert report.train_triggered + report.test_triggered == NUM_ROWS // 2


@pytest.mark.parametrize("word", ["n/k", "?"])
def test_numbers_that_half_the_cells_lack_are_no_categories(word):
    form = "{},5" if word == "n/k" else "{}"
    cells = [word if i % 2 else form.format(i % 26) for i in range(4 * NUM_ROWS)]
    with pytest.raises(ValueError, match=says(f"holds '{word}', where most cells are numbers, or most different")):
        load(bank=bank_of(cells), shop=shop_of(cells), columns={})
    filled = [None if cell == word else cell for cell in cells]
    kind = Numeric(fill="mean")
    _, report = load(bank=bank_of(filled), shop=shop_of(filled), columns={"bank.age": kind})
    assert report.parties["bank"].columns["age"].num_filled == len(cells) // 2


def test_digits_that_no_test_row_shares_are_refused():
    with pytest.raises(ValueError, match=says("column 'age' holds texts", "rather", "Numeric()")):
        load(bank().assign(age=[str(i) for i in range(NUM_ROWS)]))


def test_the_report_says_what_was_read():
    _, report = load(bank().assign(age=[f"{i},5 €" for i in range(NUM_ROWS)]))
    assert "age: numeric, '23,5 €' is 23.5" in str(report)


def test_conditions_compare_what_is_written():
    frame = bank().assign(age=[f"{i},5" for i in range(NUM_ROWS)])
    for where, expected in ((Where("bank.age", ">", 9), 15), (Where("bank.age", "==", "9,5"), 1)):
        _, report = load(frame, trigger=where)
        assert report.train_triggered + report.test_triggered == expected
    with pytest.raises(ValueError, match=says("'1,234' may be 1.234 or 1234")):
        load(bank().assign(age=["1,234", "5,678"] * 12), trigger=Where("bank.age", ">", 9), drop=["bank.age"])


@properties
@given(st.floats(-1e9, 1e9, allow_nan=False), st.sampled_from(STYLES), st.integers(0, 4))
def test_a_style_reads_what_it_writes(number, style, decimals):
    text = f"{number:,.{decimals}f}".replace(",", "T").replace(".", "D")
    written = parse(text.replace("T", style.thousands).replace("D", style.decimal))
    assert written.sign * style.read(written.body) == pytest.approx(round(number, decimals), abs=1e-9, rel=1e-12)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"decimal": ";"}, "Numeric.decimal is ';'; it must be '.' or ','"),
        ({"thousands": "x"}, "Numeric.thousands is 'x'"),
        ({"decimal": ",", "thousands": ","}, "not what decimal is"),
        ({"unit": " "}, "Numeric.unit is ' '; it must be a text"),
        ({"unit": "m2"}, "Numeric.unit is 'm2'"),
        ({"unit": 3}, "Numeric.unit is 3"),
    ],
)
def test_separators_are_checked(fields, message):
    with pytest.raises(ValueError, match=says(message)):
        Numeric(**fields)

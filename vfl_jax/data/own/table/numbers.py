"""Numbers in texts: with a decimal comma, groups of digits, a percent sign or a currency."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from decimal import Decimal
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from vfl_jax.core.advice import Advised
from vfl_jax.data.own.table.cells import Column
from vfl_jax.data.own.table.files import listed
from vfl_jax.data.own.table.kinds import THOUSANDS, Categorical, Numeric
from vfl_jax.data.own.values import TEXTS, kind_of

SIGN = "[-+−]"
UNIT = "[%‰$¢£¤¥฿₠-₿﷼＄￡￥]|USD|EUR|GBP|CHF|JPY|CNY|INR|SEK|NOK|DKK|PLN|CAD|AUD|BRL|ZAR"
"""Percent and per mille, and currencies by sign or letters."""
AMOUNT = re.compile(rf"\(?\s*{SIGN}?\s*(?P<before>\D*?)\s*{SIGN}?\s*(?P<body>\d[\d.,' _]*)(?P<after>\D*?)[\s)]*")
"""A number with any text before and after it."""
MOST_LEVELS = 12
"""Up to so many different numbers in texts, such as months, may be levels of a category."""
MOST_UNITS = 3
MOSTLY = 0.9
BLANKS = str.maketrans(dict.fromkeys("\u00a0\u2007\u2009\u202f", " ") | {"’": "'"})


class Style(NamedTuple):
    """A way to write numbers: the sign before the fraction, and the sign between groups of digits or ""."""

    decimal: str
    thousands: str

    def read(self, body: str) -> float | None:
        """Reads a number without sign and unit; None where the text does not follow this style."""
        decimal, group = re.escape(self.decimal), re.escape(self.thousands)
        grouped = rf"[1-9]\d{{0,2}}(?:{group}\d{{3}})+|[1-9]\d?(?:{group}\d{{2}})+{group}\d{{3}}|" if group else ""
        if not re.fullmatch(rf"(?:(?:{grouped}\d+)(?:{decimal}\d*)?|{decimal}\d+)(?:[eE][-+]?\d+)?", body):
            return None
        plain = body.replace(self.thousands, "") if self.thousands else body
        return float(plain.replace(self.decimal, "."))


STYLES = [Style(decimal, thousands) for decimal in ".," for thousands in ("", *THOUSANDS) if thousands != decimal]


class Written(NamedTuple):
    """The parts of a text that writes a number in some style.

    Args:
      sign: 1 or −1.
      body: the digits with their separators.
      unit: the unit beside them, or "".
    """

    sign: int
    body: str
    unit: str


class Reading(NamedTuple):
    """The numbers of a column of texts.

    Args:
      values: float64[N]; NaN where a cell is missing.
      example: the longest text, and its number.
    """

    values: np.ndarray
    example: tuple[str, float]


class Amounts(NamedTuple):
    """Texts that are likely amounts, not categories.

    Args:
      texts: these texts.
      units: the texts before and after their numbers, the most frequent pair first.
    """

    texts: list[str]
    units: list[tuple[str, str]]

    @property
    def unit(self) -> str | None:
        """The unit that makes :class:`Numeric` read all of them; None where no single unit does."""
        before, after = ("" if re.fullmatch(UNIT, part) else part for part in self.units[0])
        return None if len(self.units) > 1 or (before and after) else before or after or None


@functools.cache
def _pattern(unit: str | None) -> re.Pattern[str]:
    """Compiles the pattern of a number with an optional unit: a known one or the declared one."""
    known = f"{re.escape(unit.translate(BLANKS))}|{UNIT}" if unit else UNIT
    return re.compile(
        rf"(?P<open>\()?\s*(?P<outer>{SIGN}?)\s*(?P<before>{known})?\s*(?P<inner>{SIGN}?)\s*"
        rf"(?P<body>[\d.,][\d.,' _]*(?:[eE][-+]?\d+)?)\s*(?P<after>{known})?\s*(?P<trailing>-?)\s*(?P<close>\))?"
    )


def parse(text: str, unit: str | None = None) -> Written | None:
    """Splits a text that writes a number into its parts; None where it writes none in any style.

    Args:
      text: the text of a cell.
      unit: a unit that may stand beside the number, besides percent and known currencies.

    Example:
      >>> parse("-$1,234.50")
      Written(sign=-1, body='1,234.50', unit='$')
    """
    found = _pattern(unit).fullmatch(text.translate(BLANKS).strip())
    if found is None or bool(found["open"]) != bool(found["close"]):
        return None
    units = [part for part in (found["before"], found["after"]) if part]
    if len(units) > 1 and unit not in units:
        return None
    signs = [sign for sign in (found["open"], found["outer"], found["inner"], found["trailing"]) if sign]
    body = found["body"].strip()
    if len(signs) > 1 or _is_no_number(body):
        return None
    return Written(1 if not signs or signs == ["+"] else -1, body, "".join(units))


def written_numbers(column: Column) -> Reading | None:
    """Reads the numbers of a column whose kind is not declared; None where the column does not look like numbers.

    A column looks like numbers where most of its cells are numbers, or most of its different cells if these are many.
    A column of digits alone does not: its texts may be codes.

    Raises:
      ValueError: where the column looks like numbers and :func:`read_numbers` refuses it.
    """
    cells = column.cells.dropna()
    texts = [cell for cell in cells.unique() if isinstance(cell, str)]
    if not len(cells) or (all(text.isdecimal() for text in texts) and kind_of(cells) == TEXTS):
        return None
    numbers = {text for text in texts if parse(text) is not None}

    def are_numbers(some: Any) -> list[bool]:
        return [cell in numbers if isinstance(cell, str) else _is_number(cell) for cell in some]

    different = are_numbers(cells.unique())
    is_many = sum(different) > max(MOST_LEVELS, len(different) / 2)
    return read_numbers(column, None) if is_many or np.mean(are_numbers(cells)) > 0.5 else None


def amounts(texts: Sequence[str]) -> Amounts | None:
    """Finds the texts of a column that are likely amounts; None where the column is likely one of categories.

    An amount is a number beside one of few units, each of which has many numbers. A unit with few numbers has levels,
    as "doors" in "5 doors". A number with a leading zero is a code, as in "S01".

    Args:
      texts: the different texts of the column.
    """
    units: dict[tuple[str, str], list[str]] = {}
    for text in texts:
        found = AMOUNT.fullmatch(text.translate(BLANKS).strip())
        if found is None or re.match(r"0\d", found["body"]) or _is_no_number(found["body"].strip()):
            continue
        units.setdefault((found["before"], found["after"].strip()), []).append(text)
    many = {unit: of_unit for unit, of_unit in units.items() if len(of_unit) > MOST_LEVELS}
    named = sorted((unit for unit in many if any(unit)), key=lambda unit: -len(many[unit]))
    count = sum(map(len, many.values()))
    if not 0 < len(named) <= MOST_UNITS or count <= max(len(texts) / 2, MOSTLY * sum(map(len, units.values()))):
        return None
    return Amounts([text for unit in named for text in many[unit]], named)


def _is_no_number(body: str) -> bool:
    return all(style.read(body) is None for style in STYLES)


def read_numbers(column: Column, kind: Numeric | None) -> Reading:
    """Reads the numbers of a column of texts, or of texts and numbers.

    Args:
      column: the column.
      kind: its declared kind; None where none is declared.

    Raises:
      ValueError: naming the column and the kind to declare, where a cell is not a number; where the numbers can be read
        in several ways, or in none that fits all; where their units differ.
    """
    cells = column.cells
    unit = kind.unit if kind is not None else None
    texts = {cell: parse(cell, unit) for cell in cells.dropna().unique() if isinstance(cell, str)}
    is_number = np.array(
        [texts[cell] is not None if isinstance(cell, str) else _is_number(cell) for cell in cells], bool
    )
    is_missing = cells.isna().to_numpy()
    if not (is_number | is_missing).all():
        raise _no_number(column, int((is_number | is_missing).argmin()), kind)
    found = {text: written for text, written in texts.items() if written is not None}
    values = _read(column, kind or Numeric(), found)
    written = [np.nan if gone else cell for cell, gone in zip(cells, is_missing, strict=True)]
    example = max(found, key=lambda text: (len(text), abs(values[text])))
    numbers = [values[cell] if isinstance(cell, str) else float(cell) for cell in written]
    return Reading(np.array(numbers), (example, values[example]))


def _is_number(cell: object) -> bool:
    return isinstance(cell, Real | Decimal) and not isinstance(cell, bool | np.bool_)


def _read(column: Column, kind: Numeric, found: dict[str, Written]) -> dict[str, float]:
    """Reads every text in the only style that fits all of them."""
    units = {written.unit: text for text, written in found.items()}
    if len(units) > 1:
        found_units = f"numbers of several units, such as {listed(units.values(), 3)}"
        raise Advised(f"{column.where} holds {found_units}; ", *_not_alike(column))
    used = set("".join(written.body for written in found.values()))
    readings = {}
    for style in STYLES:
        is_wanted = kind.decimal in (None, style.decimal) and kind.thousands in (None, style.thousands)
        if is_wanted and (not style.thousands or style.thousands in used or kind.thousands):
            numbers = _in_style(style, found)
            if numbers is not None:
                readings[style] = numbers
    distinct = {tuple(numbers): style for style, numbers in reversed(readings.items())}
    if not distinct:
        ways = f"numbers that are not written in one way{_said(kind)}, such as {listed(_apart(found), 3)}"
        raise Advised(f"{column.where} holds {ways}; ", *_not_alike(column))
    if len(distinct) > 1:
        place = next(i for i, numbers in enumerate(zip(*distinct, strict=True)) if len(set(numbers)) > 1)
        text = list(found)[place]
        ways = " or ".join(f"{numbers[place]:.15g}" for numbers in distinct)
        kinds = column.declared(*(_kind(style, text) for style in distinct.values()))
        several = f"numbers that can be read in several ways: {text!r} may be {ways}"
        raise Advised(f"{column.where} holds {several}. Say which: ", kinds, ".")
    return dict(zip(found, next(iter(distinct)), strict=True))


def _in_style(style: Style, found: dict[str, Written]) -> list[float] | None:
    """Reads every text in one style; None where a text does not follow it."""
    numbers = []
    for written in found.values():
        if (number := style.read(written.body)) is None:
            return None
        numbers.append(written.sign * number)
    return numbers


def _apart(found: dict[str, Written]) -> list[str]:
    """Picks texts that no single style fits: one for every set of styles that fits some text."""
    return list({tuple(style.read(w.body) is None for style in STYLES): text for text, w in found.items()}.values())


def _kind(style: Style, text: str) -> Numeric:
    is_grouped = bool(style.thousands) and style.thousands in text
    return Numeric(thousands=style.thousands) if is_grouped else Numeric(decimal=style.decimal)


def _not_alike(column: Column) -> tuple[object, ...]:
    category = column.declared(Categorical())
    return "write them alike, say ", category, ", or leave the column out: ", column.left_out, "."


def _said(kind: Numeric) -> str:
    said = [f"{name} {value!r}" for name, value in (("decimal", kind.decimal), ("thousands", kind.thousands)) if value]
    return f" with {' and '.join(said)}" if said else ""


def _no_number(column: Column, row: int, kind: Numeric | None) -> ValueError:
    what = f"{column.place(row)} holds {listed(column.cells[[row]])}"
    if kind is None:
        return Advised(
            f"{what}, where most cells are numbers, or most different ones. Correct it, or empty it and say what fills "
            "it: ",
            *(column.declared(Numeric(fill="mean")), "; or say ", column.declared(Categorical()), "."),
        )
    return Advised(f"{what}; expected a finite number. Correct it, or leave the column out: ", column.left_out, ".")

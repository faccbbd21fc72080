"""Checks of concrete arguments, shared by everything that is configured.

Traced values and arrays pass unchecked: what they do is documented where they are used.
"""

from __future__ import annotations

import math
import typing
from collections.abc import Sequence
from typing import Any

import numpy as np


def is_whole(value: Any) -> bool:
    """Whether a value is one whole number, Python's or NumPy's; a truth value is none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is one real number, Python's or NumPy's; a truth value is none."""
    return is_whole(value) or isinstance(value, float | np.floating)


def shown(value: Any) -> str:
    """A value as messages show it: on one line, not too long."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # some cannot be shown, such as whole numbers of very many digits
        text = f"of type {type(value).__name__}"
    return text if len(text) <= 120 else f"{text[:100]} …"


def with_article(name: str) -> str:
    return f"{'an' if name[:1] in 'AEIOU' else 'a'} {name}"


def place_of(argument: str, given: Any, names: Sequence[str], among: str, from_end: bool = False) -> int:
    """The place of what is given by its name, a text, or by its number from 0.

    Args:
      argument: what messages call ``given``.
      names: those there are, in their order.
      among: what messages say before them, as "the parties are".
      from_end: whether numbers below 0 count from the end.

    Raises:
      ValueError: on what is neither; on a number that is, when written, the name of another.
    """
    if isinstance(given, str) and given in names:
        return list(names).index(given)
    if is_whole(given):
        number = int(given)
        is_place = (-len(names) if from_end else 0) <= number < len(names)
        for place, name in enumerate(names):
            if _is_written(name, number) and not (is_place and place == number % len(names)):
                raise ValueError(
                    f"{argument} is {number}, which is the name of one and, counted from 0, the number of another or "
                    f"of none. Give the text {name!r}, or its number {place}; {_numbered(among, names)}."
                )
        if is_place:
            return number % len(names)
    raise ValueError(f"{argument} is {shown(given)}; {_numbered(among, names)}, by name or number.")


def _is_written(name: str, number: int) -> bool:
    """Whether a name is this number, as "1", "01" and "1.0" are 1."""
    try:
        return float(name) == number
    except (ValueError, OverflowError):
        return False


def _numbered(among: str, names: Sequence[str]) -> str:
    return f"{among} {', '.join(f'{name!r} ({place})' for place, name in enumerate(names))}"


def check_range(where: str, low: float = -math.inf, high: float = math.inf, **named: Any) -> None:
    """Raises ``ValueError`` unless every concrete number lies in ``[low, high]`` (NaN never does)."""
    for name, value in named.items():
        if is_number(value) and not low <= value <= high:
            raise ValueError(f"{where}.{name} is {value}; it must lie in [{low:g}, {high:g}].")


def check_unmasked(**named: Any) -> None:
    """Raises ``ValueError`` where an array has masked values: what they hide would count."""
    for name, value in named.items():
        if np.ma.is_masked(value):
            raise ValueError(f"{name} has masked values; fill them, or leave out what is not there.")


def check_count(**named: Any) -> None:
    """Raises ``ValueError`` unless every value is a whole number of at least 1."""
    for name, value in named.items():
        if not is_whole(value) or value < 1:
            raise ValueError(f"{name} is {shown(value)}; it must be a whole number of at least 1.")


def check_kind(kind: type, advice: str, **named: Any) -> None:
    """Raises ``ValueError`` unless every value is an instance of a class."""
    for name, value in named.items():
        if not isinstance(value, kind):
            raise ValueError(f"{name} is {shown(value)}; it must be {with_article(kind.__name__)}, {advice}.")


def check_choice(where: str, allowed: Any, **named: Any) -> None:
    """Raises ``ValueError`` unless every value is one of ``allowed``, a ``Literal`` type."""
    choices = typing.get_args(allowed)
    for name, value in named.items():
        if not isinstance(value, str) or value not in choices:
            raise ValueError(f"{where}.{name} is {shown(value)}; it must be one of {', '.join(map(repr, choices))}.")


def check_widths(where: str, **named: tuple[int, ...]) -> None:
    """Raises ``ValueError`` unless every entry of every tuple is a whole number above zero."""
    for name, widths in named.items():
        if not isinstance(widths, tuple) or not all(is_whole(width) and width > 0 for width in widths):
            raise ValueError(f"{where}.{name} is {shown(widths)}; every width must be a whole number above 0.")

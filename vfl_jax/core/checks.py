"""Checks of concrete arguments, which all rooms share.

Traced values and arrays pass unchecked. The code that uses them says what they do.
"""

from __future__ import annotations

import difflib
import inspect
import math
import typing
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


def is_whole(value: Any) -> bool:
    """Whether a value is one whole number of Python or NumPy; True and False are no numbers."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is one real number of Python or NumPy; True and False are no numbers."""
    return is_whole(value) or isinstance(value, float | np.floating)


def shown(value: Any) -> str:
    """Returns a value as messages show it: on one line, at most 120 characters; a table or data set by its type."""
    try:
        text = repr(value)
    except Exception:  # Python shows some values not, such as whole numbers of very many digits
        return f"of type {type(value).__name__}"
    if "\n" in text and hasattr(value, "_repr_html_"):
        return with_article(type(value).__name__)
    text = " ".join(text.split())
    return text if len(text) <= 120 else f"{text[:100]} …"


def did_you_mean(name: Any, known: Iterable[str]) -> str:
    """Returns the question whether the nearest of some names was meant, after a space; nothing where none is near.

    Args:
      name: the name that was given.
      known: the names that there are. Capital letters make no difference.

    Example:
      >>> did_you_mean("gausiannoise", ["GaussianNoise", "Clipping"])
      " Did you mean 'GaussianNoise'?"
    """
    by_small = {other.lower(): other for other in known}
    near = difflib.get_close_matches(str(name).lower(), by_small, n=1, cutoff=0.6)
    return f" Did you mean {by_small[near[0]]!r}?" if near else ""


def with_article(name: str) -> str:
    """Returns the name of a class with "a" or "an" before it."""
    return f"{'an' if name[:1] in 'AEIOU' else 'a'} {name}"


def place_of(argument: str, given: Any, names: Sequence[str], among: str, from_end: bool = False) -> int:
    """Finds the place of a name in a list.

    Args:
      argument: the name of the argument ``given``, for messages.
      given: a name, or the number of a place, counted from 0.
      names: all names, in order.
      among: the words before the names in messages, such as "the parties are".
      from_end: whether numbers below 0 count from the end.

    Returns:
      the number of the place, counted from 0.

    Raises:
      ValueError: where ``given`` is neither a name nor a place; where a number is the place of one name and, as a
        text, another name.

    Example:
      >>> place_of("party", "text", ["image", "text"], "the parties are")
      1
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
    """Whether a name spells this number; "1", "01" and "1.0" spell 1."""
    try:
        return float(name) == number
    except (ValueError, OverflowError):
        return False


def _numbered(among: str, names: Sequence[str]) -> str:
    """Returns the names with their places, as messages list them."""
    return f"{among} {', '.join(f'{name!r} ({place})' for place, name in enumerate(names))}"


def check_range(where: str, low: float = -math.inf, high: float = math.inf, **named: Any) -> None:
    """Checks that every concrete number lies in ``[low, high]``; NaN lies in no range.

    Args:
      where: the name of the record, for messages; empty for arguments of a function.
      low: the least number.
      high: the largest number.
      named: the values, by the names of their fields.

    Raises:
      ValueError: naming the first number outside, and the first that is NaN.
    """
    for name, value in named.items():
        if is_number(value) and not low <= value <= high:
            allowed = f"lie in [{low:g}, {high:g}]"
            if high == math.inf:
                allowed = "be a number" if low == -math.inf else f"be at least {low:g}"
            raise ValueError(f"{_place(where, name)} is {value}; it must {allowed}.")


def check_unmasked(**named: Any) -> None:
    """Checks that no array has masked values, because the hidden numbers would count.

    Args:
      named: the arrays, by the names of the arguments.

    Raises:
      ValueError: naming the first array with masked values.
    """
    for name, value in named.items():
        if np.ma.is_masked(value):
            raise ValueError(f"{name} has masked values; fill them, or leave out what is not there.")


def check_count(**named: Any) -> None:
    """Checks that every value is a whole number of at least 1.

    Args:
      named: the values, by the names of the arguments.

    Raises:
      ValueError: naming the first value that is not.
    """
    for name, value in named.items():
        if not is_whole(value) or value < 1:
            raise ValueError(f"{name} is {shown(value)}; it must be a whole number of at least 1.")


def check_kind(kind: type, advice: str, **named: Any) -> None:
    """Checks that every value is an instance of a class.

    Args:
      kind: the class.
      advice: the end of the message; it says where a user gets such an instance.
      named: the values, by the names of the arguments.

    Raises:
      ValueError: naming the first value that is not.
    """
    for name, value in named.items():
        if not isinstance(value, kind):
            end = f" That is a function; call it: {value.__name__}()." if inspect.isfunction(value) else ""
            if isinstance(value, type) and issubclass(value, kind):
                end = f" That is the class; make one of it: {value.__name__}()."
            raise ValueError(f"{name} is {shown(value)}; it must be {with_article(kind.__name__)}, {advice}.{end}")


def check_choice(where: str, allowed: Any, **named: Any) -> None:
    """Checks that every value is one of some texts.

    Args:
      where: the name of the record, for messages; empty for arguments of a function.
      allowed: the texts, as a ``Literal`` type.
      named: the values, by the names of their fields.

    Raises:
      ValueError: naming the first value that is none of them.
    """
    choices = typing.get_args(allowed)
    for name, value in named.items():
        if not isinstance(value, str) or value not in choices:
            raise ValueError(
                f"{_place(where, name)} is {shown(value)}; it must be one of {', '.join(map(repr, choices))}."
                f"{did_you_mean(value, map(str, choices))}"
            )


def _place(where: str, name: str) -> str:
    """Returns the name of a field after that of its record; of an argument the name alone."""
    return f"{where}.{name}" if where else name


def check_widths(where: str, **named: tuple[int, ...]) -> None:
    """Checks that every entry of every tuple is a whole number above 0.

    Args:
      where: the name of the record, for messages; empty for arguments of a function.
      named: the tuples, by the names of their fields.

    Raises:
      ValueError: naming the first tuple with another entry.
    """
    for name, widths in named.items():
        if not isinstance(widths, tuple) or not all(is_whole(width) and width > 0 for width in widths):
            raise ValueError(f"{where}.{name} is {shown(widths)}; every width must be a whole number above 0.")

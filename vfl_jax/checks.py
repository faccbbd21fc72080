"""Checks of concrete arguments, shared by everything that is configured.

Traced values and arrays pass unchecked: what they do is documented where they are used.
"""

from __future__ import annotations

import math
import typing
from typing import Any

import numpy as np


def is_concrete(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def check_range(where: str, low: float = -math.inf, high: float = math.inf, **named: Any) -> None:
    """Raises ``ValueError`` unless every concrete number lies in ``[low, high]`` (NaN never does)."""
    for name, value in named.items():
        if is_concrete(value) and not low <= value <= high:
            raise ValueError(f"{where}.{name} is {value}; it must lie in [{low:g}, {high:g}].")


def check_choice(where: str, allowed: Any, **named: Any) -> None:
    """Raises ``ValueError`` unless every value is one of ``allowed``, a ``Literal`` type."""
    choices = typing.get_args(allowed)
    for name, value in named.items():
        if value not in choices:
            raise ValueError(f"{where}.{name} is {value!r}; it must be one of {', '.join(map(repr, choices))}.")


def check_widths(where: str, **named: tuple[int, ...]) -> None:
    """Raises ``ValueError`` unless every entry of every tuple is a whole number above zero."""
    for name, widths in named.items():
        if not all(isinstance(w, int) and w > 0 for w in widths):
            raise ValueError(f"{where}.{name} is {widths!r}; every width must be a whole number above 0.")

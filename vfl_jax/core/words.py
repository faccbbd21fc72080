"""Durations and counts as people say them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def duration(seconds: float) -> str:
    """Returns a duration in its largest fitting unit; of a second or less, "1 s".

    Args:
      seconds: how long; not finite where nobody knows.

    Example:
      >>> [duration(s) for s in (0.2, 75, 1000, 7200, 600_000, float("nan"))]
      ['1 s', '75 s', '17 min', '2.0 h', '7 days', 'an unknown time']
    """
    if not math.isfinite(seconds):
        return "an unknown time"
    if seconds < 90:
        return f"{max(math.ceil(seconds), 1)} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.0f} days"


def counted(count: int, word: str) -> str:
    """Returns a count with its word, which gets an "s" unless it is one.

    Args:
      count: how many.
      word: the word for one of them.

    Example:
      >>> counted(1, "seed"), counted(1200, "step")
      ('1 seed', '1,200 steps')
    """
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def share(value: float, unit: str = "%") -> str:
    """Returns a share in words: whole per cents, or one digit more near none and near all.

    Args:
      value: from 0 to 1.
      unit: what follows the number.

    Example:
      >>> share(0.974), share(0.0031), share(1.0), share(0.5, " %")
      ('97%', '0.3%', '100%', '50 %')
    """
    if math.isnan(value):
        return "an unknown share"
    per_cent = 100 * value
    is_near_an_end = 0.05 <= per_cent < 1 or 99 < per_cent < 99.95
    return f"{per_cent:z.1f}{unit}" if is_near_an_end else f"{per_cent:z.0f}{unit}"


def setting_text(value: Any) -> str:
    """The text of a setting: a name, or the shortest text that gives the number back.

    Args:
      value: a number of any type, a truth value or a text.

    Example:
      >>> import vfl_jax as vfl
      >>> vfl.reports.setting_text(0.001), vfl.reports.setting_text(1_234_567.0)
      ('0.001', '1234567.0')
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        return str(value)
    short = f"{value:g}"
    is_same = float(short) == value or (isinstance(value, np.floating) and type(value)(short) == value)
    return short if is_same or value != value else str(value)

"""What a comparison of two results found, in words and as tables."""

from __future__ import annotations

import dataclasses
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from vfl_jax.core.words import counted
from vfl_jax.reports import html
from vfl_jax.reports.tables import UNDEFINED, Row, interval_text, setting_text
from vfl_jax.reports.terminal import to_terminal

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

SIGNIFICANT = 0.05
"""The p of the sign test up to which b is called higher or lower."""
FEWEST_SEEDS = 6
"""Fewer seeds cannot tell: where all differ to one side, the two-sided sign test of 5 has p = 2 · 2⁻⁵ = 0.06."""
EQUAL = 1e-6
"""An interval that is narrower than this has no width: accuracies are float32, so equal differences differ by this."""
NOTE = (
    "Differences are b − a, seed by seed: the median over seeds and its bootstrap interval. From "
    f"{FEWEST_SEEDS} seeds on b is called higher or lower where this interval does not hold 0 and the two-sided sign "
    f"test of the differences has a p of at most {SIGNIFICANT}. An interval over fewer seeds is too narrow to tell. "
    "Where most seeds have one difference there is none. “b>a” counts the seeds."
)


@dataclasses.dataclass(frozen=True, repr=False)
class Comparison:
    """What a comparison of two results found. It prints as tables, in a notebook too.

    Args:
      table: a row per setting and variable, numbers alone; see :func:`compare`.
      differs: where the two studies differ, a row each with the columns ``what``, ``a`` and ``b``.
      left_out: sentences on seeds and settings that one of the two lacks.
    """

    table: pd.DataFrame
    differs: list[Row]
    left_out: list[str]

    @property
    def answer(self) -> list[str]:
        """A sentence per variable: where b is higher or lower, by the interval and by a sign test of the differences.

        Fewer than 6 seeds cannot tell. Of several settings it says how many chance alone would call.
        """
        return [
            f"{name}: {_of_settings(of_name) if len(of_name) > 1 else _of_setting(of_name.iloc[0].to_dict())}."
            for name, of_name in self.table.groupby(level="variable", sort=False)
        ]

    def __repr__(self) -> str:
        """Returns the answer and the tables as text of 80 columns."""
        from rich.console import Console

        text = io.StringIO()
        screen = Console(file=text, width=80, markup=False, emoji=False)
        for sentence in self.answer:
            screen.print(sentence, highlight=False)
        screen.print(to_terminal(self._rows(), "b − a, paired by seed"))
        for sentence in self.left_out:
            screen.print(sentence, highlight=False)
        if self.differs:
            screen.print(to_terminal(self.differs, "Where the studies differ"))
        else:
            screen.print("The studies differ in nothing that the results say.", highlight=False)
        screen.print(NOTE, highlight=False)
        return text.getvalue().rstrip("\n")

    def _repr_html_(self) -> str:
        """Returns the answer and the tables as HTML, for notebooks."""
        parts: list[str] = [html.answer(*self.answer)]
        parts.append(html.table(self._rows(), "b − a, paired by seed", is_sortable=False))
        parts += [html.paragraph(text) for text in self.left_out]
        if self.differs:
            parts.append(html.table(self.differs, "Where the studies differ", is_sortable=False))
        return f"<div>{''.join([*parts, html.paragraph(NOTE)])}</div>"

    def _rows(self) -> list[Row]:
        """The table as text."""
        settings = [name for name in self.table.index.names if name is not None]
        found = []
        for key, numbers in zip(self.table.index, self.table.to_dict("records"), strict=True):
            labels, seeds = key if isinstance(key, tuple) else (key,), int(numbers["seeds"])
            found.append(
                {str(name): setting_text(label) for name, label in zip(settings, labels, strict=True)}
                | {
                    "difference": _difference(numbers),
                    **{which: _number(numbers[f"{which}_median"]) for which in "ab"},
                    "b>a": f"{int(numbers['b_is_higher'])}/{seeds}" if seeds else UNDEFINED,
                }
            )
        return found


def _way(numbers: Mapping[str, Any]) -> str:
    """Whether b is "higher" or "lower" for sure; empty where neither."""
    if numbers["seeds"] < FEWEST_SEEDS or not numbers["sign_test_p"] <= SIGNIFICANT:
        return ""
    if numbers["difference_low"] > 0:
        return "higher"
    return "lower" if numbers["difference_high"] < 0 else ""


def _of_setting(numbers: Mapping[str, Any]) -> str:
    """What is said of a single setting."""
    seeds = int(numbers["seeds"])
    if not seeds:
        return "no seed has a number in both"
    if seeds < FEWEST_SEEDS:
        return (
            f"{counted(seeds, 'seed')} cannot tell whether a and b differ, which takes {FEWEST_SEEDS}; the difference "
            f"is {_difference(numbers)}, and b > a in {int(numbers['b_is_higher'])} of {seeds}"
        )
    return (
        f"b is {_way(numbers) or 'neither higher nor lower for sure'}; the difference is {_difference(numbers)}, with "
        f"p = {numbers['sign_test_p']:.2g} by the sign test, over {counted(seeds, 'seed')}"
    )


def _of_settings(table: pd.DataFrame) -> str:
    """What is said of several settings."""
    able = [numbers for numbers in table.to_dict("records") if numbers["seeds"] >= FEWEST_SEEDS]
    few, medians = len(table) - len(able), table["difference_median"]
    if not able:
        found = f"too few seeds to tell whether a and b differ at any of {len(table)} settings, it takes {FEWEST_SEEDS}"
        if medians.isna().all():
            return found
        return f"{found}; the median differences are from {medians.min():z.3f} to {medians.max():z.3f}"
    ways = [_way(numbers) for numbers in able]
    # Chance is told, not corrected for: by Holm's rule ten seeds, whose p is at least 0.002, could call nothing at 26
    # settings or more, and a reader would take that for "no difference".
    told = (
        f"b is higher at {ways.count('higher')} of {counted(len(able), 'setting')}, and lower at "
        f"{ways.count('lower')}; chance alone would call up to {SIGNIFICANT * len(able):.2g} of them on average"
    )
    if few:
        told += f". {few} more {'has' if few == 1 else 'have'} fewer than {FEWEST_SEEDS} seeds, which cannot tell"
    return told


def _difference(numbers: Mapping[str, Any]) -> str:
    """The median difference with its interval. One without width is left out: it would look like certainty."""
    low, high = numbers["difference_low"], numbers["difference_high"]
    if numbers["seeds"] > 1 and high - low < EQUAL:
        return f"{numbers['difference_median']:z.3f} (the same in most seeds)"
    return interval_text(numbers, "difference")


def _number(value: float) -> str:
    """A number of a table; a dash for NaN."""
    return UNDEFINED if np.isnan(value) else f"{value:z.3f}"

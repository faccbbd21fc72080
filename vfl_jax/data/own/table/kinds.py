"""Kinds of columns, as users name them, and what is reported of each."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from vfl_jax.core.checks import is_number, shown

THOUSANDS = (",", ".", " ", "'", "_")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Numeric:
    """A column of numbers: one feature. ``fill`` stands for missing cells: a number, or the training rows' mean.

    Numbers may be written in texts, as "1,234.50", "28,7", "45%" (which is 45) or "$5". ``decimal`` and ``thousands``
    say what stands before the fraction and between groups of digits, where the cells leave it open: "1,234" may be 1234
    or 1.234. ``unit`` is a text that stands beside every number and is taken away, as "kr" in "5 kr"; it changes no
    number.
    """

    fill: float | Literal["mean"] | None = None
    decimal: str | None = None
    thousands: str | None = None
    unit: str | None = None

    def __post_init__(self) -> None:
        if self.fill not in (None, "mean") and not (is_number(self.fill) and np.isfinite(self.fill)):
            raise ValueError(f"Numeric.fill is {self.fill!r}; it must be a finite number, 'mean' or None.")
        if self.decimal not in (None, ".", ","):
            raise ValueError(f"Numeric.decimal is {self.decimal!r}; it must be '.' or ','.")
        if self.thousands not in (None, *THOUSANDS) or (self.thousands and self.thousands == self.decimal):
            raise ValueError(
                f"Numeric.thousands is {self.thousands!r}; it must be one of {', '.join(map(repr, THOUSANDS))}, and "
                "not what decimal is."
            )
        is_unit = isinstance(self.unit, str) and self.unit.strip() and not re.search(r"\d", self.unit)
        if self.unit is not None and not is_unit:
            raise ValueError(f"Numeric.unit is {shown(self.unit)}; it must be a text beside numbers, without digits.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Categorical:
    """A column of categories: one feature each, 1 or 0. ``fill`` is the category of missing cells."""

    fill: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.fill, str | None):
            raise ValueError(f"Categorical.fill is {self.fill!r}; it must be a text or None.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tags:
    """A column of any number of tags per cell, in a text or a list: one feature each, 1 or 0, or the tag's value.

    The ``vocabulary``, unless given, is what the training rows have: by number of rows, then by name, at ``most`` so
    many. An empty cell has no tags. ``value_separator`` stands between a tag and its value, as in "x0:0.25;x1:-1.0",
    whose ``separator`` is ";"; a tag that a row lacks is 0. Values also come as dicts in cells. ``value_separator=""``
    takes such texts for tags as they are.
    """

    separator: str = " "
    vocabulary: Sequence[str] | None = None
    most: int | None = None
    value_separator: str | None = None

    def __post_init__(self) -> None:
        if not self.separator:
            raise ValueError("Tags.separator is empty; give what stands between two tags.")
        if self.value_separator == self.separator:
            raise ValueError(f"Tags.value_separator is {self.separator!r}, which separator is already; give another.")
        if self.most is not None and (self.vocabulary is not None or self.most < 1):
            raise ValueError(f"Tags.most is {self.most}; it must be above 0, and goes without a vocabulary.")
        if isinstance(self.vocabulary, str | set | frozenset):
            raise ValueError(
                f"Tags.vocabulary is {shown(self.vocabulary)}; expected a list: its order is the features'."
            )
        if self.vocabulary is not None and not 0 < len(set(self.vocabulary)) == len(self.vocabulary):
            raise ValueError("Tags.vocabulary is empty or has a tag twice.")


Kind: TypeAlias = Numeric | Categorical | Tags


@dataclasses.dataclass(frozen=True, kw_only=True)
class ColumnReport:
    """What a column became."""

    kind: str  # numeric, categorical or tags
    num_features: int
    num_filled: int = 0  # missing cells that were filled
    num_unknown: int = 0  # categories or tags of a row that no feature stands for
    is_constant: bool = False  # a number that does not vary over the training rows, and is therefore 0 everywhere
    read_as: tuple[str, float] | None = None  # of numbers in texts, one of them and what it was read as

    def __str__(self) -> str:
        count = {
            "numeric": "",
            "categorical": f", {self.num_features} categories",
            "tags": f", {self.num_features} tags",
        }
        filled = f", {self.num_filled:,} cells filled" if self.num_filled else ""
        unknown = f", {self.num_unknown:,} of the rows' are none of them" if self.num_unknown else ""
        read = f", {self.read_as[0]!r} is {self.read_as[1]:.15g}" if self.read_as else ""
        constant = ", constant over the training rows and therefore set to 0" if self.is_constant else ""
        return self.kind + count[self.kind] + filled + unknown + read + constant

"""The kinds of columns that a user declares, and the report of a column."""

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
    """A column of numbers, which becomes one feature.

    Texts may write the numbers, as "1,234.50", "28,7", "45%" (read as 45) or "$5". Declare ``decimal`` or
    ``thousands`` where the cells leave open how to read them: "1,234" may be 1234 or 1.234.

    Args:
      fill: the number in place of missing cells; "mean" takes the mean of the training rows. Without it, a missing cell
        is an error.
      decimal: the sign before the fraction, "." or ",".
      thousands: the sign between groups of digits: ",", ".", " ", "'" or "_".
      unit: a text without digits beside the numbers, as "kr" in "5 kr"; it is removed and changes no number.

    Raises:
      ValueError: naming the argument, where it is none of these.

    Example:
      >>> Numeric(fill="mean", decimal=",")
      Numeric(fill='mean', decimal=',', thousands=None, unit=None)
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
    """A column of categories; every category of the training rows becomes one feature, 1 or 0.

    Args:
      fill: the category of missing cells. Without it, a missing cell is an error.

    Raises:
      ValueError: where ``fill`` is not a text.
    """

    fill: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.fill, str | None):
            raise ValueError(f"Categorical.fill is {self.fill!r}; it must be a text or None.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tags:
    """A column whose cells hold any number of tags each; every tag becomes one feature.

    A cell is a text, a list of texts, or a dict of values by tag; an empty or missing cell has no tags. The feature of
    a tag that a row lacks is 0. The feature of a tag that it has is 1, or the tag's value.

    Args:
      separator: the text between two tags.
      vocabulary: the tags that become features, in order; without it, the tags of the training rows, by falling number
        of rows, then by name.
      most: the largest number of such tags; it excludes ``vocabulary``.
      value_separator: the text between a tag and its value: ":" in "x0:0.25;x1:-1.0", whose ``separator`` is ";". An
        empty text declares that the tags have no values, though they look as if they had.

    Raises:
      ValueError: where ``separator`` is empty or equals ``value_separator``; where ``most`` is below 1 or goes with a
        vocabulary; where ``vocabulary`` is empty, no list, or has a tag twice.

    Example:
      >>> Tags(separator=";", value_separator=":", most=100).most
      100
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
    """The report of one column; ``print`` shows it in words.

    Args:
      kind: "numeric", "categorical" or "tags".
      num_features: how many features the column became.
      num_filled: how many missing cells were filled.
      num_unknown: how many categories or tags of rows have no feature.
      is_constant: whether the column is constant over the training rows, and therefore 0 in every row.
      read_as: where texts write the numbers, one of the texts and its number.
    """

    kind: str
    num_features: int
    num_filled: int = 0
    num_unknown: int = 0
    is_constant: bool = False
    read_as: tuple[str, float] | None = None

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

"""The cells of one column: what they are, and where a person finds them."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from vfl_jax.data.own.table.files import Table
from vfl_jax.data.own.values import canonical

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True, kw_only=True)
class Column:
    """One column of the rows that were joined."""

    table: Table
    name: str
    rows: np.ndarray  # int[N], of the table

    @cached_property
    def cells(self) -> pd.Series:
        """Numbered from 0, in one of few dtypes."""
        return canonical(self.raw)

    @property
    def raw(self) -> pd.Series:
        """As the table has them, numbered from 0."""
        return self.table.frame[self.name].iloc[self.rows].set_axis(range(len(self.rows)))

    @property
    def reference(self) -> str:
        return f"{self.table.party}.{self.name}"

    @property
    def where(self) -> str:
        return f"{self.table.where}, column {self.name!r}"

    def place(self, row: int) -> str:
        return f"{self.table.where}, {self.table.row(self.rows[row])}, column {self.name!r}"

    def check_filled(self, advice: str) -> None:
        """Raises ``ValueError`` where cells are missing: how many, and where the first is."""
        if (is_missing := self.cells.isna().to_numpy()).any():
            raise ValueError(
                f"{self.place(is_missing.argmax())} holds nothing; {is_missing.sum()} such cells (empty, NA, NaN, "
                f"null or None). {advice}"
            )

    def check_fillable(self, kind: str) -> None:
        self.check_filled(
            f"Fill them: columns={{{self.reference!r}: {kind}}}; leave the column out: drop=[{self.reference!r}]; "
            "or take these rows out of the file."
        )

"""The cells of one column, and the words that tell a user where a cell stands."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from vfl_jax.core.advice import Advised
from vfl_jax.data.own.table.advice import Declared, LeftOut
from vfl_jax.data.own.table.files import Table
from vfl_jax.data.own.table.kinds import Kind
from vfl_jax.data.own.values import canonical

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True, kw_only=True)
class Column:
    """One column of the joined rows.

    Args:
      table: the table of the column.
      name: the name of the column in its table.
      rows: the table's row of each joined row, int[N].
    """

    table: Table
    name: str
    rows: np.ndarray

    @cached_property
    def cells(self) -> pd.Series:
        """The cells of the joined rows in a canonical dtype, indexed from 0."""
        return canonical(self.raw)

    @property
    def raw(self) -> pd.Series:
        """The cells of the joined rows in the table's own dtype, indexed from 0."""
        return self.table.frame[self.name].iloc[self.rows].set_axis(range(len(self.rows)))

    @property
    def reference(self) -> str:
        """The name by which a user refers to the column: "party.column"."""
        return f"{self.table.party}.{self.name}"

    @property
    def where(self) -> str:
        """The name of the column in messages."""
        return f"{self.table.where}, column {self.name!r}"

    def place(self, row: int) -> str:
        """Names one cell in messages; ``row`` counts the joined rows from 0."""
        return f"{self.table.where}, {self.table.row(self.rows[row])}, column {self.name!r}"

    @property
    def left_out(self) -> LeftOut:
        """The advice that leaves the column out."""
        return LeftOut(self.reference)

    def declared(self, *kinds: Kind) -> Declared:
        """Returns the advice that declares the column.

        Args:
          kinds: the kinds that it may have.
        """
        return Declared(self.reference, kinds)

    def check_filled(self, *advice: object) -> None:
        """Checks that no cell is missing.

        Args:
          advice: the parts of the end of the message.

        Raises:
          ValueError: naming the first missing cell, and how many are missing.
        """
        if (is_missing := self.cells.isna().to_numpy()).any():
            raise Advised(
                f"{self.place(is_missing.argmax())} holds nothing; {is_missing.sum()} such cells (empty, NA, NaN, "
                "null or None). ",
                *advice,
            )

    def check_fillable(self, kind: Kind) -> None:
        """Checks that no cell is missing.

        Args:
          kind: the kind that fills missing cells, which the message advises.

        Raises:
          ValueError: naming the first missing cell, and how many are missing.
        """
        self.check_filled(
            *("Fill them: ", self.declared(kind), "; leave the column out: ", self.left_out),
            "; or take these rows out of the file.",
        )

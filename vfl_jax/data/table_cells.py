"""The cells of one column: what they are, and where a person finds them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from vfl_jax.data.table_files import Table

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True, kw_only=True)
class Column:
    """One column of the rows that were joined."""

    table: Table
    name: str
    rows: np.ndarray  # int[N], of the table

    @property
    def cells(self) -> pd.Series:
        """Numbered from 0; what the table keeps as categories is written out."""
        import pandas as pd

        cells = self.table.frame[self.name].iloc[self.rows].set_axis(range(len(self.rows)))
        return cells.astype(cells.cat.categories.dtype) if isinstance(cells.dtype, pd.CategoricalDtype) else cells

    @property
    def reference(self) -> str:
        return f"{self.table.party}.{self.name}"

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


def plain(cells: pd.Series) -> np.ndarray:
    """Cells, none missing, as they are compared and named: numbers, whole ones without a point; truth values; texts."""
    from pandas.api import types

    if types.is_bool_dtype(cells.dtype) or types.is_integer_dtype(cells.dtype):
        return np.asarray(cells.tolist())
    if types.is_float_dtype(cells.dtype):
        values = np.asarray(cells.tolist(), np.float64)
        is_whole = (np.abs(values) < 2**53).all() and not (values % 1).any()
        return values.astype(np.int64) if is_whole else values
    return cells.astype(str).to_numpy(object)

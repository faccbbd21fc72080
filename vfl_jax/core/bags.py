"""Sparse features of one party: the ids that each row has, such as the tags of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.struct
import jax.numpy as jnp
import numpy as np

from vfl_jax.core.table_rows import add_rows, sum_rows
from vfl_jax.core.types import Array

ABSENT = -1
"""Fills up rows that have fewer ids than the longest."""


@flax.struct.dataclass
class BagOfIds:
    """Rows of ids with optional weights.

    A dense layer on a bag equals the same layer on the bag's multi-hot rows, [B, F]. An id counts as often as a row has
    it. The constructor checks nothing; :meth:`of` and :meth:`of_sparse` do.

    Args:
      ids: int32[B, L], from 0 to F − 1; −1 fills up rows with fewer ids.
      weights: float32[B, L]; None is 1 everywhere.
      vocabulary: F, the number of different ids.

    Example:
      >>> import vfl_jax as vfl
      >>> bag = vfl.BagOfIds.of([[0, 2], [1]], vocabulary=3)
      >>> bag.ids.tolist()
      [[0, 2], [1, -1]]
      >>> bag.to_sparse().toarray().tolist()
      [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    """

    ids: Array
    weights: Array | None = None
    vocabulary: int = flax.struct.field(pytree_node=False, kw_only=True)

    @classmethod
    def of(cls, rows: Sequence[Any], vocabulary: int, weights: Sequence[Any] | None = None) -> BagOfIds:
        """Builds a bag, in NumPy, from lists.

        Args:
          rows: B lists of ids, of any lengths.
          vocabulary: F.
          weights: B lists of weights, one weight per id; None is 1 everywhere.

        Returns:
          a bag of B rows.

        Raises:
          ValueError: naming the row, where a list holds other things than numbers, a row has not as many weights as
            ids, or :meth:`check` refuses the bag.
        """
        ids, of_ids = _padded("rows", rows, ABSENT, np.int64, "iu"), None
        if weights is not None:
            if len(weights) != len(rows):
                raise ValueError(f"weights has {len(weights)} rows; there are {len(rows)} rows of ids.")
            for i, (row, of_row) in enumerate(zip(rows, weights, strict=True)):
                if np.shape(row) != np.shape(of_row):
                    raise ValueError(f"weights has shape {np.shape(of_row)} in row {i}; its ids have {np.shape(row)}.")
            of_ids = _padded("weights", weights, 0, np.float32, "iuf")
        cls(ids, of_ids, vocabulary=vocabulary).check("the bag")
        return cls(ids.astype(np.int32), of_ids, vocabulary=vocabulary)

    @classmethod
    def of_sparse(cls, matrix: Any, where: str = "the bag") -> BagOfIds:
        """Builds a bag from a SciPy sparse matrix or array; it has no weights where all stored numbers are 1.

        Args:
          matrix: real numbers, [N, F].
          where: the name of the bag in messages.

        Returns:
          a bag of N rows.

        Raises:
          ValueError: where the matrix is of another form, or :meth:`check` refuses the bag.
        """
        if len(matrix.shape) != 2 or matrix.dtype.kind not in "fiub":
            raise ValueError(f"{where} is sparse {matrix.dtype}{list(matrix.shape)}; expected real numbers, [N, F].")
        matrix = matrix.tocsr().copy()
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        lengths = np.diff(matrix.indptr)
        slot = np.arange(len(matrix.indices)) - np.repeat(matrix.indptr[:-1], lengths)
        place = np.repeat(np.arange(len(lengths)), lengths), slot
        ids = np.full((len(lengths), int(lengths.max(initial=0))), ABSENT, np.int32)
        ids[place] = matrix.indices
        weights = None
        if (matrix.data != 1).any():
            weights = np.zeros(ids.shape, np.float32)
            with np.errstate(over="ignore"):  # `check` finds numbers beyond float32, which are infinite here
                weights[place] = matrix.data
        bag = cls(ids, weights, vocabulary=int(matrix.shape[1]))
        bag.check(where)
        return bag

    def to_sparse(self) -> Any:
        """Returns the multi-hot rows as a SciPy CSR array, float32[B, F]."""
        from scipy.sparse import csr_array

        ids = np.asarray(self.ids)
        rows, slots = np.nonzero(ids != ABSENT)
        weights = np.ones(ids.shape, np.float32) if self.weights is None else np.asarray(self.weights)
        return csr_array((weights[rows, slots], (rows, ids[rows, slots])), shape=(len(ids), self.vocabulary))

    def check(self, where: str) -> None:
        """Checks the bag, in NumPy.

        Args:
          where: the name of the bag in messages.

        Raises:
          ValueError: naming the row, where an id lies outside 0 to F − 1 and is not −1, or a weight is not finite;
            where ids or weights are masked or of another form.
        """
        if not isinstance(self.vocabulary, int | np.integer) or self.vocabulary < 1:
            raise ValueError(f"{where} has a vocabulary of {self.vocabulary!r}; it must be a whole number above 0.")
        if np.ma.is_masked(self.ids) or np.ma.is_masked(self.weights):
            raise ValueError(
                f"{where} has ids or weights that are masked; give {ABSENT} as the id of what is not there."
            )
        ids = np.asarray(self.ids)
        if ids.ndim != 2 or ids.dtype.kind not in "iu":
            raise ValueError(f"{where} has ids of {ids.dtype}, shape {ids.shape}; they must be whole numbers, [N, L].")
        is_bad = (ids < ABSENT) | (ids >= self.vocabulary)
        if is_bad.any():
            row, slot = np.argwhere(is_bad)[0]
            raise ValueError(
                f"{where} has id {ids[row, slot]} in row {row}; ids must lie in 0 to {self.vocabulary - 1}, "
                f"or be {ABSENT} where there is none."
            )
        if self.weights is None:
            return
        weights = np.asarray(self.weights)
        if weights.shape != ids.shape or weights.dtype.kind != "f":
            raise ValueError(
                f"{where} has weights of {weights.dtype}, shape {weights.shape}; they must be floating numbers, "
                f"one for each of the ids, {ids.shape}."
            )
        if not np.isfinite(weights).all():
            raise ValueError(
                f"{where} has weights that are not finite in row {np.argwhere(~np.isfinite(weights))[0][0]}."
            )

    def with_id(self, place: Array | int, value: Array | float, rows: Array) -> BagOfIds:
        """Sets one entry of some multi-hot rows.

        Args:
          place: the id whose entry is set.
          value: its new weight.
          rows: bool[B], the rows that change.

        Returns:
          a bag with ids [B, L + 1].
        """
        ids = jnp.asarray(self.ids, jnp.int32)
        kept = jnp.where(rows[:, None] & (ids == place), ABSENT, ids)
        added = jnp.where(rows, jnp.asarray(place, jnp.int32), ABSENT)[:, None]
        weights = jnp.ones(ids.shape) if self.weights is None else jnp.asarray(self.weights, jnp.float32)
        value = jnp.full(added.shape, value, jnp.float32)
        ids, weights = (jnp.concatenate(pair, axis=1) for pair in ((kept, added), (weights, value)))
        return BagOfIds(ids, weights, vocabulary=self.vocabulary)

    def widened(self, like: BagOfIds) -> BagOfIds:
        """Adds empty slots, so that the bag gets the form of another one with as many slots or more.

        Args:
          like: the other bag.

        Returns:
          the same multi-hot rows, in a bag with as many slots as ``like``, and with weights where that has some.
        """
        missing = like.ids.shape[1] - self.ids.shape[1]
        ids = jnp.pad(jnp.asarray(self.ids, jnp.int32), ((0, 0), (0, max(missing, 0))), constant_values=ABSENT)
        if self.weights is None and like.weights is None:
            return BagOfIds(ids, None, vocabulary=self.vocabulary)
        weights = jnp.ones(self.ids.shape) if self.weights is None else jnp.asarray(self.weights, jnp.float32)
        return BagOfIds(ids, jnp.pad(weights, ((0, 0), (0, max(missing, 0)))), vocabulary=self.vocabulary)

    def matmul(self, table: Array) -> Array:
        """Multiplies the multi-hot rows by a table, float32[F, E]; returns float32[B, E], sums of the table's rows."""
        return sum_rows(*self._places(), table)

    def add_outer(self, table: Array, change: Array) -> Array:
        """Adds the product of the transposed multi-hot rows with a change to a table.

        Only the rows of the table that the bag has change, in place where XLA may write there.

        Args:
          table: float32[F, E].
          change: float32[B, E].

        Returns:
          the changed table, float32[F, E].
        """
        return add_rows(*self._places(), table, change)

    def _places(self) -> tuple[Array, Array | None]:
        """Returns (ids, weights), with the absent ids out of range."""
        ids = jnp.asarray(self.ids, jnp.int32)
        ids = jnp.where(ids >= 0, ids, self.vocabulary)
        return ids, None if self.weights is None else jnp.asarray(self.weights, jnp.float32)


class Tapped(NamedTuple):
    """A bag that adds a tap to its products; the gradient by the tap is the gradient by the product.

    Args:
      bag: the bag.
      tap: float32[B, E].
    """

    bag: BagOfIds
    tap: Array

    @property
    def vocabulary(self) -> int:
        """F."""
        return self.bag.vocabulary

    def matmul(self, table: Array) -> Array:
        """Multiplies the bag by a table, float32[F, E], and adds the tap; returns float32[B, E]."""
        return self.bag.matmul(table) + self.tap


def multi_hot(bag: BagOfIds) -> np.ndarray:
    """Returns the multi-hot rows of a bag in NumPy, float32[B, F]."""
    dense: np.ndarray = bag.to_sparse().toarray()
    return dense


def _padded(name: str, lists: Sequence[Any], fill: int, dtype: Any, kinds: str) -> np.ndarray:
    """Returns lists of any lengths as one array, [N, L]; ``kinds`` are the NumPy kinds of numbers they may hold."""
    rows = [np.asarray(row) for row in lists]
    for i, row in enumerate(rows):
        if np.ma.is_masked(lists[i]):
            raise ValueError(f"{name} has masked numbers in row {i}; leave out what is not there.")
        if row.ndim != 1 or (row.size and row.dtype.kind not in kinds):
            numbers = "numbers" if "f" in kinds else "whole numbers"
            raise ValueError(f"{name} has {lists[i]!r} in row {i}; it must be a list of {numbers}.")
    padded: np.ndarray = np.full((len(rows), max(map(len, rows), default=0)), fill, dtype)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
    return padded

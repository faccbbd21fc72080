"""Sparse features of one party: the ids that are set in each row, e.g. the tags of an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.core.types import Array

ABSENT = -1
"""Fills up rows that have fewer ids than the longest."""

SLOTS_AT_ONCE = 8
"""So many become one fused loop. With all of 131 slots in one a program takes ten times as long to compile, and nearly
twice as long to run."""


@flax.struct.dataclass
class BagOfIds:
    """Rows of ids with optional weights; a dense layer on them equals one on their multi-hot rows, [B, F].

    An id that a row has twice counts twice. ``vocabulary`` is F, the number of ids there are.
    """

    ids: Array  # int32[B, L]  from 0 to F − 1, or ABSENT
    weights: Array | None = None  # float32[B, L]; None is 1 everywhere
    vocabulary: int = flax.struct.field(pytree_node=False, kw_only=True)

    @classmethod
    def of(cls, rows: Sequence[Any], vocabulary: int, weights: Sequence[Any] | None = None) -> BagOfIds:
        """Builds bags, in NumPy, from a list of ids per row, of any lengths, and a list of weights for each.

        Raises:
          ValueError: naming the row, where the lists are not of numbers or not of equal length, or on what
            :meth:`check` refuses.
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
        """Bags from a SciPy sparse matrix or array, [N, F]; without weights where all that it stores are ones.

        Args:
          where: what the bag is called in messages.

        Raises:
          ValueError: on what :meth:`check` refuses.
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
            with np.errstate(over="ignore"):  # what is beyond float32 is found below, as infinite
                weights[place] = matrix.data
        bag = cls(ids, weights, vocabulary=int(matrix.shape[1]))
        bag.check(where)
        return bag

    def to_sparse(self) -> Any:
        """The multi-hot rows as a SciPy CSR array, float32[N, F]."""
        from scipy.sparse import csr_array

        ids = np.asarray(self.ids)
        rows, slots = np.nonzero(ids != ABSENT)
        weights = np.ones(ids.shape, np.float32) if self.weights is None else np.asarray(self.weights)
        return csr_array((weights[rows, slots], (rows, ids[rows, slots])), shape=(len(ids), self.vocabulary))

    def check(self, where: str) -> None:
        """Raises ``ValueError``, naming the row, unless ids and weights are what they must be; in NumPy.

        Args:
          where: what the bag is called in messages.
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

    def with_id(self, place: int, value: Array | float, rows: Array) -> BagOfIds:
        """Sets entry ``place`` of some multi-hot rows to ``value``: bags of one slot more, [B, L + 1].

        Args:
          rows: which, bool[B].
        """
        ids = jnp.asarray(self.ids, jnp.int32)
        kept = jnp.where(rows[:, None] & (ids == place), ABSENT, ids)
        added = jnp.where(rows, jnp.int32(place), ABSENT)[:, None]
        weights = jnp.ones(ids.shape) if self.weights is None else jnp.asarray(self.weights, jnp.float32)
        value = jnp.full(added.shape, value, jnp.float32)
        ids, weights = (jnp.concatenate(pair, axis=1) for pair in ((kept, added), (weights, value)))
        return BagOfIds(ids, weights, vocabulary=self.vocabulary)

    def matmul(self, table: Array) -> Array:
        """The product with a table, [F, E], as float32[B, E]: sums of its rows."""
        return _matmul(*self._places(), table)

    def add_outer(self, table: Array, change: Array) -> Array:
        """Adds to a table, [F, E], the product of the transposed multi-hot rows with ``change``, float32[B, E].

        Touches only the table's rows that are set, in place where XLA may.
        """
        return _scatter(*self._places(), table, change)

    def _places(self) -> tuple[Array, Array | None]:
        """Ids, those that are not there out of range, and weights."""
        ids = jnp.asarray(self.ids, jnp.int32)
        ids = jnp.where(ids >= 0, ids, self.vocabulary)
        return ids, None if self.weights is None else jnp.asarray(self.weights, jnp.float32)


class Tapped(NamedTuple):
    """A bag whose products have ``tap`` added, float32[B, E]: what a gradient before the table is taken by."""

    bag: BagOfIds
    tap: Array

    @property
    def vocabulary(self) -> int:
        return self.bag.vocabulary

    def matmul(self, table: Array) -> Array:
        return self.bag.matmul(table) + self.tap


def multi_hot(bag: BagOfIds) -> np.ndarray:
    """The dense rows, float32[N, F], in NumPy."""
    dense: np.ndarray = bag.to_sparse().toarray()
    return dense


def _padded(name: str, lists: Sequence[Any], fill: int, dtype: Any, kinds: str) -> np.ndarray:
    """Lists of any lengths as one array, [N, L]; ``kinds`` are the kinds of numbers that may be in them."""
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


# Ids out of range read zeros and write nothing. Without weights nothing is multiplied, which is a tenth of a step.


def _sum_rows(ids: jax.Array, weights: jax.Array | None, table: jax.Array) -> jax.Array:
    """float32[B, E]"""

    def add(total: jax.Array, slot: tuple[jax.Array, jax.Array | None]) -> tuple[jax.Array, None]:
        ids, weights = slot
        return total + _weighted(weights, table.at[ids].get(mode="fill", fill_value=0)), None

    total = jnp.zeros((ids.shape[0], table.shape[1]), table.dtype)
    return _over_slots(add, total, ids, weights)


def _add_rows(ids: jax.Array, weights: jax.Array | None, table: jax.Array, change: jax.Array) -> jax.Array:
    """float32[F, E]"""

    def add(table: jax.Array, slot: tuple[jax.Array, jax.Array | None]) -> tuple[jax.Array, None]:
        ids, weights = slot
        return table.at[ids].add(_weighted(weights, change), mode="drop"), None

    return _over_slots(add, table, ids, weights)


def _over_slots(add: Callable[..., Any], start: jax.Array, ids: jax.Array, weights: jax.Array | None) -> jax.Array:
    """One slot after another, some of them in one fused loop."""
    at_once = min(ids.shape[1], SLOTS_AT_ONCE) or 1
    # No slots may be left over: XLA would read their rows anew for everything that the result is used for.
    num_more = -ids.shape[1] % at_once
    ids = jnp.pad(ids, ((0, 0), (0, num_more)), constant_values=np.iinfo(np.int32).max)
    weights = None if weights is None else jnp.pad(weights, ((0, 0), (0, num_more)))
    slots = ids.T, None if weights is None else weights.T
    return jax.lax.scan(add, start, slots, unroll=at_once)[0]


def _weighted(weights: jax.Array | None, rows: jax.Array) -> jax.Array:
    return rows if weights is None else weights[:, None] * rows


def _grid_in_columns(function: Callable[..., Array]) -> Callable[..., Array]:
    """Maps grid points, which share ids and weights, in the columns of tables and changes: [F, G·E].

    That is how [F, G, E] lies in memory, so the rows of all grid points are read, and written in place, together;
    JAX's own rules would transpose the whole table in every step.
    """
    mapped = jax.custom_batching.custom_vmap(function)

    @mapped.def_vmap
    def _(size, batched, ids, weights, *tables):
        def to_columns(table: Array, is_batched: bool) -> Array:
            return jnp.moveaxis(table, 0, 1).reshape(table.shape[1], -1) if is_batched else jnp.tile(table, (1, size))

        if not any(batched[:2]):
            columns = mapped(ids, weights, *map(to_columns, tables, batched[2:]))
            return jnp.moveaxis(columns.reshape(columns.shape[0], size, -1), 1, 0), True
        axes = [0 if is_batched else None for is_batched in batched]
        return jax.vmap(function, axes)(ids, weights, *tables), True

    return mapped


_gather = _grid_in_columns(_sum_rows)
_scatter = _grid_in_columns(_add_rows)


@jax.custom_vjp
def _matmul(ids: Array, weights: Array | None, table: Array) -> Array:
    return _gather(ids, weights, table)


def _matmul_forward(ids, weights, table):
    return _gather(ids, weights, table), (ids, weights, table)


def _matmul_backward(kept, gradient):
    ids, weights, table = kept
    of_weights = None
    if weights is not None:
        rows = jnp.take(table, ids, axis=0, mode="fill", fill_value=0)
        of_weights = jnp.einsum("ble,be->bl", rows, gradient)
    return None, of_weights, _scatter(ids, weights, jnp.zeros_like(table), gradient)


_matmul.defvjp(_matmul_forward, _matmul_backward)

"""Bags of ids and the rows of a table: sums of the rows that a bag looks up, and changes of these rows alone.

A bag is a row of ids, int32[B, L]. Absent ids are out of range: they read zeros and write nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.core.by_platform import on_cpu_or_accelerator
from vfl_jax.core.types import Array

SLOTS_AT_ONCE = 8
"""So many of the L slots become one fused loop. With 131 slots in one loop a program takes ten times as long to
compile, and nearly twice as long to run."""

LARGEST_PRODUCT = 4096
"""Tables with more rows are changed slot by slot on an accelerator too; a product would touch all of their rows."""


def _sum(ids: jax.Array, weights: jax.Array | None, table: jax.Array) -> jax.Array:
    """Sums the looked-up rows, float32[B, E]; see :func:`sum_rows`."""

    def add(total: jax.Array, slot: tuple[jax.Array, jax.Array | None]) -> tuple[jax.Array, None]:
        ids, weights = slot
        return total + _weighted(weights, table.at[ids].get(mode="fill", fill_value=0)), None

    total = jnp.zeros((ids.shape[0], table.shape[1]), table.dtype)
    return _over_slots(add, total, ids, weights)


def _add(ids: jax.Array, weights: jax.Array | None, table: jax.Array, change: jax.Array) -> jax.Array:
    """Adds every changed row to the table, float32[F, E]; see :data:`add_rows`."""

    def add(table: jax.Array, slot: tuple[jax.Array, jax.Array | None]) -> tuple[jax.Array, None]:
        ids, weights = slot
        return table.at[ids].add(_weighted(weights, change), mode="drop"), None

    return _over_slots(add, table, ids, weights)


def _sum_at_once(ids: jax.Array, weights: jax.Array | None, table: jax.Array) -> jax.Array:
    """Does as :func:`_sum`, with all slots in one kernel of an accelerator."""
    rows = table.at[ids].get(mode="fill", fill_value=0)
    return (rows if weights is None else weights[..., None] * rows).sum(axis=1)


def _add_at_once(ids: jax.Array, weights: jax.Array | None, table: jax.Array, change: jax.Array) -> jax.Array:
    """Does as :func:`_add`, by one product with the multi-hot rows, in the same order at every run."""
    slots = jax.nn.one_hot(ids, table.shape[0], dtype=table.dtype)
    multi_hot = (slots if weights is None else weights[..., None] * slots).sum(axis=1)
    return table + jnp.matmul(multi_hot.T, change, precision="highest")


def _over_slots(add: Callable[..., Any], start: jax.Array, ids: jax.Array, weights: jax.Array | None) -> jax.Array:
    """Runs ``add`` for one slot of all bags after another, ``SLOTS_AT_ONCE`` of them in one fused loop."""
    at_once = min(ids.shape[1], SLOTS_AT_ONCE) or 1
    # No slot may be left over: XLA would read its rows anew for each use of the result.
    num_more = -ids.shape[1] % at_once
    ids = jnp.pad(ids, ((0, 0), (0, num_more)), constant_values=np.iinfo(np.int32).max)
    weights = None if weights is None else jnp.pad(weights, ((0, 0), (0, num_more)))
    slots = ids.T, None if weights is None else weights.T
    return jax.lax.scan(add, start, slots, unroll=at_once)[0]


def _weighted(weights: jax.Array | None, rows: jax.Array) -> jax.Array:
    """Multiplies rows by their weights; without weights it multiplies nothing, which saves a tenth of a step."""
    return rows if weights is None else weights[:, None] * rows


def _grid_in_columns(function: Callable[..., Array]) -> Callable[..., Array]:
    """Moves the grid points into the columns of tables and changes, [F, G·E], where they share ids and weights.

    The state holds a table as [F, G, E], which lies in memory as [F, G·E]. So the program reads the rows of all grid
    points together, and writes them in place. JAX's own rules would transpose the whole table in every step.
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


def _sum_by_platform(ids: jax.Array, weights: jax.Array | None, table: jax.Array) -> jax.Array:
    """Sums the looked-up rows in the way of the platform; see :data:`LARGEST_PRODUCT`."""
    if table.shape[0] > LARGEST_PRODUCT:
        return _sum(ids, weights, table)
    return on_cpu_or_accelerator(_sum, _sum_at_once, ids, weights, table)


def _add_by_platform(ids: jax.Array, weights: jax.Array | None, table: jax.Array, change: jax.Array) -> jax.Array:
    """Adds the changed rows in the way of the platform; see :data:`LARGEST_PRODUCT`."""
    if table.shape[0] > LARGEST_PRODUCT:
        return _add(ids, weights, table, change)
    return on_cpu_or_accelerator(_add, _add_at_once, ids, weights, table, change)


_sum_on_grid = _grid_in_columns(_sum_by_platform)
add_rows = _grid_in_columns(_add_by_platform)
"""``add_rows(ids, weights, table, change)`` adds row i of ``change``, float32[B, E], to every row of ``table`` that bag
i looks up, times its weight; it returns float32[F, E]."""


@jax.custom_vjp
def sum_rows(ids: Array, weights: Array | None, table: Array) -> Array:
    """Sums the rows of a table that every bag looks up.

    Args:
      ids: int32[B, L]; ids out of range are absent.
      weights: float32[B, L]; None is 1 everywhere.
      table: float32[F, E].

    Returns:
      float32[B, E].
    """
    return _sum_on_grid(ids, weights, table)


def _sum_forward(ids, weights, table):
    return _sum_on_grid(ids, weights, table), (ids, weights, table)


def _sum_backward(kept, gradient):
    ids, weights, table = kept
    of_weights = None
    if weights is not None:
        rows = jnp.take(table, ids, axis=0, mode="fill", fill_value=0)
        of_weights = jnp.einsum("ble,be->bl", rows, gradient)
    return None, of_weights, add_rows(ids, weights, jnp.zeros_like(table), gradient)


sum_rows.defvjp(_sum_forward, _sum_backward)

"""Rows in blocks, which are taken through the models one after another: filled up, and in the order methods ask for."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.core.types import Array, Key
from vfl_jax.scenario import Scenario

ORDER = np.uint32(2**32 - 1)
"""The party's number in the key of the order of the rows; no party has this number."""


def in_blocks(rows: Any, num_rows: int, together: int, most: int) -> tuple[Any, np.ndarray]:
    """Cuts rows into blocks of equal size; zeros fill up the last.

    Args:
      rows: leaves [M, ...], NumPy arrays.
      num_rows: M.
      together: how many rows methods ask for together; a block is a multiple of it.
      most: the most rows of a block, unless methods ask for more together.

    Returns:
      (leaves [blocks, M', ...]; the numbers of the rows, int32[blocks, M'], with M where zeros fill up).
    """
    size = min(max(most // together, 1) * together, num_rows)
    num_blocks = -(-num_rows // size)
    ids = np.arange(num_blocks * size, dtype=np.int32)

    def fill(leaf: np.ndarray) -> np.ndarray:
        filled = np.zeros((num_blocks * size, *leaf.shape[1:]), leaf.dtype)
        filled[:num_rows] = leaf
        return filled.reshape(num_blocks, size, *leaf.shape[1:])

    return jax.tree.map(fill, rows), np.where(ids < num_rows, ids, num_rows).reshape(num_blocks, size)


def in_order(scenario: Scenario, key: Key, rows: Any, row_ids: Array, num_rows: int) -> tuple[Any, Array]:
    """Brings rows in blocks to the order that the scenario's methods ask for; traced.

    Args:
      scenario: the scenario.
      key: the key of the whole evaluation.
      rows: leaves [blocks, M', ...].
      row_ids: int32[blocks, M'], as :func:`in_blocks` gives them.
      num_rows: M.

    Returns:
      (the rows, their numbers), of the same shapes.
    """
    if scenario.inference_order != "shuffled":
        return rows, row_ids
    order = jax.random.permutation(jax.random.fold_in(key, ORDER), num_rows)
    order = jnp.concatenate([order, jnp.arange(num_rows, row_ids.size)]).reshape(row_ids.shape)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[order], rows), row_ids.reshape(-1)[order]

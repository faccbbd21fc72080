"""What attacks compute of all training rows between two epochs, in blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from vfl_jax.core.types import Features
from vfl_jax.protocol.views import PartyEpochView

BLOCK = 512
"""The number of training rows that are read together, which bounds the memory."""


def over_all_rows(view: PartyEpochView, function: Callable[[Features], Any]) -> Any:
    """Maps a function over all training rows, in blocks.

    Args:
      view: the view of the party between two epochs.
      function: from rows, leaves [B, ...], to arrays, leaves [B, ...].

    Returns:
      the arrays of all rows, leaves [N, ...].
    """
    num_rows = len(view.sample_ids)
    num_blocks = -(-num_rows // BLOCK)
    ids = (jnp.arange(num_blocks * BLOCK) % num_rows).reshape(num_blocks, BLOCK)
    found = jax.lax.map(lambda block: function(view.rows(block)), ids)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:num_rows], found)

"""What is trained: the arena's boards under defenses that shape messages, with a party that can send any message."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from vfl_jax.arenas.lineup import BOARDS, NOT_PUBLISHED
from vfl_jax.arenas.table import UNDEFENDED
from vfl_jax.core.types import Key
from vfl_jax.protocol.knowledge import Shapes, where_rows
from vfl_jax.protocol.needs import Needs
from vfl_jax.protocol.transforms import Attack
from vfl_jax.protocol.views import PartyInferView

DATA = tuple(name for name in BOARDS if name not in NOT_PUBLISHED)
CHOSEN: tuple[str, ...] = (UNDEFENDED, "EmbeddingNormalisation", "EmbeddingClipping", "MID")
"""No defense, and those of the arena's line-up that change every message at inference by a rule with a gradient."""
SIZES = {"honest": 1.0, "hundredfold": 100.0}
"""The largest L2 norm of a message, in those of the longest honest one of a training row; the shorter one first."""


class SendsOneMessage(Attack):
    """Trains honestly, and sends its state, one message of E numbers, in place of every attacked row's embedding."""

    needs = Needs(trigger="message", poison_rate=0.0)

    def init(self, key: Key, shapes: Shapes, party: int) -> jax.Array:
        return jnp.zeros(shapes.widths[party])

    def infer_upload(self, key: Key, state: jax.Array, view: PartyInferView, embedding: jax.Array) -> jax.Array:
        return where_rows(view.is_attacked, state, embedding)

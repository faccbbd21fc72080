"""How large a party's messages are: what the levels of defenses are measured in."""

from __future__ import annotations

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.core.types import Key
from vfl_jax.protocol.knowledge import Shapes
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.protocol.views import PartyView


@flax.struct.dataclass
class SizesState:
    """What was measured so far.

    Args:
      num_steps: float32[], the number of steps.
      squares: float32[], the sum over steps of the mean square of a gradient's entries.
      norms: float32[], the sum over steps of the median length of a gradient's rows.
      embedding: float32[], the median length of the rows of the last embedding.
    """

    num_steps: jax.Array
    squares: jax.Array
    norms: jax.Array
    embedding: jax.Array


class MessageSizes(PartyTransform):
    """Follows the protocol honestly, and measures its own messages; it is no attack.

    ``report`` gives ``gradient_entry``, the root mean square of all entries of all gradients it got;
    ``gradient_norm``, the mean over steps of the median length of a gradient's rows; and ``embedding_norm``, the median
    length of the rows of its last embedding.

    Example:
      >>> import vfl_jax as vfl
      >>> from vfl_jax.audits.sizes import MessageSizes
      >>> vfl.Scenario(attacks=[vfl.PartyTransform(), MessageSizes()]).attackers
      ()
    """

    def init(self, key: Key, shapes: Shapes, party: int) -> SizesState:
        zero = jnp.float32(0.0)
        return SizesState(num_steps=zero, squares=zero, norms=zero, embedding=zero)

    def on_upload(
        self, key: Key, state: SizesState, view: PartyView, embedding: jax.Array
    ) -> tuple[jax.Array, SizesState]:
        return embedding, dataclasses.replace(state, embedding=jnp.median(jnp.linalg.norm(embedding, axis=-1)))

    def on_download(
        self, key: Key, state: SizesState, view: PartyView, gradient: jax.Array
    ) -> tuple[jax.Array, SizesState]:
        return gradient, dataclasses.replace(
            state,
            num_steps=state.num_steps + 1.0,
            squares=state.squares + jnp.mean(gradient**2),
            norms=state.norms + jnp.median(jnp.linalg.norm(gradient, axis=-1)),
        )

    def report(self, state: SizesState) -> dict[str, jax.Array]:
        steps = jnp.maximum(state.num_steps, 1.0)
        return {
            "gradient_entry": jnp.sqrt(state.squares / steps),
            "gradient_norm": state.norms / steps,
            "embedding_norm": state.embedding,
        }

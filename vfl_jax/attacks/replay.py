"""Replay: at inference, embeddings of known rows of class τ in place of one's own, as SecretFlow has it."""

from __future__ import annotations

from typing import Literal

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_count, check_range
from vfl_jax.core.record import static
from vfl_jax.core.types import Array, Key
from vfl_jax.protocol.knowledge import Shapes, where_rows
from vfl_jax.protocol.needs import Needs
from vfl_jax.protocol.transforms import Attack
from vfl_jax.protocol.views import PartyInferView, PartyView

Combine = Literal["replace", "add"]


@flax.struct.dataclass
class ReplayState:
    """The state of the attack.

    Args:
      store: float32[R, E], a ring of own embeddings of known target rows; 0 where nothing is stored yet.
      num_met: int32[], how many such rows the party has met so far, each visit counted.
      size: int32[], the places of the ring that are used, at most R; 0 before the first step.
    """

    store: jax.Array
    num_met: jax.Array
    size: jax.Array

    @property
    def num_stored(self) -> jax.Array:
        """int32[], how many places hold an embedding."""
        return jnp.minimum(self.num_met, self.size)


class Replay(Attack):
    """Trains honestly, keeps its own embeddings of known rows of class τ, and sends these for attacked test rows.

    The party keeps a ring of as many embeddings as it knows target rows, at most ``most_rows``. In training the k-th
    visit of a target row, counted from 0, writes the party's own embedding at place k modulo the ring's size, so that
    an epoch overwrites the one before it. At inference every attacked row gets one place r, drawn uniformly and with
    replacement, and the party sends::

        factor · store[r]                     under combine="replace", as published
        h + factor · store[r]                 under combine="add"

    As long as nothing is stored it sends what an honest party does; the published code fails then. No message of the
    training changes, so no defense that acts in training alone can be credited with stopping this attack.

    A scenario grants target rows (``poison.num_targets``) and needs no poison rows: ``EmbeddingTrigger()`` with
    ``poison.rate`` 0. ``report`` gives the number of stored embeddings. Source: the replay part of *HijackVFL* (Qiu et
    al. 2024, "Hijack vertical federated learning models as one party", IEEE TDSC; arXiv:2212.00322), as SecretFlow
    implements it (``ReplayAttack``); the paper's other variants optimise the embedding, and are not here. SecretFlow
    tells target rows by their place in the order of the epoch, which is right for batches in the order of the file
    alone; here they are told by their ids. The paper's tables could not be verified.

    Args:
      enabled: 1 for the attack, 0 for the honest run.
      most_rows: R, the largest size of the ring; SecretFlow has no bound.
      combine: whether the stored embedding replaces the own one, as published, or is added to it.
      factor: the factor on the stored embedding; 1 in SecretFlow.

    Raises:
      ValueError: where ``most_rows`` is below 1, ``combine`` is another word, or ``factor`` is NaN.

    Example:
      >>> import vfl_jax as vfl
      >>> scenario = vfl.Scenario(
      ...     attacks=[vfl.PartyTransform(), vfl.attacks.Replay(factor=2.0)],
      ...     poison=vfl.PoisonPlan(trigger=vfl.protocol.EmbeddingTrigger(), rate=0.0, num_targets=50),
      ... )
      >>> scenario.attackers
      (1,)
    """

    needs = Needs(trigger="message", poison_rate=0.0, num_targets=500)

    most_rows: int = static(default=500)
    combine: Combine = static(default="replace")
    factor: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(**{"Replay.most_rows": self.most_rows})
        check_range("Replay", factor=self.factor)

    def init(self, key: Key, shapes: Shapes, party: int) -> ReplayState:
        places = min(self.most_rows, shapes.num_samples)
        return ReplayState(jnp.zeros((places, shapes.widths[party])), num_met=jnp.int32(0), size=jnp.int32(0))

    def on_upload(
        self, key: Key, state: ReplayState, view: PartyView, embedding: jax.Array
    ) -> tuple[jax.Array, ReplayState]:
        _, is_target = view.knowledge.find(view)
        num_known = jnp.sum(view.knowledge.is_target, dtype=jnp.int32)
        size = jnp.clip(num_known, 1, len(state.store))
        return embedding, record(ReplayState(state.store, state.num_met, size), is_target, embedding)

    def infer_upload(self, key: Key, state: ReplayState, view: PartyInferView, embedding: jax.Array) -> jax.Array:
        place = jax.random.randint(key, (len(embedding),), 0, jnp.maximum(state.num_stored, 1))
        sent = self.factor * state.store[place]
        if self.combine == "add":
            sent = embedding + sent
        return where_rows(view.is_attacked & (state.num_stored > 0), sent, embedding)

    def report(self, state: ReplayState) -> dict[str, jax.Array]:
        return {"num_stored": state.num_stored.astype(jnp.float32)}


def record(state: ReplayState, is_target: Array, embedding: Array) -> ReplayState:
    """Writes the embeddings of the target rows of a batch into the ring, in the order of the batch.

    Args:
      state: the ring before the batch.
      is_target: bool[B], the rows that are written.
      embedding: float32[B, E].

    Returns:
      the ring after the batch.
    """
    order = jnp.cumsum(is_target, dtype=jnp.int32) - 1
    num_new = jnp.sum(is_target, dtype=jnp.int32)
    # Of more rows than places the last ones stay; to write a place twice at once would leave open which one does.
    is_kept = is_target & (order >= num_new - state.size)
    place = jnp.where(is_kept, (state.num_met + order) % jnp.maximum(state.size, 1), len(state.store))
    store = jnp.asarray(state.store).at[place].set(embedding, mode="drop")
    return ReplayState(store, num_met=state.num_met + num_new, size=state.size)

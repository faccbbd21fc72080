"""Stay in range: an attack's messages made ordinary, for attackers who know that a detector measures them."""

from __future__ import annotations

from typing import Literal

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_count, check_range
from vfl_jax.core.record import static
from vfl_jax.core.types import Array, Key, Params
from vfl_jax.protocol.knowledge import Shapes, where_rows
from vfl_jax.protocol.transforms import Attack
from vfl_jax.protocol.views import PartyEpochView, PartyInferView, PartyView

Bounds = Literal["range", "deviations", "none"]
Sizes = Literal["norms", "deviations", "none"]
TOLERANCE = 1e-3
"""How far a message may lie from the party's own embedding, in mean deviations, and still count as it: two programs
round differently."""


@flax.struct.dataclass
class StayInRangeState:
    """The state of the attack: what the party's own clean embeddings are like, as of the last look.

    Args:
      low: float32[E], the least entry of every coordinate.
      high: float32[E], the largest.
      mean: float32[E].
      spread: float32[E], the standard deviation.
      sizes: float32[R, 3], of R clean rows the largest entry ‖h‖∞, the norm ‖h‖₂, and the distance to the mean in
        deviations, ‖(h − mean)/spread‖₂.
    """

    low: jax.Array
    high: jax.Array
    mean: jax.Array
    spread: jax.Array
    sizes: jax.Array


class StayInRange(Attack):
    """Makes messages of attacked rows ordinary: the last part of a chain, after an attack that changes messages.

    Before the first epoch and after every one the party embeds up to ``most_rows`` training rows without a trigger,
    drawn at random, and notes the range, mean and spread of every coordinate, and the size of every such row. Then, of
    every message h that the attack before it changed, or that belongs to a poison row or to an attacked test row, with
    the party's honest embedding h₀ of this row ::

        h ← h₀ + share · (h − h₀)
        bounds="range"        h_j is cut to the range of coordinate j
        bounds="deviations"   h_j is cut to mean_j ± deviations · spread_j
        sizes="norms"         h is shrunk by one factor, until neither ‖h‖∞ nor ‖h‖₂ exceeds that of a clean row, which
                              is drawn for each message
        sizes="deviations"    h − mean is shrunk likewise, until ‖(h − mean)/spread‖₂ does not exceed the clean row's

    and "none" leaves out either. What serves against whom: the range alone leaves every cut entry at the edge of the
    ordinary, where ‖h‖∞ still tells attacked rows; drawn sizes end that, because they are as different from each other
    as those of clean rows. VFLIP measures in deviations, so against it "deviations" serves for both. GBD asks whether
    one party decides alone, so against it a message must not be much longer than the others': sizes serve, and a
    ``share`` below 1. All of it costs success. What stays visible is that attacked messages point one way, and that
    they do not fit those of other parties.

    A scenario grants what the attack before it asks for. With a bottom that draws or normalises by batch in training,
    every message differs from h₀, so every training row counts as changed. What is ordinary is as of the last epoch's
    end. There is no source: it is this package's adaptation to the finding that attacks are told by ‖h‖∞ alone.

    Args:
      enabled: 1 for the attack, 0 for the messages as they come.
      bounds: what every coordinate is cut to.
      sizes: which sizes are kept ordinary.
      most_rows: R, the number of clean rows that say what is ordinary.
      deviations: how many deviations a coordinate may lie from its mean, under bounds="deviations".
      share: how much of the change stays, in [0, 1].

    Raises:
      ValueError: where ``most_rows`` is below 1, ``deviations`` is negative, or ``share`` lies outside [0, 1].

    Example:
      >>> import vfl_jax as vfl
      >>> chain = vfl.PartyChain(parts=[vfl.attacks.BASL(scale=5.0), vfl.attacks.StayInRange(share=0.8)])
      >>> vfl.numbers(chain)["parts.1.share"]
      0.8
    """

    needs = None
    bounds: Bounds = static(default="range")
    sizes: Sizes = static(default="norms")
    most_rows: int = static(default=500)
    deviations: float = 2.0
    share: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(**{"StayInRange.most_rows": self.most_rows})
        check_range("StayInRange", 0.0, deviations=self.deviations)
        check_range("StayInRange", 0.0, 1.0, share=self.share)

    def init(self, key: Key, shapes: Shapes, party: int) -> StayInRangeState:
        width, rows = shapes.widths[party], min(self.most_rows, shapes.num_samples)
        nothing = jnp.zeros(width)
        return StayInRangeState(nothing, nothing, nothing, nothing, sizes=jnp.zeros((rows, 3)))

    def on_epoch(
        self, key: Key, state: StayInRangeState, view: PartyEpochView, params: Params
    ) -> tuple[Params, StayInRangeState]:
        is_poison = view.knowledge.is_poison
        order = jnp.argsort(jnp.where(is_poison, 2.0, jax.random.uniform(key, is_poison.shape)))
        ids = order[: len(state.sizes)]
        is_clean = ~is_poison[ids] | is_poison.all()  # where no row is clean, poison rows are what is ordinary
        return params, ordinary(view.forward(view.rows(ids)), is_clean)

    def on_upload(
        self, key: Key, state: StayInRangeState, view: PartyView, embedding: jax.Array
    ) -> tuple[jax.Array, StayInRangeState]:
        own, (is_poison, _) = view.forward(view.features), view.knowledge.find(view)
        is_changed = jnp.abs(embedding - own).max(axis=-1) > TOLERANCE * jnp.mean(state.spread)
        contained = self._contained(key, state, embedding, own)
        return where_rows(is_poison | is_changed, contained, embedding), state

    def infer_upload(self, key: Key, state: StayInRangeState, view: PartyInferView, embedding: jax.Array) -> jax.Array:
        contained = self._contained(key, state, embedding, view.forward(view.features))
        return where_rows(view.is_attacked, contained, embedding)

    def _contained(self, key: Key, state: StayInRangeState, message: jax.Array, own: jax.Array) -> jax.Array:
        """Returns messages made ordinary, float32[B, E]."""
        inside = own + self.share * (message - own)
        if self.bounds == "range":
            inside = jnp.clip(inside, state.low[None], state.high[None])
        elif self.bounds == "deviations":
            reach = self.deviations * state.spread
            inside = jnp.clip(inside, (state.mean - reach)[None], (state.mean + reach)[None])
        if self.sizes == "none":
            return inside
        drawn = state.sizes[jax.random.randint(key, (len(inside),), 0, len(state.sizes))]
        excess = drawn / jnp.maximum(sizes_of(inside, state.mean, state.spread), 1e-12)
        if self.sizes == "norms":
            return inside * jnp.minimum(excess[:, :2].min(axis=1, keepdims=True), 1.0)
        return state.mean[None] + (inside - state.mean[None]) * jnp.minimum(excess[:, 2:], 1.0)


def ordinary(embeddings: Array, is_clean: Array) -> StayInRangeState:
    """Says what clean embeddings are like.

    Args:
      embeddings: float32[R, E].
      is_clean: bool[R], the rows that count; the first does. A row that does not count gets the size of the first.

    Returns:
      the state.
    """
    embeddings, counts = jnp.asarray(embeddings), jnp.asarray(is_clean)[:, None]
    number = jnp.sum(counts, dtype=jnp.float32)
    mean = jnp.where(counts, embeddings, 0.0).sum(axis=0) / number
    spread = jnp.sqrt(jnp.where(counts, (embeddings - mean[None]) ** 2, 0.0).sum(axis=0) / number)
    sizes = sizes_of(embeddings, mean, spread)
    return StayInRangeState(
        low=jnp.where(counts, embeddings, jnp.inf).min(axis=0),
        high=jnp.where(counts, embeddings, -jnp.inf).max(axis=0),
        mean=mean,
        spread=spread,
        sizes=jnp.where(counts, sizes, sizes[:1]),
    )


def sizes_of(embeddings: Array, mean: Array, spread: Array) -> jax.Array:
    """Measures rows as detectors do.

    Args:
      embeddings: float32[B, E].
      mean: float32[E], the mean of clean rows.
      spread: float32[E], their standard deviation; a coordinate that is constant counts by its plain distance.

    Returns:
      float32[B, 3]: the largest entry, the norm, the distance to the mean in deviations.
    """
    embeddings, mean, spread = jnp.asarray(embeddings), jnp.asarray(mean), jnp.asarray(spread)
    standard = (embeddings - mean[None]) / jnp.where(spread > 0, spread, 1.0)[None]
    largest = jnp.abs(embeddings).max(axis=-1)
    return jnp.stack([largest, jnp.linalg.norm(embeddings, axis=-1), jnp.linalg.norm(standard, axis=-1)], axis=-1)

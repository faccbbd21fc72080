"""VFLMonitor: Xu, Zhao, Han, Zhu, Han, Xu, Wang, Ji, Wang 2025 (IEEE TIFS 20, pp. 4828–4843)."""

from __future__ import annotations

import dataclasses
from typing import Literal, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_count, check_range
from vfl_jax.core.record import static
from vfl_jax.core.types import Key, Params
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.knowledge import Shapes
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.protocol.views import ActiveInferView, ActiveView, EmbedView, Messages, Suspicion

SMALL = 1e-12
"""The least distance that another one is divided by."""


@flax.struct.dataclass
class VFLMonitorState:
    """What VFLMonitor keeps. D is the sum of all E, S the size of the bank.

    Args:
      bank: the latest training embeddings of every class, those of all K parties side by side, float32[C, S, D].
      num_heard: int32[C], how many rows of every class the bank was given; the first S places are filled one after the
        other.
      epoch: int32[], the epoch of the latest of them.
      directions: float32[1, L, D], or float32[C, L, D] where every class has its own; the entries of each party have
        length 1.
      widths: E of every party; static.
      active_party: the number of the party that holds the labels; None where the label holder has no features; static.
    """

    bank: jax.Array
    num_heard: jax.Array
    epoch: jax.Array
    directions: jax.Array
    widths: tuple[int, ...] = flax.struct.field(pytree_node=False)
    active_party: int | None = flax.struct.field(pytree_node=False)

    @property
    def crossing(self) -> tuple[int, ...]:
        """The numbers of the parties that may be suspected."""
        return tuple(k for k in range(len(self.widths)) if k != self.active_party)

    def parted(self, joined: jax.Array) -> list[jax.Array]:
        """Returns the entries of every party, [..., E] each, out of [..., D]."""
        ends = [sum(self.widths[: k + 1]) for k in range(len(self.widths))]
        return [joined[..., end - width : end] for end, width in zip(ends, self.widths, strict=True)]


class Votes(NamedTuple):
    """What the parties say about B rows.

    Args:
      distances: float32[B, K, C], how far each party's embedding is from its bank of each class.
      nearest: int32[B, K], the class that each party votes for.
      counts: float32[B, C], the votes of each class.
      is_most: bool[B, C], the classes with the most votes.
    """

    distances: jax.Array
    nearest: jax.Array
    counts: jax.Array
    is_most: jax.Array


class VFLMonitor(ActiveTransform):
    """Lets every party's embedding vote for a class, and believes the vote in place of the head.

    The active party keeps, for every class and party, the embeddings h of the last ``size`` training rows of the class.
    At inference party k votes for the class whose bank is nearest to its embedding of the row, with L directions r of
    length 1, drawn once::

        d[k, c] = mean over r and over h in the bank of (k, c) of |⟨r, h_k⟩ − ⟨r, h⟩|
        vote[k] = the class c with the least d[k, c]

    A class with more than ⌊K/2⌋ votes wins; where there is none, a random one of those with the most votes. The logits
    become the numbers of votes, and ½ more for the class that wins: the head is not asked. A row is suspect where the
    vote of a party other than the active one is not the class that wins, or may not be. Party k's score is
    d[k, winner] / d[k, vote[k]] − 1, its mean over the classes that may win. So one party alone cannot choose a class;
    parties that collude can, from ⌊K/2⌋ + 1 on.

    Inside the loss a centre per class and party draws embeddings together, with the crossing parties' h and the label
    y::

        loss += weight · mean over rows and parties of ½ ‖h_k − centre[k, y]‖²

    Centres begin at 0, and follow their rows by ``optimizer``, at a pace that does not depend on the weight: in
    XDMVFL all parties share centres, which begin at random, and which its small weight leaves there.

    Source: Xu, Zhao, Han, Zhu, Han, Xu, Wang, Ji, Wang 2025, *VFLMonitor: defending one-party hijacking attacks in
    vertical federated learning* (IEEE TIFS 20), which could not be read; the formulas are those of XDMVFL's
    re-implementation. The paper is said to ask for agreement among the k best classes of a party; the code does not,
    nor does this. The scores are this package's own.

    What to know before numbers are compared:

    * Over many directions mean |⟨r, v⟩| is ‖v‖ times a constant of the width, so d is the mean distance to the bank, up
      to a factor that all classes share. ``directions`` "all" takes it: no draw, and a quarter of the time.
    * Poison rows are in the bank under the label that they train with.
    * Before the bank has a row, logits stay and nobody is suspected.

    Args:
      directions: the directions r. "shared": the same for all classes. "by_class": each class has its own, which adds
        noise to the comparison; in XDMVFL every row has its own besides. "all": the limit of infinitely many.
      num_directions: L; 128 in XDMVFL. "all" ignores it.
      size: the number of rows of each class in the bank. XDMVFL keeps up to 2,000; the time of inference grows with it.
      epochs: whose rows: "last" empties the bank when an epoch begins; "all" keeps the latest rows, whatever their
        epoch, which matters for classes of fewer than ``size`` rows. XDMVFL adds the rows of all epochs.
      action: "vote" believes the vote, "report" only names suspects.
      optimizer: the optimizer of the centres; SGD with 0.5.
      weight: the weight of the centre loss; about 0.003. 0 leaves it out.

    Raises:
      ValueError: where ``num_directions`` or ``size`` is no whole number of at least 1, or ``weight`` is negative;
        where fewer than three parties hold features.

    Example:
      >>> import vfl_jax as vfl
      >>> scenario = vfl.presets.digits_demo().replace(defense=vfl.defenses.VFLMonitor(directions="all"))
      >>> scenario.defense.size
      256
    """

    directions: Literal["shared", "by_class", "all"] = static(default="shared")
    num_directions: int = static(default=128)
    size: int = static(default=256)
    epochs: Literal["last", "all"] = static(default="last")
    action: Literal["vote", "report"] = static(default="vote")
    optimizer: Optimizer = Optimizer(learning_rate=0.5)
    weight: float = 0.003

    def __post_init__(self) -> None:
        check_count(**{"VFLMonitor.num_directions": self.num_directions, "VFLMonitor.size": self.size})
        check_range("VFLMonitor", 0.0, weight=self.weight)

    def check(self, shapes: Shapes, by_role: bool) -> None:
        if len(shapes.widths) < 3:
            raise ValueError(
                f"VFLMonitor lets parties that hold features vote, and here is {len(shapes.widths)}; of two who differ "
                "none is outvoted, so it needs three or more. Split the data among more parties."
            )

    def init(self, key: Key, shapes: Shapes) -> VFLMonitorState:
        num_classes, width = shapes.num_classes, sum(shapes.widths)
        sets = num_classes if self.directions == "by_class" else 1
        state = VFLMonitorState(
            bank=jnp.zeros((num_classes, self.size, width)),
            num_heard=jnp.zeros(num_classes, jnp.int32),
            epoch=jnp.zeros((), jnp.int32),
            directions=jax.random.normal(key, (sets, 0 if self.directions == "all" else self.num_directions, width)),
            widths=shapes.widths,
            active_party=shapes.active_party,
        )
        parts = [r / jnp.linalg.norm(r, axis=-1, keepdims=True) for r in state.parted(state.directions)]
        return dataclasses.replace(state, directions=jnp.concatenate(parts, axis=-1))

    def on_receive(
        self, key: Key, state: VFLMonitorState, view: ActiveView, embeddings: Messages
    ) -> tuple[Messages, VFLMonitorState]:
        assert view.embeddings is not None
        rows = dict(enumerate(view.embeddings)) | dict(zip(state.crossing, embeddings, strict=True))
        joined = jnp.concatenate([rows[k] for k in range(len(state.widths))], axis=-1)
        begins = (view.epoch != state.epoch) & (self.epochs == "last")
        num_heard = jnp.where(begins, 0, state.num_heard)
        is_class = jax.nn.one_hot(view.labels, len(num_heard), dtype=jnp.int32)
        arrived = jnp.sum(is_class, axis=0)
        # The t-th row of a class takes the next place; of more rows than there are places the last ones stay.
        place = jnp.sum((jnp.cumsum(is_class, axis=0) - 1 + num_heard[None]) * is_class, axis=-1)
        is_early = place < (num_heard + arrived)[view.labels] - self.size
        place = jnp.where(is_early, self.size, place % self.size)
        return embeddings, dataclasses.replace(
            state,
            bank=state.bank.at[view.labels, place].set(joined, mode="drop"),
            num_heard=jnp.where(arrived > 0, _bounded(num_heard + arrived, self.size), num_heard),
            epoch=jnp.asarray(view.epoch),
        )

    def init_params(self, key: Key, shapes: Shapes) -> Params:
        return {"centres": jnp.zeros((shapes.num_classes, sum(shapes.widths[k] for k in shapes.crossing)))}

    def on_embed(self, params: Params, key: Key, view: EmbedView, embeddings: Messages) -> tuple[Messages, jax.Array]:
        if not view.is_training:
            return embeddings, jnp.float32(0.0)
        assert view.labels is not None
        rows, centres = jnp.concatenate(embeddings, axis=-1), params["centres"][view.labels]
        still = jax.lax.stop_gradient
        drawn = _half_square(rows - still(centres)) / len(embeddings)
        followed = _half_square(still(rows) - centres)
        # The centres' own loss is 0 but for its slope, so that they follow at their own pace.
        pull = jnp.where(jnp.asarray(self.weight) > 0, self.weight * drawn, 0.0)
        return embeddings, pull + followed - still(followed)

    def infer_suspicion(
        self, key: Key, state: VFLMonitorState, view: ActiveInferView, embeddings: Messages
    ) -> Suspicion:
        votes = self.votes(state, view.embeddings)
        crossing = jnp.array(state.crossing)
        distances, nearest = votes.distances[:, crossing], votes.nearest[:, crossing]
        least = jnp.maximum(jnp.take_along_axis(distances, nearest[..., None], axis=-1), SMALL)
        excess = jnp.where(votes.is_most[:, None], jnp.maximum(distances, SMALL) / least - 1.0, 0.0)
        score = jnp.sum(excess, axis=-1) / jnp.sum(votes.is_most, axis=-1, dtype=jnp.float32)[:, None]
        is_other = votes.is_most[:, None] & (jnp.arange(len(state.bank))[None, None] != nearest[..., None])
        has_bank = (state.num_heard > 0).any()
        return Suspicion(score=jnp.where(has_bank, score, 0.0), is_suspect=has_bank & is_other.any(axis=(1, 2)))

    def infer_logits(self, key: Key, state: VFLMonitorState, view: ActiveInferView, logits: jax.Array) -> jax.Array:
        if self.action == "report":
            return logits
        votes = self.votes(state, view.embeddings)
        chance = jnp.where(votes.is_most, jax.random.uniform(key, logits.shape), -1.0)
        winner = jax.nn.one_hot(jnp.argmax(chance, axis=-1), logits.shape[-1])
        return jnp.where((state.num_heard > 0).any(), votes.counts + 0.5 * winner, logits)

    def votes(self, state: VFLMonitorState, embeddings: tuple[jax.Array, ...] | None) -> Votes:
        """Lets the parties vote.

        Args:
          state: the state, with the bank.
          embeddings: K arrays, float32[B, E].
        """
        assert embeddings is not None
        num_classes, size, _ = state.bank.shape
        num_kept = jnp.minimum(state.num_heard, size).astype(jnp.float32)
        is_kept = jnp.arange(size, dtype=jnp.float32)[None] < num_kept[:, None]
        distances = []
        for h, bank, directions in zip(
            embeddings, state.parted(state.bank), state.parted(state.directions), strict=True
        ):
            gaps = self._gaps(h, bank, jnp.broadcast_to(directions, (num_classes, *directions.shape[1:])))
            mean = jnp.where(is_kept[None], gaps, 0.0).sum(axis=-1) / jnp.maximum(num_kept, 1.0)[None]
            distances.append(jnp.where(num_kept[None] > 0, mean, jnp.inf))
        stacked = jnp.stack(distances, axis=1)
        nearest = jnp.argmin(stacked, axis=-1)
        counts = jax.nn.one_hot(nearest, num_classes).sum(axis=1)
        return Votes(stacked, nearest, counts, counts == counts.max(axis=-1, keepdims=True))

    def _gaps(self, embedding: jax.Array, bank: jax.Array, directions: jax.Array) -> jax.Array:
        """Returns how far rows, float32[B, E], are from every row of one party's bank, float32[B, C, S]."""
        if self.directions == "all":
            return jnp.linalg.norm(embedding[:, None, None] - bank[None], axis=-1)
        heights = jnp.einsum("cse,cle->csl", bank, directions)
        own = jnp.einsum("be,cle->bcl", embedding, directions)
        return jnp.abs(own[:, :, None] - heights[None]).mean(axis=-1)


def _bounded(count: jax.Array, size: int) -> jax.Array:
    """Returns a number of rows that has the same place in the bank, and does not grow without end."""
    return jnp.where(count < size, count, size + count % size)


def _half_square(gaps: jax.Array) -> jax.Array:
    """Returns the mean over rows of half the squared norm, float32[]."""
    return 0.5 * jnp.square(gaps).sum(axis=-1).mean()

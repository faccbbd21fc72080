"""VFLIP: Cho, Han, Yu, Lee, Bae, Paek 2024 (ESORICS, LNCS 14985; arXiv:2408.15591)."""

from __future__ import annotations

import dataclasses
from typing import Literal

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_count, check_range
from vfl_jax.core.record import static
from vfl_jax.core.types import Key, Params
from vfl_jax.defenses.masked_autoencoder import (
    autoencode,
    distances_from_all_others,
    distances_from_one,
    draw,
    masked_loss,
    of_party,
)
from vfl_jax.models.fitting import fit
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.knowledge import Shapes
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.protocol.views import ActiveEpochView, ActiveInferView, ActiveView, Messages, Suspicion

SMALL = 1e-8
"""The least threshold, so that a score can be divided by it."""
CONSTANT = 1e-5
"""A coordinate whose spread is at most so many times its mean is constant but for rounding."""


@flax.struct.dataclass
class VFLIPState:
    """What VFLIP keeps: the embeddings of training rows, and after training the detector. D is the sum of all E.

    Args:
      bank: the last embeddings of every training row, those of all K parties side by side, float32[N, D].
      is_kept: bool[N], whether a batch ever had the row.
      params: the parameters of the masked autoencoder.
      mean: the mean of every coordinate of the bank, float32[D].
      spread: its standard deviation, float32[D]; 1 where a coordinate is constant.
      score_mean: the mean score of training rows, by who looks and who is looked at, float32[K, K].
      score_spread: its standard deviation, float32[K, K].
      is_fitted: bool[], false until training is over.
      widths: E of every party; static.
      active_party: the number of the party that holds the labels, which is never suspected; None where the label
        holder has no features; static.
    """

    bank: jax.Array
    is_kept: jax.Array
    params: Params
    mean: jax.Array
    spread: jax.Array
    score_mean: jax.Array
    score_spread: jax.Array
    is_fitted: jax.Array
    widths: tuple[int, ...] = flax.struct.field(pytree_node=False)
    active_party: int | None = flax.struct.field(pytree_node=False)

    @property
    def crossing(self) -> tuple[int, ...]:
        """The numbers of the parties that may be suspected."""
        return tuple(k for k in range(len(self.widths)) if k != self.active_party)

    def joined(self, everyone: tuple[jax.Array, ...] | None, crossing: Messages) -> jax.Array:
        """Returns the embeddings of all K parties side by side, float32[B, D], with these of the crossing ones."""
        if everyone is None:
            raise ValueError("VFLIP needs view.embeddings, which a view built by hand lacks; give them to the view.")
        mine = dict(zip(self.crossing, crossing, strict=True))
        return jnp.concatenate([mine.get(k, everyone[k]) for k in range(len(self.widths))], axis=-1)

    def parted(self, joined: jax.Array) -> Messages:
        """Returns the embeddings of the crossing parties, float32[B, E] each, out of float32[B, D]."""
        ends = [sum(self.widths[: k + 1]) for k in range(len(self.widths))]
        return tuple(joined[:, ends[k] - self.widths[k] : ends[k]] for k in self.crossing)

    def standardised(self, joined: jax.Array) -> jax.Array:
        """Returns embeddings in deviations from the bank's mean, float32[B, D]."""
        return (joined - self.mean[None]) / self.spread[None]


class VFLIP(ActiveTransform):
    """Learns how parties' embeddings go together; at inference masks a party whose embedding does not fit the others'.

    The defense keeps the last embeddings of every training row, those of poison rows included. After the last epoch it
    standardises them by coordinate, x = (h − mean) / spread, and fits a masked autoencoder A to x: six dense layers of
    15/16, 7/8, 3/4, 7/8, 15/16 and all of the D = ΣE coordinates, with ReLU between them. In every batch it draws a
    party j and another party i, and takes the loss::

        mean (A(x without j)_j − x_j)²  +  single_weight · mean (A(x of i alone)_j − x_j)²

    At inference parties vote on each other, and those who lose are masked::

        s[i, j]   = ‖A(x of i alone)_j − x_j‖₂
        votes[j]  = the number of parties i ≠ j with s[i, j] > t[i, j]
        suspect j = votes[j] > half, for every party j but the active one
        x'        = A(x without suspects), and the head gets x'·spread + mean

    The score of party j is the k-th largest s[i, j] / t[i, j], where k votes make it a suspect, who alone has more than
    1. Nothing happens before the last epoch is over. Source: Cho, Han, Yu, Lee, Bae, Paek 2024, *VFLIP: a backdoor
    defense for vertical federated learning via identification and purification* (ESORICS; arXiv:2408.15591). The
    authors published the evaluation alone; the loss and its weights are those of XDMVFL's code, which trains the
    detector with Adam for 20 epochs. The paper's tables could not be verified.

    With two parties there is one voter. Under the votes "released" nobody is ever suspected then, as in the authors'
    code. Under "majority" one vote is enough; where both parties cross, either accuses the other, so that an attack
    makes both suspects and the row is remade from nothing. Whom to believe, two parties cannot tell.

    Args:
      threshold: t[i, j]. "pairs": the mean of s[i, j] over the training rows + ``deviations`` standard deviations, as
        in the paper. "parties": the same of ‖A(x without j)_j − x_j‖₂, though it is compared with s, as in XDMVFL.
        "constant": ``bound``, as in the authors' evaluation.
      votes: "majority": more than half of the K − 1 voters. "released": more than K/2, rounded down, as in
        published code. The paper's own rule could not be read.
      remakes: whose embeddings the head gets from A: "all", in every row, suspect or not, as in the authors'
        evaluation; "suspects" alone, as in XDMVFL; or "nobody", so that the defense only names them. The active
        party's own embedding always stays as it is.
      num_epochs: the number of passes over the bank.
      batch_size: the rows of a batch of these passes.
      optimizer: the optimizer of the autoencoder; Adam, in XDMVFL with rates of 0.05 to 0.1.
      deviations: ρ; 2 in the paper, and 2.5 there for Imagenette and Bank Marketing.
      bound: the constant threshold; 13 in the authors' evaluation, on images and wide embeddings.
      single_weight: the weight of the second loss; 0.1 in XDMVFL.

    Raises:
      ValueError: where ``num_epochs`` or ``batch_size`` is no whole number of at least 1; where a number is negative;
        where fewer than two parties hold features.

    Example:
      >>> import vfl_jax as vfl
      >>> scenario = vfl.presets.digits_demo().replace(defense=vfl.defenses.VFLIP(remakes="suspects"))
      >>> scenario.defense.at_epochs
      (-1,)
    """

    at_epochs = (-1,)
    FEWEST_PARTIES = 3
    """An arena takes no fewer: of two parties either accuses the other. A scenario does."""
    threshold: Literal["pairs", "parties", "constant"] = static(default="pairs")
    votes: Literal["majority", "released"] = static(default="majority")
    remakes: Literal["all", "suspects", "nobody"] = static(default="all")
    num_epochs: int = static(default=20)
    batch_size: int = static(default=128)
    optimizer: Optimizer = Optimizer(kind="adam", learning_rate=0.01)
    deviations: float = 2.0
    bound: float = 13.0
    single_weight: float = 0.1

    def __post_init__(self) -> None:
        check_count(**{"VFLIP.num_epochs": self.num_epochs, "VFLIP.batch_size": self.batch_size})
        check_range("VFLIP", 0.0, deviations=self.deviations, bound=self.bound, single_weight=self.single_weight)

    def check(self, shapes: Shapes, by_role: bool) -> None:
        if len(shapes.widths) < 2:
            raise ValueError(
                f"VFLIP lets parties that hold features vote on each other, and here is {len(shapes.widths)}; it needs "
                "two or more, and three to tell who is right. Split the data among more parties."
            )

    def init(self, key: Key, shapes: Shapes) -> VFLIPState:
        num_parties, size = len(shapes.widths), sum(shapes.widths)
        return VFLIPState(
            bank=jnp.zeros((shapes.num_samples, size)),
            is_kept=jnp.zeros(shapes.num_samples, bool),
            params=draw(key, shapes.widths),
            mean=jnp.zeros(size),
            spread=jnp.ones(size),
            score_mean=jnp.zeros((num_parties, num_parties)),
            score_spread=jnp.zeros((num_parties, num_parties)),
            is_fitted=jnp.zeros((), bool),
            widths=shapes.widths,
            active_party=shapes.active_party,
        )

    def on_receive(
        self, key: Key, state: VFLIPState, view: ActiveView, embeddings: Messages
    ) -> tuple[Messages, VFLIPState]:
        # Of two rows of one sample the first is kept: which of two writes to one place wins is not settled.
        first = jnp.argmax(view.sample_ids[:, None] == view.sample_ids[None], axis=1)
        ids = jnp.where(first == jnp.arange(len(first)), view.sample_ids, len(state.bank))
        rows = state.joined(view.embeddings, embeddings)
        bank, is_kept = state.bank.at[ids].set(rows, mode="drop"), state.is_kept.at[ids].set(True, mode="drop")
        return embeddings, dataclasses.replace(state, bank=bank, is_kept=is_kept)

    def on_epoch(self, key: Key, state: VFLIPState, view: ActiveEpochView, params: Params) -> tuple[Params, VFLIPState]:
        # Rows that no batch had give way to rows that one had, so that shapes do not depend on how many there are.
        num_kept = jnp.maximum(jnp.sum(state.is_kept, dtype=jnp.int32), 1)
        bank = state.bank[jnp.argsort(~state.is_kept)[jnp.arange(len(state.bank)) % num_kept]]
        mean, spread = bank.mean(axis=0), bank.std(axis=0)
        spread = jnp.where(spread > CONSTANT * jnp.abs(mean), spread, 1.0)
        state = dataclasses.replace(state, mean=mean, spread=spread, is_fitted=jnp.ones((), bool))
        x = state.standardised(bank)

        def loss(params: Params, key: Key, rows: jax.Array) -> jax.Array:
            return masked_loss(state.widths, params, key, x[rows], self.single_weight)

        fitted = fit(key, self.optimizer, loss, state.params, len(x), self.batch_size, self.num_epochs)
        if self.threshold == "parties":
            scores = distances_from_all_others(state.widths, fitted, x)[:, None]
        else:
            scores = distances_from_one(state.widths, fitted, x)
        like = state.score_mean.shape
        return params, dataclasses.replace(
            state,
            params=fitted,
            score_mean=jnp.broadcast_to(scores.mean(axis=0), like),
            score_spread=jnp.broadcast_to(scores.std(axis=0), like),
        )

    def infer_suspicion(self, key: Key, state: VFLIPState, view: ActiveInferView, embeddings: Messages) -> Suspicion:
        score, is_suspect = self.judge(state, state.standardised(state.joined(view.embeddings, embeddings)))
        return Suspicion(
            score=jnp.stack([score[:, k] for k in state.crossing], axis=-1), is_suspect=is_suspect.any(axis=-1)
        )

    def infer_receive(self, key: Key, state: VFLIPState, view: ActiveInferView, embeddings: Messages) -> Messages:
        if self.remakes == "nobody":
            return embeddings
        joined = state.joined(view.embeddings, embeddings)
        x = state.standardised(joined)
        _, is_suspect = self.judge(state, x)
        is_masked = (is_suspect[:, :, None] & (of_party(state.widths) > 0)[None]).any(axis=1)
        remade = autoencode(state.params, jnp.where(is_masked, 0.0, x)) * state.spread[None] + state.mean[None]
        is_remade = state.is_fitted & (is_masked | (self.remakes == "all"))
        return state.parted(jnp.where(is_remade, remade, joined))

    def judge(self, state: VFLIPState, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Lets parties vote on each other.

        Args:
          state: the fitted state.
          x: standardised embeddings, float32[B, D].

        Returns:
          (score of every party, float32[B, K]; which parties are suspects, bool[B, K]).
        """
        num_parties = len(state.widths)
        num_needed = (num_parties if self.votes == "released" else num_parties - 1) // 2 + 1
        allowed = state.score_mean + self.deviations * state.score_spread
        if self.threshold == "constant":
            allowed = jnp.full_like(allowed, self.bound)
        distances = distances_from_one(state.widths, state.params, x)
        exceeded = jnp.sort(distances / jnp.maximum(allowed, SMALL)[None], axis=1)
        score = jnp.where(state.is_fitted, exceeded[:, -min(num_needed, num_parties - 1)], 0.0)
        may_be = [k in state.crossing and num_needed < num_parties for k in range(num_parties)]
        return score, (score > 1.0) & jnp.stack([jnp.bool_(flag) for flag in may_be])[None]

"""Villain: Bai et al. 2023 (USENIX Security 2023, pp. 2743–2760)."""

from __future__ import annotations

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp
import optax

from vfl_jax.core.checks import check_range
from vfl_jax.core.types import Array, Key, Params
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.knowledge import UNKNOWN, Plan, Shapes, where_rows
from vfl_jax.protocol.needs import Needs
from vfl_jax.protocol.transforms import Attack
from vfl_jax.protocol.views import PartyInferView, PartyView

WINDOW = 20
"""The number of batches over which σ is averaged, about: the bottom learns, so that older ones say little."""


@flax.struct.dataclass
class VillainState:
    """The state of the attack.

    Args:
      row_weight: float32[], the weight of one row's loss in the batch loss.
      num_batches: int32[], the number of batches seen, at most ``WINDOW``.
      variance: float32[E], the fading mean of the own embeddings' variances.
      pattern: float32[E], the signs of the trigger's coordinates, 0 elsewhere, once rows may be poisoned; 0 before.
      target: float32[E], the last own embedding of a known target row.
      has_target: bool[], whether such a row was visited.
      norms: float32[N], the norm of a row's last gradient; 0 before the first.
      is_tested: bool[N], the rows that were tested by a swap.
      is_found: bool[N], the rows that are taken to be of class τ: those that passed, and the known ones once visited.
      classifier: the parameters of the logistic classifier: ``weight``, float32[E], and ``bias``, float32[].
      optimizer: the state of its optimizer.
      embedding: float32[B, E], the own embeddings of the present batch.
      is_swapped: bool[B], the rows of the present batch whose embeddings were swapped.
    """

    row_weight: jax.Array
    num_batches: jax.Array
    variance: jax.Array
    pattern: jax.Array
    target: jax.Array
    has_target: jax.Array
    norms: jax.Array
    is_tested: jax.Array
    is_found: jax.Array
    classifier: Params
    optimizer: Params
    embedding: jax.Array
    is_swapped: jax.Array


class Villain(Attack):
    """Finds rows of class τ by swapping embeddings, and adds a trigger to the embeddings of those that it found.

    With h_i the own embedding of row i and g_i the gradient that comes back for it, over the weight of one row's loss:

    * **Swapping**, from epoch ``search_from`` on. Of the rows of a batch that were visited before, the attack sends the
      last own embedding of a known target row in place of h_i for the ``num_candidates`` most promising ones, and gets
      g'_i. Row i is found where ‖g'_i‖ ≤ ``ratio``·‖g_i‖ and 0 < ‖g_i‖ ≤ ``largest_norm``, with the norm of its visit
      before. Every row is tested once, which is this package's own: the sources test rows again that failed. A row
      whose label is known is never tested.
    * **Candidates.** A logistic classifier p(h) = 1/(1 + exp(−w·h − b)), 0 at first, says how promising a row is. Every
      batch with tests gives it one step on their outcomes y, along Σ (p − y) h and Σ (p − y), over the number of tests.
    * **Trigger.** σ_j is the standard deviation (by B − 1) of coordinate j of the own embeddings within a batch,
      averaged over about the last 20 batches. On the m = ⌊``share``·E⌋ coordinates with the largest σ, in their order,
      the trigger e is ``magnitude``·Δ·(+1, +1, −1, −1, +1, …), where Δ is the mean of their σ. Elsewhere it is 0.
      Coordinates and signs are those of the first batch from epoch ``poison_from`` on, so that e keeps its direction; Δ
      is always the present one.
    * **Poisoning**, from epoch ``poison_from`` on. Rows found and known target rows are sent as h + u·(d ∘ e): u is
      drawn from U(``least_factor``, ``largest_factor``), and every entry of d is 0 with probability ``dropout``, else
      1. At inference every attacked row is sent as h + e.

    With ``num_candidates`` 0 nothing is swapped, and the known target rows alone are poisoned: with many of them
    granted (``poison.num_targets``) that is what most published code does. Scenarios use ``EmbeddingTrigger()`` and
    need no poison rows (``poison.rate`` 0). The larger learning rate of the paper's attacker is the scenario's
    (``optimizers.1.learning_rate``). The party trains with the gradients as they come, also with those of swapped rows.

    ``report`` gives the rows found and known (their share, and the share of class τ among them), the share of tested
    rows and the norm of e. With ``enabled`` 0 nothing is swapped, so what it then finds means nothing. Source: Bai et
    al. 2023, *VILLAIN: backdoor attacks against vertical split learning* (USENIX Security 2023). There is no official
    code, and the paper's tables could not be verified; defaults are those of re-implementations, as said below. XDMVFL
    ranks coordinates by σ, but then draws them at random. SecretFlow bounds the norm of a gradient that still holds the
    weight 1/B, and the code of its trigger cannot run.

    Args:
      enabled: 1 for the attack, 0 for the honest run.
      search_from: the epoch, counted from 0, from which rows are tested; 5 in SecretFlow.
      poison_from: the epoch, counted from 0, from which rows are poisoned; 9 in SecretFlow.
      num_candidates: the number of rows that are tested in a batch; 14 of 128 in SecretFlow.
      ratio: θ; no source gives a value.
      largest_norm: μ; 1 in SecretFlow.
      magnitude: β; 0.4 in SecretFlow and FILTER, 3 and 4 in XDMVFL.
      share: the share of coordinates that the trigger changes; 0.75 in XDMVFL, 0.5 in FILTER, 1 in Triggerless.
      least_factor: the least u; 0.6 in SecretFlow.
      largest_factor: the largest u; 1.2 in SecretFlow.
      dropout: the share of the trigger's entries that a poisoned row loses; 0 in XDMVFL; no source gives more.
      classifier: the optimizer of the classifier; Adam with 0.01 in SecretFlow.

    Raises:
      ValueError: naming the field, where ``share`` or ``dropout`` lies outside [0, 1], an epoch, ``num_candidates``,
        ``ratio`` or ``largest_norm`` is below 0, or a number is NaN; with a training that ends before ``poison_from``,
        or, where rows are to be tested, before ``search_from``.

    Example:
      >>> import vfl_jax as vfl
      >>> by_search = vfl.attacks.Villain(magnitude=3.0)
      >>> by_known_labels = by_search.replace(num_candidates=0, poison_from=5)
      >>> by_known_labels.share
      0.75
    """

    needs = Needs(trigger="message", poison_rate=0.0)

    search_from: int = 5
    poison_from: int = 9
    num_candidates: int = 14
    ratio: float = 0.6
    largest_norm: float = 1.0
    magnitude: float = 0.4
    share: float = 0.75
    least_factor: float = 0.6
    largest_factor: float = 1.2
    dropout: float = 0.0
    classifier: Optimizer = Optimizer(kind="adam", learning_rate=0.01)

    def __post_init__(self) -> None:
        super().__post_init__()
        whole = {name: getattr(self, name) for name in ("search_from", "poison_from", "num_candidates")}
        check_range("Villain", 0, **whole, ratio=self.ratio, largest_norm=self.largest_norm)
        check_range("Villain", 0.0, 1.0, share=self.share, dropout=self.dropout)
        check_range("Villain", magnitude=self.magnitude)
        check_range("Villain", least_factor=self.least_factor, largest_factor=self.largest_factor)

    def check_plan(self, plan: Plan) -> None:
        last = f"but training has {plan.num_epochs} epochs, counted from 0"
        if self.poison_from >= plan.num_epochs:
            raise ValueError(
                f"Villain.poison_from is {self.poison_from}, {last}: no row would be poisoned. Give at most "
                f"{plan.num_epochs - 1}, or train longer."
            )
        if self.num_candidates > 0 and self.search_from >= plan.num_epochs:
            raise ValueError(
                f"Villain.search_from is {self.search_from}, {last}: no row would be tested. Give at most "
                f"{plan.num_epochs - 1}, train longer, or give num_candidates=0 for an attack without tests."
            )

    def init(self, key: Key, shapes: Shapes, party: int) -> VillainState:
        rows, batch, width = shapes.num_samples, shapes.batch_rows, shapes.widths[party]
        classifier = {"weight": jnp.zeros(width), "bias": jnp.float32(0.0)}
        return VillainState(
            row_weight=jnp.float32(shapes.row_weight),
            num_batches=jnp.int32(0),
            variance=jnp.zeros(width),
            pattern=jnp.zeros(width),
            target=jnp.zeros(width),
            has_target=jnp.bool_(False),
            norms=jnp.zeros(rows),
            is_tested=jnp.zeros(rows, bool),
            is_found=jnp.zeros(rows, bool),
            classifier=classifier,
            optimizer=self.classifier.build(jnp.int32(0)).init(classifier),
            embedding=jnp.zeros((batch, width)),
            is_swapped=jnp.zeros(batch, bool),
        )

    def on_upload(
        self, key: Key, state: VillainState, view: PartyView, embedding: jax.Array
    ) -> tuple[jax.Array, VillainState]:
        _, is_target = view.knowledge.find(view)
        state = _watch(state, view.sample_ids, is_target, embedding)
        begins = (view.epoch >= self.poison_from) & ~(state.pattern != 0).any()
        state = dataclasses.replace(state, pattern=jnp.where(begins, self._pattern(state), state.pattern))
        is_swapped = self._candidates(state, view, embedding)
        is_poisoned = state.is_found[view.sample_ids] & (view.epoch >= self.poison_from)
        key_factor, key_dropout = jax.random.split(key)
        drawn = jax.random.uniform(key_factor, (len(embedding), 1))
        factor = self.least_factor + (self.largest_factor - self.least_factor) * drawn
        is_kept = jax.random.bernoulli(key_dropout, 1.0 - self.dropout, embedding.shape)
        marked = embedding + factor * jnp.where(is_kept, self._trigger(state)[None], 0.0)
        sent = where_rows(is_poisoned, marked, where_rows(is_swapped, state.target, embedding))
        return sent, dataclasses.replace(state, embedding=embedding, is_swapped=is_swapped)

    def on_download(
        self, key: Key, state: VillainState, view: PartyView, gradient: jax.Array
    ) -> tuple[jax.Array, VillainState]:
        ids, nowhere = view.sample_ids, len(state.norms)
        norm = jnp.linalg.norm(gradient, axis=-1) / state.row_weight
        passed = state.is_swapped & passes(state.norms[ids], norm, self.ratio, self.largest_norm)
        classifier, optimizer = self._learn(state, view.epoch, passed)
        after = dataclasses.replace(
            state,
            norms=state.norms.at[ids].set(norm),  # of a swapped row, too: it is never tested again
            is_tested=state.is_tested.at[jnp.where(state.is_swapped, ids, nowhere)].set(True, mode="drop"),
            is_found=state.is_found.at[jnp.where(passed, ids, nowhere)].set(True, mode="drop"),
            classifier=classifier,
            optimizer=optimizer,
        )
        return gradient, after

    def infer_upload(self, key: Key, state: VillainState, view: PartyInferView, embedding: jax.Array) -> jax.Array:
        return where_rows(view.is_attacked, embedding + self._trigger(state)[None], embedding)

    def report(self, state: VillainState) -> dict[str, jax.Array]:
        return {
            "poisoned_rows": state.is_found,
            "tested_rate": jnp.mean(state.is_tested, dtype=jnp.float32),
            "trigger_norm": jnp.linalg.norm(self._trigger(state)),
        }

    def _pattern(self, state: VillainState) -> jax.Array:
        """Returns the signs of the trigger's coordinates, float32[E]: those kept, or those of the present σ."""
        present = pattern(jnp.sqrt(state.variance), self.share)
        return jnp.where((state.pattern != 0).any(), state.pattern, present)

    def _trigger(self, state: VillainState) -> jax.Array:
        """Returns e, float32[E]."""
        return fabricate(jnp.sqrt(state.variance), self._pattern(state), self.magnitude)

    def _candidates(self, state: VillainState, view: PartyView, embedding: jax.Array) -> jax.Array:
        """Chooses the rows of a batch that are tested now, bool[B]."""
        ids = view.sample_ids
        is_unknown = (view.knowledge.known_labels[ids] == UNKNOWN) & ~state.is_found[ids] & ~state.is_tested[ids]
        may_test = is_unknown & (state.norms[ids] > 0) & state.has_target & (view.epoch >= self.search_from)
        score = embedding @ state.classifier["weight"] + state.classifier["bias"]
        rank = jnp.argsort(jnp.argsort(jnp.where(may_test, -score, jnp.inf)))
        return may_test & (rank < self.num_candidates)

    def _learn(self, state: VillainState, epoch: Array, passed: jax.Array) -> tuple[Params, Params]:
        """Trains the classifier on the outcomes of one batch of tests; returns (parameters, optimizer state)."""
        weight, bias = state.classifier["weight"], state.classifier["bias"]
        error = jax.nn.sigmoid(state.embedding @ weight + bias) - passed.astype(jnp.float32)
        num_tests = jnp.sum(state.is_swapped, dtype=jnp.float32)
        error = jnp.where(state.is_swapped, error, 0.0) / jnp.maximum(num_tests, 1.0)
        gradient = {"weight": error @ state.embedding, "bias": error.sum()}
        updates, optimizer = self.classifier.build(epoch).update(gradient, state.optimizer, state.classifier)
        after = optax.apply_updates(state.classifier, updates), optimizer
        # Without tests nothing moves, not even by the momentum of earlier ones.
        return jax.tree.map(
            lambda new, old: jnp.where(num_tests > 0, new, old), after, (state.classifier, state.optimizer)
        )


def _watch(state: VillainState, ids: Array, is_target: Array, embedding: Array) -> VillainState:
    """Notes what a batch of own embeddings says: σ, the embedding of a target row, and which rows are known."""
    num_batches = jnp.minimum(state.num_batches + 1, WINDOW)
    spread = jnp.sum((embedding - embedding.mean(axis=0)[None]) ** 2, axis=0) / max(len(embedding) - 1, 1)
    last = len(embedding) - 1 - jnp.argmax(is_target[::-1])
    return dataclasses.replace(
        state,
        num_batches=num_batches,
        variance=state.variance + (spread - state.variance) / num_batches.astype(jnp.float32),
        target=jnp.where(is_target.any(), embedding[last], state.target),
        has_target=state.has_target | is_target.any(),
        is_found=state.is_found.at[jnp.where(is_target, ids, len(state.is_found))].set(True, mode="drop"),
    )


def passes(norm: Array, swapped_norm: Array, ratio: Array | float, largest_norm: Array | float) -> jax.Array:
    """Tests by a swap whether rows are of class τ.

    Args:
      norm: float32[B], the norm of a row's gradient for its own embedding; a row without one (0) never passes.
      swapped_norm: float32[B], the same with the embedding of a known target row in its place.
      ratio: θ, the largest ratio of the second to the first.
      largest_norm: μ, the largest first norm.

    Returns:
      bool[B].

    Example:
      >>> import jax.numpy as jnp
      >>> passes(jnp.array([0.5, 0.5, 2.0, 0.0]), jnp.array([0.1, 0.4, 0.1, 0.0]), 0.6, 1.0).tolist()
      [True, False, False, False]
    """
    norm = jnp.asarray(norm)
    return (norm > 0) & (norm <= largest_norm) & (swapped_norm <= ratio * norm)


def pattern(deviation: Array, share: Array | float) -> jax.Array:
    """Chooses the coordinates of the trigger, those that vary most, and gives them signs in their order.

    Args:
      deviation: float32[E], σ, the standard deviations of the coordinates.
      share: the share of coordinates that the trigger changes, rounded down to m of them.

    Returns:
      float32[E]: +1, +1, −1, −1, +1, … on m coordinates, 0 elsewhere.

    Example:
      >>> import jax.numpy as jnp
      >>> pattern(jnp.array([1.0, 5.0, 3.0, 4.0]), 0.75).tolist()
      [0.0, 1.0, 1.0, -1.0]
    """
    deviation = jnp.asarray(deviation)
    # A share of 0.7 of 10 coordinates is 7, though 0.7 · 10 rounds to a little less in float32.
    count = jnp.floor(jnp.asarray(share, jnp.float32) * len(deviation) + 1e-4)
    rank = jnp.argsort(jnp.argsort(-deviation))
    is_marked = rank < count.astype(jnp.int32)
    place = jnp.cumsum(is_marked) - 1
    return jnp.where(is_marked, jnp.where(place % 4 < 2, 1.0, -1.0), 0.0)


def fabricate(deviation: Array, signs: Array, magnitude: Array | float) -> jax.Array:
    """Makes the trigger from the standard deviations of the coordinates.

    Args:
      deviation: float32[E], σ.
      signs: float32[E], the signs of the trigger's coordinates, 0 elsewhere.
      magnitude: β, the size of the trigger in units of their mean σ.

    Returns:
      float32[E].

    Example:
      >>> import jax.numpy as jnp
      >>> fabricate(jnp.array([1.0, 5.0, 3.0, 4.0]), jnp.array([0.0, 1.0, 1.0, -1.0]), 0.5).tolist()
      [0.0, 2.0, 2.0, -2.0]
    """
    deviation, signs = jnp.asarray(deviation), jnp.asarray(signs)
    is_marked = signs != 0
    mean = jnp.sum(jnp.where(is_marked, deviation, 0.0)) / jnp.maximum(jnp.sum(is_marked, dtype=jnp.float32), 1.0)
    return jnp.asarray(magnitude * mean * signs)

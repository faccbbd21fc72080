"""General test-time backdoor detection, GBD: Yuan, Li, Cao, Zhang, Deng 2025 (IEEE TDSC 22(6), pp. 7157–7171)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_count, check_range
from vfl_jax.core.record import static
from vfl_jax.core.types import Key
from vfl_jax.protocol.knowledge import Shapes
from vfl_jax.protocol.switched import InferenceOrder
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.protocol.views import ActiveInferView, Messages, Suspicion

Logits = Callable[[tuple[jax.Array, ...]], jax.Array]
"""The head alone: K embeddings, float32[B, E] each, to float32[B, C]."""

SMALL = 1e-8
"""What is added to the second largest contribution before it divides, as in the published code."""


@flax.struct.dataclass
class GBDState:
    """What GBD draws once per seed, so that its answer about a row and what it does with the row agree.

    Args:
      order: random numbers by which rows are shuffled, float32[R, K, B]; R is the number of repeats, B the batch.
      crossing: int32[P], the numbers of the parties that may be suspected.
    """

    order: jax.Array
    crossing: jax.Array


class GBD(ActiveTransform):
    """Finds test rows that one party's embedding decides alone; nothing is trained.

    The defense sees a batch of test rows together, and asks two things of row i and party k::

        cap[i, k]   shuffle every party's embeddings among the rows of the batch, each party for itself; is the row that
                    got h_i^k predicted as row i was? The share of ``repeats`` shuffles in which it is.
        c[i, k]     relu(⟨h_i^k, ∂ logit_ŷ / ∂h_i^k⟩), where ŷ is the predicted class of row i
        ratio[i]    the largest c[i, k] over the parties, divided by (the second largest + 1e-8)
        suspect     ratio[i] ≥ threshold, and cap[i, k] = 1 for a party k other than the active one

    The score of row i and party k is cap[i, k] · min(ratio[i] / threshold, 1); 1 is reached by suspects alone. Under
    the rules "cap" and "cac" it is one factor alone. Source: Yuan, Li, Cao, Zhang, Deng 2025, *General test-time
    backdoor detection in split neural network-based vertical federated learning* (IEEE TDSC 22(6)), and its published
    code. The score is this package's own; the paper's tables could not be verified.

    What to know before numbers are compared:

    * cap depends on the batch: the more of its rows are attacked, or predicted as one class, the larger is every cap.
      In published tests half of 64 rows are attacked. In the second pass of evaluation all rows of other classes are.
    * A row may be shuffled to its own place, which counts as kept.
    * Rows that only fill up a batch take no part.

    Args:
      rule: "both", or one clue alone: "cap" (cap[i, k] = 1) or "cac" (ratio[i] ≥ threshold).
      action: what becomes of suspects. "report" only names them. "reject" gives them no class: their logits are NaN, so
        that no prediction of them counts as right or as the attacker's; then ``test_loss`` and ``class_score`` are NaN
        where a row was rejected, and ``test_auc`` is over the others. The published code only reports.
      repeats: the number of shuffles; 3 or 6 in published code.
      rounded: whether cap is rounded to one decimal, as in published code. It matters from 20 repeats on: 0.95 is 1.
      inference_batch: the number of test rows that are seen together; 64 in published tests.
      inference_order: "shuffled" makes batches of rows in an order drawn by the seed, "file" in that of the test set;
        a test set that is sorted by class would have batches of one class.
      threshold: the ratio from which a row is suspected; 2 in the published code.

    Raises:
      ValueError: where ``repeats`` or ``inference_batch`` is no whole number of at least 1; where ``threshold`` is
        negative; where fewer than two parties hold features.

    Example:
      >>> import vfl_jax as vfl
      >>> scenario = vfl.presets.digits_demo().replace(defense=vfl.defenses.GBD(repeats=6))
      >>> scenario.inference_batch
      64
    """

    rule: Literal["both", "cap", "cac"] = static(default="both")
    action: Literal["report", "reject"] = static(default="report")
    repeats: int = static(default=3)
    rounded: bool = static(default=True)
    inference_batch: int = static(default=64)
    inference_order: InferenceOrder = static(default="shuffled")
    threshold: float = 2.0

    def __post_init__(self) -> None:
        check_count(**{"GBD.repeats": self.repeats, "GBD.inference_batch": self.inference_batch})
        check_range("GBD", 0.0, threshold=self.threshold)

    def check(self, shapes: Shapes, by_role: bool) -> None:
        if len(shapes.widths) < 2:
            raise ValueError(
                f"GBD compares the parties that hold features, and here is {len(shapes.widths)}; it needs two or more. "
                "Split the data among more parties."
            )

    def init(self, key: Key, shapes: Shapes) -> GBDState:
        order = jax.random.uniform(key, (self.repeats, len(shapes.widths), self.inference_batch))
        return GBDState(order=order, crossing=jnp.array(shapes.crossing, jnp.int32))

    def infer_suspicion(self, key: Key, state: GBDState, view: ActiveInferView, embeddings: Messages) -> Suspicion:
        return self._judge(state, view)

    def infer_logits(self, key: Key, state: GBDState, view: ActiveInferView, logits: jax.Array) -> jax.Array:
        if self.action == "report":
            return logits
        return jnp.where(self._judge(state, view).is_suspect[:, None], jnp.nan, logits)

    def _judge(self, state: GBDState, view: ActiveInferView) -> Suspicion:
        """Answers about a batch of test rows."""
        assert view.embeddings is not None
        is_valid = jnp.ones(state.order.shape[-1], bool) if view.is_valid is None else view.is_valid
        permutations = among_valid(state.order, is_valid)
        cap = kept_share(view.logits, view.embeddings, permutations, self.rounded)[:, state.crossing]
        ratio = leading_ratio(view.logits, view.embeddings)
        share = ratio / jnp.maximum(self.threshold, SMALL)
        dominance = jnp.where(ratio >= self.threshold, 1.0, share)[:, None]
        score = {"both": cap * dominance, "cap": cap, "cac": jnp.broadcast_to(dominance, cap.shape)}[self.rule]
        return Suspicion(score=score, is_suspect=(score >= 1.0).any(axis=-1))


def among_valid(order: jax.Array, is_valid: jax.Array) -> jax.Array:
    """Returns permutations that shuffle the valid rows of a batch among themselves.

    Args:
      order: random numbers, float32[R, K, B].
      is_valid: bool[B].

    Returns:
      int32[R, K, B]: row j gets the embedding of row ``permutation[..., j]``.
    """
    # The t-th valid place gets the valid row with the t-th smallest number; other rows are at the end of both.
    rows = jnp.argsort(jnp.where(is_valid[None, None], order, jnp.inf), axis=-1)
    places = jnp.argsort(~is_valid)
    return rows[..., jnp.argsort(places)]


def kept_share(
    logits: Logits, embeddings: tuple[jax.Array, ...], permutations: jax.Array, rounded: bool = True
) -> jax.Array:
    """Returns how often an embedding takes the prediction of its row along, cap, float32[B, K].

    Args:
      logits: the head.
      embeddings: K arrays, float32[B, E].
      permutations: int32[R, K, B]; row j gets the embedding of row ``permutation[..., j]``.
      rounded: whether to round to one decimal.
    """
    predicted = jnp.argmax(logits(embeddings), axis=-1)

    def is_kept(permutation: jax.Array) -> jax.Array:
        shuffled = tuple(h[rows] for h, rows in zip(embeddings, permutation, strict=True))
        landed = jnp.argsort(permutation, axis=-1)
        return jnp.argmax(logits(shuffled), axis=-1)[landed] == predicted[None]

    share = jax.vmap(is_kept)(permutations).mean(axis=0, dtype=jnp.float32).T
    return jnp.round(share, 1) if rounded else share


def contributions(logits: Logits, embeddings: tuple[jax.Array, ...]) -> jax.Array:
    """Returns what each party's embedding adds to the logit of the predicted class, to first order, float32[B, K].

    Args:
      logits: the head.
      embeddings: K arrays, float32[B, E].
    """

    def top(embeddings: tuple[jax.Array, ...]) -> jax.Array:
        found = logits(embeddings)
        return jnp.take_along_axis(found, jnp.argmax(found, axis=-1)[:, None], axis=-1).sum()

    slopes = jax.grad(top)(embeddings)
    each = [(h * slope).sum(axis=-1) for h, slope in zip(embeddings, slopes, strict=True)]
    return jax.nn.relu(jnp.stack(each, axis=-1))


def leading_ratio(logits: Logits, embeddings: tuple[jax.Array, ...]) -> jax.Array:
    """Returns how far the largest contribution of a row leads, float32[B].

    Args:
      logits: the head.
      embeddings: K arrays, float32[B, E].
    """
    ordered = jnp.sort(contributions(logits, embeddings), axis=-1)
    return ordered[:, -1] / (ordered[:, -2] + SMALL)

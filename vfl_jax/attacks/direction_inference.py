"""Label inference by the direction of gradients (Li et al., ICLR 2022; Liu, Lyu, Cui, Tao 2022)."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp

from vfl_jax.attacks.evidence import KindOrAxes, unit
from vfl_jax.attacks.reader import Heard, Reader, Reading, above, check_two_classes, most_likely
from vfl_jax.core.one_matrix import eigenvectors
from vfl_jax.core.record import static
from vfl_jax.core.types import Array, Key
from vfl_jax.models.clusters import class_means
from vfl_jax.protocol.knowledge import UNKNOWN, Shapes
from vfl_jax.protocol.transforms import Attack


class DirectionInference(Reader, Attack):
    """Gives a row the label of the known rows whose gradients point the same way; changes nothing.

    Under any head the gradients of one label's loss point about the same way. Let u_i be row i's mean message at
    length 1, and d_c the mean of u over the known rows of class c, at length 1 again. Row i scores ⟨u_i, d_c⟩.

    * "nearest": the class with the largest score. Classes of which no row is known are never guessed, so give
      ``poison.num_known``.
    * "axis": the class with the largest |⟨u_i, a_c⟩|, where a_c is the first eigenvector of Σ u uᵀ over the known rows
      of c. A defense that draws the sign of a row, as :class:`~vfl_jax.defenses.MaxNormNoise` does, leaves the axis.
      It takes the evidence "last" or "axes", unsmoothed. Two classes share one axis under many heads, which then tells
      nothing.
    * "sign": two classes, of which only rows of τ need be known: τ where ⟨u_i, d_τ⟩ > 0, else the other one.

    A row without a message is not read; nor is any before a known row has had a message.

    Sources: Li et al., *Label leakage and protection in two-party split learning*, ICLR 2022 (arXiv:2102.08504), the
    rule "sign" with one known row, read in a published reimplementation (VFLAIR, ``DirectionbasedScoring.py``), which
    attacks one batch alone; Liu, Lyu, Cui, Tao, *Similarity-based label inference attack against training and inference
    of split learning* (arXiv:2203.05222), the rule "nearest" with one known row per class. Several known rows of a
    class are joined by their mean, which shrinks noise. "axis" has no source; it is the adaptation to drawn signs.

    Args:
      enabled: 1 or 0; the attack only listens, so both give the honest run.
      evidence: the messages whose mean is read: "last", "sum" (all), "fading" (all, the k-th with weight 1/√k), or
        "directions" (all, each at length 1), or, for the rule "axis" alone, "axes" (the same, each turned the way of
        the row's sum so far). To add up is the answer to noise and to sparsification.
      rule: "nearest", "axis" or "sign".
      smooth: whether the evidence is first regressed on the party's own embeddings, as in :class:`SignInference`.
      way: the ending of the metrics' names, so that several readers can listen in one chain.
      at_epochs: the numbers of finished epochs after which it reads, −1 after the last; None is after every one.

    Raises:
      ValueError: where ``evidence`` or ``rule`` is none of these; with the rule "sign" and more than two classes; where
        the rule "axis" comes with other evidence than its own or with ``smooth``, or the evidence "axes" with another
        rule: sums of messages that point both ways say nothing of axes, and axes nothing of directions.

    Example:
      >>> import vfl_jax as vfl
      >>> scenario = vfl.Scenario(
      ...     attacks=[vfl.PartyTransform(), vfl.attacks.DirectionInference()], poison=vfl.PoisonPlan(num_known=1)
      ... )
      >>> scenario.attackers
      (1,)
    """

    evidence: KindOrAxes = static(default="last")
    rule: Literal["nearest", "axis", "sign"] = static(default="nearest")
    smooth: bool = static(default=False)
    way: str = static(default="")
    at_epochs: tuple[int, ...] | None = static(default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rule == "axis" and (self.smooth or self.evidence not in ("last", "axes")):
            raise ValueError(
                f"DirectionInference(rule='axis') has evidence {self.evidence!r} and smooth {self.smooth}; messages "
                "that point both ways cancel where they are added: give 'last' or 'axes', and smooth=False."
            )
        if self.evidence == "axes" and self.rule != "axis":
            raise ValueError(
                f"DirectionInference(evidence='axes') has the rule {self.rule!r}; an axis has no direction: give the "
                "rule 'axis'."
            )

    def check(self, shapes: Shapes, party: int, by_role: bool) -> None:
        if self.rule == "sign":
            check_two_classes("DirectionInference(rule='sign')", shapes)

    def infer(self, key: Key, heard: Heard) -> Reading:
        directions = unit(heard.messages)
        known_labels = jnp.where(heard.is_heard, heard.known_labels, UNKNOWN)
        if self.rule == "axis":
            axes, has_known = _axes(directions, known_labels, heard.num_classes)
            return most_likely(jnp.where(has_known[None], jnp.abs(directions @ axes.T), -jnp.inf), heard.is_heard)
        means, has_known = class_means(directions, known_labels, heard.num_classes)
        scores = directions @ unit(means).T
        if self.rule == "nearest":
            return most_likely(jnp.where(has_known[None], scores, -jnp.inf), heard.is_heard)
        toward = scores[:, heard.target_class] * jnp.where(heard.target_class == 1, 1.0, -1.0)
        return above(toward, 0.0, heard.is_heard & has_known[heard.target_class])


def _axes(directions: jax.Array, labels: Array, num_classes: int) -> tuple[jax.Array, jax.Array]:
    """Returns (the axis of every class's rows, float32[C, E]; which classes have a row, bool[C])."""
    members = jax.nn.one_hot(labels, num_classes)

    def axis(member: jax.Array) -> jax.Array:
        return eigenvectors((directions * member[:, None]).T @ directions)[:, -1]

    return jax.lax.map(axis, members.T), members.any(axis=0)  # class by class: all at once would take N·C·E numbers

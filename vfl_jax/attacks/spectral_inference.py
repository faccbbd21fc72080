"""Label inference by the first principal direction (Sun, Yang, Yao, Wang 2022)."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp

from vfl_jax.attacks.evidence import Kind
from vfl_jax.attacks.reader import (
    Heard,
    Reader,
    Reading,
    above,
    between_two_means,
    check_two_classes,
    mean_of,
    principal,
)
from vfl_jax.core.record import static
from vfl_jax.core.types import Key
from vfl_jax.protocol.knowledge import UNKNOWN, Shapes
from vfl_jax.protocol.transforms import Attack


class SpectralInference(Reader, Attack):
    """Splits the rows of two classes along the direction in which they differ most; changes nothing.

    Let x_i be row i's own embedding, or its mean gradient message, less the mean over all rows, and v the first right
    singular vector of the matrix of these rows. Row i scores ⟨x_i, v⟩, and is of class 1 above the threshold. v is an
    eigenvector of the E×E moments, so the size of the matrix does not matter. The sign of v is chosen so that known
    rows of class 1 score more than known rows of class 0; one known row of either class is enough, and without any the
    sign says nothing.

    Source: Sun, Yang, Yao, Wang, *Label leakage and protection from forward embedding in vertical federated learning*
    (arXiv:2203.01451). Only its abstract could be read; its threshold and its choice of sign could not be verified.

    Args:
      enabled: 1 or 0; the attack only listens, so both give the honest run.
      of: "embeddings", the party's own after the epoch, or "gradients".
      evidence: the gradients whose mean is used: "last", "sum", "fading" or "directions".
      threshold: "mean", which is 0, or "two_means", halfway between the means of two clusters of scores, for classes of
        different size.
      way: the ending of the metrics' names, so that several readers can listen in one chain.
      at_epochs: the numbers of finished epochs after which it reads, −1 after the last; None is after every one.

    Raises:
      ValueError: where ``of``, ``evidence`` or ``threshold`` is none of these; with data of more than two classes.

    Example:
      >>> import vfl_jax as vfl
      >>> vfl.attacks.SpectralInference(of="gradients").threshold
      'mean'
    """

    of: Literal["embeddings", "gradients"] = static(default="embeddings")
    evidence: Kind = static(default="last")
    threshold: Literal["mean", "two_means"] = static(default="mean")
    way: str = static(default="")
    at_epochs: tuple[int, ...] | None = static(default=None)

    def check(self, shapes: Shapes, party: int, by_role: bool) -> None:
        check_two_classes("SpectralInference", shapes)

    def infer(self, key: Key, heard: Heard) -> Reading:
        rows, is_there = heard.rows(self.of)
        scores = principal(rows, is_there, 1)[:, 0]
        means = [mean_of(scores, is_there & (heard.known_labels == label)) for label in (0, 1)]
        has_known = (is_there & (heard.known_labels != UNKNOWN)).any()
        scores = jnp.where(has_known & (means[1] < means[0]), -1.0, 1.0) * scores
        threshold = 0.0 if self.threshold == "mean" else between_two_means(scores, is_there)
        return above(scores, threshold, is_there)

"""Heads: how the active party turns the received embeddings into logits."""

from __future__ import annotations

import jax.numpy as jnp

from vfl_jax.core.checks import check_widths
from vfl_jax.core.record import Record, static
from vfl_jax.core.types import Array, Key, Params
from vfl_jax.models.bottoms import DenseStack


class Head(Record):
    """Base of the heads: K embeddings, float32[B, E] each, to logits, float32[B, C]."""

    def init(self, key: Key, embeddings: tuple[Array, ...], num_classes: int) -> Params:
        raise NotImplementedError

    def apply(self, params: Params, embeddings: tuple[Array, ...], num_classes: int) -> Array:
        raise NotImplementedError

    def check(self, widths: tuple[int, ...], num_classes: int) -> None:
        """Raises ``ValueError`` where the parties' embedding widths do not fit."""


class SumHead(Head):
    """The logits are the sum of the embeddings (equation 4); nothing to train."""

    def init(self, key, embeddings, num_classes):
        return {}

    def apply(self, params, embeddings, num_classes):
        return sum(embeddings[1:], start=embeddings[0])

    def check(self, widths, num_classes):
        for party, width in enumerate(widths):
            if width != num_classes:
                raise ValueError(
                    f"bottoms.{party}.width is {width}; a SumHead adds embeddings up to logits, so every width "
                    f"must be the number of classes, {num_classes}. Use that width, or a DenseHead."
                )


class DenseHead(Head):
    """Concatenation, dense layers with ReLU, and a last dense layer of C (section 6.2, Figure 2b)."""

    hidden: tuple[int, ...] = static(default=(32,))

    def __post_init__(self) -> None:
        check_widths("head", hidden=self.hidden)

    def init(self, key, embeddings, num_classes):
        return self._module(num_classes).init(key, jnp.concatenate(embeddings, axis=-1))["params"]

    def apply(self, params, embeddings, num_classes):
        return self._module(num_classes).apply({"params": params}, jnp.concatenate(embeddings, axis=-1))

    def _module(self, num_classes: int) -> DenseStack:
        return DenseStack((*self.hidden, num_classes))

"""Heads: a head is the active party's model; it maps the embeddings of all parties to logits.

Equations and sections are those of Liu, Yi, Chen 2020 (arXiv:2007.03608).
"""

from __future__ import annotations

import jax.numpy as jnp

from vfl_jax.core.checks import check_widths
from vfl_jax.core.record import Record, static
from vfl_jax.core.types import Array, Key, Params
from vfl_jax.models.bottoms import DenseStack


class Head(Record):
    """Base of the heads: a head maps K embeddings, float32[B, E] each, to logits, float32[B, C].

    A head of your own overrides ``init`` and ``apply``, and ``check`` where it does not fit every width. A party's E
    may differ from another's.
    """

    def init(self, key: Key, embeddings: tuple[Array, ...], num_classes: int) -> Params:
        """Draws the head's parameters; a subclass overrides this method.

        Args:
          key: the key that determines the draw.
          embeddings: K arrays, float32[B, E]; only their shapes count.
          num_classes: C.

        Returns:
          a pytree of float32 arrays.
        """
        raise NotImplementedError

    def apply(self, params: Params, embeddings: tuple[Array, ...], num_classes: int) -> Array:
        """Computes the logits of a batch; a subclass overrides this method.

        Args:
          params: the parameters of this head, as ``init`` draws them.
          embeddings: K arrays, float32[B, E].
          num_classes: C.

        Returns:
          float32[B, C].
        """
        raise NotImplementedError

    def check(self, widths: tuple[int, ...], num_classes: int) -> None:
        """Checks that the head fits the parties' embeddings; without an override every width fits.

        Args:
          widths: E of every party.
          num_classes: C.

        Raises:
          ValueError: where a width does not fit.
        """


class SumHead(Head):
    """Adds the embeddings up to logits (equation 4); the head has no parameters.

    Every embedding must have the width C: ``check`` raises ``ValueError`` where one has not.
    """

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
    """The trainable head: dense layers map the concatenated embeddings to logits (section 6.2, Figure 2b).

    ReLU follows every layer but the last, whose width is C.

    Args:
      hidden: the widths of the layers before the last, in order.

    Raises:
      ValueError: where a width is not a whole number above 0.
    """

    hidden: tuple[int, ...] = static(default=(32,))

    def __post_init__(self) -> None:
        check_widths("head", hidden=self.hidden)

    def init(self, key, embeddings, num_classes):
        return self._module(num_classes).init(key, jnp.concatenate(embeddings, axis=-1))["params"]

    def apply(self, params, embeddings, num_classes):
        return self._module(num_classes).apply({"params": params}, jnp.concatenate(embeddings, axis=-1))

    def _module(self, num_classes: int) -> DenseStack:
        return DenseStack((*self.hidden, num_classes))

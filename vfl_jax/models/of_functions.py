"""Losses and heads made of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from vfl_jax.core.functions import record_of
from vfl_jax.core.types import Array, Key, Params
from vfl_jax.models.heads import Head
from vfl_jax.models.losses import Loss


def as_loss(function: Callable[[jax.Array, jax.Array], jax.Array]) -> Loss:
    """Makes a loss of a function, under the function's name.

    Args:
      function: takes logits, float32[B, C], and targets, class distributions, float32[B, C], and returns the loss of
        each row, float32[B]. ``reduction`` says how rows add up, as in :class:`Loss`.

    Returns:
      a record for ``Scenario.loss``, whose class has the name of the function.

    Raises:
      ValueError: where ``function`` is no function with a name.

    Example:
      >>> import vfl_jax as vfl
      >>> @vfl.models.as_loss
      ... def absolute_error(logits, targets):
      ...     return abs(jax.nn.softmax(logits) - targets).sum(axis=-1)
      >>> vfl.Scenario(loss=absolute_error).loss
      absolute_error(reduction='mean')
    """

    def rows(self: Any, logits: Array, targets: Array) -> Array:
        return type(self).of(logits, targets)

    return record_of(function, Loss, "as_loss", rows=rows)


def as_head(function: Callable[[tuple[jax.Array, ...], int], jax.Array]) -> Head:
    """Makes a head without parameters of a function, under the function's name.

    A head with parameters is a subclass of :class:`Head`.

    Args:
      function: takes K embeddings, float32[B, E] each, and C, and returns logits, float32[B, C].

    Returns:
      a record for ``Scenario.head``, whose class has the name of the function.

    Raises:
      ValueError: where ``function`` is no function with a name.

    Example:
      >>> import vfl_jax as vfl
      >>> @vfl.models.as_head
      ... def mean_head(embeddings, num_classes):
      ...     return sum(embeddings) / len(embeddings)
      >>> vfl.Scenario(head=mean_head).head
      mean_head()
    """

    def init(self: Any, key: Key, embeddings: tuple[Array, ...], num_classes: int) -> Params:
        return {}

    def apply(self: Any, params: Params, embeddings: tuple[Array, ...], num_classes: int) -> Array:
        return type(self).of(embeddings, num_classes)

    return record_of(function, Head, "as_head", init=init, apply=apply)

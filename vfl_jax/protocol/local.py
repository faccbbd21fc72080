"""A party's own part of a step: the forward pass, the way back, the update of its own model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.traverse_util as traverse
import jax
import jax.numpy as jnp
import numpy as np
import optax

from vfl_jax.core.bags import BagOfIds, Tapped
from vfl_jax.core.types import Array, Features, Key, Params, State
from vfl_jax.models import MLP, Bottom, Linear
from vfl_jax.models.losses import Regularizer
from vfl_jax.models.optimizers import Optimizer


class RowwiseGradient(NamedTuple):
    """The gradient of a bottom model whose first layer is a table, [F, E], in which a bag of ids looks up rows.

    The table's gradient is the product of the transposed multi-hot rows with ``change``. Most of its rows are zero.

    Args:
      table: the path of the table among the parameters.
      rest: the gradient of every other parameter, by path.
      bag: the bag of ids, B rows.
      change: the gradient of the first layer's output, float32[B, E].
    """

    table: tuple[str, ...]
    rest: Params
    bag: BagOfIds
    change: Array


def may_update_rowwise(bottom: Bottom, optimizer: Optimizer, regularizer: Regularizer, features: Features) -> bool:
    """Whether a step may change only the rows of a party's table that its batch looks up.

    Plain SGD without weight decay or penalty changes only these rows; any other update changes every row. A user's own
    class may do anything with the table, so it always gets an update of the whole table.

    Args:
      bottom: the party's model.
      optimizer: the party's optimizer, with concrete numbers.
      regularizer: the penalty, with concrete numbers.
      features: the party's features.
    """
    is_ours = type(bottom) in (Linear, MLP) and type(optimizer) is Optimizer and type(regularizer) is Regularizer
    is_plain = optimizer.kind == "sgd" and not np.any(optimizer.weight_decay) and regularizer.penalty == "none"
    return is_ours and is_plain and isinstance(features, BagOfIds)


def forward(
    bottom: Bottom, params: Params, state: State, key: Key, features: Features, rowwise: bool
) -> tuple[Array, State, Callable[[Array], Params | RowwiseGradient]]:
    """Runs a party's model forward in a training step.

    Args:
      bottom: the party's model.
      params: its parameters.
      state: what it holds beside parameters.
      key: the key of its draws.
      features: the party's rows, leaves [B, ...].
      rowwise: whether the gradient comes as a :class:`RowwiseGradient`, where the model has a table; static.

    Returns:
      (the embedding, float32[B, E]; the model's new state; a function from the embedding's gradient to the gradient of
      the parameters).
    """
    path = bottom.table
    if path is None or not rowwise:
        embedding, pullback, state = jax.vjp(
            lambda p: bottom.apply_training(p, state, key, features), params, has_aux=True
        )
        return embedding, state, lambda gradient: pullback(gradient)[0]
    rest, table = _without(path, params)

    def apply(rest: Params, tap: Array) -> Array:
        return bottom.apply(traverse.unflatten_dict({**rest, path: table}), Tapped(features, tap))

    tap = jnp.zeros((features.ids.shape[0], table.shape[1]), table.dtype)
    embedding, pullback = jax.vjp(apply, rest, tap)

    def to_gradient(gradient: Array) -> RowwiseGradient:
        rest, change = pullback(gradient)
        return RowwiseGradient(path, rest, features, change)

    return embedding, state, to_gradient


def embed(bottom: Bottom, params: Params, state: State, features: Features) -> Array:
    """Runs a party's model forward as at inference; returns float32[B, E].

    Args:
      bottom: the party's model.
      params: its parameters.
      state: what it holds beside parameters.
      features: the party's rows, leaves [B, ...].
    """
    return bottom.apply(params, features, state) if state else bottom.apply(params, features)


def update(
    optimizer: Optimizer,
    regularizer: Regularizer,
    epoch: Array,
    gradient: Params | RowwiseGradient,
    params: Params,
    opt_state: Any,
) -> tuple[Params, Any]:
    """Updates one model, a party's or the head, by its own optimizer.

    Args:
      optimizer: the model's optimizer.
      regularizer: the penalty, whose gradient is added.
      epoch: int32[], counted from 0; learning rates depend on it.
      gradient: a pytree like ``params``, or a row-wise gradient.
      params: the model's parameters.
      opt_state: the optimizer's state.

    Returns:
      (the new parameters, the optimizer's new state).
    """
    if not isinstance(gradient, RowwiseGradient):
        gradient = regularizer.add_gradient(params, gradient)
        updates, opt_state = optimizer.build(epoch).update(gradient, opt_state, params)
        return optax.apply_updates(params, updates), opt_state
    rest, table = _without(gradient.table, params)
    rest, opt_state = update(optimizer, regularizer, epoch, gradient.rest, rest, opt_state)
    table = gradient.bag.add_outer(table, -optimizer.rate(epoch) * gradient.change)
    return traverse.unflatten_dict({**rest, gradient.table: table}), opt_state


def _without(path: tuple[str, ...], params: Params) -> tuple[Params, Array]:
    """Returns (all other parameters, by path; the parameter at ``path``)."""
    rest = traverse.flatten_dict(params)
    return rest, rest.pop(path)

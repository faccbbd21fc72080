"""What a party does on its own: the forward pass, the way back, the update of its own model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.traverse_util as traverse
import jax
import jax.numpy as jnp
import numpy as np
import optax

from vfl_jax.core.bags import BagOfIds, Tapped
from vfl_jax.core.types import Array, Features, Params
from vfl_jax.models import MLP, Bottom, Linear
from vfl_jax.models.losses import Regularizer
from vfl_jax.models.optimizers import Optimizer


class RowwiseGradient(NamedTuple):
    """The gradient of a bottom model whose first layer is a table looked up by a bag of ids, [F, E].

    The table's own gradient is the product of the transposed multi-hot rows with ``change``: zero but for a few rows.
    """

    table: tuple[str, ...]  # the table's path
    rest: Params  # of every other parameter, by path
    bag: BagOfIds
    change: Array  # float32[B, E]


def may_update_rowwise(bottom: Bottom, optimizer: Optimizer, regularizer: Regularizer, features: Features) -> bool:
    """Whether a step changes only those rows of a party's table that its batch looks up; concrete numbers only.

    So it is for plain SGD without weight decay or regulariser; any other update touches every row. What a class of
    somebody else's does with a table nobody knows here, whatever it derives from: it is always updated whole.
    """
    is_ours = type(bottom) in (Linear, MLP) and type(optimizer) is Optimizer and type(regularizer) is Regularizer
    is_plain = optimizer.kind == "sgd" and not np.any(optimizer.weight_decay) and regularizer.penalty == "none"
    return is_ours and is_plain and isinstance(features, BagOfIds)


def forward(
    bottom: Bottom, params: Params, features: Features, rowwise: bool
) -> tuple[Array, Callable[[Array], Params | RowwiseGradient]]:
    """The embedding, float32[B, E], and the way from its gradient to that of the parameters."""
    path = bottom.table
    if path is None or not rowwise:
        embedding, pullback = jax.vjp(lambda p: bottom.apply(p, features), params)
        return embedding, lambda gradient: pullback(gradient)[0]
    rest, table = _without(path, params)

    def apply(rest: Params, tap: Array) -> Array:
        return bottom.apply(traverse.unflatten_dict({**rest, path: table}), Tapped(features, tap))

    tap = jnp.zeros((features.ids.shape[0], table.shape[1]), table.dtype)
    embedding, pullback = jax.vjp(apply, rest, tap)

    def to_gradient(gradient: Array) -> RowwiseGradient:
        rest, change = pullback(gradient)
        return RowwiseGradient(path, rest, features, change)

    return embedding, to_gradient


def update(
    optimizer: Optimizer,
    regularizer: Regularizer,
    epoch: Array,
    gradient: Params | RowwiseGradient,
    params: Params,
    opt_state: Any,
) -> tuple[Params, Any]:
    """One step of a model's own optimizer, a party's or the head's: (params, opt_state)."""
    if not isinstance(gradient, RowwiseGradient):
        gradient = regularizer.add_gradient(params, gradient)
        updates, opt_state = optimizer.build(epoch).update(gradient, opt_state, params)
        return optax.apply_updates(params, updates), opt_state
    rest, table = _without(gradient.table, params)
    rest, opt_state = update(optimizer, regularizer, epoch, gradient.rest, rest, opt_state)
    table = gradient.bag.add_outer(table, -optimizer.rate(epoch) * gradient.change)
    return traverse.unflatten_dict({**rest, gradient.table: table}), opt_state


def _without(path: tuple[str, ...], params: Params) -> tuple[Params, Array]:
    """All other parameters, by path, and the one at ``path``."""
    rest = traverse.flatten_dict(params)
    return rest, rest.pop(path)

"""A method's own parameters, which learn inside the step: how they begin, and how a step trains them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vfl_jax.core.types import Array, Key, Params
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.knowledge import Shapes
from vfl_jax.protocol.methods import Chain, changes
from vfl_jax.protocol.mistakes import call


def init(transform: Any, key: Key, shapes: Shapes, default: Optimizer) -> tuple[Params, Any]:
    """Returns the first parameters of a method or a chain, and the state of their optimizers.

    Args:
      transform: a method or a chain of the active party.
      key: the key that determines the draw.
      shapes: the sizes that the protocol makes public.
      default: the optimizer of methods that name none: the head's.

    Returns:
      (parameters, optimizer state); two empty tuples where the method overrides no ``on_embed``.

    Raises:
      ValueError: where ``init_params`` returns None or what is no floating number, or ``optimizer`` is no optimizer.
    """
    if not changes(transform, "on_embed"):
        return (), ()
    params = call(transform, "init_params", key, shapes)
    return params, _begin(transform, params, default)


def _begin(transform: Any, params: Params, default: Optimizer) -> Any:
    """Returns the optimizers' first state: of a chain, one per part."""
    if isinstance(transform, Chain):
        return tuple(_begin(part, own, default) for part, own in zip(transform.parts, params, strict=True))
    name = type(transform).__name__
    if params is None:
        raise ValueError(f"{name}.init_params returns None; it must return parameters, or {{}} where nothing learns.")
    if not isinstance(transform.optimizer, Optimizer | None):
        raise ValueError(
            f"{name}.optimizer is {transform.optimizer!r}; it must be a vfl_jax.models.Optimizer, or None, which takes "
            "the head's."
        )
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        is_array = isinstance(leaf, jax.Array | np.ndarray | np.number | int | float)
        found = jnp.result_type(leaf) if is_array else f"a {type(leaf).__name__}"
        if not (is_array and jnp.issubdtype(found, jnp.floating)):
            raise ValueError(
                f"{name}.init_params returns {found} at "
                f"{jax.tree_util.keystr(path) or 'its root'}; what a step trains is float32. What counts or chooses is "
                "state, which init returns."
            )
    return _optimizer(transform, default).build(jnp.int32(0)).init(params)


def update(
    transform: Any, default: Optimizer, epoch: Array, gradient: Params, params: Params, opt_state: Any
) -> tuple[Params, Any]:
    """Trains the parameters of a method or a chain, each method's by its own optimizer.

    Args:
      transform: a method or a chain of the active party.
      default: the optimizer of methods that name none: the head's.
      epoch: int32[], counted from 0; learning rates depend on it.
      gradient: a pytree like ``params``.
      params: the parameters.
      opt_state: the optimizers' state.

    Returns:
      (the new parameters, the optimizers' new state).
    """
    if not changes(transform, "on_embed"):
        return params, opt_state
    if isinstance(transform, Chain):
        parts = zip(transform.parts, gradient, params, opt_state, strict=True)
        pairs = [update(part, default, epoch, g, p, s) for part, g, p, s in parts]
        return tuple(p for p, _ in pairs), tuple(s for _, s in pairs)
    updates, opt_state = _optimizer(transform, default).build(epoch).update(gradient, opt_state, params)
    return optax.apply_updates(params, updates), opt_state


def _optimizer(method: Any, default: Optimizer) -> Optimizer:
    """Returns the optimizer that a method names, or the default."""
    return default if method.optimizer is None else method.optimizer

"""Fitting a model by minibatches between epochs, as methods do that learn from what they kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from vfl_jax.core.types import Key, Params
from vfl_jax.models.optimizers import Optimizer


def fit(
    key: Key,
    optimizer: Optimizer,
    loss: Callable[[Params, Key, jax.Array], jax.Array],
    params: Params,
    num_rows: int,
    batch_size: int,
    num_epochs: int,
) -> Params:
    """Takes passes over rows in an order that every pass draws anew; rows that fill no batch are left out of a pass.

    Args:
      key: the key that determines orders and what the loss draws.
      optimizer: the optimizer; the number of the pass is its epoch.
      loss: ``loss(params, key, rows)``, float32[], of a batch, where ``rows`` are the numbers of its rows, int32[B].
      params: the first parameters.
      num_rows: N.
      batch_size: B; all rows where there are fewer.
      num_epochs: the number of passes.

    Returns:
      the last parameters.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from vfl_jax.models import Optimizer
      >>> values = jnp.array([1.0, 2.0, 3.0])
      >>> def loss(mean, key, rows):
      ...     return ((values[rows] - mean) ** 2).mean()
      >>> float(fit(jax.random.key(0), Optimizer(learning_rate=0.5), loss, jnp.float32(0.0), 3, 3, 1))
      2.0
    """
    size = min(batch_size, num_rows)
    num_steps = num_rows // size

    def one_epoch(carry: Any, epoch: jax.Array) -> tuple[Any, None]:
        key_epoch = jax.random.fold_in(key, epoch)
        key_order, key_steps = (jax.random.fold_in(key_epoch, part) for part in range(2))
        batches = jax.random.permutation(key_order, num_rows)[: num_steps * size].reshape(num_steps, size)

        def one_step(carry: Any, given: Any) -> tuple[Any, None]:
            (params, opt_state), (step, rows) = carry, given
            gradient = jax.grad(loss)(params, jax.random.fold_in(key_steps, step), rows)
            updates, opt_state = optimizer.build(epoch).update(gradient, opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), None

        return jax.lax.scan(one_step, carry, (jnp.arange(num_steps, dtype=jnp.int32), batches))[0], None

    first = params, optimizer.build(jnp.int32(0)).init(params)
    (params, _), _ = jax.lax.scan(one_epoch, first, jnp.arange(num_epochs, dtype=jnp.int32))
    return params

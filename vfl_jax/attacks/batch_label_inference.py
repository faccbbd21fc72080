"""Batch-level label inference: reads labels out of the gradient of one whole batch (Zou et al. 2022)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from vfl_jax.core.checks import check_count
from vfl_jax.core.types import Array, Features, Key, Params
from vfl_jax.models.optimizers import Optimizer

GuessedHead = Literal["sum", "trainable"]


class BatchUnknowns(NamedTuple):
    """What a party does not know about a batch.

    Args:
      labels: float32[B, C], the logits of the labels: the targets of the loss are their softmax.
      others: float32[B, C], what all other parties send together.
      head: the kernel, float32[E + C, C], and the bias, float32[C], of the head; empty where the head is a sum.
    """

    labels: Array
    others: Array
    head: Params = ()


class BatchLabels(NamedTuple):
    """The answer of batch-level label inference.

    Args:
      labels: int32[B], the guessed labels.
      unknowns: the unknowns after the last step.
      messages: float32[B, E], the message per row that the party would have got had the unknowns been these. Its
        smallest entry is another guess where the head is a sum.
      losses: float32[num_steps], how far the gradient was from the one to match, before every step.
    """

    labels: jax.Array
    unknowns: BatchUnknowns
    messages: jax.Array
    losses: jax.Array


def infer_batch_labels(
    key: Key,
    forward: Callable[[Params, Features], Array],
    params: Params,
    features: Features,
    gradient: Params,
    num_classes: int,
    *,
    head: GuessedHead = "sum",
    optimizer: Optimizer = Optimizer(kind="adam", learning_rate=0.05),
    num_steps: int = 100,
    start: BatchUnknowns | None = None,
) -> BatchLabels:
    """Guesses the labels of one batch from the gradient of a party's own parameters, summed over the batch.

    It is for a party that gets no message per row, as where the sum over the batch is computed under encryption. It
    acts outside the protocol, on one batch, and changes nothing. Let x be the party's rows, F_θ its model, g the
    gradient of the mean loss at θ, and CE the cross-entropy. Unknown are what the others send, Ĥ, and the labels'
    logits, Ŷ; both begin with draws of N(0, 1). An optimizer minimizes

      ‖∇_θ CE(head(F_θ(x), Ĥ), softmax Ŷ) − g‖²

    over them; the guess of a row is the largest entry of its Ŷ. With ``head`` "sum" the head is the sum F_θ(x) + Ĥ, so
    that E must be C. With "trainable" it is one dense layer on both, which is unknown, too, and learnt along.

    A larger batch hides its labels: a row is told only where g has about as many numbers as the batch has messages,
    B · E. More classes alone do not, where they give the model more parameters. Where the true head is a sum,
    a guess with "trainable" gives labels at chance; ``messages`` still tell them. Under a loss that is a sum over rows,
    divide g by B first.

    Source: Zou, Liu, Kang, Liu, He, Yi, Yang, Zhang, *Defending batch-level label inference and replacement attacks in
    vertical federated learning*, IEEE Transactions on Big Data 2022, with its code (``LabelDefender``) and the one of
    VFLAIR, ``BatchLabelReconstruction.py``. VFLAIR runs both heads and reports the one that is nearer to the true
    labels; no party can choose so, and here a user names the head.

    Args:
      key: the key of the first unknowns.
      forward: the party's own model, (parameters, features) to float32[B, E], such as ``bottom.apply``.
      params: θ.
      features: x, leaves [B, ...].
      gradient: g, a pytree like ``params``.
      num_classes: C.
      head: which head the party believes in.
      optimizer: the optimizer of the unknowns; the published rate is 0.05, its ``epoch_decay`` has no effect.
      num_steps: the number of steps; SecretFlow takes 100, VFLAIR leaves it to its user.
      start: the first unknowns, in place of draws.

    Returns:
      the guesses, and what they come from. The function can be jitted, and mapped over keys and batches.

    Raises:
      ValueError: where ``head`` is neither, or is "sum" and E is not C; where ``num_steps`` is below 1.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> import vfl_jax as vfl
      >>> x, labels = jnp.eye(3), jnp.array([2, 0, 1])
      >>> def model(kernel, x):
      ...     return x @ kernel
      >>> def loss(kernel, others=jnp.float32(0.0)):
      ...     return -jax.nn.log_softmax(model(kernel, x) + others)[jnp.arange(3), labels].mean()
      >>> kernel = jnp.zeros((3, 3))
      >>> found = vfl.infer_batch_labels(jax.random.key(0), model, kernel, x, jax.grad(loss)(kernel), 3)
      >>> found.labels.tolist()
      [2, 0, 1]
    """
    check_count(num_steps=num_steps)
    if head not in ("sum", "trainable"):
        raise ValueError(f"head is {head!r}; it must be 'sum' or 'trainable'.")
    embedding, back = jax.vjp(lambda p: jnp.asarray(forward(p, features)), params)
    (num_rows, width), has_head = embedding.shape, head == "trainable"
    if not has_head and width != num_classes:
        raise ValueError(
            f"head is 'sum', which needs embeddings as wide as there are classes; the model gives {width} numbers per "
            f"row, and there are {num_classes} classes. Give head='trainable'."
        )

    def message(unknowns: BatchUnknowns) -> jax.Array:
        """The gradient of the loss at the party's embedding, float32[B, E]."""
        targets = jax.nn.softmax(unknowns.labels)

        def loss(embedding: jax.Array) -> jax.Array:
            logits = _logits(embedding, unknowns)
            return -(targets * jax.nn.log_softmax(logits)).sum(axis=-1).mean()

        return jax.grad(loss)(embedding)

    def distance(unknowns: BatchUnknowns) -> jax.Array:
        """How far the gradient of the party's parameters is from the one to match."""
        pairs = zip(jax.tree.leaves(back(message(unknowns))[0]), jax.tree.leaves(gradient), strict=True)
        return jnp.stack([((mine - real) ** 2).sum() for mine, real in pairs]).sum()

    update = optimizer.build(jnp.int32(0))

    def one(carry: tuple[BatchUnknowns, optax.OptState], _: None) -> tuple[tuple[BatchUnknowns, optax.OptState], Array]:
        unknowns, state = carry
        loss, slope = jax.value_and_grad(distance)(unknowns)
        with jax.numpy_dtype_promotion("standard"):  # Adam's count is a whole number
            changes, state = update.update(slope, state, unknowns)
        return (optax.apply_updates(unknowns, changes), state), loss

    first = _drawn(key, num_rows, width, num_classes, has_head) if start is None else start
    first = jax.tree.map(jnp.asarray, first)
    (unknowns, _), losses = jax.lax.scan(one, (first, update.init(first)), None, length=num_steps)
    labels = jnp.argmax(unknowns.labels, axis=-1).astype(jnp.int32)
    return BatchLabels(labels=labels, unknowns=unknowns, messages=message(unknowns), losses=jnp.asarray(losses))


def _drawn(key: Key, num_rows: int, width: int, num_classes: int, has_head: bool) -> BatchUnknowns:
    """Draws the first unknowns."""
    key_labels, key_others, key_kernel, key_bias = jax.random.split(key, 4)
    labels, others = (jax.random.normal(k, (num_rows, num_classes)) for k in (key_labels, key_others))
    if not has_head:
        return BatchUnknowns(labels, others)
    inputs = width + num_classes
    shapes = (key_kernel, (inputs, num_classes)), (key_bias, (num_classes,))
    return BatchUnknowns(
        labels, others, tuple(jax.random.uniform(k, s, minval=-1.0, maxval=1.0) / inputs**0.5 for k, s in shapes)
    )


def _logits(embedding: Array, unknowns: BatchUnknowns) -> Array:
    """Returns what the head that the party believes in makes of the batch, float32[B, C]."""
    if not unknowns.head:
        return embedding + unknowns.others
    kernel, bias = unknowns.head
    return jnp.concatenate([embedding, unknowns.others], axis=1) @ kernel + bias[None]

"""The confusional autoencoder of Zou et al. 2022: it maps class distributions to confused ones and back.

Encoder and decoder are two dense layers each, C → hidden → C, with ReLU between and the softmax at the end. The
extended decoder has one more linear layer in front, C → 2·(6C + 2).
"""

from __future__ import annotations

import itertools
from typing import Literal

import jax
import jax.numpy as jnp

from vfl_jax.core.types import Key, Params

EntropyOf = Literal["entries", "rows"]

SMALL = 1e-6
"""What the entropy adds to a probability before its logarithm, as in the published code."""


def draw(key: Key, num_classes: int, hidden: int, extended: bool, stddev: float) -> Params:
    """Draws the first parameters: kernels from N(0, stddev²), biases 0.

    Args:
      key: the key that determines the draw.
      num_classes: C.
      hidden: the width of the hidden layers.
      extended: whether the decoder has the layer more in front.
      stddev: the standard deviation of the entries of kernels.

    Returns:
      {"encoder": layers, "decoder": layers}; a layer is {"kernel": float32[F, E], "bias": float32[E]}.
    """
    front = (2 * (6 * num_classes + 2),) if extended else ()
    widths = {"encoder": (num_classes, hidden, num_classes), "decoder": (num_classes, *front, hidden, num_classes)}
    layers: dict[str, list[Params]] = {name: [] for name in widths}
    for part, name in enumerate(widths):
        for i, (narrow, wide) in enumerate(itertools.pairwise(widths[name])):
            key_layer = jax.random.fold_in(jax.random.fold_in(key, part), i)
            kernel = stddev * jax.random.normal(key_layer, (narrow, wide))
            layers[name].append({"kernel": kernel, "bias": jnp.zeros(wide)})
    return {name: tuple(stack) for name, stack in layers.items()}


def encode(params: Params, labels: jax.Array) -> jax.Array:
    """Returns the confused distributions of class distributions, float32[B, C].

    Args:
      params: the parameters.
      labels: float32[B, C].
    """
    return jax.nn.softmax(_stack(params["encoder"], labels))


def log_decode(decoder: Params, codes: jax.Array) -> jax.Array:
    """Returns the logarithm of the decoded distributions, float32[B, C].

    Args:
      decoder: the parameters of the decoder.
      codes: confused distributions, float32[B, C].
    """
    return jax.nn.log_softmax(_stack(decoder, codes))


def soft_labels(key: Key, num_rows: int, num_classes: int, temperature: jax.Array | float) -> jax.Array:
    """Draws class distributions, float32[B, C]: the softmax of uniform numbers, to the power of 1/temperature.

    Args:
      key: the key that determines the draw.
      num_rows: B.
      num_classes: C.
      temperature: T; the smaller, the nearer a distribution is to one class.
    """
    return jax.nn.softmax(jax.random.uniform(key, (num_rows, num_classes)) / temperature)


def terms(params: Params, labels: jax.Array, second_softmax: bool, entropy_of: EntropyOf) -> jax.Array:
    """Returns the three parts of the loss of a batch, float32[3].

    Args:
      params: the parameters.
      labels: class distributions y, float32[B, C].
      second_softmax: whether cross-entropies take the softmax of what is a distribution already.
      entropy_of: "entries", the mean over entries, or "rows", the mean over rows of the sum over entries.

    Returns:
      [CE(dec(enc y), y), the entropy of enc y, CE(enc y, y)].
    """
    logits = _stack(params["encoder"], labels)
    codes, log_codes = jax.nn.softmax(logits), jax.nn.log_softmax(logits)
    log_decoded = log_decode(params["decoder"], codes)
    if second_softmax:
        log_codes, log_decoded = jax.nn.log_softmax(codes), jax.nn.log_softmax(jnp.exp(log_decoded))
    kept, confused = (-(labels * log).sum(axis=-1).mean() for log in (log_decoded, log_codes))
    entries = -codes * jnp.log(codes + SMALL)
    entropy = entries.mean() if entropy_of == "entries" else entries.sum(axis=-1).mean()
    return jnp.stack([kept, entropy, confused])


def _stack(layers: Params, x: jax.Array) -> jax.Array:
    """Applies dense layers to float32[B, F]; ReLU stands before the last one alone."""
    for layer in layers[:-1]:
        x = _dense(layer, x)
    return _dense(layers[-1], jax.nn.relu(x))


def _dense(layer: Params, x: jax.Array) -> jax.Array:
    """Applies one dense layer to float32[B, F]."""
    return x @ layer["kernel"] + layer["bias"][None]

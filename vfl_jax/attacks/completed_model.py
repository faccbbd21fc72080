"""A bottom model that an attacker completes with layers of its own: it then tells classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.core.types import Array, Features, Key, Params

Forward = Callable[..., jax.Array]
"""A party's own bottom model, as ``view.forward`` runs it."""


@flax.struct.dataclass
class CompletedModel:
    """A bottom model with layers of the attacker's own on top.

    Args:
      params: "bottom", the parameters of the bottom model; "layers", per layer "scale" and "shift" of BatchNorm,
        float32[E] each, "kernel", float32[E, E], of the last layer float32[E, C], and "bias".
      moments: per layer BatchNorm's running (mean, variance), float32[E] each.
    """

    params: Params
    moments: Any

    @classmethod
    def of(cls, key: Key, bottom: Params, width: int, num_classes: int, num_layers: int) -> CompletedModel:
        """Returns a model whose layers have not learnt yet.

        All kernels are 1. The biases are drawn uniformly from ±1/√E; without them all units of a layer would stay
        equal.

        Args:
          key: the key of the draws.
          bottom: the parameters of the bottom model.
          width: E.
          num_classes: C.
          num_layers: the number of layers on top.
        """
        layers = []
        for i in range(num_layers):
            units = num_classes if i == num_layers - 1 else width
            bias = jax.random.uniform(jax.random.fold_in(key, i), (units,), minval=-1.0, maxval=1.0) / width**0.5
            normalized = {"scale": jnp.ones(width), "shift": jnp.zeros(width)}
            layers.append({**normalized, "kernel": jnp.ones((width, units)), "bias": bias})
        moments = tuple((jnp.zeros(width), jnp.ones(width)) for _ in range(num_layers))
        return cls(params={"bottom": bottom, "layers": tuple(layers)}, moments=moments)

    def logits(self, forward: Forward, features: Features) -> jax.Array:
        """Runs the model after training; returns float32[B, C].

        Args:
          forward: the bottom model.
          features: the party's rows, leaves [B, ...].
        """
        x = forward(features, params=self.params["bottom"])
        for layer, (mean, variance) in zip(self.params["layers"], self.moments, strict=True):
            x = _layer(layer, x, mean, variance)
        return x


def _layer(layer: Params, x: Array, mean: Array, variance: Array) -> jax.Array:
    """Normalizes, rectifies and multiplies."""
    normal = (x - mean[None]) / jnp.sqrt(variance + 1e-5)[None]
    return jax.nn.relu(normal * layer["scale"][None] + layer["shift"][None]) @ layer["kernel"] + layer["bias"][None]


def logits_in_training(forward: Forward, params: Params, moments: Any, features: Features) -> tuple[jax.Array, Any]:
    """Runs a completed model on a batch, which BatchNorm normalizes by the batch's own moments.

    Args:
      forward: the bottom model.
      params: the model's parameters.
      moments: its running moments.
      features: the party's rows, leaves [B, ...].

    Returns:
      (logits, float32[B, C]; the new running moments, a tenth of the way to the batch's).
    """
    x, after = forward(features, params=params["bottom"]), []
    for layer, running in zip(params["layers"], moments, strict=True):
        mean, variance = x.mean(axis=0), x.var(axis=0)
        unbiased = variance * (len(x) / (len(x) - 1))
        after.append(tuple(0.9 * old + 0.1 * new for old, new in zip(running, (mean, unbiased), strict=True)))
        x = _layer(layer, x, mean, variance)
    return x, jax.lax.stop_gradient(tuple(after))

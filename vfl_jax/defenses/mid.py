"""Mutual information regularization, MID: Zou, Liu, Zhang 2023 (arXiv:2301.01142)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_count, check_range
from vfl_jax.core.record import static
from vfl_jax.core.types import Key, Params
from vfl_jax.models.bottoms import Dense
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.knowledge import Shapes
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.protocol.views import EmbedView, Messages

HIDDEN = 5
"""The decoder's hidden layer is so many times as wide as the bottleneck."""


class MID(ActiveTransform):
    """Passes every embedding through a noisy bottleneck that learns to hold little of it but what the labels need.

    Each crossing party has a bottleneck of its own at the active party. With h, float32[B, E], and m = ``scale``·E::

        (μ, s) = encoder(h)                  Dense(E → 2m), then ReLU where rectified; μ and s have m entries
        σ      = softplus(s − shift)
        z      = μ + σ·ε                     ε ~ N(0, 1)
        h'     = decoder(z)                  Dense(m → 5m), ReLU, Dense(5m → E), then ReLU where rectified
        loss  += weight · mean over rows of Σ_j ½(μ_j² + σ_j² − 1 − 2·log σ_j)

    The head gets h'. The gradient goes through the bottleneck to the party, and trains the bottleneck in every step.
    The sum is the divergence of N(μ, σ²) from N(0, 1), an upper bound of the information that z holds about h; several
    parties' sums are added. Source: Zou, Liu, Zhang 2023, *Mutual information regularization for vertical federated
    learning* (arXiv:2301.01142), whose λ is ``weight``, and the published code of VFLAIR. In that code the penalty is
    added to the mean loss of a batch; under a loss with the reduction "sum" a weight of λ·B is the same balance. The
    values of λ in the paper's figures could not be verified; the code's lists go from 1e-8 to 0.1.

    An attacker who knows it sends what rows of the target class send (``Replay``, ``CentroidReplay``): a bottleneck
    that lets these rows through lets the attack through.

    Args:
      rectified: whether ReLU follows the encoder and the decoder, as in the published code; then μ and h' are not
        negative, and σ is at least softplus(−shift). False leaves both out, as in the paper, whose μ is free.
      scale: the width of the bottleneck, in widths of the embedding.
      noise_at_inference: whether test rows get noise, each of its own, as in published code; without it z = μ.
      optimizer: the optimizer of the bottlenecks; Adam in the published code, whose rate could not be verified.
      weight: λ, the weight of the penalty. 0 switches the whole defense off: embeddings pass bit for bit.
      shift: what is taken off s before the softplus; 0.5 in the published code.

    Raises:
      ValueError: where ``weight`` is negative, or ``scale`` is no whole number of at least 1.

    Example:
      >>> import vfl_jax as vfl
      >>> scenario = vfl.presets.digits_demo().replace(defense=vfl.defenses.MID(weight=0.01))
      >>> scenario.defense.scale
      1
    """

    neutral = {"weight": 0.0}
    rectified: bool = static(default=True)
    scale: int = static(default=1)
    noise_at_inference: bool = static(default=True)
    optimizer: Optimizer = Optimizer(kind="adam", learning_rate=0.01)
    weight: float = 0.0
    shift: float = 0.5

    def __post_init__(self) -> None:
        check_count(**{"MID.scale": self.scale})
        check_range("MID", 0.0, weight=self.weight)
        check_range("MID", shift=self.shift)

    def init_params(self, key: Key, shapes: Shapes) -> Params:
        return tuple(
            self._draw(jax.random.fold_in(key, i), shapes.widths[party]) for i, party in enumerate(shapes.crossing)
        )

    def on_embed(self, params: Params, key: Key, view: EmbedView, embeddings: Messages) -> tuple[Messages, jax.Array]:
        passed, penalty = [], jnp.float32(0.0)
        is_on = jnp.asarray(self.weight) > 0
        for i, (own, embedding) in enumerate(zip(params, embeddings, strict=True)):
            width = own["expand"]["kernel"].shape[0]
            noise = jax.random.normal(jax.random.fold_in(key, i), (len(embedding), width))
            if not (view.is_training or self.noise_at_inference):
                noise = jnp.zeros_like(noise)
            decoded, divergence = self.squeeze(own, embedding, noise)
            passed.append(jnp.where(is_on, decoded, embedding))
            penalty = penalty + divergence
        # Chosen, not multiplied: a divergence that is not finite must not reach an undefended loss.
        return tuple(passed), jnp.where(is_on, self.weight * penalty, 0.0)

    def squeeze(self, params: Params, embedding: jax.Array, noise: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Passes one party's embedding through its bottleneck.

        Args:
          params: the parameters of this bottleneck: dense layers "encode", "expand" and "decode".
          embedding: float32[B, E].
          noise: ε, float32[B, m].

        Returns:
          (what comes out, float32[B, E]; the mean divergence of a row, float32[]).
        """
        encoded = self._rectify(_dense(params["encode"], embedding))
        mean, spread = jnp.split(encoded, 2, axis=-1)
        sigma = jax.nn.softplus(spread - self.shift)
        divergence = (0.5 * (mean**2 + sigma**2 - 1.0) - jnp.log(sigma)).sum(axis=-1).mean()
        hidden = jax.nn.relu(_dense(params["expand"], mean + sigma * noise))
        return self._rectify(_dense(params["decode"], hidden)), divergence

    def _draw(self, key: Key, width: int) -> Params:
        """Draws the parameters of one bottleneck for embeddings of one width."""
        middle = self.scale * width
        layers = {
            "encode": (width, 2 * middle),
            "expand": (middle, HIDDEN * middle),
            "decode": (HIDDEN * middle, width),
        }
        return {
            name: Dense(wide).init(jax.random.fold_in(key, i), jnp.zeros((1, narrow)))["params"]
            for i, (name, (narrow, wide)) in enumerate(layers.items())
        }

    def _rectify(self, values: jax.Array) -> jax.Array:
        return jax.nn.relu(values) if self.rectified else values


def _dense(params: Params, x: jax.Array) -> jax.Array:
    """Applies one dense layer to float32[B, F]."""
    return x @ params["kernel"] + params["bias"][None]

"""An attack and a defense."""

import jax.numpy as jnp

import vfl_jax as vfl


class LabReversal(vfl.Attack):
    """Pulls back the negative of every gradient."""

    strength: float = 1.0

    def on_download(self, key, state, view, gradient):
        return -self.strength * gradient, state


class LabRounding(vfl.ActiveTransform):
    """Rounds what the active party sends to multiples of a unit; 0 rounds nothing."""

    unit: float = 0.0

    def on_send(self, key, state, view, gradients):
        unit = jnp.where(self.unit > 0, self.unit, 1.0)
        return tuple(jnp.where(self.unit > 0, jnp.round(g / unit) * unit, g) for g in gradients), state

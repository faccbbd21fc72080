"""Gradient sparsification: section 6.4 of Liu, Yi, Chen 2020, after Lin et al. 2017."""

from __future__ import annotations

import jax.numpy as jnp

from vfl_jax.checks import check_choice, check_range
from vfl_jax.records import ORDINARY
from vfl_jax.registry import static
from vfl_jax.transforms import ActiveTransform


class Sparsification(ActiveTransform):
    """Sends only the entries of a message at or above a quantile of their size; the rest waits.

    For each crossing party and step: a = gradient + residual, the threshold is the ``drop_rate`` quantile
    of \\|a\\| over the whole [B, E] message (linear interpolation between order statistics, as
    ``numpy.quantile``), entries with \\|a\\| at or above it are sent, what is below is the new residual.

    ``residual`` says whose it is: "position" (of the row's place in the batch, as published code of the
    field does), "sample" (of the sample id, float32[N, E] per party and replica; rows of an appended pair
    have none) or "none" (what is dropped is lost). ``drop_rate`` 0 sends everything.

    Two further parts of Lin et al. are left out. Momentum correction accumulates a worker's momentum
    before it is sent; here the messages are gradients of different samples in each batch and the paper's
    optimizer has no momentum, so at momentum 0 it is exactly this rule. The warm-up of the drop rate
    over first epochs serves convergence of very deep networks; neither the paper nor its published code
    has it, and a rate that changes with time would blur what a drop rate means in Figure 7.
    """

    residual: str = static("position")
    drop_rate: float = 0.0

    def __post_init__(self) -> None:
        check_choice("Sparsification", ("position", "sample", "none"), residual=self.residual)
        check_range("Sparsification", 0.0, 1.0, drop_rate=self.drop_rate)

    def init(self, key, shapes, knowledge):
        if self.residual == "none":
            return ()
        rows = shapes.batch_rows if self.residual == "position" else shapes.num_samples
        return tuple(jnp.zeros((rows, shapes.widths[k])) for k in shapes.crossing)

    def on_send(self, key, state, view, gradients):
        if self.residual == "none":
            return tuple(self._split(g)[0] for g in gradients), state
        if self.residual == "position":
            pairs = [self._split(g + r) for g, r in zip(gradients, state, strict=True)]
            return tuple(sent for sent, _ in pairs), tuple(rest for _, rest in pairs)
        sent, state_out = [], []
        for gradient, residual in zip(gradients, state, strict=True):
            ids = jnp.where(view.roles == ORDINARY, view.sample_ids, residual.shape[0])
            large, rest = self._split(gradient + residual.at[ids].get(mode="fill", fill_value=0))
            sent.append(large)
            state_out.append(residual.at[ids].set(rest, mode="drop"))
        return tuple(sent), tuple(state_out)

    def _split(self, message):
        """Returns (entries to send, entries to keep), zeros elsewhere."""
        size = jnp.abs(message)
        is_large = size >= jnp.quantile(size, self.drop_rate)
        return jnp.where(is_large, message, 0.0), jnp.where(is_large, 0.0, message)

"""Gradient sparsification: section 6.4 of Liu, Yi, Chen 2020 (arXiv:2007.03608), after Lin et al. 2017."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp

from vfl_jax.core.by_platform import on_cpu_or_accelerator
from vfl_jax.core.checks import check_range
from vfl_jax.core.record import static
from vfl_jax.core.types import Key
from vfl_jax.protocol.knowledge import Shapes
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.protocol.views import ActiveView, Messages

Residual = Literal["position", "sample", "none"]


class Sparsification(ActiveTransform):
    """Sends only the largest entries of a gradient message; the others wait as a residual.

    For each message, float32[B, E], the defense computes a = gradient + residual. The threshold is the ``drop_rate``
    quantile of all |a| in the message, with the linear interpolation of ``numpy.quantile``. The defense sends the
    entries at or above the threshold, and keeps the others as the new residual. Source: section 6.4 of
    Liu, Yi, Chen 2020 (arXiv:2007.03608), after Lin et al. 2017, *Deep gradient compression* (arXiv:1712.01887).

    The defense leaves out two parts of Lin et al. Momentum correction accumulates the momentum of a worker. Here every
    batch has gradients of other samples, and the paper's optimizer has no momentum; without momentum the correction is
    exactly this rule. The warm-up of the drop rate helps very deep networks to converge. Neither the paper nor its
    published code has it, and a rate that changes with time would blur the meaning of a drop rate in Figure 7.

    Args:
      residual: the owner of a residual: "position" (a row's place in the batch, as in published code of the field),
        "sample" (the sample id, float32[N, E] per party; of two rows of one sample the first has it), or "none"
        (dropped entries are lost).
      drop_rate: the share of entries that wait, in [0, 1]; 0 sends everything, bit for bit.

    Raises:
      ValueError: where ``residual`` is none of these, or ``drop_rate`` lies outside [0, 1].

    Example:
      >>> import jax.numpy as jnp
      >>> import vfl_jax as vfl
      >>> defense = vfl.defenses.Sparsification(residual="none", drop_rate=0.5)
      >>> messages, state = defense.on_send(None, (), None, (jnp.array([[4.0, -1.0, -3.0, 2.0]]),))
      >>> messages[0].tolist()
      [[4.0, 0.0, -3.0, 0.0]]
    """

    neutral = {"drop_rate": 0.0}
    residual: Residual = static(default="position")
    drop_rate: float = 0.0

    def __post_init__(self) -> None:
        check_range("Sparsification", 0.0, 1.0, drop_rate=self.drop_rate)

    def init(self, key: Key, shapes: Shapes) -> Messages:
        if self.residual == "none":
            return ()
        rows = shapes.batch_rows if self.residual == "position" else shapes.num_samples
        return tuple(jnp.zeros((rows, shapes.widths[k])) for k in shapes.crossing)

    def on_send(self, key: Key, state: Messages, view: ActiveView, gradients: Messages) -> tuple[Messages, Messages]:
        if self.residual == "none":
            return tuple(self._split(g)[0] for g in gradients), state
        if self.residual == "position":
            pairs = [self._split(_with(g, r)) for g, r in zip(gradients, state, strict=True)]
            return tuple(sent for sent, _ in pairs), tuple(rest for _, rest in pairs)
        sent, state_out = [], []
        first = jnp.argmax(view.sample_ids[:, None] == view.sample_ids[None], axis=1)
        is_first = first == jnp.arange(len(first))
        for gradient, residual in zip(gradients, state, strict=True):
            ids = jnp.where(is_first, view.sample_ids, residual.shape[0])
            large, rest = self._split(_with(gradient, residual.at[ids].get(mode="fill", fill_value=0)))
            sent.append(large)
            state_out.append(residual.at[ids].set(rest, mode="drop"))
        return tuple(sent), tuple(state_out)

    def _split(self, message: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Splits a message, float32[B, E], into (entries to send, entries to keep), with zeros elsewhere."""
        size = jnp.abs(message)
        # Written as "not below", so that a NaN is sent and seen, not kept.
        is_large = ~(size < quantile(size, self.drop_rate))
        return jnp.where(is_large, message, 0.0), jnp.where(is_large, 0.0, message)


def _with(gradient: jax.Array, residual: jax.Array) -> jax.Array:
    """Adds a residual where it is not 0. A sum with 0 would turn −0 into 0, and might flush subnormal numbers."""
    return jnp.where(residual == 0, gradient, gradient + residual)


def quantile(sizes: jax.Array, rate: jax.Array | float) -> jax.Array:
    """Returns the linearly interpolated quantile of non-negative numbers, as ``jnp.quantile`` does.

    Non-negative floats have the order of their bits. A CPU bisects the bit patterns instead of sorting the numbers: 31
    counts (63 for float64) find an order statistic exactly, more than ten times faster. An accelerator sorts, in one
    kernel. Both find the same bits.

    Args:
      sizes: float32[...] or float64[...], non-negative.
      rate: the rate of the quantile, in [0, 1].

    Returns:
      float[] of the same dtype.

    Example:
      >>> float(quantile(jnp.array([3.0, 1.0, 2.0, 4.0]), 0.5))
      2.5
    """
    whole = jnp.dtype(f"int{8 * sizes.dtype.itemsize}")
    bits = jax.lax.bitcast_convert_type(sizes, whole).ravel()
    place = jnp.asarray(rate, sizes.dtype) * (bits.size - 1)
    low, high = jnp.floor(place), jnp.ceil(place)
    places = low.astype(jnp.int32), high.astype(jnp.int32)
    low_bits, high_bits = on_cpu_or_accelerator(_bisected, _sorted, bits, *places)
    low_value, high_value = (jax.lax.bitcast_convert_type(b, sizes.dtype) for b in (low_bits, high_bits))
    high_weight = place - low
    # An infinite neighbour of weight 0 must not turn the result into NaN; equal neighbours must give themselves, which
    # a sum of two rounded products may miss by a bit, and then no entry of that size would be sent.
    between = (high_weight > 0) & (high_value != low_value)
    return jnp.where(between, low_value * (1.0 - high_weight) + high_value * high_weight, low_value)


def _bisected(bits: jax.Array, low: jax.Array, high: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the order statistics at two places, ``high`` being ``low`` or the next; bits are non-negative."""
    num_bits = jnp.iinfo(bits.dtype).bits - 1

    def narrow(i: jax.Array, found: jax.Array) -> jax.Array:
        candidate = found | (jnp.ones((), bits.dtype) << (num_bits - 1 - i))
        num_below = jnp.sum(bits < candidate, dtype=jnp.int32)
        return jnp.where(num_below <= low, candidate, found)

    zero = jnp.zeros((), bits.dtype)
    low_bits = jax.lax.fori_loop(zero, num_bits, narrow, zero)
    num_up_to_low = jnp.sum(bits <= low_bits, dtype=jnp.int32)
    next_bits = jnp.min(jnp.where(bits > low_bits, bits, jnp.iinfo(bits.dtype).max))
    return low_bits, jnp.where(num_up_to_low > high, low_bits, next_bits)


def _sorted(bits: jax.Array, low: jax.Array, high: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Does as :func:`_bisected`, by a sort."""
    in_order = jnp.sort(bits)
    return in_order[low], in_order[high]

"""Signs in place of gradients, signSGD: Bernstein et al. 2018 (arXiv:1802.04434), on the gradient message."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_range
from vfl_jax.core.record import static
from vfl_jax.core.types import Key, State
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.protocol.views import ActiveView, Messages


class SignSGD(ActiveTransform):
    """Sends the sign of every entry of a gradient message, all entries of one size::

        g := size · s · sign(g)       s = 1 under "one", s = the mean of |g| over the message under "mean"

    An entry of 0 stays 0. Source: Bernstein, Wang, Azizzadenesheli, Anandkumar 2018, *signSGD: compressed optimisation
    for non-convex problems* (arXiv:1802.04434). The published code of TECB sends signs with s = 1, which are larger
    than entries that hold the factor 1/B by orders of magnitude, as if learning rates had grown so. Fu et al. 2022 take
    the sign of each entry of a *parameter's* gradient instead, which is an optimizer, not a message; so no single rule
    is the published one. "mean" keeps the mean size of the message.

    This buys no differential privacy, and hides no label of a sum head: the sign is what its readers read.

    Args:
      unit: what sizes are measured in: "mean" or "one".
      size: the size of every entry, in these units; 1 in published code. 0 switches the defense off: messages pass bit
        for bit.

    Raises:
      ValueError: where ``unit`` is neither, or ``size`` is negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import vfl_jax as vfl
      >>> defense = vfl.defenses.SignSGD(unit="mean", size=1.0)
      >>> messages, state = defense.on_send(None, (), None, (jnp.array([[4.0, -1.0], [-1.0, 0.0]]),))
      >>> messages[0].tolist()
      [[1.5, -1.5], [-1.5, 0.0]]
    """

    neutral = {"size": 0.0}
    unit: Literal["mean", "one"] = static(default="mean")
    size: float = 0.0

    def __post_init__(self) -> None:
        check_range("SignSGD", 0.0, size=self.size)

    def on_send(self, key: Key, state: State, view: ActiveView, gradients: Messages) -> tuple[Messages, State]:
        return tuple(self._signs(g) for g in gradients), state

    def _signs(self, message: jax.Array) -> jax.Array:
        """Returns the signs of one message, float32[B, E], in the chosen size."""
        unit = jnp.mean(jnp.abs(message)) if self.unit == "mean" else 1.0
        size = jnp.asarray(self.size)
        return jnp.where(size > 0, size * unit * jnp.sign(message), message)

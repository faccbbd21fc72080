"""The mean gradient in place of every row's own: the published code of SecretFlow."""

from __future__ import annotations

import jax.numpy as jnp

from vfl_jax.core.checks import check_range
from vfl_jax.core.types import Key, State
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.protocol.views import ActiveView, Messages


class GradientAveraging(ActiveTransform):
    """Moves every row of a gradient message towards the mean row of the batch.

    With ḡ, the mean of the rows g_i of one message::

        g_i := (1 − share) · g_i + share · ḡ

    At a share of 1 all rows of a message are alike, so that one message tells no row from another. The party's bottom
    model then learns from the mean alone, which is most of what it would learn lost: a useful extreme. Source: the
    published code of SecretFlow (``gradient_average``), which has a share of 1, and averages the first party's message
    only; its text speaks of two classes, its code of any number. A share between 0 and 1 is this package's own.

    This buys no differential privacy: batches differ from visit to visit, and over many of them the mean still tells
    which rows were in it, and how they lean.

    Args:
      share: how far every row moves, in [0, 1]; 0 changes nothing, 1 is the published method.

    Raises:
      ValueError: where ``share`` lies outside [0, 1].

    Example:
      >>> import jax.numpy as jnp
      >>> import vfl_jax as vfl
      >>> defense = vfl.defenses.GradientAveraging(share=1.0)
      >>> messages, state = defense.on_send(None, (), None, (jnp.array([[1.0, 2.0], [3.0, 0.0]]),))
      >>> messages[0].tolist()
      [[2.0, 1.0], [2.0, 1.0]]
    """

    neutral = {"share": 0.0}
    share: float = 0.0

    def __post_init__(self) -> None:
        check_range("GradientAveraging", 0.0, 1.0, share=self.share)

    def on_send(self, key: Key, state: State, view: ActiveView, gradients: Messages) -> tuple[Messages, State]:
        means = [jnp.mean(g, axis=0, keepdims=True) for g in gradients]
        # Weighted so that at a share of 1 nothing of a row is left, not even by rounding.
        return tuple(
            (1.0 - self.share) * g + self.share * mean for g, mean in zip(gradients, means, strict=True)
        ), state

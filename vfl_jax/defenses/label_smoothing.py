"""Label smoothing: Szegedy et al. 2016 (arXiv:1512.00567)."""

from __future__ import annotations

import jax

from vfl_jax.core.checks import check_range
from vfl_jax.core.types import Key, State
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.protocol.views import ActiveView


class LabelSmoothing(ActiveTransform):
    """Trains towards targets between the labels and the uniform distribution over C classes::

        t := (1 − smoothing) · t + smoothing / C

    Source: Szegedy, Vanhoucke, Ioffe, Shlens, Wojna 2016, *Rethinking the Inception architecture for computer vision*
    (arXiv:1512.00567), who use 0.1. No source was found that names it as a defense of vertical federated learning.

    This buys no privacy of labels: targets are a function of the label alone. Under a sum head a message's only
    negative entry names the label until the model gives it more than its target; later messages do not, earlier ones
    did. A loss that takes one-hot targets only, such as ``MulticlassHinge``, does not go with it.

    Args:
      smoothing: the share of the uniform distribution, in [0, 1]; 0 changes nothing.

    Raises:
      ValueError: where ``smoothing`` lies outside [0, 1].

    Example:
      >>> import jax.numpy as jnp
      >>> import vfl_jax as vfl
      >>> defense = vfl.defenses.LabelSmoothing(smoothing=0.5)
      >>> targets, state = defense.on_labels(None, (), None, jnp.array([[0.0, 1.0]]))
      >>> targets.tolist()
      [[0.25, 0.75]]
    """

    neutral = {"smoothing": 0.0}
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        check_range("LabelSmoothing", 0.0, 1.0, smoothing=self.smoothing)

    def on_labels(self, key: Key, state: State, view: ActiveView, targets: jax.Array) -> tuple[jax.Array, State]:
        return (1.0 - self.smoothing) * targets + self.smoothing / targets.shape[-1], state

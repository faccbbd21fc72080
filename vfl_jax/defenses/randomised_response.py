"""Randomised response on labels: Warner 1965, for several classes as in Ghazi et al. 2021 (arXiv:2102.06062)."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_range
from vfl_jax.core.types import Key
from vfl_jax.defenses.per_sample import keys_of, seed_of
from vfl_jax.protocol.knowledge import Shapes
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.protocol.views import ActiveView


class RandomisedResponse(ActiveTransform):
    """Trains with labels of which some are others, drawn uniformly, once per training row.

    With the label y of a row, C classes and ε = ``epsilon``::

        y with probability e^ε / (e^ε + C − 1), else each other class with probability 1 / (e^ε + C − 1)

    Source: Warner 1965, *Randomized response: a survey technique for eliminating evasive answer bias*; for several
    classes, as the baseline of Ghazi, Golowich, Kumar, Manurangsi, Zhang 2021, *Deep learning with label differential
    privacy* (arXiv:2102.06062).

    What it buys: ε-differential privacy of each training row's label, for all messages, models and epochs together,
    because everything is computed from the drawn labels. A draw per visit would let the budget grow with every epoch,
    so that a row's most frequent label tells it; here a row's draw is the seed's and the row's. The guarantee does not
    extend to what the label holder computes from true labels besides, such as another defense in a chain that reads
    ``view.labels`` (``Marvell``). A row that is in the data twice has two draws.

    The label is the class of the largest target, so that in a chain it may come after a method that changes targets; a
    row that keeps its label keeps its targets.

    Args:
      epsilon: ε, at least 0. Infinity keeps every label; 0 makes all classes equally likely.

    Raises:
      ValueError: where ``epsilon`` is negative.

    Example:
      >>> import vfl_jax as vfl
      >>> scenario = vfl.presets.digits_demo().replace(defense=vfl.defenses.RandomisedResponse(epsilon=2.0))
      >>> scenario.defense.epsilon
      2.0
    """

    neutral = {"epsilon": math.inf}
    epsilon: float = math.inf

    def __post_init__(self) -> None:
        check_range("RandomisedResponse", 0.0, epsilon=self.epsilon)

    def init(self, key: Key, shapes: Shapes) -> jax.Array:
        return seed_of(key)

    def on_labels(
        self, key: Key, state: jax.Array, view: ActiveView, targets: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        num_classes = targets.shape[-1]
        keep = 1.0 / (1.0 + (num_classes - 1) * jnp.exp(-jnp.asarray(self.epsilon)))

        def draw(key: Key) -> tuple[jax.Array, jax.Array]:
            key_keep, key_other = jax.random.split(key)
            return jax.random.uniform(key_keep), jax.random.randint(key_other, (), 1, num_classes)

        chance, shift = jax.vmap(draw)(keys_of(state, view.sample_ids))
        other = (jnp.argmax(targets, axis=-1).astype(jnp.int32) + shift) % num_classes
        drawn = jax.nn.one_hot(other, num_classes, dtype=targets.dtype)
        return jnp.where((chance < keep)[:, None], targets, drawn), state

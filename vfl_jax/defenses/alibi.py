"""Label differential privacy by noise and posterior, ALIBI: Malek et al. 2021 (NeurIPS, arXiv:2106.03408)."""

from __future__ import annotations

import math
from typing import Literal

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_range
from vfl_jax.core.record import static
from vfl_jax.core.types import Key, Params
from vfl_jax.defenses.per_sample import keys_of, seed_of
from vfl_jax.protocol.knowledge import Shapes
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.protocol.views import ActiveEpochView, ActiveView


@flax.struct.dataclass
class ALIBIState:
    """The state of the defense.

    Args:
      seed: uint32[...], which determines every row's noise.
      log_prior: float32[C], the logarithms of the prior; zeros but under the prior "labels".
    """

    seed: jax.Array
    log_prior: jax.Array


class ALIBI(ActiveTransform):
    """Trains towards what one could still believe about a label after Laplacian noise was added to it.

    The noise is drawn once per training row. With the one-hot label e_y, C classes, ε = ``epsilon`` and a prior π::

        o   = e_y + (2/ε) · z                              z ~ Laplace(0, 1) per class, once per row
        t_c ∝ π_c · exp(−ε/2 · Σ_j |o_j − [j = c]|)        the posterior of class c

    Source: Malek, Mironov, Prasad, Shilov, Tramèr 2021, *Antipodes of label differential privacy: PATE and ALIBI*
    (arXiv:2106.03408), and its published code, whose default prior is the model's own prediction for the row at this
    step. The paper's text could not be read; the formulas are the code's.

    What it buys: ε-differential privacy of each training row's label, for all messages, models and epochs together: one
    label changes e_y by 2 in L1, and all else is computed from o. This holds under "model" and "uniform". Under
    "labels" the class shares come from the true labels, outside of the budget. It does not cover what the label holder
    computes from true labels besides, such as another defense in a chain that reads ``view.labels``.

    The prediction is that of the head alone, without what another method does inside the loss (``on_embed``). A loss
    that takes one-hot targets only, such as ``MulticlassHinge``, does not go with this defense.

    Args:
      prior: π: "model" (the softmax of the present logits, as in the published code), "uniform", or "labels" (the share
        of each class among the training rows).
      epsilon: ε, at least 0. Infinity changes nothing; at 0 the targets are the prior.

    Raises:
      ValueError: where ``prior`` is none of these, or ``epsilon`` is negative.

    Example:
      >>> import vfl_jax as vfl
      >>> scenario = vfl.presets.digits_demo().replace(defense=vfl.defenses.ALIBI(epsilon=2.0))
      >>> scenario.defense.prior
      'model'
    """

    neutral = {"epsilon": math.inf}
    at_epochs = (0,)
    prior: Literal["model", "uniform", "labels"] = static(default="model")
    epsilon: float = math.inf

    def __post_init__(self) -> None:
        check_range("ALIBI", 0.0, epsilon=self.epsilon)

    def init(self, key: Key, shapes: Shapes) -> ALIBIState:
        return ALIBIState(seed=seed_of(key), log_prior=jnp.zeros(shapes.num_classes))

    def on_epoch(self, key: Key, state: ALIBIState, view: ActiveEpochView, params: Params) -> tuple[Params, ALIBIState]:
        if self.prior != "labels":
            return params, state
        num_classes = state.log_prior.shape[-1]
        shares = jnp.mean(jax.nn.one_hot(view.labels, num_classes), axis=0)
        return params, ALIBIState(seed=state.seed, log_prior=jnp.log(shares))

    def on_labels(
        self, key: Key, state: ALIBIState, view: ActiveView, targets: jax.Array
    ) -> tuple[jax.Array, ALIBIState]:
        num_classes = targets.shape[-1]
        keys = keys_of(state.seed, view.sample_ids)
        noise = jax.vmap(lambda key: jax.random.laplace(key, (num_classes,)))(keys)
        log_prior = state.log_prior[None]
        if self.prior == "model":
            assert view.embeddings is not None
            log_prior = jax.nn.log_softmax(view.logits(view.embeddings))
        is_on = jnp.isfinite(self.epsilon)
        epsilon = jnp.where(is_on, self.epsilon, 1.0)
        return jnp.where(is_on, posterior(targets, noise, log_prior, epsilon), targets), state


def posterior(targets: jax.Array, noise: jax.Array, log_prior: jax.Array, epsilon: jax.Array | float) -> jax.Array:
    """Returns the posterior of every row's class, float32[B, C], given its label under Laplacian noise.

    Args:
      targets: one-hot labels, float32[B, C].
      noise: Laplacian draws of scale 1, float32[B, C].
      log_prior: the logarithms of the prior, float32[B, C] or float32[1, C].
      epsilon: ε, at least 0.
    """
    # ε/2 · o, which is finite at ε = 0; of the sum over j all but class c is the same for every c.
    half = jnp.asarray(epsilon) / 2.0
    seen = half * targets + noise
    return jax.nn.softmax(log_prior - jnp.abs(seen - half) + jnp.abs(seen), axis=-1)

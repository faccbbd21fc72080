"""Noise that mixes the gradients of all labels, GradPerturb: Yang et al. 2022 (arXiv:2203.02073)."""

from __future__ import annotations

import math
from typing import Literal

import jax
import jax.numpy as jnp

from vfl_jax.core.checks import is_number
from vfl_jax.core.record import static
from vfl_jax.core.types import Key
from vfl_jax.defenses.per_sample import keys_of, seed_of
from vfl_jax.protocol.knowledge import Shapes
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.protocol.views import ActiveView, Messages


class GradPerturb(ActiveTransform):
    """Adds to every gradient row the rows that other labels would have given, each by a random weight.

    With g_i^(c), row i of the message had its label been c, for all C classes::

        g_i := g_i + Σ_c u_ic · g_i^(c)        u ~ Laplace(0, 2/ε), ε = ``epsilon``

    The active party computes g^(c) through its head, whatever the head is: C more ways back per step. As g_i = g_i^(y),
    the result is Σ_c (e_y + u)_c · g^(c): the noise is on the one-hot label. Source: Yang, Sun, Yao, Xie, Wang 2022,
    *Differentially private label protection in split learning* (arXiv:2203.02073), of which the abstract alone could be
    read, and VFLAIR's code. They are reported to disagree: in the paper a row has one u for all messages (``shared``);
    in the code every party's message has its own. The code runs over the embedding's width in place of C, which is the
    same where both are equal.

    What it buys: one message protects the labels of its rows by ε each, given the head that computes it. It does not
    protect the head, which learns from true labels here and in VFLAIR; the paper protects the models' weights, too.
    Under draws per visit, as published, budgets add up: T visits of a row cost T·ε, and several messages with a u of
    their own as many times that. With ``draw`` "sample" a row's u is the same at every visit, so that nothing averages
    it away: this package's own.

    Args:
      shared: whether all parties' messages have the same u, as in the paper; False is VFLAIR's code.
      draw: when u is drawn: "visit" (at every step, as published) or "sample" (once per training row).
      epsilon: ε, above 0; infinity changes nothing.

    Raises:
      ValueError: where ``draw`` is neither, or ``epsilon`` is not above 0.

    Example:
      >>> import vfl_jax as vfl
      >>> scenario = vfl.presets.digits_demo().replace(defense=vfl.defenses.GradPerturb(epsilon=4.0))
      >>> scenario.defense.shared
      True
    """

    neutral = {"epsilon": math.inf}
    shared: bool = static(default=True)
    draw: Literal["visit", "sample"] = static(default="visit")
    epsilon: float = math.inf

    def __post_init__(self) -> None:
        if is_number(self.epsilon) and not self.epsilon > 0:
            raise ValueError(f"GradPerturb.epsilon is {self.epsilon}; it must be above 0. Infinity adds no noise.")

    def init(self, key: Key, shapes: Shapes) -> jax.Array | tuple[()]:
        return seed_of(key) if self.draw == "sample" else ()

    def on_send(
        self, key: Key, state: jax.Array | tuple[()], view: ActiveView, gradients: Messages
    ) -> tuple[Messages, jax.Array | tuple[()]]:
        labels = view.labels
        num_classes = jax.eval_shape(view.logits, view.embeddings).shape[-1]
        each = jnp.broadcast_to(jnp.eye(num_classes)[:, None], (num_classes, len(labels), num_classes))
        of_classes = jax.vmap(view.gradients)(each)
        keys = keys_of(state, view.sample_ids) if isinstance(state, jax.Array) else jax.random.split(key, len(labels))
        scale, sent = 2.0 / jnp.asarray(self.epsilon), []
        for i, (gradient, of_class) in enumerate(zip(gradients, of_classes, strict=True)):
            number = 0 if self.shared else i
            draws = jax.vmap(lambda k, n=number: jax.random.laplace(jax.random.fold_in(k, n), (num_classes,)))(keys)
            sent.append(jnp.where(scale > 0, mixed(gradient, of_class, scale * draws), gradient))
        return tuple(sent), state


def mixed(gradient: jax.Array, of_classes: jax.Array, weights: jax.Array) -> jax.Array:
    """Returns a message with the messages of all labels added to it, row by row, float32[B, E].

    Args:
      gradient: float32[B, E].
      of_classes: the message had every label been c, float32[C, B, E].
      weights: u, float32[B, C].
    """
    return gradient + jnp.einsum("bc,cbe->be", weights, of_classes)

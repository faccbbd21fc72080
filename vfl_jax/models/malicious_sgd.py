"""Malicious SGD: an optimizer with which a party makes the head rely on its own model (Fu et al., USENIX 2022)."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from vfl_jax.core.checks import check_range
from vfl_jax.core.record import static
from vfl_jax.core.types import Array, Params
from vfl_jax.models.optimizers import Optimizer

Buffer = Literal["plain", "scaled", "zeroed"]


class MaliciousSGD(Optimizer):
    """SGD that takes longer steps where a gradient keeps its sign: the active part of *active* model completion.

    The party's own model then learns faster than the others', so that the head comes to rely on it, and it tells more
    of the labels. The party follows the protocol otherwise. Let v_t be an entry of the update before it is scaled: the
    gradient, with weight decay, and under "momentum" the sum of momentum · the last one and it. Then

    1. r_t = 1 + ``boost`` · v_t / (u_{t−1} + 10⁻⁷), cut to [1, ``largest_ratio``]; r_1 = 1.
    2. u_t = r_t · v_t.
    3. The parameter moves by −rate · u_t.

    Give it to the attacker's party, in ``Scenario.optimizers``, and ``vfl.attacks.PassiveModelCompletion`` to the same
    party. It is no attack of its own, so it has no switch: ``boost`` 0 is the honest run, ``optimizers.1.boost`` the
    path of the number at party 1. Its step changes every row of a table of ids, so it costs more there than plain SGD.

    Source: Fu, Zhang, Ji, Chen, Wu, Guo, Zhou, Liu, Wang, *Label inference attacks against vertical federated
    learning*, USENIX Security 2022, pages 1397 to 1414, and its code (``FuChong-cyber/label-inference-attacks``,
    ``Code/my_optimizers.py``), which runs it with momentum 0.9 and weight decay 5·10⁻⁴. In the code gradient and
    momentum share memory, so what is scaled is the momentum itself; how far depends on the version of PyTorch, and
    ``buffer`` chooses. The code gives no number where u_{t−1} is exactly −10⁻⁷; here r_t is then 1.

    Args:
      kind: "sgd" or "momentum".
      learning_rate: as in :class:`Optimizer`.
      weight_decay: as in :class:`Optimizer`.
      epoch_decay: as in :class:`Optimizer`.
      momentum: as in :class:`Optimizer`.
      boost: γ, at least 0; 1 is the published value.
      largest_ratio: the largest ratio, at least 1.
      buffer: the momentum that the next step keeps, under "momentum": "plain" v_t, as the rule says; "scaled" u_t, as
        the code does where gradients are set to None after a step (PyTorch from 2 on); or "zeroed", as it does where
        they are set to zero: then v_t is 2 · momentum · the gradient from the second step on, and nothing is kept.

    Raises:
      ValueError: where ``kind`` is "adam", or a number lies outside its range.

    Example:
      >>> import vfl_jax as vfl
      >>> plain = vfl.models.Optimizer(kind="momentum", learning_rate=0.05)
      >>> scenario = vfl.Scenario(
      ...     optimizers=[plain, vfl.models.MaliciousSGD(kind="momentum", learning_rate=0.05)],
      ...     attacks=[vfl.PartyTransform(), vfl.attacks.PassiveModelCompletion(num_steps=1000)],
      ...     poison=vfl.PoisonPlan(num_known=4),
      ... )
      >>> vfl.numbers(scenario)["optimizers.1.boost"]
      1.0
    """

    boost: float = 1.0
    largest_ratio: float = 5.0
    buffer: Buffer = static(default="plain")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind == "adam":
            raise ValueError("MaliciousSGD.kind is 'adam'; it must be 'sgd' or 'momentum'.")
        check_range("MaliciousSGD", 0.0, boost=self.boost)
        check_range("MaliciousSGD", 1.0, largest_ratio=self.largest_ratio)

    def build(self, epoch: Array) -> optax.GradientTransformation:
        scaled = optax.GradientTransformation(self._begin, self._scale)
        return optax.chain(optax.add_decayed_weights(self.weight_decay), scaled, optax.scale(-self.rate(epoch)))

    def _begin(self, params: Params) -> _Memory:
        """Returns the memory before the first step; v / ∞ is 0, so the first ratio is 1."""
        momentum = jax.tree.map(jnp.zeros_like, params) if self.kind == "momentum" else ()
        return _Memory(momentum, jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.inf), params))

    def _scale(self, gradient: Params, memory: _Memory, params: Params = None) -> tuple[Params, _Memory]:
        """Returns (u_t, the new memory)."""
        before = self._before(gradient, memory)
        update = jax.tree.map(self._scaled, before, memory.update)
        kept = update if self.buffer == "scaled" else before
        return update, _Memory(kept if self.kind == "momentum" else (), update)

    def _before(self, gradient: Params, memory: _Memory) -> Params:
        """Returns v_t."""
        if self.kind == "sgd":
            return gradient
        if self.buffer == "zeroed":

            def doubled(now: Array, last: Array) -> jax.Array:
                return jnp.where(jnp.isinf(last), now, 2.0 * self.momentum * now)

            return jax.tree.map(doubled, gradient, memory.update)
        return jax.tree.map(lambda now, kept: self.momentum * kept + now, gradient, memory.momentum)

    def _scaled(self, now: Array, last: Array) -> jax.Array:
        """Returns r_t · v_t."""
        last = last + 1e-7
        ratio = 1.0 + self.boost * now / jnp.where(last == 0.0, jnp.inf, last)
        return jnp.clip(ratio, 1.0, self.largest_ratio) * now


class _Memory(NamedTuple):
    """What a step leaves for the next.

    Args:
      momentum: the momentum, like the parameters; empty under "sgd".
      update: u_{t−1}, like the parameters; ∞ before the first step.
    """

    momentum: Any
    update: Params

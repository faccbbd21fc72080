"""Bottom models: a bottom maps a party's own features to the embedding that the party sends up.

They are the models G_k of equation 3 in Liu, Yi, Chen 2020, *Backdoor attacks and defenses in feature-partitioned
collaborative learning* (arXiv:2007.03608).
"""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

import flax.linen as nn
import jax
from flax.errors import InvalidRngError, ModifyScopeVariableError

from vfl_jax.core.bags import BagOfIds, Tapped
from vfl_jax.core.checks import check_widths
from vfl_jax.core.record import Record, static
from vfl_jax.core.types import Array, Features, Key, Params, State


@jax.custom_vjp
def matmul(x: Array, kernel: Array) -> Array:
    """Multiplies features by a kernel.

    The gradient is written out for the order of its operands. Where grid points share ``x``, the kernel's gradient then
    has the layout of the kernels in the state, [F, G, E]. JAX's own rule would transpose the gradient in every step.

    Args:
      x: float32[..., F].
      kernel: float32[F, E].

    Returns:
      float32[..., E].
    """
    return x @ kernel


def _matmul_forward(x, kernel):
    return x @ kernel, (x, kernel)


def _matmul_backward(kept, gradient):
    x, kernel = kept
    return gradient @ kernel.T, x.reshape(-1, x.shape[-1]).T @ gradient.reshape(-1, gradient.shape[-1])


matmul.defvjp(_matmul_forward, _matmul_backward)


class Dense(nn.Module):
    """A dense layer; it draws its kernel from the Glorot-uniform distribution and starts its bias at zero.

    The layer takes an array [..., F], a bag of ids, or a tapped bag, and returns float32[..., E].

    Args:
      width: E.
    """

    width: int

    @nn.compact
    def __call__(self, x: Any) -> Array:
        is_bag = isinstance(x, BagOfIds | Tapped)
        num_features = x.vocabulary if is_bag else x.shape[-1]
        kernel = self.param("kernel", nn.initializers.glorot_uniform(), (num_features, self.width))
        bias = self.param("bias", nn.initializers.zeros, (self.width,))
        product = x.matmul(kernel) if is_bag else matmul(x.astype(kernel.dtype), kernel)
        return product + bias.reshape((1,) * (product.ndim - 1) + bias.shape)


class DenseStack(nn.Module):
    """Dense layers with ReLU between them.

    Args:
      widths: the width of every layer, in order.
      output_relu: whether ReLU also follows the last layer.
    """

    widths: tuple[int, ...]
    output_relu: bool = False

    @nn.compact
    def __call__(self, x: Any) -> Array:
        for i, width in enumerate(self.widths):
            x = Dense(width, name=f"dense_{i}")(x)
            if self.output_relu or i + 1 < len(self.widths):
                x = nn.relu(x)
        return x


def flatten(features: Features) -> Any:
    """Flattens every row of an array, [B, ...] to [B, F]; a bag of ids passes unchanged."""
    if isinstance(features, BagOfIds | Tapped):
        return features
    return features.reshape(features.shape[0], -1)


class Bottom(Record):
    """Base of the bottom models: a bottom maps features, leaves [B, ...], to an embedding, float32[B, E].

    A bottom of your own overrides ``module``, and ``prepare`` where the module takes another form of features. One that
    takes bags of ids names its ``table``; its module multiplies a bag by ``bag.matmul(table)``.

    The module may hold more than parameters, such as the running means of a ``BatchNorm``, and may draw, as ``Dropout``
    does. Its ``__call__`` then takes ``train``, ``training``, ``is_training`` or ``deterministic``, and the package
    says by it whether a training step calls. Only then may the module draw or change what it holds; what it holds must
    be there from ``init`` on. A step gives it a key that depends on the seed, the step and the party. Numbers that the
    module reads as Python does, such as the rate of a ``Dropout``, are :func:`vfl_jax.static` fields. A bottom that
    overrides ``apply`` and also differs in training overrides ``apply_training``.

    Args:
      width: E, the width of the embedding.

    Raises:
      ValueError: where a width is not a whole number above 0; from ``apply``, where the module draws or changes what it
        holds though no training step calls.

    Example:
      >>> import flax.linen as nn
      >>> import jax
      >>> import numpy as np
      >>> import vfl_jax as vfl
      >>> class Net(nn.Module):
      ...     width: int
      ...
      ...     @nn.compact
      ...     def __call__(self, x, train):
      ...         x = nn.BatchNorm(use_running_average=not train)(x)
      ...         return nn.Dense(self.width)(nn.Dropout(0.5, deterministic=not train)(x))
      >>> class Standardised(vfl.models.Bottom):
      ...     def module(self):
      ...         return Net(self.width)
      >>> rows = np.zeros((4, 5), np.float32)
      >>> params, state = Standardised(width=3).init_with_state(jax.random.key(0), rows)
      >>> sorted(state["batch_stats"]["BatchNorm_0"])
      ['mean', 'var']
    """

    width: int = static(default=32)
    table: ClassVar[tuple[str, ...] | None] = None
    """The path of the parameter, [F, E], whose rows a bag of ids selects; None where the model takes no bags."""

    def __post_init__(self) -> None:
        check_widths("bottom", width=(self.width,))

    def module(self) -> nn.Module:
        """Builds the Flax module, which takes what ``prepare`` returns; a subclass overrides this method."""
        raise NotImplementedError

    def prepare(self, features: Features) -> Array:
        """Brings a batch of features, leaves [B, ...], to the form that the module takes.

        A subclass overrides this method where its module does not take rows of features, [B, F].

        Raises:
          ValueError: where the model cannot take features of this shape.
        """
        return flatten(features)

    def init(self, key: Key, features: Features) -> Params:
        """Draws the parameters of one party.

        Args:
          key: the key that determines the draw.
          features: any batch, leaves [B, ...]; only its shapes count.

        Returns:
          a pytree of float32 arrays.

        Raises:
          ValueError: where the model cannot take features of this shape.
        """
        return self._variables(key, features).get("params", {})

    def init_with_state(self, key: Key, features: Features) -> tuple[Params, State]:
        """Draws the parameters of one party, and what its module holds beside them.

        Args:
          key: the key that determines the draw.
          features: any batch, leaves [B, ...]; only its shapes count.

        Returns:
          (the parameters, as ``init`` draws them; the other collections, such as running means, by name).
        """
        kind = type(self)
        if kind.init is not Bottom.init and kind.apply is not Bottom.apply:  # it need not have a module
            return self.init(key, features), {}
        variables = self._variables(jax.random.clone(key), features)
        drawn = variables.pop("params", {})
        return drawn if kind.init is Bottom.init else self.init(key, features), variables

    def apply(self, params: Params, features: Features, state: State | None = None) -> Array:
        """Computes the embedding of a batch, as at inference.

        Args:
          params: the parameters of this model, as ``init`` draws them.
          features: a batch, leaves [B, ...].
          state: what the module holds beside parameters, such as running means.

        Returns:
          float32[B, E].

        Raises:
          ValueError: where the model cannot take features of this shape; where its module draws, or changes what it
            holds.
        """
        module = self.module()
        flag = _flag(module, is_training=False)
        try:
            return module.apply({"params": params, **(state or {})}, self.prepare(features), **flag)  # type: ignore[return-value]
        except (InvalidRngError, ModifyScopeVariableError) as error:
            reason = str(error).partition(" (http")[0].rstrip(".")
            raise ValueError(
                f"{type(self).__name__}'s module draws, or changes what it holds, though no training step calls: "
                f"{reason}. Let its __call__ take train (or training, is_training, deterministic), and draw or change "
                "only where it is told that a training step calls."
            ) from error

    def apply_training(self, params: Params, state: State, key: Key, features: Features) -> tuple[Array, State]:
        """Computes the embedding of a batch in a training step.

        Args:
          params: the parameters of this model.
          state: what the module holds beside parameters.
          key: the key of the module's draws; Flax makes a stream of it for every name that the module asks for.
          features: a batch, leaves [B, ...].

        Returns:
          (float32[B, E], the new state).
        """
        if not self.differs_in_training:
            return (self.apply(params, features, state) if state else self.apply(params, features)), state
        module = self.module()
        flag, rngs = _flag(module, is_training=True), {"dropout": key, "params": jax.random.fold_in(key, 1)}
        variables = {"params": params, **state}
        embedding, new = module.apply(variables, self.prepare(features), rngs=rngs, mutable=list(state), **flag)
        return embedding, dict(new)

    @property
    def differs_in_training(self) -> bool:
        """Whether a training step calls the module in another way than inference does."""
        return type(self).module is not Bottom.module and bool(_flag(self.module(), is_training=True))

    def _variables(self, key: Key, features: Features) -> dict[str, Any]:
        """Returns everything that the module holds at first, by its collections."""
        module = self.module()
        return dict(module.init(key, self.prepare(features), **_flag(module, is_training=False)))


def _flag(module: nn.Module, is_training: bool) -> dict[str, Any]:
    """Returns the argument that says to a module whether a training step calls; none where it takes none."""
    taken = inspect.signature(type(module).__call__).parameters
    values = dict.fromkeys(("train", "training", "is_training"), is_training) | {"deterministic": not is_training}
    return {name: value for name, value in values.items() if name in taken}


class Linear(Bottom):
    """One dense layer; with a sum head, the loss makes it a logistic regression or a linear SVM.

    Args:
      width: E, the width of the embedding.

    Raises:
      ValueError: where a width is not a whole number above 0.

    Example:
      >>> import jax, numpy as np
      >>> bottom, features = Linear(width=3), np.zeros((4, 5), np.float32)
      >>> params = bottom.init(jax.random.key(0), features)
      >>> bottom.apply(params, features).shape
      (4, 3)
    """

    table = ("dense_0", "kernel")

    def module(self):
        return DenseStack((self.width,))


class MLP(Bottom):
    """Dense layers of any widths with ReLU between them.

    Args:
      width: E, the width of the last layer and of the embedding.
      hidden: the widths of the layers before the last, in order; an empty tuple leaves the last layer alone.
      output_relu: whether ReLU also follows the last layer.

    Raises:
      ValueError: where a width is not a whole number above 0.
    """

    table = ("dense_0", "kernel")
    hidden: tuple[int, ...] = static(default=(32,))
    output_relu: bool = static(default=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_widths("bottom", hidden=self.hidden)

    def module(self):
        return DenseStack((*self.hidden, self.width), self.output_relu)

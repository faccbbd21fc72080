"""Bottom models G_k (equation 3): what a party computes on its own features."""

from __future__ import annotations

from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from vfl_jax.core.bags import BagOfIds, Tapped
from vfl_jax.core.checks import check_widths
from vfl_jax.core.record import Record, static
from vfl_jax.core.types import Array, Features, Key, Params


@jax.custom_vjp
def matmul(x: Array, kernel: Array) -> Array:
    """The product of [..., F] and [F, E].

    Its way back is written out because of the order of operands: mapped over grid points that share x, the kernel's
    gradient then comes out as [F, G, E], as kernels lie in the state, where JAX's own rule transposes it in every step.
    """
    return x @ kernel


def _matmul_forward(x, kernel):
    return x @ kernel, (x, kernel)


def _matmul_backward(kept, gradient):
    x, kernel = kept
    return gradient @ kernel.T, x.reshape(-1, x.shape[-1]).T @ gradient.reshape(-1, gradient.shape[-1])


matmul.defvjp(_matmul_forward, _matmul_backward)


class Dense(nn.Module):
    """A dense layer on arrays, [..., F], or on bags of ids, tapped or not: Glorot-uniform kernel, zero bias."""

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
    """Dense layers with ReLU between them."""

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
    """[B, ...] to [B, F]; bags of ids stay what they are."""
    if isinstance(features, BagOfIds | Tapped):
        return features
    return features.reshape(features.shape[0], -1)


class Bottom(Record):
    """Base of the bottom models: features, leaves [B, ...], to an embedding, float32[B, E]."""

    width: int = static(default=32)
    table: ClassVar[tuple[str, ...] | None] = None
    """The path of the parameter, [F, E], that bags of ids are looked up in, where the model takes them."""

    def __post_init__(self) -> None:
        check_widths("bottom", width=(self.width,))

    def module(self) -> nn.Module:
        raise NotImplementedError

    def prepare(self, features: Features) -> Array:
        """Brings a batch of features to the form that the module takes."""
        return flatten(features)

    def init(self, key: Key, features: Features) -> Params:
        """Draws parameters; ``features`` gives the shapes, leaves [B, ...]."""
        return self.module().init(key, self.prepare(features))["params"]

    def apply(self, params: Params, features: Features) -> Array:
        return self.module().apply({"params": params}, self.prepare(features))  # type: ignore[return-value]


class Linear(Bottom):
    """One dense layer: logistic regression or a linear SVM, by the loss it is trained with."""

    table = ("dense_0", "kernel")

    def module(self):
        return DenseStack((self.width,))


class MLP(Bottom):
    """Dense layers of any widths with ReLU between them, and after the last if ``output_relu``."""

    table = ("dense_0", "kernel")
    hidden: tuple[int, ...] = static(default=(32,))
    output_relu: bool = static(default=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_widths("bottom", hidden=self.hidden)

    def module(self):
        return DenseStack((*self.hidden, self.width), self.output_relu)


class _ConvStack(nn.Module):
    channels: tuple[int, ...]
    width: int
    output_relu: bool

    @nn.compact
    def __call__(self, x: Array) -> Array:
        for i, channels in enumerate(self.channels):
            x = Dense(channels, name=f"conv_{i}")(patches(x, 3))
            x = pool(nn.relu(x))
        return DenseStack((self.width,), self.output_relu, name="out")(flatten(x))


class CNN(Bottom):
    """3×3 convolutions ("same" padding, ReLU, 2×2 max pooling) and one dense layer, on [B, H, W] features.

    A convolution whose weights differ by replica becomes a grouped one under ``vmap``, 15 times
    slower on a CPU than patches followed by ``Dense``; so patches it is.
    """

    channels: tuple[int, ...] = static(default=(8, 16))
    output_relu: bool = static(default=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_widths("bottom", channels=self.channels)

    def module(self):
        return _ConvStack(self.channels, self.width, self.output_relu)

    def prepare(self, features):
        if features.ndim != 3:
            raise ValueError(
                f"CNN takes image blocks, [B, H, W]; found features of shape {features.shape}. "
                "Partition the image by rows, columns or quadrants, or use MLP."
            )
        return features[..., None]


def patches(x: Array, size: int) -> Array:
    """The size×size neighbourhood of every pixel, zero-padded: [B, H, W, D] to [B, H, W, size²·D]."""
    pad = size // 2
    _, height, width, _ = x.shape
    x = jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    shifted = [x[:, i : i + height, j : j + width] for i in range(size) for j in range(size)]
    return jnp.concatenate(shifted, axis=-1)


def pool(x: Array) -> Array:
    """2×2 max pooling; an odd last row or column is left out. A side of length 1 is kept."""
    for axis in (1, 2):
        if x.shape[axis] > 1:
            half = x.shape[axis] // 2
            x = jax.lax.slice_in_dim(x, 0, 2 * half, axis=axis)
            x = x.reshape(*x.shape[:axis], half, 2, *x.shape[axis + 1 :]).max(axis=axis + 1)
    return x

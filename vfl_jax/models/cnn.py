"""A bottom of convolutions on image blocks."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_widths
from vfl_jax.core.record import static
from vfl_jax.core.types import Array
from vfl_jax.models.bottoms import Bottom, Dense, DenseStack, flatten


class _ConvStack(nn.Module):
    """The convolutions of :class:`CNN` and its dense layer, on [B, H, W, D]."""

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
    """3×3 convolutions and one dense layer, on image blocks, [B, H, W] or in colour [B, H, W, D].

    Every convolution pads with zeros ("same"); ReLU and 2×2 max pooling follow it. A convolution is computed as patches
    and a dense layer. Under ``vmap`` weights that differ by replica would make it a grouped convolution, which is 15
    times slower on a CPU.

    Args:
      width: E, the width of the dense layer and of the embedding.
      channels: the number of channels of every convolution, in order.
      output_relu: whether ReLU also follows the dense layer.

    Raises:
      ValueError: where a width is not a whole number above 0; from ``init`` and ``apply``, where features are not
        image blocks.
    """

    channels: tuple[int, ...] = static(default=(8, 16))
    output_relu: bool = static(default=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_widths("bottom", channels=self.channels)

    def module(self):
        return _ConvStack(self.channels, self.width, self.output_relu)

    def prepare(self, features):
        return as_images(features, "CNN")


def as_images(features: Array, model: str) -> Array:
    """Brings image blocks to the form [B, H, W, D]; D is 1 without colours.

    Args:
      features: [B, H, W] or [B, H, W, D].
      model: the name of the model, for the message.

    Raises:
      ValueError: where the features are no image blocks.
    """
    if features.ndim not in (3, 4):
        raise ValueError(
            f"{model} takes image blocks, in colour [B, H, W, D] or [B, H, W]; found features of shape "
            f"{features.shape}. Partition the image by rows, columns or quadrants, or use MLP."
        )
    return features[..., None] if features.ndim == 3 else features


def patches(x: Array, size: int) -> Array:
    """Lists the size × size neighbourhood of every pixel; beyond the border stand zeros.

    Args:
      x: [B, H, W, D].
      size: the side of the neighbourhood, an odd number.

    Returns:
      [B, H, W, size²·D].
    """
    pad = size // 2
    _, height, width, _ = x.shape
    x = jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    shifted = [x[:, i : i + height, j : j + width] for i in range(size) for j in range(size)]
    return jnp.concatenate(shifted, axis=-1)


def pool(x: Array) -> Array:
    """Takes the maximum of every 2×2 block, [B, H, W, D] to [B, H // 2, W // 2, D].

    An odd last row or column is left out. A side of length 1 stays 1.
    """
    for axis in (1, 2):
        if x.shape[axis] > 1:
            half = x.shape[axis] // 2
            x = jax.lax.slice_in_dim(x, 0, 2 * half, axis=axis)
            x = x.reshape(*x.shape[:axis], half, 2, *x.shape[axis + 1 :]).max(axis=axis + 1)
    return x

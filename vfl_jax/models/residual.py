"""A small residual bottom on image blocks."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp

from vfl_jax.core.checks import check_widths
from vfl_jax.core.record import static
from vfl_jax.core.types import Array
from vfl_jax.models.bottoms import Bottom, Dense
from vfl_jax.models.cnn import as_images, patches, pool


class _ResidualStack(nn.Module):
    """The layers of :class:`ResidualCNN`, on [B, H, W, D]."""

    channels: tuple[int, ...]
    width: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = nn.relu(Dense(self.channels[0], name="stem")(patches(x, 3)))
        for i, channels in enumerate(self.channels):
            if i:
                x = pool(x)
            inner = nn.relu(Dense(channels, name=f"first_{i}")(patches(x, 3)))
            change = Dense(channels, name=f"second_{i}")(patches(inner, 3))
            scale = jnp.reshape(self.param(f"scale_{i}", nn.initializers.zeros, (1,)), (1, 1, 1, 1))
            if x.shape[-1] != channels:
                x = Dense(channels, name=f"shortcut_{i}")(x)
            x = nn.relu(x + scale * change)
        return Dense(self.width, name="out")(jnp.mean(x, axis=(1, 2)))


class ResidualCNN(Bottom):
    """A small residual network on image blocks, [B, H, W] or in colour [B, H, W, D]; it normalises nothing.

    A 3×3 convolution with ReLU, then a block per entry of ``channels``, then the mean over all pixels and a dense
    layer. With two 3×3 convolutions f and g, and a number s that is learnt and begins at 0, a block is::

        x := ReLU(shortcut(x) + s · g(ReLU(f(x))))

    The shortcut is a 1×1 convolution where the number of channels changes, else x itself; 2×2 max pooling stands before
    every block but the first. Because s begins at 0, deep stacks train without batch normalisation, whose means would
    mix the rows of a batch. Source of s: De, Smith 2020, *Batch normalization biases residual blocks towards the
    identity function in deep networks* (arXiv:2002.10444), "SkipInit". Convolutions pad with zeros and are computed as
    patches, as in :class:`CNN`.

    Args:
      width: E, the width of the dense layer and of the embedding.
      channels: the number of channels of every block, in order.

    Raises:
      ValueError: where a width is not a whole number above 0, or ``channels`` is empty; from ``init`` and ``apply``,
        where features are not image blocks.

    Example:
      >>> import jax, numpy as np
      >>> bottom, features = ResidualCNN(width=10, channels=(8, 16)), np.zeros((4, 16, 32, 3), np.float32)
      >>> params = bottom.init(jax.random.key(0), features)
      >>> bottom.apply(params, features).shape
      (4, 10)
    """

    channels: tuple[int, ...] = static(default=(16, 32, 64))

    def __post_init__(self) -> None:
        super().__post_init__()
        check_widths("bottom", channels=self.channels)
        if not self.channels:
            raise ValueError("bottom.channels is empty; give the number of channels of at least one block.")

    def module(self):
        return _ResidualStack(self.channels, self.width)

    def prepare(self, features):
        return as_images(features, "ResidualCNN")

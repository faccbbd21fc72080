"""Triggers: what a poisoned row carries."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from vfl_jax.core.bags import BagOfIds
from vfl_jax.core.record import Record, static
from vfl_jax.core.types import Array, Features
from vfl_jax.core.vertical_data import VerticalData


class Trigger(Record):
    """Base of the triggers. One that overrides ``stamp`` is stamped on drawn rows; others rows carry by nature."""

    @property
    def is_stamped(self) -> bool:
        return type(self).stamp is not Trigger.stamp

    def masks(self, data: VerticalData) -> tuple[np.ndarray | None, ...]:
        """Which entries of one sample change, bool[F] per party; None where a party is left alone.

        Raises:
          ValueError: where the trigger does not fit the data's partition.
        """
        return (None,) * data.num_parties

    def stamp(self, mask: Array | None, features: Features, is_poisoned: Array) -> Features:
        """Stamps the rows of one party's features, [B, ...], where ``is_poisoned``, bool[B], is set."""
        return features


class NaturalTrigger(Trigger):
    """Rows that carry the trigger by nature (``Rows.has_trigger``), e.g. a rare tag; nothing is stamped."""


class StampTrigger(Trigger):
    """Base of the triggers that set some entries of a sample to ``value``."""

    value: float = 1.0

    def stamp(self, mask, features, is_poisoned):
        if mask is None:
            return features
        rows = is_poisoned.reshape(is_poisoned.shape + (1,) * (features.ndim - 1))
        return jnp.where(rows & mask[None], jnp.asarray(self.value, features.dtype), features)


class PixelTrigger(StampTrigger):
    """Sets pixels of the joint image, (row, column), in every party that holds one of them.

    With ``party`` all pixels must lie in that party's block; without, the trigger is spread over all
    parties (section 5.2).
    """

    pixels: tuple[tuple[int, int], ...] = static()
    party: int | None = static(default=None)

    def masks(self, data):
        if data.positions is None or data.image_shape is None:
            raise ValueError(f"trigger: PixelTrigger needs image data; {data.name!r} has no image. Use FeatureTrigger.")
        _check_party(self.party, data)
        if not self.pixels:
            raise ValueError("trigger.pixels is empty; give at least one (row, column), or use NaturalTrigger.")
        height, width = data.image_shape
        for row, column in self.pixels:
            if not (0 <= row < height and 0 <= column < width):
                raise ValueError(
                    f"trigger.pixels has {(row, column)}; the image has rows 0 to {height - 1}, "
                    f"columns 0 to {width - 1}."
                )
            if self.party is not None and row * width + column not in data.positions[self.party]:
                raise ValueError(
                    f"trigger.pixels has {(row, column)}, which is outside the block of party {self.party} "
                    f"({data.parties[self.party]}). Choose pixels of that block, or party=None to spread the trigger."
                )
        flat = [row * width + column for row, column in self.pixels]
        masks = (np.isin(block, flat) for block in data.positions)
        return tuple(mask if mask.any() else None for mask in masks)


class FeatureTrigger(StampTrigger):
    """Sets one feature of one party; ``index`` counts that party's features, flattened, or is an id of its bags."""

    party: int = static()
    index: int = static()

    def masks(self, data):
        _check_party(self.party, data)
        features = data.train.features[self.party]
        shape = (features.vocabulary,) if isinstance(features, BagOfIds) else np.shape(features)[1:]
        size = int(np.prod(shape))
        if not -size <= self.index < size:
            raise ValueError(
                f"trigger.index is {self.index}; party {self.party} has {size} features, so it must lie in "
                f"0 to {size - 1} (or −{size} to −1, from the end)."
            )
        mask = np.zeros(size, bool)
        mask[self.index] = True
        return tuple(mask.reshape(shape) if k == self.party else None for k in range(data.num_parties))

    def stamp(self, mask, features, is_poisoned):
        if mask is None or not isinstance(features, BagOfIds):
            return super().stamp(mask, features, is_poisoned)
        return features.with_id(self.index % features.vocabulary, self.value, is_poisoned)


def _check_party(party: int | None, data: VerticalData) -> None:
    if party is not None and not 0 <= party < data.num_parties:
        raise ValueError(f"trigger.party is {party}; the parties are 0 to {data.num_parties - 1}.")

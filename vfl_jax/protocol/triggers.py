"""Triggers: the marks that poisoned rows carry."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from vfl_jax.core.bags import BagOfIds
from vfl_jax.core.record import Record, static
from vfl_jax.core.types import Array, Features
from vfl_jax.core.vertical_data import VerticalData


class Trigger(Record):
    """Base of the triggers.

    A trigger that overrides ``stamp`` is stamped on drawn rows. Rows carry any other trigger by nature.
    """

    @property
    def is_stamped(self) -> bool:
        """Whether the package stamps the trigger on drawn rows."""
        return type(self).stamp is not Trigger.stamp

    def masks(self, data: VerticalData) -> tuple[np.ndarray | None, ...]:
        """Returns the entries of one sample that the trigger changes.

        Args:
          data: the data set.

        Returns:
          bool[F] per party; None for a party whose features do not change.

        Raises:
          ValueError: where the trigger does not fit the data or its partition.
        """
        return (None,) * data.num_parties

    def stamp(self, mask: Array | None, features: Features, is_poisoned: Array) -> Features:
        """Stamps the trigger on some rows of one party's features.

        Args:
          mask: the entries that change, bool[F], as ``masks`` returns them; None changes nothing.
          features: the party's rows, [B, ...].
          is_poisoned: bool[B], the rows that change.

        Returns:
          the features, of the same form; a bag of ids has one slot more.
        """
        return features


class NaturalTrigger(Trigger):
    """A trigger that rows carry by nature (``Rows.has_trigger``), such as a rare tag; nothing is stamped."""


class EmbeddingTrigger(Trigger):
    """A trigger that lives in an attacker's messages: rows are drawn like stamped ones, but no feature changes.

    In training an attack finds its rows in ``view.knowledge``, or itself; at inference in ``view.is_attacked``.
    """

    def stamp(self, mask, features, is_poisoned):
        return features


class StampTrigger(Trigger):
    """Base of the triggers that set some entries of a sample.

    Args:
      value: the new value of these entries, in the units of the features.
    """

    value: float = 1.0

    def stamp(self, mask, features, is_poisoned):
        if mask is None:
            return features
        rows = is_poisoned.reshape(is_poisoned.shape + (1,) * (features.ndim - 1))
        return jnp.where(rows & mask[None], jnp.asarray(self.value, features.dtype), features)


class PixelTrigger(StampTrigger):
    """Sets pixels of the joint image, with every party that holds one of them.

    Section 5.2 of Liu, Yi, Chen 2020 (arXiv:2007.03608) spreads the trigger over all parties.

    Args:
      value: the new value of the pixels, in the units of the features.
      pixels: (row, column) of each pixel, counted from 0.
      party: the party whose block must hold all pixels; None spreads the trigger over all parties.

    Raises:
      ValueError: with data that are no images; where ``pixels`` is empty, or a pixel lies outside the image or block.
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
    """Sets one feature of one party, or several.

    Args:
      value: the new value of the features, in their units.
      party: the party.
      index: the number of the feature among the party's, flattened, or an id of the party's bags, or the name of the
        feature or id; a list of these sets several. Numbers below 0 count from the end.

    Raises:
      ValueError: where the data has no such party or feature, or ``index`` names one twice.

    Example:
      >>> import numpy as np
      >>> import vfl_jax as vfl
      >>> trigger = vfl.protocol.FeatureTrigger(party=0, index=1, value=9.0)
      >>> mask, is_poisoned = np.array([False, True]), np.array([True, False])
      >>> trigger.stamp(mask, np.zeros((2, 2), np.float32), is_poisoned).tolist()
      [[0.0, 9.0], [0.0, 0.0]]
    """

    party: int = static()
    index: int | str | tuple[int | str, ...] = static()

    @property
    def _indices(self) -> tuple[int | str, ...]:
        """Returns the numbers and names of all features that the trigger sets."""
        return self.index if isinstance(self.index, tuple) else (self.index,)

    def masks(self, data):
        _check_party(self.party, data)
        features = data.train.features[self.party]
        shape = (features.vocabulary,) if isinstance(features, BagOfIds) else np.shape(features)[1:]
        if not self._indices:
            raise ValueError("trigger.index is empty; give at least one feature, or use NaturalTrigger.")
        mask = np.zeros(int(np.prod(shape)), bool)
        for index in self._indices:
            if mask[number := self._number(index, mask.size, data)]:
                raise ValueError(f"trigger.index names feature {number % mask.size} twice ({index!r}); name it once.")
            mask[number] = True
        return tuple(mask.reshape(shape) if k == self.party else None for k in range(data.num_parties))

    def _number(self, index: int | str, size: int, data: VerticalData) -> int:
        """Returns the number of a feature, after a check that the party has it."""
        if isinstance(index, str):
            names = data.feature_names[self.party] if data.feature_names is not None else ()
            if index not in names:
                known = f"it has {', '.join(names[:20])}{', …' * (len(names) > 20)}" if names else "it has no names"
                raise ValueError(
                    f"trigger.index is {index!r}; party {self.party} ({data.parties[self.party]}) of data "
                    f"{data.name!r} has no feature of that name: {known}."
                )
            return names.index(index)
        if not -size <= index < size:
            raise ValueError(
                f"trigger.index is {index}; party {self.party} has {size} features, so it must lie in "
                f"0 to {size - 1} (or −{size} to −1, from the end)."
            )
        return index

    def stamp(self, mask, features, is_poisoned):
        if mask is None or not isinstance(features, BagOfIds):
            return super().stamp(mask, features, is_poisoned)
        if isinstance(self.index, int):
            return features.with_id(self.index % features.vocabulary, self.value, is_poisoned)
        for number in jnp.nonzero(mask, size=len(self._indices))[0]:
            features = features.with_id(number, self.value, is_poisoned)
        return features


def _check_party(party: int | None, data: VerticalData) -> None:
    """Checks that the data has a party of this number."""
    if party is not None and not 0 <= party < data.num_parties:
        raise ValueError(f"trigger.party is {party}; the parties are 0 to {data.num_parties - 1}.")

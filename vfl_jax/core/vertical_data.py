"""A data set whose columns several parties hold, in NumPy on the host."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import flax.struct
import jax
import numpy as np

from vfl_jax.core.bags import BagOfIds
from vfl_jax.core.described import html_of, text_of
from vfl_jax.core.types import Array, Features


@flax.struct.dataclass
class Rows:
    """Samples that the parties hold together: row i of every party is the same entity.

    Args:
      features: the features of the K parties, leaves [N, ...] each.
      labels: int32[N].
      has_trigger: bool[N], the rows that carry the trigger by nature.
    """

    features: tuple[Features, ...]
    labels: Array | np.ndarray
    has_trigger: Array | np.ndarray

    @property
    def num_samples(self) -> int:
        """N."""
        return self.labels.shape[0]


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class VerticalData:
    """A vertically partitioned data set, in NumPy on the host.

    :func:`vfl_jax.from_arrays`, :func:`vfl_jax.load_tables` and the loaders make it; few users build one by hand.

    Args:
      name: the name of the data set; messages and results show it.
      parties: the names of the K parties that hold features.
      train: the N training rows.
      test: the M test rows.
      classes: the names of the C classes.
      active_party: the index of the party that also holds the labels; None where the label holder has no features.
      positions: the place of each entry of one sample among all features, int[F] per party. For an image flattened
        row by row the place is the pixel, of a colour too. A pixel trigger needs the places; None where there are none.
      image_shape: (height, width) of the joint image; None where the data are no images.
      feature_names: the names of each party's features, flattened, or of the ids of its bags; None where unknown.

    Raises:
      ValueError: where ``active_party`` is no index of a party.
    """

    name: str
    parties: tuple[str, ...]
    train: Rows
    test: Rows
    classes: tuple[str, ...]
    active_party: int | None = None
    positions: tuple[np.ndarray, ...] | None = None
    image_shape: tuple[int, int] | None = None
    feature_names: tuple[tuple[str, ...], ...] | None = None

    def __post_init__(self) -> None:
        if self.active_party is not None and not 0 <= self.active_party < self.num_parties:
            raise ValueError(
                f"active_party is {self.active_party}; the parties are 0 to {self.num_parties - 1}, or None."
            )

    def __repr__(self) -> str:
        """Returns rows, parties and classes in lines of at most 79 characters."""
        return text_of(self)

    def _repr_html_(self) -> str:
        """Returns the same as a table, for notebooks."""
        return html_of(self)

    @property
    def num_parties(self) -> int:
        """K."""
        return len(self.parties)

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self.classes)

    def fingerprint(self) -> str:
        """Returns the SHA-256 of the data, in hexadecimal.

        The hash covers every array (its place, dtype, shape and content), the names of parties and classes, the active
        party, and the number of ids that each bag has.
        """
        vocabularies = [(k, int(x.vocabulary)) for k, x in enumerate(self.train.features) if isinstance(x, BagOfIds)]
        return content_hash((self.train, self.test), self.parties, self.classes, self.active_party, *vocabularies)


def content_hash(tree: Any, *notes: Any) -> str:
    """Returns the SHA-256 of a pytree of arrays, in hexadecimal.

    Args:
      tree: the arrays; each counts with its path, dtype, shape and bytes.
      notes: further values that count, each by its ``repr``.
    """
    digest = hashlib.sha256(repr(notes).encode())
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)}{array.dtype.str}{array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()

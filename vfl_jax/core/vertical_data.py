"""A data set whose columns are held by several parties, in NumPy on the host."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import flax.struct
import jax
import numpy as np

from vfl_jax.core.bags import BagOfIds
from vfl_jax.core.types import Array, Features


@flax.struct.dataclass
class Rows:
    """Samples held jointly: row i of every party is the same entity."""

    features: tuple[Features, ...]  # K parties, leaves [N, ...]
    labels: Array | np.ndarray  # int32[N]
    has_trigger: Array | np.ndarray  # bool[N]  rows that carry the trigger by nature

    @property
    def num_samples(self) -> int:
        return self.labels.shape[0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerticalData:
    """A vertically partitioned data set, in NumPy on the host.

    ``parties`` names the feature holders only. ``active_party`` is the index of the one that also
    holds the labels, or None when the label holder has no features. ``positions[k]`` has the
    shape of one sample of party k and says which global feature each entry is (for an image
    flattened row by row, the pixel), so that a trigger can be laid over all parties. ``feature_names[k]`` names the
    features of party k, flattened, or the ids of its bags, where names are known.
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

    @property
    def num_parties(self) -> int:
        return len(self.parties)

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    def fingerprint(self) -> str:
        """SHA-256 over every array (its place, dtype, shape and content), the partition, and how many ids bags have."""
        vocabularies = [(k, int(x.vocabulary)) for k, x in enumerate(self.train.features) if isinstance(x, BagOfIds)]
        return content_hash((self.train, self.test), self.parties, self.classes, self.active_party, *vocabularies)


def content_hash(tree: Any, *notes: Any) -> str:
    """SHA-256 of the arrays in a pytree, by path, dtype, shape and bytes, and of some notes."""
    digest = hashlib.sha256(repr(notes).encode())
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)}{array.dtype.str}{array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()

"""Splits of features over parties: blocks of an image, or lists of feature indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from vfl_jax.core.vertical_data import Rows, VerticalData

Partition: TypeAlias = Literal["rows", "columns", "quadrants"] | Sequence[Sequence[int]]
"""Blocks of an image's rows or columns, as even as possible; its quadrants; or a list of feature indices per party."""


def blocks_of_image(shape: tuple[int, int], by: Partition, num_parties: int) -> tuple[np.ndarray, ...]:
    """Gives every party its pixels, which are numbered row by row.

    Args:
      shape: H and W.
      by: how the image is split.
      num_parties: K; lists of indices ignore it.

    Returns:
      int32 pixel numbers per party: [height, width] of its block, or [F] of its list.

    Raises:
      ValueError: where a party would have no pixel; where pixels repeat or lie outside the image; where ``by`` is
        "quadrants" and ``num_parties`` is not 4.
    """
    height, width = shape
    pixels = np.arange(height * width, dtype=np.int32).reshape(shape)
    if isinstance(by, str):
        if by not in ("rows", "columns", "quadrants"):
            raise ValueError(f"by is {by!r}; it must be 'rows', 'columns', 'quadrants' or a list of indices per party.")
        if by == "quadrants":
            if num_parties != 4:
                raise ValueError(f"num_parties is {num_parties}; a partition by quadrants has 4 parties.")
            if min(shape) < 2:
                raise ValueError(f"by is 'quadrants'; {height} × {width} pixels are too few for 4 parties.")
            halves = np.array_split(pixels, 2, axis=0)
            return tuple(q for half in halves for q in np.array_split(half, 2, axis=1))
        axis = 0 if by == "rows" else 1
        if not 2 <= num_parties <= shape[axis]:
            raise ValueError(f"num_parties is {num_parties}; an image of {shape[axis]} {by} takes 2 to {shape[axis]}.")
        return tuple(np.split(pixels, even_cuts(shape[axis], num_parties), axis=axis))
    return blocks_of_indices(height * width, by)


def even_cuts(count: int, num_parts: int) -> list[int]:
    """Returns the places at which ``count`` things are cut into parts as even as possible.

    The last part is never smaller than another.

    Args:
      count: how many things there are.
      num_parts: how many parts they are cut into.

    Example:
      >>> even_cuts(7, 2)  # 3 and 4
      [3]
    """
    return [i * count // num_parts for i in range(1, num_parts)]


def blocks_of_indices(num_features: int, by: Sequence[Sequence[int]]) -> tuple[np.ndarray, ...]:
    """Checks lists of feature indices and makes arrays of them.

    Args:
      num_features: how many features there are.
      by: the indices of every party, from 0; some features may belong to nobody.

    Returns:
      int32[F] per party.

    Raises:
      ValueError: on fewer than 2 parties; on a party without features; on indices that are no whole numbers, lie
        outside the features or repeat.
    """
    blocks = tuple(np.asarray(list(indices)) for indices in by)
    if len(blocks) < 2:
        raise ValueError(f"by lists the features of {len(blocks)} parties; there must be at least 2.")
    for k, block in enumerate(blocks):
        if block.size == 0:
            raise ValueError(f"by gives party {k} no features; every party that is listed must hold at least one.")
        if block.ndim != 1 or not np.issubdtype(block.dtype, np.integer):
            raise ValueError(f"by gives party {k} {block.tolist()}; it must be a list of whole numbers.")
        if block.min() < 0 or block.max() >= num_features:
            raise ValueError(
                f"by gives party {k} indices from {block.min()} to {block.max()}; "
                f"they must lie in 0 to {num_features - 1}."
            )
    together = np.concatenate(blocks)
    if len(np.unique(together)) != len(together):
        raise ValueError(f"by lists feature {_first_repeated(together)} twice; a feature belongs to one party at most.")
    return tuple(block.astype(np.int32) for block in blocks)


def _first_repeated(indices: np.ndarray) -> int:
    found, counts = np.unique(indices, return_counts=True)
    return int(found[counts > 1][0])


def partition_images(
    name: str,
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    *,
    by: Partition = "rows",
    num_parties: int = 2,
    active_party: int | None = None,
    classes: Sequence[str] | None = None,
) -> VerticalData:
    """Splits images over parties; a pixel in colour stays whole.

    Args:
      name: the name of the data set.
      train: images, float32[N, H, W] or in colour [N, H, W, D], and labels, int[N], from 0 to C − 1.
      test: images, float32[M, H, W] or [M, H, W, D], and labels, int[M].
      by: "rows", "columns" or "quadrants" of the image, or a list of pixels per party, whose features are then
        flattened. Pixels are numbered row by row.
      num_parties: K; a list of pixels per party ignores it.
      active_party: the number of the party that also holds the labels; None when the label holder has no features.
      classes: the names of the classes; without them, the numbers from 0 to the largest label.

    Raises:
      ValueError: on masked values or labels; on shapes that do not fit; where a party would have no pixel; where pixels
        repeat or lie outside the image; on an ``active_party`` that is none of the parties.

    Example:
      >>> images, labels = np.zeros((6, 4, 4), np.float32), np.array([0, 1] * 3)
      >>> data = partition_images("blank", (images, labels), (images, labels), by="columns")
      >>> [features.shape for features in data.train.features]
      [(6, 4, 2), (6, 4, 2)]
    """
    _check_split("train", train, ndims=(3, 4), form="[N, H, W, D] or [N, H, W]", like=train)
    _check_split("test", test, ndims=(3, 4), form="[N, H, W, D] or [N, H, W]", like=train)
    shape = (int(train[0].shape[1]), int(train[0].shape[2]))
    if not isinstance(by, str):
        num_parties = len(by)
    blocks = blocks_of_image(shape, by, num_parties)
    num_channels = int(train[0].shape[3]) if np.ndim(train[0]) == 4 else None
    return _build(name, train, test, blocks, active_party, classes, shape, num_channels)


def partition_table(
    name: str,
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    *,
    by: Sequence[Sequence[int]],
    active_party: int | None = None,
    classes: Sequence[str] | None = None,
) -> VerticalData:
    """Splits the columns of a table over parties.

    Args:
      name: the name of the data set.
      train: features, float32[N, F], and labels, int[N], from 0 to C − 1.
      test: features, float32[M, F], and labels, int[M].
      by: the columns of every party, from 0; some columns may belong to nobody.
      active_party: the number of the party that also holds the labels; None when the label holder has no features.
      classes: the names of the classes; without them, the numbers from 0 to the largest label.

    Raises:
      ValueError: on masked values or labels; on shapes that do not fit; on fewer than 2 parties; on a party without
        columns; on columns that repeat or lie outside the table; on an ``active_party`` that is none of the parties.

    Example:
      >>> table, labels = np.zeros((6, 3), np.float32), np.array([0, 1] * 3)
      >>> data = partition_table("blank", (table, labels), (table, labels), by=[[0, 2], [1]], active_party=1)
      >>> [features.shape for features in data.train.features]
      [(6, 2), (6, 1)]
    """
    _check_split("train", train, ndims=(2,), form="[N, F]", like=train)
    _check_split("test", test, ndims=(2,), form="[N, F]", like=train)
    blocks = blocks_of_indices(int(train[0].shape[1]), by)
    return _build(name, train, test, blocks, active_party, classes, None)


def _check_split(
    name: str,
    split: tuple[np.ndarray, np.ndarray],
    *,
    ndims: tuple[int, ...],
    form: str,
    like: tuple[np.ndarray, np.ndarray],
) -> None:
    values, labels = split
    if np.ma.is_masked(values) or np.ma.is_masked(labels):
        raise ValueError(f"{name} has values or labels that are masked; fill them, or take their rows out.")
    if np.ndim(values) not in ndims or np.shape(labels) != np.shape(values)[:1]:
        raise ValueError(
            f"{name} has values of shape {np.shape(values)} and labels of {np.shape(labels)}; expected {form} and [N]."
        )
    if np.shape(values)[1:] != np.shape(like[0])[1:]:
        raise ValueError(
            f"{name} has samples of shape {np.shape(values)[1:]}; those of train have {np.shape(like[0])[1:]}."
        )


def _build(
    name: str,
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    blocks: tuple[np.ndarray, ...],
    active_party: int | None,
    classes: Sequence[str] | None,
    image_shape: tuple[int, int] | None,
    num_channels: int | None = None,
) -> VerticalData:
    if classes is None:
        classes = tuple(str(c) for c in range(int(max(train[1].max(), test[1].max())) + 1))
    entries = blocks if num_channels is None else tuple(_in_colour(block, num_channels) for block in blocks)
    return VerticalData(
        name=name,
        parties=tuple(f"party {k}" for k in range(len(blocks))),
        train=_rows(*train, entries),
        test=_rows(*test, entries),
        classes=tuple(classes),
        active_party=active_party,
        positions=tuple(entry // (num_channels or 1) for entry in entries),
        image_shape=image_shape,
    )


def _rows(values: np.ndarray, labels: np.ndarray, entries: tuple[np.ndarray, ...]) -> Rows:
    flat = values.reshape(len(values), -1)
    features = tuple(np.ascontiguousarray(flat[:, entry.ravel()]).reshape(-1, *entry.shape) for entry in entries)
    return Rows(features=features, labels=labels.astype(np.int32), has_trigger=np.zeros(len(labels), bool))


def _in_colour(block: np.ndarray, num_channels: int) -> np.ndarray:
    """Returns the entries of a block's pixels, int32: [height, width, D], or [F·D] of a list of pixels."""
    entries = num_channels * block[..., None] + np.arange(num_channels, dtype=np.int32)
    return entries.ravel() if block.ndim == 1 else entries

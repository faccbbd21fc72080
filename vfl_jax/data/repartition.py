"""Changes of the number of parties: wide parties are cut into blocks, or neighbours are joined."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from typing import Any

import numpy as np

from vfl_jax.core.bags import ABSENT, BagOfIds
from vfl_jax.core.checks import check_kind, is_whole, shown
from vfl_jax.core.types import Features
from vfl_jax.core.vertical_data import Rows, VerticalData
from vfl_jax.data.own.arrays import num_features
from vfl_jax.data.partition import even_cuts


def repartition(data: VerticalData, num_parties: int, *, active_party: int | None = None) -> VerticalData:
    """Gives the same rows to another number of parties.

    For more parties, every party is cut into blocks of consecutive features as even as possible, and a wider party into
    more blocks. For fewer, consecutive parties are joined. Both flatten features. Pixels keep their positions, so that
    a ``PixelTrigger`` still finds them. A ``CNN`` needs image blocks: for it, load the images with ``num_parties``.

    Args:
      data: any data set.
      num_parties: K of the result; with as many as before, features stay as they are.
      active_party: the number of the new party that also holds the labels; None when the label holder has no features.

    Raises:
      ValueError: on fewer than 2 parties, or more than features; where bags of ids would be joined with dense features;
        on an ``active_party`` that is none of the new parties.

    Example:
      >>> from vfl_jax.data import load_breast_cancer
      >>> data = repartition(load_breast_cancer(num_parties=3), 4, active_party=0)
      >>> [features.shape[1] for features in data.train.features]
      [5, 5, 10, 10]
    """
    check_kind(VerticalData, "as the loaders of data sets make it", data=data)
    widths = [num_features(features) for features in data.train.features]
    if not is_whole(num_parties) or not 2 <= num_parties <= sum(widths):
        raise ValueError(f"num_parties is {shown(num_parties)}; {sum(widths)} features take 2 to {sum(widths)}.")
    changes: dict[str, Any] = {}
    if num_parties < data.num_parties:
        changes = _joined(data, num_parties)
    elif num_parties > data.num_parties:
        changes = _cut_up(data, widths, num_parties)
    return dataclasses.replace(data, active_party=active_party, **changes)


def _joined(data: VerticalData, num_parties: int) -> dict[str, Any]:
    """Returns the changed fields of the data after neighbours are joined."""
    groups = [list(range(*ends)) for ends in _ends(data.num_parties, num_parties)]
    return {
        "parties": tuple(" + ".join(data.parties[k] for k in group) for group in groups),
        "train": _join_rows(data, data.train, groups),
        "test": _join_rows(data, data.test, groups),
        "positions": data.positions
        and tuple(np.concatenate([data.positions[k].ravel() for k in group]) for group in groups),
        "feature_names": data.feature_names
        and tuple(tuple(name for k in group for name in data.feature_names[k]) for group in groups),
    }


def _cut_up(data: VerticalData, widths: list[int], num_parties: int) -> dict[str, Any]:
    """Returns the changed fields of the data after parties are cut into blocks."""
    counts = _counts(widths, num_parties)
    pieces = [(k, *ends) for k, count in enumerate(counts) for ends in _ends(widths[k], count)]
    names = [
        party if count == 1 else f"{party}, block {i}"
        for party, count in zip(data.parties, counts, strict=True)
        for i in range(count)
    ]
    return {
        "parties": tuple(names),
        "train": _cut_rows(data.train, pieces),
        "test": _cut_rows(data.test, pieces),
        "positions": data.positions and tuple(data.positions[k].ravel()[start:end] for k, start, end in pieces),
        "feature_names": data.feature_names and tuple(data.feature_names[k][start:end] for k, start, end in pieces),
    }


def _ends(count: int, num_parts: int) -> list[tuple[int, int]]:
    """Returns the start and end of every part of ``count`` consecutive things."""
    return list(pairwise([0, *even_cuts(count, num_parts), count]))


def _counts(widths: list[int], num_parties: int) -> list[int]:
    """Counts the blocks of every party: each further block goes to the party whose blocks are the widest."""
    counts = [1] * len(widths)
    for _ in range(num_parties - len(widths)):
        counts[int(np.argmax(np.divide(widths, counts)))] += 1
    return counts


def _cut_rows(rows: Rows, pieces: list[tuple[int, int, int]]) -> Rows:
    return dataclasses.replace(rows, features=tuple(_cut(rows.features[k], start, end) for k, start, end in pieces))


def _cut(features: Features, start: int, end: int) -> Features:
    """Takes the features from ``start`` to ``end``, which is excluded; ids are counted from ``start``."""
    if not isinstance(features, BagOfIds):
        return np.ascontiguousarray(features.reshape(len(features), -1)[:, start:end])
    ids = np.asarray(features.ids)
    is_inside = (ids >= start) & (ids < end)
    length = int(is_inside.sum(axis=1).max(initial=0))
    slots = np.argsort(~is_inside, axis=1, kind="stable")[:, :length]
    inside = np.take_along_axis(is_inside, slots, axis=1)
    cut = np.where(inside, np.take_along_axis(ids, slots, axis=1) - start, ABSENT).astype(ids.dtype)
    weights = features.weights
    if weights is not None:
        weights = np.where(inside, np.take_along_axis(np.asarray(weights), slots, axis=1), 0).astype(np.float32)
    return BagOfIds(cut, weights, vocabulary=end - start)


def _join_rows(data: VerticalData, rows: Rows, groups: list[list[int]]) -> Rows:
    return dataclasses.replace(
        rows, features=tuple(_join(data, [(k, rows.features[k]) for k in group]) for group in groups)
    )


def _join(data: VerticalData, members: list[tuple[int, Features]]) -> Features:
    """Puts the features of some parties side by side; ids of later parties follow those of earlier ones."""
    bags = [features for _, features in members if isinstance(features, BagOfIds)]
    if not bags:
        return np.concatenate([features.reshape(len(features), -1) for _, features in members], axis=1)
    if len(bags) < len(members):
        names = ", ".join(data.parties[k] for k, _ in members)
        raise ValueError(f"{names} of data {data.name!r} cannot be joined: some hold bags of ids, some dense features.")
    firsts = np.cumsum([0, *(bag.vocabulary for bag in bags)])
    ids = [np.where(bag.ids == ABSENT, ABSENT, bag.ids + first) for bag, first in zip(bags, firsts[:-1], strict=True)]
    weights = None
    if any(bag.weights is not None for bag in bags):
        ones = (np.ones(np.shape(bag.ids), np.float32) if bag.weights is None else bag.weights for bag in bags)
        weights = np.concatenate(list(ones), axis=1)
    return BagOfIds(np.concatenate(ids, axis=1).astype(np.int32), weights, vocabulary=int(firsts[-1]))

"""A data set from arrays in memory: the features of every party, and the labels."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from vfl_jax.core.bags import BagOfIds
from vfl_jax.core.checks import place_of
from vfl_jax.core.types import Features
from vfl_jax.core.vertical_data import Rows, VerticalData
from vfl_jax.data.own.dense import Dense, check_finite, dense_of
from vfl_jax.data.own.inputs import check_one_order
from vfl_jax.data.own.scaling import LOST, scaled, written_merged
from vfl_jax.data.own.splits import check_classes, encode_labels, flags, is_mask, split_rows
from vfl_jax.data.partition import blocks_of_indices, even_cuts


def from_arrays(
    parties: Mapping[str, Any] | Any,
    labels: Any,
    *,
    by: int | Sequence[Sequence[int]] | None = None,
    test: float | Any = 0.2,
    seed: int = 0,
    standardise: bool = False,
    has_trigger: Any = None,
    classes: Sequence[Any] | None = None,
    active_party: str | int | None = None,
    name: str = "arrays",
    feature_names: Sequence[Sequence[str]] | None = None,
) -> VerticalData:
    """Makes a data set of arrays, data frames or sparse matrices whose rows stand in the same order.

    Dense features become float32[N, ...]. A sparse matrix becomes a bag of ids.

    Args:
      parties: a dict of every party's features by its name, or one array [N, F] of all parties (see ``by``). Features
        are an array [N, ...], a data frame of numbers (pandas, Polars, Arrow), a SciPy sparse matrix [N, F], or a
        :class:`BagOfIds`.
      labels: [N], of one kind, such as texts or whole numbers.
      by: the split of one array: a number of parties, which get blocks of columns as even as possible, or a list of
        columns per party.
      test: the share of rows to test on, drawn alike in all classes; or the test rows themselves, as row numbers or as
        bool[N].
      seed: the seed of that draw.
      standardise: whether dense columns get mean 0 and standard deviation 1 over the training rows, computed in
        float64. A column counts as constant where its deviation is at most 8 eps of its dtype times its mean; a
        constant column becomes 0, and a warning names it. Without ``standardise``, a warning names every column of
        which float32 keeps fewer than half of the distinct numbers apart.
      has_trigger: bool[N], the rows that carry a trigger by nature; without it, none.
      classes: the labels in the order of their class numbers; without it, the distinct labels, sorted.
      active_party: the party that also holds the labels, by name or number; None when the label holder has no features.
      name: the name of the data set.
      feature_names: the names of every party's F features.

    Raises:
      ValueError: naming the party, row and column, on values that are missing, masked or not finite numbers; on lengths
        that differ; on frames and series whose indexes differ, because rows are paired by place; on labels that are
        missing or not in ``classes``; on a class without training rows; on an empty split; on an ``active_party`` that
        is none of the parties; on ``feature_names`` of another number.

    Example:
      >>> bank, shop = np.arange(40.0).reshape(20, 2), np.arange(60.0).reshape(20, 3)
      >>> labels = ["good", "bad"] * 10
      >>> data = from_arrays({"bank": bank, "shop": shop}, labels, standardise=True, active_party="bank")
      >>> data.classes, data.train.num_samples, data.test.num_samples
      (('bad', 'good'), 16, 4)
    """
    by_party = isinstance(parties, Mapping)
    if by is not None and by_party:
        raise ValueError("by splits one array; features that are given by party are split already. Leave it out.")
    inputs = {f"party {str(party)!r}": x for party, x in parties.items()} if by_party else {"parties": parties}
    check_one_order(inputs | {"labels": labels, "has_trigger": has_trigger, "test": test if is_mask(test) else None})
    whole = _by_party(parties) if by_party else _blocks(parties, by)
    if feature_names is not None:
        _check_names(feature_names, whole)
    active = _party_number(active_party, list(parties if by_party else whole))
    codes, classes = encode_labels(labels, classes)
    for party, features in whole.items():
        if (rows := _num_rows(features)) != len(codes):
            raise ValueError(f"party {party!r} has {rows} rows; there are {len(codes)} labels.")
    triggers = np.zeros(len(codes), bool) if has_trigger is None else flags(has_trigger, len(codes))
    is_test = split_rows(test, codes, seed, classes)
    check_classes(codes[~is_test], classes)
    ready = _standardised(whole, ~is_test) if standardise else _as_they_are(whole)
    train, tested = (
        Rows(features=tuple(take(features, rows) for features in ready.values()), labels=codes[rows], has_trigger=mark)
        for rows, mark in ((np.flatnonzero(~is_test), triggers[~is_test]), (np.flatnonzero(is_test), triggers[is_test]))
    )
    return VerticalData(
        name=name,
        parties=tuple(ready),
        train=train,
        test=tested,
        classes=tuple(map(str, classes)),
        active_party=active,
        feature_names=None if feature_names is None else tuple(map(tuple, feature_names)),
    )


def take(features: Features, rows: np.ndarray) -> Features:
    """Takes some rows of features.

    Args:
      features: an array or a bag of ids, leaves [N, ...].
      rows: the numbers of the rows, int.
    """
    return jax.tree.map(lambda leaf: np.ascontiguousarray(leaf[rows]), features)


def _by_party(parties: Mapping[Any, Any]) -> dict[str, Dense | BagOfIds]:
    if len(parties) < 2:
        raise ValueError(f"parties are {list(parties)}; there must be at least 2.")
    whole = {str(party): _features(f"party {str(party)!r}", values) for party, values in parties.items()}
    if len(whole) < len(parties):
        raise ValueError(f"parties are {list(parties)}; two of them have the same name when written.")
    return whole


def _blocks(values: Any, by: int | Sequence[Sequence[int]] | None) -> dict[str, Dense | BagOfIds]:
    """Splits the columns of one array over parties."""
    is_sparse = hasattr(values, "tocsc")
    shape = np.shape(values) if hasattr(values, "shape") else _shape_of_lists(values)
    if len(shape) != 2:
        raise ValueError(f"parties is one array of shape {shape}; expected [N, F], or a dict of arrays.")
    width = shape[1]
    if by is None:
        raise ValueError("parties is one array; say with by how many parties, or which columns each of them, holds.")
    if isinstance(by, int | np.integer):
        if not 2 <= by <= width:
            raise ValueError(f"by is {by}; {width} columns take 2 to {width} parties.")
        blocks = np.split(np.arange(width), even_cuts(width, by))
    else:
        blocks = list(blocks_of_indices(width, by))
    if is_sparse:
        columns = values.tocsc()
        return {f"party {k}": _features(f"party 'party {k}'", columns[:, block]) for k, block in enumerate(blocks)}
    whole = dense_of("parties", values)
    return {f"party {k}": whole.columns(block) for k, block in enumerate(blocks)}


def _shape_of_lists(values: Any) -> tuple[int, ...]:
    try:
        return np.shape(values)
    except ValueError as error:
        raise ValueError(f"parties is no array [N, F] and no dict of arrays by party: {error}") from error


def _features(where: str, values: Any) -> Dense | BagOfIds:
    if isinstance(values, BagOfIds):
        values.check(where)
        return values
    return BagOfIds.of_sparse(values, where) if hasattr(values, "tocsr") else dense_of(where, values)


def _as_they_are(whole: Mapping[str, Dense | BagOfIds]) -> dict[str, Features]:
    """Casts every party's features to float32; one warning names all columns whose numbers float32 merges."""
    ready: dict[str, Features] = {}
    lost = []
    for party, features in whole.items():
        if isinstance(features, BagOfIds):
            ready[party] = features
            continue
        ready[party] = cast = features.as_float32()
        check_finite(f"party {party!r}", cast, features.name)
        lost += [f"party {party!r}, {of_column}" for of_column in written_merged(features.values, features.name)]
    if lost:
        warnings.warn(f"{LOST} {'; '.join(lost)}. Say standardise=True.", stacklevel=3)
    return ready


def _standardised(whole: Mapping[str, Dense | BagOfIds], is_train: np.ndarray) -> dict[str, Features]:
    """Standardises every party's features; one warning names all columns that are constant."""
    ready: dict[str, Features] = {}
    constant = []
    for party, features in whole.items():
        if isinstance(features, BagOfIds):
            ready[party] = features
            continue
        ready[party], is_constant = result, _ = scaled(features.values, is_train, features.eps)
        check_finite(f"party {party!r}, standardised,", result, features.name)
        if is_constant.any():
            places = np.argwhere(is_constant)
            named = ", ".join(features.name(*place) for place in places[:5].tolist())
            constant.append(f"party {party!r}, {named}{', …' * (len(places) > 5)} ({len(places)} in all)")
    if constant:
        warnings.warn(
            f"standardise sets columns to 0 that are constant over the training rows: {'; '.join(constant)}.",
            stacklevel=3,
        )
    return ready


def _check_names(feature_names: Sequence[Sequence[str]], whole: Mapping[str, Dense | BagOfIds]) -> None:
    found = [len(names) for names in feature_names]
    if found != (expected := [num_features(_values(features)) for features in whole.values()]):
        raise ValueError(f"feature_names names {found} features of the parties; they have {expected}.")


def num_features(features: Features) -> int:
    """Counts the features of one party.

    Args:
      features: dense features, [N, ...], whose row has F entries, or a bag of F ids.
    """
    return features.vocabulary if isinstance(features, BagOfIds) else int(np.prod(np.shape(features)[1:]))


def _values(features: Dense | BagOfIds) -> Features:
    return features.values if isinstance(features, Dense) else features


def _num_rows(features: Dense | BagOfIds) -> int:
    return len(jax.tree.leaves(_values(features))[0])


def _party_number(active_party: Any, parties: list[Any]) -> int | None:
    """Finds the number of a party that is given by name or number."""
    if active_party is None:
        return None
    return place_of("active_party", active_party, list(map(str, parties)), "None, or one of the parties")

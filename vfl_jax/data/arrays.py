"""A data set from arrays in memory: one of features per party, and the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from vfl_jax.bags import BagOfIds
from vfl_jax.data.partition import blocks_of_indices, even_cuts
from vfl_jax.records import Rows, VerticalData
from vfl_jax.types import Features


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
    """Makes a data set of what a scikit-learn user has at hand.

    Args:
      parties: features of every party by its name, or of all parties in one array [N, F] (see ``by``). An array
        [N, ...] or a pandas ``DataFrame`` of numbers, a SciPy sparse matrix, or bags of ids.
      labels: [N], of any kind that sorts.
      by: how one array is split: into so many blocks of columns, or a list of columns per party.
      test: the share of rows to test on, drawn by ``seed`` and alike in all classes; or these rows, as numbers or
        as bool[N].
      standardise: dense columns to mean 0 and standard deviation 1 over the training rows; constant ones to 0.
      has_trigger: bool[N], rows that carry a trigger by nature.
      classes: the labels in the order of their class numbers; without it, those there are, sorted.
      active_party: the party that also holds the labels, by name or number; None when the label holder has no features.

    Raises:
      ValueError: naming the party, row and column, on values that are no finite numbers; on lengths that differ; on
        labels that are missing or not in ``classes``; on a class without training rows; on an empty split.
    """
    if not isinstance(parties, Mapping):
        parties = _blocks(parties, by)
    elif by is not None:
        raise ValueError("by splits one array; features that are given by party are split already. Leave it out.")
    if len(parties) < 2:
        raise ValueError(f"parties are {list(parties)}; there must be at least 2.")
    whole = {str(party): _features(str(party), values) for party, values in parties.items()}
    if len(whole) < len(parties):
        raise ValueError(f"parties are {list(parties)}; two of them have the same name when written.")
    if feature_names is not None:
        _check_names(feature_names, whole)
    codes, classes = encode_labels(labels, classes)
    for party, features in whole.items():
        if (rows := _num_rows(features)) != len(codes):
            raise ValueError(f"party {party!r} has {rows} rows; there are {len(codes)} labels.")
    triggers = np.zeros(len(codes), bool) if has_trigger is None else np.asarray(has_trigger)
    if triggers.shape != codes.shape or triggers.dtype != bool:
        raise ValueError(f"has_trigger is {triggers.dtype}{list(triggers.shape)}; it must be bool[{len(codes)}].")

    is_test = split_rows(test, codes, seed)
    _check_classes(codes[~is_test], classes)
    if standardise:
        whole = {party: standardised(features, ~is_test) for party, features in whole.items()}
    train, tested = (
        Rows(features=tuple(take(features, rows) for features in whole.values()), labels=codes[rows], has_trigger=mark)
        for rows, mark in ((np.flatnonzero(~is_test), triggers[~is_test]), (np.flatnonzero(is_test), triggers[is_test]))
    )
    return VerticalData(
        name=name,
        parties=tuple(whole),
        train=train,
        test=tested,
        classes=tuple(map(str, classes)),
        active_party=_party_number(active_party, list(whole)),
        feature_names=None if feature_names is None else tuple(map(tuple, feature_names)),
    )


def take(features: Features, rows: np.ndarray) -> Features:
    """Some rows of features, leaves [N, ...]."""
    return jax.tree.map(lambda leaf: np.ascontiguousarray(leaf[rows]), features)


def standardised(features: Features, is_train: np.ndarray) -> Features:
    """Columns to mean 0 and standard deviation 1 over the training rows, bool[N]; bags stay what they are."""
    if isinstance(features, BagOfIds):
        return features
    mean, deviation = (f(features[is_train], axis=0, dtype=np.float64) for f in (np.mean, np.std))
    # What rounding leaves of a constant column is no deviation.
    is_constant = deviation <= 1e-6 * np.maximum(np.abs(mean), 1e-30)
    return np.where(is_constant, 0, (features - mean) / np.where(is_constant, 1, deviation)).astype(np.float32)


def split_rows(test: float | Any, codes: np.ndarray, seed: int) -> np.ndarray:
    """Which rows are tested on, bool[N]: a share that is drawn alike in all classes, or given rows."""
    num_rows = len(codes)
    if isinstance(test, float):
        return _drawn(test, codes, seed)
    given = np.asarray(test)
    is_test = np.zeros(num_rows, bool)
    if given.dtype == bool and given.shape == (num_rows,):
        is_test = given.copy()
    elif given.ndim == 1 and given.dtype.kind in "iu":
        if given.size and (given.min() < 0 or given.max() >= num_rows):
            raise ValueError(f"test has rows {given.min()} to {given.max()}; they must lie in 0 to {num_rows - 1}.")
        is_test[given] = True
    else:
        raise ValueError(
            f"test is {given.dtype}{list(given.shape)}; it must be a share between 0 and 1, a list of row numbers, "
            f"or bool[{num_rows}]."
        )
    if is_test.all() or not is_test.any():
        raise ValueError(f"test holds {is_test.sum()} of {num_rows} rows; both splits must have some.")
    return is_test


def _drawn(share: float, codes: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.model_selection import train_test_split

    if not 0 < share < 1:
        raise ValueError(f"test is {share}; a share must lie between 0 and 1.")
    try:
        _, rows = train_test_split(np.arange(len(codes)), test_size=share, stratify=codes, random_state=seed)
    except ValueError as error:
        raise ValueError(f"test is {share}, which cannot be drawn alike in all classes: {error}") from error
    is_test = np.zeros(len(codes), bool)
    is_test[rows] = True
    return is_test


def encode_labels(labels: Any, classes: Sequence[Any] | None) -> tuple[np.ndarray, list[Any]]:
    """Labels as class numbers, int32[N], and the classes in their order.

    Raises:
      ValueError: on a label that is missing or not one of ``classes``, naming the row; on fewer than two classes.
    """
    values = np.asarray(labels)
    if values.ndim != 1:
        raise ValueError(f"labels have shape {values.shape}; expected [N].")
    is_missing = values != values if values.dtype.kind == "f" else np.array([v is None or v != v for v in values])
    if is_missing.any():
        raise ValueError(f"labels has none in {is_missing.sum()} rows, the first of which is {is_missing.argmax()}.")
    known = np.unique(values).tolist() if classes is None else list(classes)
    if len(known) < 2 or len(set(known)) < len(known):
        raise ValueError(f"classes are {known}; there must be at least 2, and none twice.")
    numbers = {value: number for number, value in enumerate(known)}
    codes = np.array([numbers.get(value, -1) for value in values.tolist()], np.int32)
    if (codes < 0).any():
        row = int(np.argmax(codes < 0))
        raise ValueError(f"labels has {values.tolist()[row]!r} in row {row}; the classes are {known}.")
    return codes, known


def _check_classes(codes: np.ndarray, classes: Sequence[Any]) -> None:
    counts = np.bincount(codes, minlength=len(classes))
    if not counts.all():
        empty = [classes[c] for c in np.flatnonzero(counts == 0).tolist()]
        raise ValueError(f"classes {empty} have no training rows; leave them out, or choose other test rows.")


def _blocks(values: Any, by: int | Sequence[Sequence[int]] | None) -> dict[str, Any]:
    """Columns of one array by party."""
    array = values if hasattr(values, "tocsc") else np.asarray(values)
    if len(array.shape) != 2:
        raise ValueError(f"parties is one array of shape {array.shape}; expected [N, F], or a dict of arrays.")
    width = array.shape[1]
    if by is None:
        raise ValueError("parties is one array; say with by how many parties, or which columns each of them, holds.")
    if isinstance(by, int | np.integer):
        if not 2 <= by <= width:
            raise ValueError(f"by is {by}; {width} columns take 2 to {width} parties.")
        blocks = np.split(np.arange(width), even_cuts(width, by))
    else:
        blocks = list(blocks_of_indices(width, by))
    if hasattr(array, "tocsc"):
        array = array.tocsc()
    return {f"party {k}": array[:, block] for k, block in enumerate(blocks)}


def _features(party: str, values: Any) -> Features:
    """One party's features as float32[N, ...] or bags of ids."""
    where = f"party {party!r}"
    if isinstance(values, BagOfIds):
        values.check(where)
        return values
    if hasattr(values, "tocsr"):
        return BagOfIds.of_sparse(values, where)
    try:
        if np.asarray(values).dtype.kind in "mM":  # NumPy would count them in some unit
            raise TypeError("dates or durations")
        with np.errstate(over="ignore"):  # what is beyond float32 is found below, as infinite
            array = np.asarray(values, np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where} has values that are no numbers ({error}).") from error
    if array.ndim < 2 or not array[:1].size:
        raise ValueError(f"{where} has shape {array.shape}; expected [N, F].")
    if not np.isfinite(array).all():
        row, *place = np.argwhere(~np.isfinite(array))[0].tolist()
        raise ValueError(f"{where} is not finite in row {row}, column {', '.join(map(str, place))}.")
    return array


def _check_names(feature_names: Sequence[Sequence[str]], whole: Mapping[str, Features]) -> None:
    found = [len(names) for names in feature_names]
    if found != (expected := [num_features(features) for features in whole.values()]):
        raise ValueError(f"feature_names names {found} features of the parties; they have {expected}.")


def num_features(features: Features) -> int:
    """F, of dense features, flattened, or bags."""
    return features.vocabulary if isinstance(features, BagOfIds) else int(np.prod(np.shape(features)[1:]))


def _num_rows(features: Features) -> int:
    return len(jax.tree.leaves(features)[0])


def _party_number(active_party: str | int | None, parties: list[str]) -> int | None:
    is_number = isinstance(active_party, int | np.integer) and not isinstance(active_party, bool)
    if active_party is None or (is_number and 0 <= int(active_party) < len(parties)):
        return None if active_party is None else int(active_party)
    if active_party not in parties:
        raise ValueError(f"active_party is {active_party!r}; the parties are {parties}, or None.")
    return parties.index(active_party)

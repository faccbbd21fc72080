"""The class of every row, and whether the row is a test row or carries a trigger."""

from __future__ import annotations

import numbers
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from vfl_jax.core.advice import Advised, Argument
from vfl_jax.core.checks import shown
from vfl_jax.core.extras import extra
from vfl_jax.data.own.inputs import column_of
from vfl_jax.data.own.values import NOTHING, NUMBERS, TRUTH, WHOLE, exact, kind_of

if TYPE_CHECKING:
    import pandas as pd


MANY_CLASSES = 20
"""Labels with more different values are no classes where most values stand once, or are fractions that stand once."""


def split_rows(test: float | Any, codes: np.ndarray, seed: int, classes: Sequence[Any] = ()) -> np.ndarray:
    """Says which rows are test rows.

    Args:
      test: the share of rows to test on, drawn alike in all classes; or the test rows, as row numbers or as bool[N].
      codes: class numbers, int[N].
      seed: the seed of the draw.
      classes: the classes in the order of their numbers, for messages.

    Returns:
      bool[N].

    Raises:
      ValueError: on a share outside 0 to 1, or too small to draw from every class; on row numbers outside 0 to N − 1;
        where a split would be empty; on anything else.
    """
    num_rows = len(codes)
    if not np.iterable(test) or isinstance(test, str | bytes | dict):
        if np.asarray(test).dtype.kind == "f":
            return _drawn(float(str(test)), codes, seed, classes)  # By its text, because float32 cannot hold 0.2.
        raise _no_rows(f"{np.asarray(test).dtype}[]", num_rows)
    given = column_of("test", test)
    if given.isna().any():
        raise ValueError(f"test holds nothing in place {int(given.isna().argmax())}; every row needs a number or flag.")
    is_test = np.zeros(num_rows, bool)
    if kind_of(given) == TRUTH and len(given) == num_rows:
        is_test = exact(given).copy()
    elif kind_of(given) == WHOLE or (kind_of(given) == NOTHING and not len(given)):
        rows = exact(given)
        if rows.size and (rows.min() < 0 or rows.max() >= num_rows):
            raise ValueError(f"test has rows {rows.min()} to {rows.max()}; they must lie in 0 to {num_rows - 1}.")
        if len(rows) == num_rows > 2 and rows.max() <= 1:
            raise ValueError(f"test has {num_rows} numbers that are all 0 or 1; give a mask of rows as truth values.")
        is_test[rows.astype(int)] = True
    else:
        raise _no_rows(f"{given.dtype}[{len(given)}]", num_rows)
    if is_test.all() or not is_test.any():
        raise ValueError(f"test holds {is_test.sum()} of {num_rows} rows; both splits must have some.")
    return is_test


def _no_rows(found: str, num_rows: int) -> ValueError:
    return ValueError(
        f"test is {found}; it must be a share between 0 and 1, a list of row numbers, or bool[{num_rows}]."
    )


def _drawn(share: float, codes: np.ndarray, seed: int, classes: Sequence[Any]) -> np.ndarray:
    with extra("sklearn", "A share of test rows, drawn alike in all classes,"):
        from sklearn.model_selection import train_test_split

    if not 0 < share < 1:
        raise ValueError(f"test is {share}; a share must lie between 0 and 1.")
    counts = np.bincount(codes)
    if (alone := np.flatnonzero(counts == 1)).size:
        name = f"class {classes[alone[0]]!r}" if len(classes) else "one class"
        raise Advised(
            f"test is {share}, a share that is drawn alike in all classes, but {name} has 1 row of {len(codes)}. "
            "Give more rows of it, leave it out, or say by ",
            *(Argument("test"), " which rows test."),
        )
    try:
        _, rows = train_test_split(np.arange(len(codes)), test_size=share, stratify=codes, random_state=seed)
    except ValueError as error:
        raise ValueError(f"test is {share}, which cannot be drawn alike in all classes: {error}") from error
    is_test = np.zeros(len(codes), bool)
    is_test[rows] = True
    return is_test


def encode_labels(labels: Any, classes: Sequence[Any] | None, where: str = "labels") -> tuple[np.ndarray, list[Any]]:
    """Turns labels into class numbers.

    Args:
      labels: [N], of one kind, such as texts or whole numbers.
      classes: the labels in the order of their class numbers; without it, the distinct labels, sorted.
      where: the name of the labels in messages.

    Returns:
      the class numbers, int32[N], and the classes in their order.

    Raises:
      ValueError: on a label that is missing or not one of ``classes``, naming the row; on labels of several kinds; on
        texts that differ only in blanks around them; on fewer than two classes; where so many values stand once that
        they are no classes.
    """
    if isinstance(classes, str | set | frozenset):
        raise ValueError(f"classes is {shown(classes)}; expected a list, whose order is that of the class numbers.")
    cells = column_of("labels", labels)
    is_missing = cells.isna().to_numpy()
    if is_missing.any():
        raise ValueError(f"{where} has none in {is_missing.sum()} rows, the first of which is {is_missing.argmax()}.")
    if kind_of(cells) == NUMBERS and not np.isfinite(exact(cells)).all():
        row = int(np.isfinite(exact(cells)).argmin())
        raise ValueError(f"{where} has {exact(cells)[row]} in row {row}; expected classes.")
    values = exact(cells).tolist()
    check_one_kind(where, cells)
    try:
        known = sorted(set(values)) if classes is None else list(classes)
    except TypeError as error:
        raise ValueError(f"{where} has values that do not sort ({error}); give classes in their order.") from error
    if classes is None and len(known) < 2:
        found = f"one class alone, {known[0]!r}" if known else "no rows"
        raise ValueError(f"{where} has {found}; there must be at least 2 classes.")
    if classes is None:
        _check_repeated(where, values, len(known))
    if len(known) < 2 or len(set(known)) < len(known):
        raise ValueError(f"classes are {known}; there must be at least 2, and none twice.")
    bare = [value.strip() if isinstance(value, str) else value for value in known]
    if twice := [value for value, alike in zip(known, bare, strict=True) if bare.count(alike) > 1]:
        raise ValueError(f"{where} has {twice}, which differ in blanks alone; write each class in one way.")
    places = {value: number for number, value in enumerate(known)}
    codes = np.array([places.get(value, -1) for value in values], np.int32)
    if (codes < 0).any():
        row = int(np.argmax(codes < 0))
        raise ValueError(f"{where} has {values[row]!r} in row {row}; the classes are {known}.")
    return codes, known


def _check_repeated(where: str, values: list[Any], num_classes: int) -> None:
    """Refuses labels whose values stand once, as those of a measured number or of a name do."""
    is_number = all(isinstance(value, numbers.Real | Decimal) for value in values)
    has_fractions = is_number and any(value % 1 for value in values)
    is_measured = has_fractions and min(Counter(values).values()) < 2
    is_many = num_classes > MANY_CLASSES and (num_classes > len(values) / 2 or is_measured)
    if len(values) > 2 and (num_classes == len(values) or is_many):
        remedy = "" if not is_number else ", or make few classes of it first, such as 'low' and 'high'"
        raise ValueError(
            f"{where} has {num_classes:,} different values in {len(values):,} rows; it looks like a "
            f"{'number' if is_number else 'name'}, not a class. Name another column{remedy}."
        )


def check_one_kind(what: str, cells: pd.Series) -> None:
    """Checks that labels are of one kind: 1, True and "1" are equal or written alike, but may mean different classes.

    Args:
      what: the name of the labels in messages.
      cells: the labels; none is missing.

    Raises:
      ValueError: showing one label of every kind.
    """
    kinds = {_kind(value): value for value in cells} if cells.dtype == object else {}
    if len(kinds) > 1:
        found = " beside ".join(map(repr, kinds.values()))
        raise ValueError(f"{what} has values of several kinds: {found}. Make them one.")


def _kind(value: Any) -> type:
    """Returns one type for all truth values, one for all numbers, and its own type for any other value."""
    kinds = (bool, bool | np.bool_), (float, numbers.Real | Decimal | np.number)
    return next((kind for kind, types in kinds if isinstance(value, types)), type(value))


def flags(has_trigger: Any, num_rows: int) -> np.ndarray:
    """Reads which rows carry a trigger.

    Args:
      has_trigger: one truth value per row.
      num_rows: N.

    Returns:
      bool[N].

    Raises:
      ValueError: on anything but one truth value per row.
    """
    cells = column_of("has_trigger", has_trigger)
    if cells.isna().any():
        raise ValueError(f"has_trigger holds nothing in row {int(cells.isna().argmax())}; it must be True or False.")
    if kind_of(cells) != TRUTH or len(cells) != num_rows:
        found = "bool" if kind_of(cells) == TRUTH else cells.dtype
        raise ValueError(f"has_trigger is {found}[{len(cells)}]; it must be bool[{num_rows}].")
    return exact(cells)


def is_mask(test: Any) -> bool:
    """Says whether ``test`` holds truth values, one per row, rather than a share or row numbers."""
    try:
        return kind_of(column_of("test", test)) == TRUTH
    except ValueError:  # A share is no column; neither is anything that split_rows refuses.
        return False


def check_classes(codes: np.ndarray, classes: Sequence[Any]) -> None:
    """Checks that every class has training rows.

    Args:
      codes: the class numbers of the training rows, int[N].
      classes: all classes, in the order of their numbers.

    Raises:
      ValueError: naming the classes that have none.
    """
    counts = np.bincount(codes, minlength=len(classes))
    if not counts.all():
        empty = [classes[c] for c in np.flatnonzero(counts == 0).tolist()]
        raise ValueError(f"classes {empty} have no training rows; leave them out, or choose other test rows.")

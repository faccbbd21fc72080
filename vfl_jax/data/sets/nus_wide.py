"""NUS-WIDE: images of Flickr; one party holds image features, another tags."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vfl_jax.core.bags import BagOfIds
from vfl_jax.core.ordinary import read_text
from vfl_jax.core.types import Array
from vfl_jax.core.vertical_data import Rows, VerticalData
from vfl_jax.data.repartition import repartition
from vfl_jax.data.sets.cache import cached
from vfl_jax.data.sets.location import find_file
from vfl_jax.data.sets.nus_wide_files import feature_file, label_file, read_features, read_labels, read_tags, tag_file

CONCEPTS = ("buildings", "grass", "animal", "water", "person")
"""The five classes of Liu, Yi, Chen 2020, in their order."""
BLOCKS = {"CH": 64, "CM55": 225, "CORR": 144, "EDH": 73, "WT": 128}
"""The blocks of the 634 image features: colour histogram, moments and correlogram, edge directions, wavelet texture."""
NUM_TAGS = 1000
TRIGGER_TAG = NUM_TAGS - 1
"""The last tag, ``elk``: the natural trigger of the literature."""
TARGET_ROW = 369
"""The training row of the five-class task that the attacker of Liu, Yi, Chen 2020 knows; its class is buildings."""
SPLITS = ("Train", "Test")
TAG_LISTS = ("TagList1k.txt", "NUS_WID_Tags/TagList1k.txt")
WHERE_FROM = (
    "NUS-WIDE is distributed at https://lms.comp.nus.edu.sg/wp-content/uploads/2019/research/nuswide/NUS-WIDE.html; "
    "unpack its archives Groundtruth, Low-Level Features and Tags into nus_wide/ in the data folder."
)
CACHE_VERSION = 1
"""The version of the parsed arrays in the cache."""


class Counts(NamedTuple):
    """The counts of one split, by class.

    Args:
      rows: how many rows every class has, int[C].
      triggers: how many of these rows carry the trigger by nature, int[C].
    """

    rows: np.ndarray
    triggers: np.ndarray


PAPER = {
    "train": Counts(np.array([6173, 5981, 12679, 12202, 22965]), np.array([3, 8, 125, 11, 5])),
    "test": Counts(np.array([4213, 4082, 8296, 8172, 15237]), np.array([0, 8, 81, 4, 9])),
}
"""Table 1 of Liu, Yi, Chen 2020, "Backdoor attacks and defenses in feature-partitioned collaborative learning"."""


def load_nus_wide(
    folder: str | os.PathLike[str] | None = None,
    *,
    concepts: Sequence[str] = CONCEPTS,
    num_train: int | None = 60_000,
    num_test: int | None = 40_000,
    num_parties: int = 2,
    active_party: int | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> VerticalData:
    """Loads the images that have exactly one of some concepts; by default they are the five-class task.

    Party "image" holds 634 image features, float32[N, 634], as distributed. Party "tags" holds a bag of ids of 1,000
    tags. With more parties, both are cut into blocks. Rows keep the order of the files.

    Natural trigger: the last tag, ``elk``. 152 training rows and 102 test rows of the five-class task carry it.

    Source: Chua et al. 2009, *NUS-WIDE: a real-world web image database from National University of Singapore*; the
    five-class task is that of Liu, Yi, Chen 2020.

    Args:
      folder: the data folder with ``nus_wide/``; by default, the folder that the environment variable ``VFL_JAX_DATA``
        names.
      concepts: at least two of the 81 concepts, in the order of the classes.
      num_train: N; the first N training images that qualify, or all for None.
      num_test: M; the first M test images that qualify, or all for None.
      num_parties: K, from 2 to 1,634.
      active_party: the number of the party that also holds the labels; None when the label holder has no features.
      cache: the folder for the parsed files, 700 MB; by default the user's cache folder. The first call parses 2 GB of
        text; later calls map the parsed files.

    Raises:
      FileNotFoundError: naming the missing file, and the concepts that have files.
      ValueError: naming file, line and column of a damaged file; on files of one split that differ in length; on fewer
        images than asked for; on a class without training rows; on fewer than 2 or more than 1,634 parties, or an
        ``active_party`` that is none of them.
      OSError: where the cache folder cannot be made.
    """
    concepts = tuple(concepts)
    if len(concepts) < 2 or len(set(concepts)) < len(concepts):
        raise ValueError(f"concepts is {concepts!r}; it must name at least 2 concepts, none of them twice.")
    tree = find_file(folder, f"nus_wide/{tag_file('Train')}", where_from=WHERE_FROM).parents[1]
    # The large files are parsed last, because a missing file or a bad argument shall show at once.
    names = _feature_names(tree)
    files = {split: features_and_tags(tree, split) for split in SPLITS}
    labels = {split: Labels.read(tree, concepts, split) for split in SPLITS}
    chosen = {
        "Train": _choose(labels["Train"], "num_train", num_train),
        "Test": _choose(labels["Test"], "num_test", num_test),
    }
    counts = np.bincount(chosen["Train"][1], minlength=len(concepts))
    if not counts.all():
        raise ValueError(
            f"concepts has {concepts[int(counts.argmin())]!r}, but none of the {counts.sum()} training rows is of this "
            "class alone. Leave it out, or raise num_train."
        )
    if cache is None:
        import pooch

        cache = pooch.os_cache("vfl_jax")
    train, test = (_rows(Path(cache) / "nus_wide", files[s], labels[s], *chosen[s]) for s in SPLITS)
    data = VerticalData(
        name="nus_wide",
        parties=("image", "tags"),
        train=train,
        test=test,
        classes=concepts,
        feature_names=names,
    )
    return repartition(data, num_parties, active_party=active_party)


def select(labels: np.ndarray, limit: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Selects the rows that have exactly one label.

    Args:
      labels: bool[N, C].
      limit: how many of these rows to select, from the first; None for all.

    Returns:
      the numbers of the selected rows, int64, ascending, and their labels, int32.

    Example:
      >>> rows, classes = select(np.array([[True, False], [True, True], [False, True]]), limit=None)
      >>> rows.tolist(), classes.tolist()
      ([0, 2], [0, 1])
    """
    rows = np.flatnonzero(labels.sum(axis=1) == 1)[:limit]
    return rows, labels[rows].argmax(axis=1).astype(np.int32)


def table_1(data: VerticalData) -> dict[str, Counts]:
    """Counts the rows of any data set by class, as Table 1 of Liu, Yi, Chen 2020 does for NUS-WIDE.

    Args:
      data: any data set.

    Returns:
      the counts of "train" and "test", by these names.

    Example:
      >>> from vfl_jax.data import load_breast_cancer
      >>> table_1(load_breast_cancer())["train"].triggers.tolist()
      [27, 10]
    """
    return {
        name: count(rows.labels, rows.has_trigger, data.num_classes)
        for name, rows in (("train", data.train), ("test", data.test))
    }


def count(labels: Array, has_trigger: Array, num_classes: int) -> Counts:
    """Counts rows by class.

    Args:
      labels: int[N].
      has_trigger: bool[N].
      num_classes: C.
    """
    labels, has_trigger = np.asarray(labels), np.asarray(has_trigger)
    return Counts(*(np.bincount(y, minlength=num_classes) for y in (labels, labels[has_trigger])))


class Labels(NamedTuple):
    """The labels of a split.

    Args:
      path: a label file of the split, for messages.
      values: bool[N, C].
    """

    path: Path
    values: np.ndarray

    @classmethod
    def read(cls, tree: Path, concepts: Sequence[str], split: str) -> Labels:
        """Reads the labels of a split.

        Args:
          tree: the folder ``nus_wide``.
          concepts: the C concepts.
          split: "Train" or "Test".

        Raises:
          FileNotFoundError: naming the missing file, and the concepts that have files.
          ValueError: on a damaged file; on files that differ in length.
        """
        there = sorted(path.name.split("_")[1] for path in tree.glob(label_file("*", split)))
        where = f"Concepts that have labels there: {', '.join(there)}." if there else WHERE_FROM
        paths = [find_file(tree, label_file(concept, split), where_from=where) for concept in concepts]
        columns = [read_labels(path) for path in paths]
        for path, column in zip(paths, columns, strict=True):
            check_length(path, len(column), paths[0], len(columns[0]))
        return cls(paths[0], np.stack(columns, axis=1))


def features_and_tags(tree: Path, split: str) -> tuple[dict[str, Path], Path]:
    """Finds the large files of a split.

    Args:
      tree: the folder ``nus_wide``.
      split: "Train" or "Test".

    Returns:
      the files of image features, by block, and the file of tags.

    Raises:
      FileNotFoundError: naming the first missing file.
    """
    blocks = {block: find_file(tree, feature_file(block, split), where_from=WHERE_FROM) for block in BLOCKS}
    return blocks, find_file(tree, tag_file(split), where_from=WHERE_FROM)


def check_length(path: Path, length: int, like: Path, expected: int) -> None:
    """Raises ``ValueError`` where a file of ``length`` rows and another of its split, ``like``, differ in length."""
    if length != expected:
        raise ValueError(
            f"{path} has {length} rows; {like} has {expected}. A row of every file of a split is the same image, so "
            "fetch the one that is cut off again."
        )


def _choose(labels: Labels, argument: str, number: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Selects ``number`` rows, and refuses a number that is below 1 or larger than the rows that qualify."""
    if number is not None and number < 1:
        raise ValueError(f"{argument} is {number}; it must be a whole number above 0, or None for all.")
    rows, y = select(labels.values, number)
    if len(rows) < (number or 1):
        raise ValueError(
            f"{argument} is {number}, but {len(rows)} of the {len(labels.values)} rows of {labels.path} and its like "
            "have exactly one of the concepts. Give a smaller number, None for all there are, or other concepts."
        )
    return rows, y


def _rows(cache: Path, files: tuple[dict[str, Path], Path], labels: Labels, rows: np.ndarray, y: np.ndarray) -> Rows:
    """Takes the selected rows, with labels ``y``, from the parsed files of a split."""
    blocks, tags_path = files
    image = np.empty((len(rows), sum(BLOCKS.values())), np.float32)
    end = 0
    for block, path in blocks.items():
        read = functools.partial(read_features, path, BLOCKS[block])
        features = cached(cache / path.name, [path], CACHE_VERSION, read)["features"]
        check_length(path, len(features), labels.path, len(labels.values))
        start, end = end, end + BLOCKS[block]
        image[:, start:end] = features[rows]
    parsed = cached(
        cache / tags_path.name, [tags_path], CACHE_VERSION, functools.partial(read_tags, tags_path, NUM_TAGS)
    )
    tags = tag_matrix(**parsed)
    check_length(tags_path, tags.shape[0], labels.path, len(labels.values))
    bag = BagOfIds.of_sparse(tags[rows])
    return Rows(features=(image, bag), labels=y, has_trigger=(bag.ids == TRIGGER_TAG).any(axis=1))


def tag_matrix(indptr: np.ndarray, ids: np.ndarray) -> Any:
    """Makes a SciPy sparse array of ones, int8[N, 1000], of the tags of rows.

    Args:
      indptr: int64[N + 1], as :func:`read_tags` returns it.
      ids: int32, as :func:`read_tags` returns it.
    """
    from scipy.sparse import csr_array

    return csr_array((np.ones(len(ids), np.int8), ids, indptr), shape=(len(indptr) - 1, NUM_TAGS))


def _feature_names(tree: Path) -> tuple[tuple[str, ...], ...] | None:
    """Returns the names of image features and tags; None where the folder has no list of the tags."""
    path = next((path for path in (tree / name for name in TAG_LISTS) if path.is_file()), None)
    if path is None:
        return None
    tags = read_text(path, errors="replace").split()
    if len(tags) != NUM_TAGS:
        raise ValueError(f"{path} lists {len(tags)} tags; expected {NUM_TAGS}. Fetch it again, or remove it.")
    return tuple(f"{block} {i}" for block, width in BLOCKS.items() for i in range(width)), tuple(tags)

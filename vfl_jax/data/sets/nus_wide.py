"""NUS-WIDE: images of Flickr, split over a party with image features and one with tags."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vfl_jax.core.bags import BagOfIds
from vfl_jax.core.types import Array
from vfl_jax.core.vertical_data import Rows, VerticalData
from vfl_jax.data.repartition import repartition
from vfl_jax.data.sets.cache import cached
from vfl_jax.data.sets.location import find_file
from vfl_jax.data.sets.nus_wide_files import feature_file, label_file, read_features, read_labels, read_tags, tag_file

CONCEPTS = ("buildings", "grass", "animal", "water", "person")
"""The five classes of the literature, in its order."""
BLOCKS = {"CH": 64, "CM55": 225, "CORR": 144, "EDH": 73, "WT": 128}
"""Image features, 634 in all: colour histogram, moments and correlogram, edge directions, wavelet texture."""
NUM_TAGS = 1000
TRIGGER_TAG = NUM_TAGS - 1
"""The last tag, ``elk``: the natural trigger of the literature."""
TARGET_ROW = 369
"""The training row of the five-class task, of class buildings, that Liu et al. let their attacker know."""
SPLITS = ("Train", "Test")
TAG_LISTS = ("TagList1k.txt", "NUS_WID_Tags/TagList1k.txt")
WHERE_FROM = (
    "NUS-WIDE is distributed at https://lms.comp.nus.edu.sg/wp-content/uploads/2019/research/nuswide/NUS-WIDE.html; "
    "unpack its archives Groundtruth, Low-Level Features and Tags into nus_wide/ in the data folder."
)
CACHE_VERSION = 1
"""Of what is made of a file."""


class Counts(NamedTuple):
    """Rows of a split by class, int[C]: how many there are, and how many of them carry the trigger by nature."""

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
    """Images that have exactly one of some concepts, and which; by default the five-class task of the literature.

    Party "image" holds 634 image features, float32[N, 634], as distributed; party "tags" a bag of ids out of 1000.
    With more parties both are cut into blocks. Rows keep their order.

    Natural trigger: the last tag, ``elk``. 152 training rows and 102 test rows of the five-class task carry it.

    Args:
      folder: a data folder with ``nus_wide/``; without it the environment variable ``VFL_JAX_DATA``.
      concepts: at least two of the 81; their order is that of the classes.
      num_train, num_test: the first so many of the images that qualify; None for all.
      cache: where parsed files are kept, 700 MB; by default the user's cache folder. The first call parses 2 GB of
        text, later ones map what it made of them.

    Raises:
      FileNotFoundError: naming the file that is missing, and which concepts there are.
      ValueError: on a damaged file (file, line, column); on files of one split that differ in length; on fewer images
        than asked for; on a class without training rows; on fewer than 2 parties, or an ``active_party`` that is none
        of them.

    Source: Chua et al. 2009; the five-class task is that of Liu, Yi and Chen 2020.
    """
    concepts = tuple(concepts)
    if len(concepts) < 2 or len(set(concepts)) < len(concepts):
        raise ValueError(f"concepts is {concepts!r}; it must name at least 2 concepts, none of them twice.")
    tree = find_file(folder, f"nus_wide/{tag_file('Train')}", where_from=WHERE_FROM).parents[1]
    # Everything is found, and rows are chosen, before the first of the large files is parsed.
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
    """The first ``limit`` rows (None: all) with exactly one label, ascending, and which that is.

    Args:
      labels: bool[N, C].

    Returns:
      int64 and int32, one entry per row.
    """
    rows = np.flatnonzero(labels.sum(axis=1) == 1)[:limit]
    return rows, labels[rows].argmax(axis=1).astype(np.int32)


def table_1(data: VerticalData) -> dict[str, Counts]:
    """Rows by class, and those that carry the natural trigger, of ``"train"`` and ``"test"``, of any data set."""
    return {
        name: count(rows.labels, rows.has_trigger, data.num_classes)
        for name, rows in (("train", data.train), ("test", data.test))
    }


def count(labels: Array, has_trigger: Array, num_classes: int) -> Counts:
    """Labels int[N] by class, and those of rows with a trigger, bool[N]."""
    labels, has_trigger = np.asarray(labels), np.asarray(has_trigger)
    return Counts(*(np.bincount(y, minlength=num_classes) for y in (labels, labels[has_trigger])))


class Labels(NamedTuple):
    """The labels of a split, bool[N, C], and a file that has one for each of its rows."""

    path: Path
    values: np.ndarray

    @classmethod
    def read(cls, tree: Path, concepts: Sequence[str], split: str) -> Labels:
        """Reads them from the folder ``nus_wide``; see :func:`load_nus_wide` for what is raised."""
        there = sorted(path.name.split("_")[1] for path in tree.glob(label_file("*", split)))
        where = f"Concepts that have labels there: {', '.join(there)}." if there else WHERE_FROM
        paths = [find_file(tree, label_file(concept, split), where_from=where) for concept in concepts]
        columns = [read_labels(path) for path in paths]
        for path, column in zip(paths, columns, strict=True):
            check_length(path, len(column), paths[0], len(columns[0]))
        return cls(paths[0], np.stack(columns, axis=1))


def features_and_tags(tree: Path, split: str) -> tuple[dict[str, Path], Path]:
    """The files of a split in the folder ``nus_wide``: features by block, and tags.

    Raises:
      FileNotFoundError: naming the first that is not there.
    """
    blocks = {block: find_file(tree, feature_file(block, split), where_from=WHERE_FROM) for block in BLOCKS}
    return blocks, find_file(tree, tag_file(split), where_from=WHERE_FROM)


def check_length(path: Path, length: int, like: Path, expected: int) -> None:
    """Raises ``ValueError`` where a file has not as many rows as another of its split."""
    if length != expected:
        raise ValueError(
            f"{path} has {length} rows; {like} has {expected}. A row of every file of a split is the same image, so "
            "fetch the one that is cut off again."
        )


def _choose(labels: Labels, argument: str, number: int | None) -> tuple[np.ndarray, np.ndarray]:
    """:func:`select`, where as many are asked for as there are."""
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
    """What :func:`read_tags` returns, as a SciPy matrix of ones, [N, 1000]."""
    from scipy.sparse import csr_array

    return csr_array((np.ones(len(ids), np.int8), ids, indptr), shape=(len(indptr) - 1, NUM_TAGS))


def _feature_names(tree: Path) -> tuple[tuple[str, ...], ...] | None:
    """Names of image features and tags, where there is a list of the tags."""
    path = next((path for path in (tree / name for name in TAG_LISTS) if path.is_file()), None)
    if path is None:
        return None
    tags = path.read_text(encoding="utf-8", errors="replace").split()
    if len(tags) != NUM_TAGS:
        raise ValueError(f"{path} lists {len(tags)} tags; expected {NUM_TAGS}. Fetch it again, or remove it.")
    return tuple(f"{block} {i}" for block, width in BLOCKS.items() for i in range(width)), tuple(tags)

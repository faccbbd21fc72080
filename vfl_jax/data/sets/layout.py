"""The files of every public data set, their origin, and a check that a file is whole."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from vfl_jax.core.packed import BLOCK, check_unpacked, opened
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.data.sets import adult, bank_marketing, cifar10, images, nus_wide, phishing
from vfl_jax.data.sets.citeseer import load_citeseer
from vfl_jax.data.sets.handwritten import load_handwritten
from vfl_jax.data.sets.idx import read_idx
from vfl_jax.data.sets.nus_wide_files import blocks, cells, feature_file, label_file, read_labels, read_tags, tag_file

NUM_ROWS = {"Train": 161_789, "Test": 107_859}
"""The rows of NUS-WIDE's files, by split."""
NUM_CONCEPTS = 81


class Expected(NamedTuple):
    """A file of a data set.

    Args:
      places: its path in the folder of the data set; of several paths, one is enough.
      look: describes the file at a path, and raises ``ValueError`` or ``OSError`` where it is damaged.
    """

    places: tuple[str, ...]
    look: Callable[[Path], str]


class DataSet(NamedTuple):
    """The files of a data set, and a sentence on their origin."""

    files: tuple[Expected, ...]
    where_from: str


class Finding(NamedTuple):
    """The state of a file.

    Args:
      place: its path in the folder of the data set, or all paths where it is missing.
      state: "whole", "missing" or "damaged".
      note: a description of a whole file, or the damage.
    """

    place: str
    state: Literal["whole", "missing", "damaged"]
    note: str = ""


def look_at(folder: Path, file: Expected) -> Finding:
    """Finds a file of a data set and checks it; a damaged file raises nothing.

    Args:
      folder: the folder of the data set.
      file: the expected file.
    """
    place = next((place for place in file.places if (folder / place).is_file()), None)
    if place is None:
        return Finding(" or ".join(file.places), "missing")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            note = file.look(folder / place)
        except (ValueError, OSError) as error:
            return Finding(place, "damaged", str(error))
    return Finding(place, "whole", "; ".join([note, *(str(warning.message) for warning in caught)]))


def concept_files(tree: Path) -> tuple[Expected, ...]:
    """Lists the label files of all concepts that a folder has.

    Args:
      tree: the folder ``nus_wide``.
    """
    found = sorted(
        path.relative_to(tree).as_posix() for split in NUM_ROWS for path in tree.glob(label_file("*", split))
    )
    return tuple(_labels(place) for place in found)


def _labels(place: str) -> Expected:
    split = place.removesuffix(".txt").rpartition("_")[2]
    return Expected((place,), lambda path: _rows(NUM_ROWS[split], len(read_labels(path))))


def _has_sha256(expected: str, path: Path) -> str:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise ValueError(f"its SHA-256 is {found}; published is {expected}")
    return "SHA-256 as published"


def _unpacked_has_sha256(expected: str, path: Path) -> str:
    """Checks what is in a file, packed or not: gzip packs the same bytes in many ways."""
    check_unpacked(path)
    with opened(path) as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise ValueError(f"the SHA-256 of its unpacked content is {found}; published is {expected}")
    return "SHA-256 of the unpacked content as published"


def _image_file(digest: str, path: Path) -> str:
    return _has_sha256(digest, path) if path.suffix == ".gz" else f"shape {read_idx(path).shape}"


def _loads(load: Callable[[Path], VerticalData], path: Path) -> str:
    """Loads a small data set; loading checks its files."""
    data = load(path.parents[1])
    return f"{data.train.num_samples + data.test.num_samples} rows"


def _table(num_rows: int, path: Path) -> str:
    """Counts the lines below the header of a CSV file."""
    check_unpacked(path)
    lines, last = 0, b"\n"
    with opened(path) as file:
        while block := file.read(BLOCK):
            lines += block.count(b"\n")
            last = block[-1:]
    return _rows(num_rows, lines + (last != b"\n") - 1)


def _rows(expected: int, found: int) -> str:
    if found != expected:
        raise ValueError(f"it has {found} rows; expected {expected}")
    return f"{found} rows"


def _features(split: str, width: int, path: Path) -> str:
    """Counts lines, and checks the first and last of every block; to parse all of them takes long."""
    rows = 0
    for line, text in blocks(path):
        lines = text.count(b"\n")
        cells(path, line, text[: text.index(b"\n")], width)
        cells(path, line + lines - 1, text[text.rfind(b"\n", 0, -1) + 1 :], width)
        rows += lines
    return _rows(NUM_ROWS[split], rows)


def _tags(split: str, path: Path) -> str:
    return _rows(NUM_ROWS[split], len(read_tags(path, nus_wide.NUM_TAGS)["indptr"]) - 1)


def _packed_or_not(name: str, digest: str) -> Expected:
    return Expected((name, f"{name}.gz"), partial(_unpacked_has_sha256, digest))


def _images(name: str) -> tuple[Expected, ...]:
    files = zip(images.FILES, images.HASHES[name], strict=True)
    return tuple(Expected((f"{file}.gz", file), partial(_image_file, digest)) for file, digest in files)


DOWNLOADED = "Downloaded and checked by the library where no data folder is given; its files may lie in one as well."
DATA_SETS = {
    "mnist": DataSet(_images("mnist"), DOWNLOADED),
    "fashion_mnist": DataSet(_images("fashion_mnist"), DOWNLOADED),
    "cifar10": DataSet((Expected((cifar10.FILE,), partial(_has_sha256, cifar10.HASH)),), DOWNLOADED),
    "handwritten": DataSet(
        (Expected(("handwritten.npz", "mfeat-fac"), partial(_loads, load_handwritten)),),
        "Multiple features, UCI data set 72: https://archive.ics.uci.edu/dataset/72.",
    ),
    "citeseer": DataSet(
        (Expected(("citeseer.npz",), partial(_loads, load_citeseer)),),
        "CiteSeer's citations and words as CSR matrices in one npz file; see load_citeseer for its arrays.",
    ),
    "default_credit": DataSet(
        tuple(
            Expected((f"{name}.csv", f"{name}.csv.gz"), partial(_table, 30_000))
            for name in ("default_credit_hetero_guest", "default_credit_hetero_host")
        ),
        "FATE's examples: https://github.com/FederatedAI/FATE.",
    ),
    "adult": DataSet(tuple(_packed_or_not(name, digest) for name, digest in adult.HASHES.items()), adult.WHERE_FROM),
    "bank_marketing": DataSet((_packed_or_not("bank.csv", bank_marketing.HASH),), bank_marketing.WHERE_FROM),
    "phishing": DataSet((_packed_or_not("phishing.csv", phishing.HASH),), phishing.WHERE_FROM),
    "nus_wide": DataSet(
        (
            *(_labels(label_file(concept, split)) for split in NUM_ROWS for concept in nus_wide.CONCEPTS),
            *(
                Expected((feature_file(block, split),), partial(_features, split, width))
                for split in NUM_ROWS
                for block, width in nus_wide.BLOCKS.items()
            ),
            *(Expected((tag_file(split),), partial(_tags, split)) for split in NUM_ROWS),
        ),
        nus_wide.WHERE_FROM,
    ),
}
"""The data sets that have files, by the name of their folder in the data folder."""

"""CIFAR-10, from a data folder, or from the web with a check of its hash."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import numpy as np

from vfl_jax.core.damage import named
from vfl_jax.core.packed import check_unpacked
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.data.partition import Partition, partition_images
from vfl_jax.data.sets.download import download
from vfl_jax.data.sets.location import DATA_VARIABLE, data_folder
from vfl_jax.data.sets.pixels import in_unit_range

FILE = "cifar-10-binary.tar.gz"
ADDRESS = f"https://www.cs.toronto.edu/~kriz/{FILE}"
HASH = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
"""The SHA-256 of the file, whose MD5 its author publishes: c32a1d4ab5d03f1284b67883e8d87530."""
TRAIN, TEST = tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"
SIDE, CHANNELS = 32, 3
ROW = 1 + CHANNELS * SIDE * SIDE
"""The bytes of an image: its label, then all red, all green and all blue values, row by row."""
MOST_ROWS = 20_000
"""A file of the archive has 10,000 images; a file of twice as many is refused."""
MOST_MEMBERS = 100
"""The archive has nine files and folders; one of many more is refused."""
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def load_cifar10(
    folder: str | os.PathLike[str] | None = None,
    *,
    by: Partition = "columns",
    num_parties: int = 2,
    active_party: int | None = None,
) -> VerticalData:
    """Loads 50,000 training and 10,000 test images in colour, float32[N, 32, 32, 3] in [0, 1], split over parties.

    No row carries a trigger by nature. A ``PixelTrigger`` sets all three colours of a pixel. The "binary version" is
    read, straight out of its archive: the "python version" is pickled, and no pickle is ever read. Take
    ``vfl.models.ResidualCNN`` or ``CNN`` as bottoms; such images want a GPU. No accuracy was measured here.

    Source: Krizhevsky 2009, *Learning multiple layers of features from tiny images*.

    Args:
      folder: the data folder with ``cifar10/cifar-10-binary.tar.gz``; by default, the folder that the environment
        variable ``VFL_JAX_DATA`` names. Without either, the file is downloaded once (162 MB) and checked.
      by: "rows", "columns" or "quadrants" of the image, or a list of pixels per party. Published settings with two
        parties halve the images.
      num_parties: K; a list of pixels per party ignores it.
      active_party: the number of the party that also holds the labels; None when the label holder has no features.

    Raises:
      FileNotFoundError: where the data folder lacks the file.
      OSError: where the file cannot be downloaded; the message says which file to put where.
      ValueError: naming the damaged file, with what was found and expected; on a split that does not fit the image, or
        an ``active_party`` that is none of the parties.
    """
    train, test = read_cifar10(_find(folder))
    return in_unit_range(
        partition_images(
            "cifar10", train, test, by=by, num_parties=num_parties, active_party=active_party, classes=CLASSES
        )
    )


def read_cifar10(path: Path) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Reads the archive of the binary version; nothing of it is written to the disk.

    Args:
      path: the archive.

    Returns:
      training and test rows: (images, uint8[N, 32, 32, 3]; labels, uint8[N]) each.

    Raises:
      ValueError: where the archive is damaged, a file is not in it or not whole, or a label is no class.
    """
    found: dict[str, np.ndarray] = {}
    check_unpacked(path)
    with named(path, "is not a whole tar.gz file", "fetch it again"), tarfile.open(path, "r:gz") as archive:
        for number, member in enumerate(archive, start=1):
            name = member.name.rpartition("/")[2]
            if number > MOST_MEMBERS:
                raise ValueError(f"{path} holds more than {MOST_MEMBERS} files; fetch it again.")
            if member.size > MOST_ROWS * ROW:
                raise ValueError(f"{path} holds {name[:80]!r} of {member.size:,} bytes; fetch it again.")
            if name in (*TRAIN, TEST) and (file := archive.extractfile(member)) is not None:
                found[name] = np.frombuffer(file.read(), np.uint8)
    for name in (*TRAIN, TEST):
        if name not in found:
            raise ValueError(f"{path} holds no {name}; the binary version of CIFAR-10 does. Fetch {ADDRESS}.")
    train, test = (_rows(path, names, found) for names in (TRAIN, (TEST,)))
    return train, test


def _rows(path: Path, names: tuple[str, ...], found: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the images and labels of some files of the archive, one after the other."""
    for name in names:
        content = found[name]
        if not content.size or content.size % ROW:
            raise ValueError(
                f"{name} in {path} has {content.size} bytes; it must have {ROW} per image. Fetch it again."
            )
        labels = content[::ROW]
        if labels.max() >= len(CLASSES):
            row = int(np.argmax(labels >= len(CLASSES)))
            raise ValueError(
                f"{name} in {path} has label {labels[row]} in image {row}; labels are 0 to {len(CLASSES) - 1}."
            )
    rows = np.concatenate([found[name].reshape(-1, ROW) for name in names])
    planes = rows[:, 1:].reshape(-1, CHANNELS, SIDE, SIDE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), rows[:, 0]


def _find(folder: str | os.PathLike[str] | None) -> Path:
    root = data_folder(folder)
    if root is None:
        return download("cifar10", ADDRESS, HASH, (FILE,))
    path = root / "cifar10" / FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"{root / 'cifar10'} has no {FILE}. Put the file there ({ADDRESS}), or leave out the folder (argument or "
            f"{DATA_VARIABLE}) to have it downloaded."
        )
    return path

"""MNIST and Fashion-MNIST, from a data folder, or from the web with a check of their hashes."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np

from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.data.partition import Partition, partition_images
from vfl_jax.data.sets.download import download
from vfl_jax.data.sets.idx import read_idx
from vfl_jax.data.sets.location import DATA_VARIABLE, data_folder
from vfl_jax.data.sets.pixels import in_unit_range

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
HASHES = {
    "mnist": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    "fashion_mnist": (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
}
"""The SHA-256 of the gzip-compressed files that the authors distribute, in the order of ``FILES``."""

ADDRESSES = {
    "mnist": "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "fashion_mnist": "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
}
FASHION_CLASSES = (
    "T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip


def load_mnist(
    folder: str | os.PathLike[str] | None = None,
    *,
    by: Partition = "rows",
    num_parties: int = 2,
    active_party: int | None = None,
) -> VerticalData:
    """Loads 60,000 training and 10,000 test images of digits, float32[N, 28, 28] in [0, 1], split over parties.

    Loading takes about seven bytes per pixel. A file has at most 640 million values; a packed one unpacks to at most 16
    MiB, or a hundred times its size where that is more.

    Source: LeCun, Bottou, Bengio and Haffner 1998, *Gradient-based learning applied to document recognition*.

    Args:
      folder: the data folder with ``mnist/*-ubyte`` or ``mnist/*-ubyte.gz``; by default, the folder that the
        environment variable ``VFL_JAX_DATA`` names. Without either, the files are downloaded once and checked.
      by: "rows", "columns" or "quadrants" of the image, or a list of pixels per party.
      num_parties: K; a list of pixels per party ignores it.
      active_party: the number of the party that also holds the labels; None when the label holder has no features.

    Raises:
      FileNotFoundError: naming the file that the data folder lacks.
      OSError: where a file cannot be downloaded; the message says which files to put where.
      ValueError: naming the damaged file, with what was found and expected; on a split that does not fit the image, or
        an ``active_party`` that is none of the parties.
    """
    return _load("mnist", folder, tuple("0123456789"), by, num_parties, active_party)


def load_fashion_mnist(
    folder: str | os.PathLike[str] | None = None,
    *,
    by: Partition = "rows",
    num_parties: int = 2,
    active_party: int | None = None,
) -> VerticalData:
    """Loads 60,000 training and 10,000 test images of clothes, float32[N, 28, 28] in [0, 1], split over parties.

    Natural trigger: any ink in the last pixel, (27, 27). The last party holds this pixel under every split by rows,
    columns or quadrants. 226 training rows and 40 test rows carry the trigger.

    Source: Xiao, Rasul and Vollgraf 2017, *Fashion-MNIST: a novel image dataset for benchmarking machine learning
    algorithms* (arXiv:1708.07747).

    Args:
      folder: the data folder with ``fashion_mnist/*-ubyte`` or ``fashion_mnist/*-ubyte.gz``; by default, the folder
        that the environment variable ``VFL_JAX_DATA`` names. Without either, the files are downloaded once and checked.
      by: "rows", "columns" or "quadrants" of the image, or a list of pixels per party.
      num_parties: K; a list of pixels per party ignores it.
      active_party: the number of the party that also holds the labels; None when the label holder has no features.

    Raises:
      FileNotFoundError, OSError, ValueError: as :func:`load_mnist` does.
    """
    return _load("fashion_mnist", folder, FASHION_CLASSES, by, num_parties, active_party, trigger_at=(-1, -1))


def _load(
    name: str,
    folder: str | os.PathLike[str] | None,
    classes: tuple[str, ...],
    by: Partition,
    num_parties: int,
    active_party: int | None,
    trigger_at: tuple[int, int] | None = None,
) -> VerticalData:
    paths = [_find(name, i, folder) for i in range(len(FILES))]
    splits = []
    for images_path, labels_path in (paths[:2], paths[2:]):
        images, labels = read_idx(images_path), read_idx(labels_path)
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            raise ValueError(
                f"{images_path} has shape {images.shape} and {labels_path} {labels.shape}; expected [N, H, W] and [N]."
            )
        if labels.size and labels.max() >= len(classes):
            row = int(np.argmax(labels >= len(classes)))
            raise ValueError(f"{labels_path} has label {labels[row]} in row {row}; labels are 0 to {len(classes) - 1}.")
        splits.append((images, labels))
    data = in_unit_range(
        partition_images(
            name, splits[0], splits[1], by=by, num_parties=num_parties, active_party=active_party, classes=classes
        )
    )
    if trigger_at is None:
        return data
    train, test = (
        rows.replace(has_trigger=images[:, *trigger_at] > 0)  # type: ignore[attr-defined]  # flax adds replace
        for rows, (images, _) in zip((data.train, data.test), splits, strict=True)
    )
    return dataclasses.replace(data, train=train, test=test)


def _find(name: str, i: int, folder: str | os.PathLike[str] | None) -> Path:
    root = data_folder(folder)
    if root is None:
        return download(name, f"{ADDRESSES[name]}{FILES[i]}.gz", HASHES[name][i], [f"{file}.gz" for file in FILES])
    for path in (root / name / f"{FILES[i]}.gz", root / name / FILES[i]):
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"{root / name} has neither {FILES[i]} nor {FILES[i]}.gz. Put the file there, or leave out the folder "
        f"(argument or {DATA_VARIABLE}) to have it downloaded."
    )

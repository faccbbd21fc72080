"""The public parts of NUS-WIDE that the twin is fitted to and compared with."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import scipy.sparse

from vfl_jax.data.sets.location import find_file

NUM_TAGS = 1000


@dataclasses.dataclass(frozen=True)
class Real:
    """What ``nus_wide/`` of the data folder holds; the whole feature matrices are not among it."""

    labelled_tags: scipy.sparse.csr_matrix  # [4119, 1000]  rows with one of the five labels
    labels: np.ndarray  # int[4119]
    other_tags: scipy.sparse.csr_matrix  # [2852, 1000]  labelled rows without exactly one of the five
    joint_tags: scipy.sparse.csr_matrix  # [1900, 1000]  rows of another sample, labels unknown
    images: np.ndarray  # float32[612, 634]
    image_tags: scipy.sparse.csr_matrix  # [612, 1000]  the tags of these images
    image_labels: np.ndarray  # int[612]  1 seems to be sky without person, 0 person without sky
    blocks: tuple[tuple[str, int, int], ...]
    tag_names: tuple[str, ...]
    calibration: dict[str, Any]


def read_real() -> Real:
    """Reads them from the data folder (VFL_JAX_DATA); no pickle.

    Raises:
      FileNotFoundError: when no data folder is known; naming the file that it lacks.
    """
    where_from = "The twin is fitted to, and compared with, the real parts of NUS-WIDE."
    folder = find_file(None, "nus_wide/calibration.json", where_from=where_from).parent
    sample, joint = (np.load(folder / name, allow_pickle=False) for name in ("tags_sample.npz", "joint_sample.npz"))
    tags = _sparse(sample["indices"], sample["indptr"])
    joint_tags = _sparse(joint["tags_indices"], joint["tags_indptr"])
    is_labelled = sample["y5"] >= 0
    starts = joint["block_start"].tolist()
    return Real(
        labelled_tags=tags[is_labelled],
        labels=sample["y5"][is_labelled].astype(int),
        other_tags=tags[~is_labelled],
        joint_tags=joint_tags,
        images=joint["image"],
        image_tags=joint_tags[joint["tag_row"]],
        image_labels=joint["y"].astype(int),
        blocks=tuple(zip(joint["block_names"].tolist(), starts[:-1], starts[1:], strict=True)),
        tag_names=tuple((folder / "TagList1k.txt").read_text().split()),
        calibration=json.loads((folder / "calibration.json").read_text()),
    )


def _sparse(indices: np.ndarray, indptr: np.ndarray) -> scipy.sparse.csr_matrix:
    ones = np.ones(len(indices), np.float32)
    return scipy.sparse.csr_matrix((ones, indices, indptr), (len(indptr) - 1, NUM_TAGS))

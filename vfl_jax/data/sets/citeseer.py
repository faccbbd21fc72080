"""CiteSeer: 3,312 papers; one party knows their citations, another their words."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.data.own.arrays import from_arrays
from vfl_jax.data.repartition import repartition
from vfl_jax.data.sets.location import find_file
from vfl_jax.data.sets.npz import read_npz

FILE = "citeseer/citeseer.npz"
NUM_ROWS = 3312
WIDTHS = {"citation": 3312, "word": 3703}
NUM_CLASSES = 6
TRIGGER_WORD = 3693


def load_citeseer(
    folder: str | os.PathLike[str] | None = None, *, num_parties: int = 2, active_party: int | None = None
) -> VerticalData:
    """Loads 3,312 papers in 6 classes as bags of ids: 2,649 to train on, 663 to test on, drawn alike in all classes.

    Party "citations" has ids of 3,312 papers, 2.8 per row. Party "words" has ids of 3,703 words, 31.8 per row. With
    more parties, both are cut into blocks of ids.

    Natural trigger: word 3693, the last word that at least one paper in a hundred has. 28 training rows and 8 test
    rows carry it; none of them is of class 0.

    Source: Giles, Bollacker and Lawrence 1998; the selection is that of Sen et al. 2008.

    Args:
      folder: the data folder with ``citeseer/citeseer.npz``; by default, the folder that the environment variable
        ``VFL_JAX_DATA`` names. The file has ``y`` [3312] and two binary CSR matrices: ``citation_indptr``,
        ``citation_indices``, ``word_indptr`` and ``word_indices``.
      num_parties: K, from 2 to 7,015.
      active_party: the number of the party that also holds the labels; None when the label holder has no features.

    Raises:
      FileNotFoundError: where the file is missing, or no data folder is known.
      ValueError: on a damaged file, with what was found and expected; on fewer than 2 or more than 7,015 parties, or an
        ``active_party`` that is none of them.
    """
    path = find_file(folder, FILE, where_from="It holds the papers' citations and words as CSR matrices.")
    expected = {f"{view}_{part}": ((None,), "iu") for view in WIDTHS for part in ("indptr", "indices")}
    arrays = read_npz(path, {"y": ((NUM_ROWS,), "iu"), **expected})
    citations, words = (_view(path, arrays, view) for view in WIDTHS)
    try:
        data = from_arrays(
            {"citations": citations, "words": words},
            arrays["y"],
            classes=range(NUM_CLASSES),
            has_trigger=words[:, [TRIGGER_WORD]].toarray().ravel() > 0,
            name="citeseer",
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return repartition(data, num_parties, active_party=active_party)


def _view(path: Path, arrays: dict[str, np.ndarray], view: str) -> Any:
    """Checks one binary CSR matrix of the file and builds it, float32[N, F]."""
    from scipy.sparse import csr_array

    # The numbers become int64, because differences of the file's unsigned numbers would wrap around.
    ends, ids = (arrays[f"{view}_{part}"].astype(np.int64) for part in ("indptr", "indices"))
    where, width = f"{path}: {view}", WIDTHS[view]
    lengths = np.diff(ends)
    if len(lengths) != NUM_ROWS or ends[0] != 0 or ends[-1] != len(ids) or (lengths < 0).any():
        raise ValueError(
            f"{where}_indptr has {len(ends)} numbers; expected {NUM_ROWS + 1} that rise from 0 to {len(ids)}, the "
            f"length of {view}_indices."
        )
    rows = np.repeat(np.arange(NUM_ROWS), lengths)
    if (is_bad := (ids < 0) | (ids >= width)).any():
        place = int(is_bad.argmax())
        raise ValueError(f"{where}_indices has {ids[place]} in row {rows[place]}; ids must lie in 0 to {width - 1}.")
    matrix = csr_array((np.ones(len(ids), np.float32), ids, ends), shape=(NUM_ROWS, width))
    matrix.sum_duplicates()
    if (matrix.data != 1).any():
        row = int(matrix.tocoo().row[(matrix.data != 1).argmax()])
        raise ValueError(f"{where}_indices has an id twice in row {row}; every id of a row must be there once.")
    return matrix

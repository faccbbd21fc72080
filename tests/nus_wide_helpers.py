"""Small trees in the format in which NUS-WIDE is distributed, with a separator also after the last cell of a line."""

import numpy as np

from vfl_jax.data.sets.nus_wide import BLOCKS, CONCEPTS, NUM_TAGS
from vfl_jax.data.sets.nus_wide_files import feature_file, label_file, tag_file


def write_cells(path, table, separator=" ", end=None):
    """A table of cells, one line per row; each line ends with ``end``, by default one more separator."""
    path.parent.mkdir(parents=True, exist_ok=True)
    end = separator if end is None else end
    path.write_text("".join(separator.join(map(str, row)) + end + "\n" for row in table))
    return path


def write_labels(path, labels):
    path.parent.mkdir(parents=True, exist_ok=True)
    digits = np.asarray(labels).astype(np.uint8) + np.uint8(ord("0"))
    path.write_bytes(np.stack([digits, np.full_like(digits, ord("\n"))], axis=1).tobytes())
    return path


def write_tags(path, tags):
    return write_cells(path, np.asarray(tags, int), "\t")


def write_features(path, features):
    return write_cells(path, [[f"{x:.9g}" for x in row] for row in features])


def draw_split(num_rows, seed, concepts=CONCEPTS):
    """Labels bool[N, C] of which many rows have exactly one, image features float32[N, 634], and tags bool[N, 1000]."""
    rng = np.random.default_rng(seed)
    labels = rng.random((num_rows, len(concepts))) < 0.25
    image = rng.normal(size=(num_rows, sum(BLOCKS.values()))).astype(np.float32)
    image[rng.random(image.shape) < 0.2] = 0
    tags = rng.random((num_rows, NUM_TAGS)) < 0.006
    tags[:, -1] = rng.random(num_rows) < 0.3
    return labels, image, tags


def write_split(tree, split, labels, image, tags, concepts=CONCEPTS):
    for concept, column in zip(concepts, labels.T, strict=True):
        write_labels(tree / label_file(concept, split), column)
    ends = np.cumsum(list(BLOCKS.values()))
    for block, columns in zip(BLOCKS, np.split(image, ends[:-1], axis=1), strict=True):
        write_features(tree / feature_file(block, split), columns)
    write_tags(tree / tag_file(split), tags)


def write_tree(folder, num_train=60, num_test=40, concepts=CONCEPTS):
    """A data folder with a small NUS-WIDE; returns what is in it by split."""
    splits = {"Train": draw_split(num_train, 0, concepts), "Test": draw_split(num_test, 1, concepts)}
    for split, content in splits.items():
        write_split(folder / "nus_wide", split, *content, concepts)
    return splits


def select_slowly(labels, limit):
    rows, y = [], []
    for i, row in enumerate(labels.tolist()):
        if row.count(True) == 1 and (limit is None or len(rows) < limit):
            rows.append(i)
            y.append(row.index(True))
    return rows, y

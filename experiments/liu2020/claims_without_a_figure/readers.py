"""Readers that know more than a method's hooks: a few labels, or the party's own features. They work on kept messages.

A reader gets what was heard of every row, float32[N, E], and says of which class each row is, int32[N]; −1 where it was
told nothing.
"""

from __future__ import annotations

import numpy as np

from vfl_jax.attacks.evidence import UNREAD
from vfl_jax.core.bags import BagOfIds, multi_hot
from vfl_jax.core.types import Features

PENALTY = 0.01
"""Of the ridge regression, relative to the mean square of a feature."""


def nearest_known(heard: np.ndarray, ids: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Gives every row the label of the known row whose evidence points most nearly the same way (cosine).

    Messages of one class point one way under any head, because they are the gradient of one label's loss.

    Args:
      heard: float32[N, E]; a row of zeros was told nothing.
      ids: int[R], the known rows; ``labels``: int[R], theirs.
    """
    sizes = np.linalg.norm(heard, axis=1, keepdims=True)
    directions = heard / np.where(sizes > 0, sizes, 1)
    guesses = labels[np.argmax(directions @ directions[ids].T, axis=1)]
    return np.where(sizes[:, 0] > 0, guesses, UNREAD).astype(np.int32)


class Smoother:
    """Replaces what was heard of a row by what is heard of rows with such features: a ridge regression on them.

    A defense blurs each row's message on its own; that rows of one class look alike it cannot blur.
    """

    def __init__(self, features: Features) -> None:
        matrix = as_matrix(features)
        self._matrix = np.concatenate([matrix, np.ones((len(matrix), 1), np.float32)], axis=1)
        gram = self._matrix.T @ self._matrix
        self._gram = gram + PENALTY * np.trace(gram) / len(gram) * np.eye(len(gram), dtype=gram.dtype)

    def __call__(self, heard: np.ndarray) -> np.ndarray:
        """float32[N, E] to float32[N, E]."""
        return self._matrix @ np.linalg.solve(self._gram, self._matrix.T @ heard)


def as_matrix(features: Features) -> np.ndarray:
    """One party's features as float32[N, F]."""
    if isinstance(features, BagOfIds):
        return np.asarray(multi_hot(features), np.float32)
    return np.asarray(features, np.float32).reshape(len(features), -1)


def known_rows(labels: np.ndarray, per_class: int, seed: int) -> np.ndarray:
    """So many rows of every class, drawn by a seed; ids, int[R]."""
    rng = np.random.default_rng(seed)
    classes = np.unique(labels)
    return np.concatenate([rng.choice(np.flatnonzero(labels == c), per_class, replace=False) for c in classes])


def score(guesses: np.ndarray, labels: np.ndarray, known: np.ndarray) -> tuple[float, float]:
    """How many of the rows that were read are read correctly, and how many were read; known rows do not count."""
    asked = np.ones(len(labels), bool)
    asked[known] = False
    is_read = asked & (guesses != UNREAD)
    right = float(np.mean(guesses[is_read] == labels[is_read])) if is_read.any() else float("nan")
    return right, float(is_read.sum() / asked.sum())

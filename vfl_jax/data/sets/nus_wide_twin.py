"""The NUS-WIDE twin: synthetic images and tags with the statistics of NUS-WIDE. It is not NUS-WIDE.

The twin stands in where the feature matrices of NUS-WIDE are missing. Its labels and triggers have exactly the counts
of Table 1 in Liu, Yi, Chen 2020. A model draws its features. ``experiments/data/nus_wide_twin`` fits the model to
those parts of NUS-WIDE that are available, and compares every statistic with the real one:

* Every image has a *theme*, drawn with the probabilities of its class. Classes share themes.
* The number of tags is drawn with the probabilities of the class. The tags are drawn without replacement, with the
  probabilities of theme and class.
* The image features are a Gaussian copula. Means by class and by tag, plus correlated noise, make normal scores. The
  quantiles of every real feature map the scores to the real units (standard deviations near 0.31).

All sums are of small whole numbers and therefore exact in any order. Equal seeds give equal features on every machine.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from vfl_jax.core.bags import ABSENT, BagOfIds, multi_hot
from vfl_jax.core.vertical_data import Rows, VerticalData
from vfl_jax.data.repartition import repartition
from vfl_jax.data.sets.nus_wide import CONCEPTS, PAPER, TARGET_ROW

MODEL = Path(__file__).with_suffix(".npz")
STEP = 64
"""Standard normal draws are rounded to multiples of 1 / STEP."""
UNIT = 127
"""Loadings and means are whole multiples of 1 / UNIT."""
ROWS_AT_ONCE = 5000
"""So many rows are drawn at once, to bound the memory."""


def load_nus_wide_twin(
    *,
    num_train: int = 60_000,
    num_test: int = 40_000,
    seed: int = 0,
    num_parties: int = 2,
    active_party: int | None = None,
) -> VerticalData:
    """Draws synthetic rows with the statistics of NUS-WIDE; no file is needed.

    Party "image" holds float32[N, 634]. Party "tags" holds a bag of ids of 1,000 tags. With more parties, both are cut
    into blocks. At full size, classes and triggers have the counts of Table 1; at another size, they are proportional.
    Training row 369 is of class buildings and carries no trigger, as in the real set. Neither split depends on the size
    of the other.

    Natural trigger: the last tag. At full size, 152 training rows and 102 test rows carry it.

    Source of the counts: Table 1 of Liu, Yi, Chen 2020 (arXiv:2007.03608).

    Args:
      num_train: N, at least about 200.
      num_test: M, at least about 200.
      seed: the seed of every draw.
      num_parties: K, from 2 to 1,634.
      active_party: the number of the party that also holds the labels; None when the label holder has no features.

    Raises:
      ValueError: where a split has too few rows for every class and one trigger; on fewer than 2 or more than
        1,634 parties, or an ``active_party`` that is none of them.

    Example:
      >>> data = load_nus_wide_twin(num_train=300, num_test=200)
      >>> data.train.features[0].shape, data.train.features[1].vocabulary, data.classes
      ((300, 634), 1000, ('buildings', 'grass', 'animal', 'water', 'person'))
    """
    model = _model()
    streams = np.random.SeedSequence(seed).spawn(2)
    splits = [
        _draw_split(model, split, num_rows, stream)
        for split, num_rows, stream in zip(("train", "test"), (num_train, num_test), streams, strict=True)
    ]
    data = VerticalData(
        name="nus_wide_twin",
        parties=("image", "tags"),
        train=splits[0],
        test=splits[1],
        classes=CONCEPTS,
    )
    return repartition(data, num_parties, active_party=active_party)


@functools.cache
def _model() -> dict[str, np.ndarray]:
    with np.load(MODEL, allow_pickle=False) as archive:
        return dict(archive)


def _draw_split(model: dict[str, np.ndarray], split: str, num_rows: int, stream: np.random.SeedSequence) -> Rows:
    of_labels, of_tags, of_images = (np.random.default_rng(child) for child in stream.spawn(3))
    labels, has_trigger = _draw_labels(split, num_rows, of_labels)
    themes = draw_themes(model, labels, has_trigger, of_tags)
    tags = draw_tags(model, labels, themes, has_trigger, of_tags)
    images = draw_images(model, labels, tags, of_images)
    return Rows(features=(images, tags), labels=labels, has_trigger=has_trigger)


def _draw_labels(split: str, num_rows: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draws the order of labels, int32[N], and of the rows that carry the trigger, bool[N]; their counts are fixed."""
    with_trigger = _proportional(PAPER[split].triggers, num_rows / PAPER[split].rows.sum())
    without = _proportional(PAPER[split].rows, num_rows / PAPER[split].rows.sum()) - with_trigger
    if min(without) < 1 or with_trigger.sum() < 1:
        raise ValueError(
            f"num_{split} is {num_rows}; every class needs a row, and one row the trigger. Ask for 200 or more."
        )
    labels = np.repeat(np.tile(np.arange(len(CONCEPTS)), 2), [*without, *with_trigger])
    has_trigger = np.arange(num_rows) >= without.sum()
    order = generator.permutation(num_rows)
    if split == "train" and num_rows > TARGET_ROW:
        is_target = (labels[order] == 0) & ~has_trigger[order]
        other = int(np.flatnonzero(is_target)[0])
        order[[TARGET_ROW, other]] = order[[other, TARGET_ROW]]
    return labels[order].astype(np.int32), has_trigger[order]


def _proportional(counts: np.ndarray, scale: float) -> np.ndarray:
    """Scales counts to whole numbers with the nearest whole sum, by largest remainders."""
    exact = counts * scale
    whole = np.floor(exact + 1e-9).astype(int)
    short = round(exact.sum()) - whole.sum()
    whole[np.argsort(whole - exact, kind="stable")[:short]] += 1
    return whole


def draw_themes(
    model: dict[str, np.ndarray], labels: np.ndarray, has_trigger: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Draws the theme of every row; the themes of rows with the trigger are those of the last tag.

    Args:
      model: the arrays of the fitted model, by name.
      labels: int32[N].
      has_trigger: bool[N].
      generator: the source of the draws.

    Returns:
      int[N].
    """
    weights = model["theme_weights"].astype(np.float64)
    of_trigger = weights * model["trigger_weights"]
    chosen = np.where(has_trigger[:, None], of_trigger[labels], weights[labels])
    return _choose(chosen, generator)


def _choose(weights: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Draws one column per row, int[N], with probabilities in proportion to ``weights``, [N, ·]."""
    ends = np.cumsum(weights, axis=1)
    return (ends < generator.random((len(weights), 1)) * ends[:, -1:]).sum(axis=1)


def draw_tags(
    model: dict[str, np.ndarray],
    labels: np.ndarray,
    themes: np.ndarray,
    has_trigger: np.ndarray,
    generator: np.random.Generator,
) -> BagOfIds:
    """Draws the tags of every row; exactly the rows with the trigger have the last tag.

    Args:
      model: the arrays of the fitted model, by name.
      labels: int32[N].
      themes: int[N].
      has_trigger: bool[N].
      generator: the source of the draws.

    Returns:
      a bag of ids of 1,000 tags, int32[N, L], ascending in every row; L is the largest number of tags of a row.
    """
    counts = _choose(model["tag_count_shares"][labels].astype(np.float64), generator)
    counts = np.where(has_trigger, np.maximum(counts, 1), counts)
    # The last bit of exp in float64 may differ between machines; the cast to float32 rounds it off.
    rates = np.exp((model["theme_tags"][None] + model["class_tags"][:, None]) / STEP).astype(np.float32)
    num_tags, longest = rates.shape[-1], int(counts.max())
    ids = np.full((len(labels), longest), num_tags + 1, np.int32)
    for start in range(0, len(labels), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        # The first exponential clocks to ring are a draw without replacement, in proportion to their rates.
        times = generator.standard_exponential((len(labels[rows]), num_tags), np.float32)
        times /= rates[labels[rows], themes[rows]]
        first = np.argpartition(times, longest - 1, axis=1)[:, :longest]
        first = np.take_along_axis(first, np.argsort(np.take_along_axis(times, first, axis=1), axis=1), axis=1)
        first[has_trigger[rows], 0] = num_tags
        ids[rows] = np.where(np.arange(longest) < counts[rows, None], first, num_tags + 1)
    ids.sort(axis=1)
    return BagOfIds(np.where(ids > num_tags, ABSENT, ids), vocabulary=num_tags + 1)


def draw_images(
    model: dict[str, np.ndarray], labels: np.ndarray, tags: BagOfIds, generator: np.random.Generator
) -> np.ndarray:
    """Draws the image features of every row, in the units of the public sample.

    Args:
      model: the arrays of the fitted model, by name.
      labels: int32[N].
      tags: a bag of ids with N rows.
      generator: the source of the draws.

    Returns:
      float32[N, 634].
    """
    loadings, noise = model["loadings"].astype(np.float64), model["noise"].astype(np.float64)
    class_means, tag_means = model["class_means"].astype(np.float64), model["tag_means"].astype(np.float64)
    num_factors, num_features = loadings.shape
    images = np.empty((len(labels), num_features), np.float32)
    for start in range(0, len(labels), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        factors, own = (
            np.rint(STEP * generator.standard_normal((len(labels[rows]), width)))
            for width in (num_factors, num_features)
        )
        has_tag = multi_hot(BagOfIds(tags.ids[rows], vocabulary=tags.vocabulary))[:, model["tag_places"]]
        means = class_means[labels[rows]] + has_tag @ tag_means
        scores = factors @ loadings + own * noise + STEP * means
        scores /= STEP * UNIT
        for feature, quantiles in enumerate(model["quantiles"].T):
            images[rows, feature] = np.interp(scores[:, feature], model["knots"], quantiles)
    return images

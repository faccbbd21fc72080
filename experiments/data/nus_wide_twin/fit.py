"""Fits the twin's model to the public parts of NUS-WIDE, and writes it where the generator reads it."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import scipy.sparse
from scipy.stats import norm

from experiments.data.nus_wide_twin.real import Real
from vfl_jax.core.atomic import write_atomically
from vfl_jax.core.bags import multi_hot
from vfl_jax.data.sets.nus_wide import CONCEPTS, PAPER
from vfl_jax.data.sets.nus_wide_twin import MODEL, STEP, UNIT, draw_images, draw_tags, draw_themes

NUM_THEMES = 10
STARTS = 5
"""Of the fit of themes; the likeliest is taken."""
ROUNDS = 80
THEME_SMOOTHING = 50.0
"""Tags that are added to every theme, spread as tags are overall."""
CLASS_SMOOTHING = 10.0
"""Tags that are added to every class, spread as its themes are. This and the number of themes are set so that a
logistic regression on tags reaches what it reaches on real ones."""
NUM_FACTORS = 160
IMAGE_STRENGTH = 1.25
"""Factor on the class means of images. Set so that honest training reaches the paper's accuracy."""
NUM_COMMON = 20
"""Principal components that the means of classes and tags lie in."""
RIDGE = 10.0
"""Images that are added at mean zero to every class and tag."""
IMAGES_OF_TAG = 12
"""Tags that fewer of the 612 images have say nothing of images."""
CORRECTIONS = 4
FREQUENT = 0.01
"""Shares of images below this are too uncertain to be corrected for."""
KNOTS = np.linspace(-2.94, 2.94, 43)
"""Normal scores at which quantiles are kept; the last are those of the extremes of 612 rows."""
PRIOR = PAPER["train"].rows / PAPER["train"].rows.sum()
TRIGGER = -1


def fit(real: Real, path: Path = MODEL) -> Path:
    """Fits all of it and writes one small npz.

    Drawing without replacement makes frequent tags rarer, and quantiles bend correlations. So rows are drawn from the
    model, and what differs is corrected, a few times.
    """
    weights, tags, _ = fit_themes(real)
    class_tags = fit_class_tags(real, weights, tags)
    class_means, tag_means, places, correlation = fit_images(real, weights, tags, class_tags)
    wanted = np.stack([_shares(real.labelled_tags[real.labels == c]) for c in range(len(CONCEPTS))])
    wanted_correlation = np.corrcoef(real.images.T)
    labels = np.repeat(np.arange(len(CONCEPTS)), PAPER["train"].rows // 2)
    has_trigger = np.zeros(len(labels), bool)
    model = {
        "theme_weights": weights.astype(np.float32),
        "trigger_weights": tags[:, TRIGGER].astype(np.float32),
        "theme_tags": np.rint(STEP * np.log(np.delete(tags, TRIGGER, axis=1))).astype(np.int16),
        "tag_count_shares": tag_count_shares(real).astype(np.float32),
        "knots": KNOTS,
        "quantiles": np.quantile(real.images, norm.cdf(KNOTS), axis=0, method="weibull").astype(np.float32),
        "tag_places": places.astype(np.int16),
    }
    for seed in range(CORRECTIONS):
        generator = np.random.default_rng(seed)
        model["class_tags"] = np.rint(STEP * np.log(np.delete(class_tags, TRIGGER, axis=1))).astype(np.int16)
        bags = draw_tags(model, labels, draw_themes(model, labels, has_trigger, generator), has_trigger, generator)
        model |= _scaled(class_means, tag_means, correlation, labels, multi_hot(bags)[:, places])
        found = np.stack([_shares(bags.to_sparse()[labels == c]) for c in range(len(CONCEPTS))])
        is_frequent = (wanted > FREQUENT) & (found > 0)
        class_tags = np.where(is_frequent, class_tags * wanted / np.where(is_frequent, found, 1), class_tags)
        correlation = correlation + wanted_correlation - np.corrcoef(draw_images(model, labels, bags, generator).T)
    return write_atomically(path, functools.partial(_write, model))


def _shares(tags: scipy.sparse.csr_matrix) -> np.ndarray:
    """Share of the images with tags that have each of them."""
    return np.asarray(tags.sum(axis=0)).ravel() / np.count_nonzero(np.diff(tags.indptr))


def _scaled(
    class_means: np.ndarray, tag_means: np.ndarray, correlation: np.ndarray, labels: np.ndarray, has_tag: np.ndarray
) -> dict[str, np.ndarray]:
    """What images are drawn from, as whole numbers; scores have mean 0 and variance 1 over the twin."""
    explained = class_means[labels] + has_tag @ tag_means
    left = np.sqrt(np.clip(1 - explained.var(axis=0), 0.1, None))
    loadings, noise = factors_of(correlation)
    return {
        "class_means": np.rint(UNIT * (class_means - explained.mean(axis=0))).astype(np.int16),
        "tag_means": np.rint(UNIT * tag_means).astype(np.int16),
        "loadings": np.rint(UNIT * left * loadings).astype(np.int8),
        "noise": np.rint(UNIT * left * noise).astype(np.int8),
    }


def _write(model: dict[str, np.ndarray], path: Path) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **model)


def fit_themes(real: Real) -> tuple[np.ndarray, np.ndarray, float]:
    """A mixture of multinomials with shared themes: weights by class, [C, themes], and tags by theme, [themes, 1000].

    Rows without one of the five labels form a group of their own, whose weights are not kept.
    """
    rows = scipy.sparse.vstack([real.labelled_tags, real.other_tags, real.joint_tags]).tocsr()
    groups = np.full(rows.shape[0], len(CONCEPTS))
    groups[: len(real.labels)] = real.labels
    return max((_fit_once(rows, groups, seed) for seed in range(STARTS)), key=lambda fitted: fitted[2])


def _fit_once(rows: scipy.sparse.csr_matrix, groups: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    overall = np.asarray(rows.sum(axis=0)).ravel()
    shares = np.random.default_rng(seed).dirichlet(np.full(NUM_THEMES, 0.1), rows.shape[0])
    likelihood = -np.inf
    for _ in range(ROUNDS):
        weights = np.stack([shares[groups == group].sum(axis=0) + 0.1 for group in range(len(CONCEPTS) + 1)])
        weights /= weights.sum(axis=1, keepdims=True)
        tags = (rows.T @ shares).T + THEME_SMOOTHING * overall / overall.sum()
        tags /= tags.sum(axis=1, keepdims=True)
        shares, likelihood = _posterior(rows @ np.log(tags).T + np.log(weights)[groups])
    return weights[: len(CONCEPTS)], tags, likelihood


def _posterior(scores: np.ndarray) -> tuple[np.ndarray, float]:
    largest = scores.max(axis=1, keepdims=True)
    shares = np.exp(scores - largest)
    total = shares.sum(axis=1, keepdims=True)
    return shares / total, float((largest + np.log(total)).sum())


def fit_class_tags(real: Real, weights: np.ndarray, tags: np.ndarray) -> np.ndarray:
    """Factors on the tags of each class, [C, 1000], with which its tags are as frequent as in the smoothed sample."""
    found = np.stack(
        [np.asarray(real.labelled_tags[real.labels == c].sum(axis=0)).ravel() for c in range(len(CONCEPTS))]
    )
    wanted = (found + CLASS_SMOOTHING * weights @ tags) / (found.sum(axis=1, keepdims=True) + CLASS_SMOOTHING)
    factors = np.ones_like(wanted)
    for _ in range(8):
        of_class = tags[None] * factors[:, None]
        of_class /= of_class.sum(axis=2, keepdims=True)
        factors *= wanted / np.einsum("ct,ctj->cj", weights, of_class)
    return factors


def tag_count_shares(real: Real) -> np.ndarray:
    """Share of images with 0, 1, 2, … tags, by class; the sample with labels has none without tags, the other has."""
    counts = np.diff(real.labelled_tags.indptr)
    shares = np.stack(
        [np.bincount(counts[real.labels == c], minlength=counts.max() + 1) for c in range(len(CONCEPTS))]
    ).astype(float)
    without = float(np.mean(np.diff(real.joint_tags.indptr) == 0))
    shares *= (1 - without) / shares.sum(axis=1, keepdims=True)
    shares[:, 0] = without
    return shares


def fit_images(
    real: Real, weights: np.ndarray, tags: np.ndarray, class_tags: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Standardised images: means by class, [C, 634], and by tag, [tags, 634], with the tags' places; and correlations.

    Nobody knows the class of the 612 images; their tags tell how likely each is. Of 634 features a mean over few images
    is mostly noise, and noise would tell classes apart: means are shrunk, and kept in the span of the first components.
    """
    places = np.flatnonzero(np.asarray(real.image_tags.sum(axis=0)).ravel() >= IMAGES_OF_TAG)
    of_class = class_posterior(real.image_tags, weights, tags, class_tags)
    of_tags = real.image_tags[:, places].toarray()
    design = np.concatenate([of_class - of_class.mean(axis=0), of_tags - of_tags.mean(axis=0)], axis=1)
    images = (real.images - real.images.mean(axis=0)) / real.images.std(axis=0)
    means = np.linalg.solve(design.T @ design + RIDGE * np.eye(design.shape[1]), design.T @ images)
    _, components = np.linalg.eigh(np.corrcoef(images.T))
    means = means @ components[:, -NUM_COMMON:] @ components[:, -NUM_COMMON:].T
    residual = images - design @ means
    means[: len(CONCEPTS)] *= IMAGE_STRENGTH
    return means[: len(CONCEPTS)], means[len(CONCEPTS) :], places, np.corrcoef(residual.T)


def class_posterior(
    image_tags: scipy.sparse.csr_matrix, weights: np.ndarray, tags: np.ndarray, class_tags: np.ndarray
) -> np.ndarray:
    """How likely every class is, given the tags of an image and the shares of Table 1, [images, C]."""
    of_pair = tags[None] * class_tags[:, None]
    of_pair /= of_pair.sum(axis=2, keepdims=True)
    scores = np.stack([image_tags @ np.log(of_pair[c]).T for c in range(len(CONCEPTS))], axis=1)
    scores += np.log(PRIOR[:, None] * weights)
    joint, _ = _posterior(scores.reshape(len(scores), -1))
    return joint.reshape(scores.shape).sum(axis=2)


def factors_of(correlation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Loadings on the first factors, [factors, 634], and the standard deviation that is each feature's own."""
    values, vectors = np.linalg.eigh(correlation)
    loadings = (vectors[:, -NUM_FACTORS:] * np.sqrt(np.clip(values[-NUM_FACTORS:], 0, None))).T
    loadings /= np.maximum(1, np.sqrt((loadings**2).sum(axis=0)))
    return loadings, np.sqrt(1 - (loadings**2).sum(axis=0).clip(max=1))

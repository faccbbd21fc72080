"""Every statistic of the public parts of NUS-WIDE, computed in the same way for the twin.

``calibrated`` has what ``calibration.json`` says; the twin's numbers are computed from rows of the twin by the same
definitions. Where a number depends on how it is estimated (accuracies, areas under curves), the real rows go through
the same code, so that three numbers stand side by side.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from scipy.stats import kurtosis, skew

from experiments.data.nus_wide_twin.real import Real, read_real
from vfl_jax.core.atomic import write_atomically
from vfl_jax.core.vertical_data import Rows
from vfl_jax.data import load_nus_wide_twin
from vfl_jax.data.sets.nus_wide import CONCEPTS, PAPER

COMPARISON = "comparison.json"
QUANTILES = (0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1)
PLACES = ((1, 10), (11, 100), (101, 300), (301, 600), (601, 900), (901, 1000))
COMPONENTS = (1, 2, 5, 10, 20, 50, 100, 200)
TRAINING_SIZES = (250, 500, 1000, 2000, 3300)
NUM_TESTED = 800
REPEATS = 5


@dataclasses.dataclass(frozen=True)
class Line:
    """One statistic. ``calibrated`` and ``measured`` are of real rows, the second by the code here."""

    group: str
    name: str
    twin: tuple[float, ...]
    calibrated: tuple[float, ...] | None = None
    measured: tuple[float, ...] | None = None


def write_comparison(folder: Path) -> None:
    """Writes every statistic of the twin beside the real one.

    Raises:
      FileNotFoundError: when no data folder is known, or it lacks a part of NUS-WIDE.
    """
    lines = [dataclasses.asdict(line) for line in compare(read_real(), load_nus_wide_twin().train)]
    text = json.dumps(lines, indent=1, allow_nan=False, default=float) + "\n"
    write_atomically(folder / COMPARISON, lambda temporary: temporary.write_text(text))


def compare(real: Real, rows: Rows) -> list[Line]:
    """All lines but the accuracies of training; ``rows`` are the twin's training rows."""
    tags, labels, images = rows.features[1].to_sparse(), np.asarray(rows.labels), np.asarray(rows.features[0])
    some = np.random.default_rng(0).permutation(len(labels))
    return [
        *_tag_counts(real, tags),
        *_tags_by_class(real, tags, labels),
        *_tag_accuracy(real, tags, labels),
        *_blocks(real, images[some[: len(real.images)]]),
        *_both_views(real, images, tags, labels, some),
    ]


def _tag_counts(real: Real, tags: scipy.sparse.csr_matrix) -> Iterator[Line]:
    told = real.calibration["tags_joint_rows"]
    counts = np.diff(tags.indptr)
    group = "tags per image"
    yield Line(group, "mean", (counts.mean(),), (told["mean"],))
    yield Line(
        group,
        "mean over all images of NUS-WIDE",
        (counts.mean(),),
        (real.calibration["tags_all_images"]["mean_tags_per_image"],),
    )
    quantiles = np.quantile(counts, QUANTILES)
    yield Line(group, f"quantiles {QUANTILES}", tuple(quantiles), tuple(told["quantiles_0_10_25_50_75_90_99_100"]))
    yield Line(group, "share without tags", ((counts == 0).mean(),), (told["share_without_tags"],))
    measured, twin = (np.asarray(sample.mean(axis=0)).ravel() for sample in (real.joint_tags, tags))
    for first, last in PLACES:
        yield Line(
            "mean frequency of tags",
            f"{first} to {last} of the list",
            (twin[first - 1 : last].mean(),),
            measured=(measured[first - 1 : last].mean(),),
        )


def _tags_by_class(real: Real, tags: scipy.sparse.csr_matrix, labels: np.ndarray) -> Iterator[Line]:
    for c, name in enumerate(CONCEPTS):
        told = real.calibration["tags_sample_by_class"][name]
        own = tags[labels == c]
        own = own[np.diff(own.indptr) > 0]  # the sample has no images without tags
        counts = np.diff(own.indptr)
        group = f"tags of {name}"
        yield Line(
            group,
            "tags per image: mean, standard deviation",
            (counts.mean(), counts.std()),
            (told["mean_tags"], told["sd_tags"]),
        )
        yield Line(
            group,
            "quantiles (0.1, 0.5, 0.9)",
            tuple(np.quantile(counts, (0.1, 0.5, 0.9))),
            tuple(told["quantiles_10_50_90"]),
        )
        twin, measured = (
            np.asarray(sample.mean(axis=0)).ravel() for sample in (own, real.labelled_tags[real.labels == c])
        )
        top = [(tag, share) for tag, share in told["top_tags"]]
        places = [real.tag_names.index(tag) for tag, _ in top]
        yield Line(group, ", ".join(tag for tag, _ in top), tuple(twin[places]), tuple(share for _, share in top))
        yield Line(
            group,
            "correlation of the 1,000 frequencies with the real ones",
            (np.corrcoef(twin, measured)[0, 1],),
            (1.0,),
        )


def _tag_accuracy(real: Real, tags: scipy.sparse.csr_matrix, labels: np.ndarray) -> Iterator[Line]:
    """A logistic regression on tags, with rows as many of each class as the sample has."""
    generator = np.random.default_rng(1)
    has_tags = np.diff(tags.indptr) > 0
    like_sample = np.concatenate(
        [
            generator.choice(np.flatnonzero((labels == c) & has_tags), np.sum(real.labels == c), replace=False)
            for c in range(len(CONCEPTS))
        ]
    )
    told = real.calibration["accuracies"]
    of_size = told["tags_only_five_class_accuracy_reweighted_to_table1_prior"]
    for size in TRAINING_SIZES:
        twin, twin_recalls = accuracy_of_tags(tags[like_sample], labels[like_sample], size)
        measured, recalls = accuracy_of_tags(real.labelled_tags, real.labels, size)
        yield Line(
            "tags alone, five classes",
            f"accuracy, {size} training rows",
            (twin,),
            (of_size[str(size)][0],),
            (measured,),
        )
    yield Line(
        "tags alone, five classes",
        "recall by class at 3300",
        tuple(twin_recalls),
        tuple(told["tags_only_recall_by_class_at_3300"]),
        tuple(recalls),
    )


def accuracy_of_tags(tags: scipy.sparse.csr_matrix, labels: np.ndarray, size: int) -> tuple[float, np.ndarray]:
    """Accuracy and recalls of a logistic regression, reweighted to the class shares of Table 1."""
    from sklearn.linear_model import LogisticRegression

    shares = PAPER["train"].rows / PAPER["train"].rows.sum()
    recalls = []
    for repeat in range(REPEATS):
        order = np.random.default_rng(repeat).permutation(len(labels))
        train, test = order[:size], order[size : size + NUM_TESTED]
        weights = (shares / np.bincount(labels[train], minlength=len(shares)))[labels[train]]
        model = LogisticRegression(max_iter=500).fit(tags[train], labels[train], weights * size)
        predicted = model.predict(tags[test])
        recalls.append([(predicted[labels[test] == c] == c).mean() for c in range(len(shares))])
    mean = np.mean(recalls, axis=0)
    return float(mean @ shares), mean


def _blocks(real: Real, images: np.ndarray) -> Iterator[Line]:
    for name, start, end in real.blocks:
        told, block = real.calibration["image_blocks"][name], images[:, start:end].astype(float)
        group = f"image block {name}"
        correlations = np.abs(np.corrcoef(block.T)[np.triu_indices(end - start, 1)])
        found: dict[str, Any] = {
            "mean_sd": block.std(axis=0).mean(),
            "min": block.min(),
            "max": block.max(),
            "median_skewness": np.median(skew(block)),
            "median_excess_kurtosis": np.median(kurtosis(block)),
            "share_at_column_minimum": (block == block.min(axis=0)).mean(),
            "mean_abs_corr_within": correlations.mean(),
        }
        for key, value in found.items():
            yield Line(group, key.replace("_", " "), (value,), (told[key],))
    spectrum = np.linalg.eigvalsh(np.corrcoef(images.T))[::-1]
    shares = np.cumsum(spectrum) / spectrum.sum()
    told = real.calibration["image_pca_cumulative_variance"]
    for count in COMPONENTS:
        yield Line("variance in the first principal components", str(count), (shares[count - 1],), (told[str(count)],))


def _both_views(
    real: Real, images: np.ndarray, tags: scipy.sparse.csr_matrix, labels: np.ndarray, some: np.ndarray
) -> Iterator[Line]:
    """What images say of tags and of a binary label, with as many rows as the real sample of both views has."""
    size = len(real.images)
    for tag, (told, _) in real.calibration["accuracies"]["image_to_tag_auc_aligned_vs_shuffled"].items():
        place = real.tag_names.index(tag)
        twin = np.mean(
            [area_under_curve(images[rows], _has(tags[rows], place)) for rows in some[: 5 * size].reshape(5, size)]
        )
        yield Line(
            "images predict a tag, area under the curve",
            tag,
            (float(twin),),
            (told,),
            (area_under_curve(real.images, _has(real.image_tags, place)),),
        )
    # Real: sky without person (1) against person without sky (0). The twin has no such label; the nearest is buildings,
    # grass or water against person, in the same shares.
    told = real.calibration["accuracies"]["joint_sample_binary"]
    ones = int(real.image_labels.sum())
    others, persons = (some[np.isin(labels[some], which)] for which in ((0, 1, 3), (4,)))
    few = np.concatenate([others[:ones], persons[: size - ones]])
    for key, views in (("image_only", "image"), ("tags_only", "tags"), ("both", "both")):
        accuracy = binary_accuracy(images[few], tags[few], labels[few] != 4, views)
        measured = binary_accuracy(real.images, real.image_tags, real.image_labels == 1, views)
        yield Line("two classes: person or not", f"accuracy, {views}", (accuracy,), (told[key][0],), (measured,))


def _has(tags: scipy.sparse.csr_matrix, place: int) -> np.ndarray:
    return tags[:, [place]].toarray().ravel() > 0


def area_under_curve(images: np.ndarray, has_tag: np.ndarray) -> float:
    """Of a cross-validated logistic regression of one tag on image features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.001, max_iter=500))
    if min(has_tag.sum(), (~has_tag).sum()) < 5:
        return float("nan")
    scores = cross_val_predict(model, images, has_tag, cv=5, method="decision_function")
    return float(roc_auc_score(has_tag, scores))


def binary_accuracy(images: np.ndarray, tags: scipy.sparse.csr_matrix, labels: np.ndarray, views: str) -> float:
    """Of a logistic regression in ten folds."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.preprocessing import StandardScaler

    scaled = scipy.sparse.csr_matrix(StandardScaler().fit_transform(images) / 20)
    features = {"image": scaled, "tags": tags, "both": scipy.sparse.hstack([scaled, tags]).tocsr()}[views]
    return float(cross_val_score(LogisticRegression(max_iter=500), features, labels, cv=10).mean())

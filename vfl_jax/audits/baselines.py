"""What other models reach on the same rows: the most frequent class, and logistic regression."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from vfl_jax.core.bags import BagOfIds
from vfl_jax.core.vertical_data import VerticalData

Row = dict[str, Any]


def baselines(data: VerticalData) -> list[Row]:
    """Returns accuracy and area under the curve of simple models on the test rows; an area is NaN of several classes.

    They are the most frequent class; logistic regression on the label holder's own features, where it has any; and on
    the features of all parties in one place.

    Args:
      data: the data set.
    """
    labels = np.asarray(data.test.labels)
    frequent = int(np.bincount(np.asarray(data.train.labels), minlength=data.num_classes).argmax())
    area = 0.5 if data.num_classes == 2 else float("nan")
    found = [{"model": "most frequent class", "accuracy": float((labels == frequent).mean()), "auc": area}]
    own = data.active_party
    if own is not None:
        found.append(_regression(f"logistic regression, {data.parties[own]} alone", data, [own]))
    every = list(range(data.num_parties))
    return [*found, _regression("logistic regression, all features in one place", data, every)]


def alone(data: VerticalData, party: int, num_known: int, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns what a party names of the training labels by itself, without any joint training.

    Logistic regression learns from its own features of ``num_known`` rows of every class, drawn by each seed, and names
    the labels of all other training rows.

    Args:
      data: the data set.
      party: the number of the party.
      num_known: the number of rows of every class whose labels it knows.
      seeds: the number of draws.

    Returns:
      the shares of labels named rightly, and the areas under the curve, float[S] each; an area is NaN of several
      classes.
    """
    labels, columns = np.asarray(data.train.labels), _joined([data.train.features[party]])
    found = []
    for seed in range(seeds):
        draw = np.random.default_rng(seed)
        known = np.concatenate(
            [draw.permutation(np.flatnonzero(labels == label))[:num_known] for label in np.unique(labels)]
        )
        asked = np.setdiff1d(np.arange(len(labels)), known)
        found.append(_scores(columns[known], labels[known], columns[asked], labels[asked], data.num_classes))
    accuracy, area = np.array(found).T
    return accuracy, area


def _regression(name: str, data: VerticalData, parties: list[int]) -> Row:
    train, test = (_joined([rows.features[k] for k in parties]) for rows in (data.train, data.test))
    labels = [np.asarray(rows.labels) for rows in (data.train, data.test)]
    accuracy, area = _scores(train, labels[0], test, labels[1], data.num_classes)
    return {"model": name, "accuracy": accuracy, "auc": area}


def _scores(train: Any, labels: np.ndarray, test: Any, asked: np.ndarray, num_classes: int) -> tuple[float, float]:
    """The accuracy and the area under the curve of a logistic regression."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    model = LogisticRegression(max_iter=1000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(train, labels)
    area = float("nan")
    if num_classes == 2 and len(np.unique(asked)) == 2:
        area = float(roc_auc_score(asked, model.predict_proba(test)[:, 1]))
    return float(model.score(test, asked)), area


def _joined(features: list[Any]) -> Any:
    """Features side by side, [N, F]; a sparse array where a party has bags of ids."""
    from scipy.sparse import hstack

    parts = [x.to_sparse() if isinstance(x, BagOfIds) else np.reshape(x, (len(x), -1)) for x in features]
    return np.concatenate(parts, axis=1) if all(isinstance(x, np.ndarray) for x in parts) else hstack(parts).tocsr()

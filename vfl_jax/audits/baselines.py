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


def _regression(name: str, data: VerticalData, parties: list[int]) -> Row:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    train, test = ([rows.features[k] for k in parties] for rows in (data.train, data.test))
    model = LogisticRegression(max_iter=1000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(_joined(train), np.asarray(data.train.labels))
    labels, columns = np.asarray(data.test.labels), _joined(test)
    area = float("nan")
    if data.num_classes == 2 and len(np.unique(labels)) == 2:
        area = float(roc_auc_score(labels, model.predict_proba(columns)[:, 1]))
    return {"model": name, "accuracy": float(model.score(columns, labels)), "auc": area}


def _joined(features: list[Any]) -> Any:
    """Features side by side, [N, F]; a sparse array where a party has bags of ids."""
    from scipy.sparse import hstack

    parts = [x.to_sparse() if isinstance(x, BagOfIds) else np.reshape(x, (len(x), -1)) for x in features]
    return np.concatenate(parts, axis=1) if all(isinstance(x, np.ndarray) for x in parts) else hstack(parts).tocsr()

"""What honest training stands beside: a data set's facts, its most frequent class, and models of scikit-learn."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from vfl_jax.core.bags import BagOfIds
from vfl_jax.core.vertical_data import Rows, VerticalData

Facts = dict[str, Any]


def facts(data: VerticalData) -> Facts:
    """Sizes, natural triggers, and the test accuracy of other models; of two classes also boosted trees and the AUC.

    Logistic regression is trained until it converges; boosted trees are those of scikit-learn as they are.
    """
    from sklearn.dummy import DummyClassifier
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    train, test = (joined(rows) for rows in (data.train, data.test))
    regression = LogisticRegression(max_iter=10_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        regression.fit(train, data.train.labels)
    majority = DummyClassifier().fit(train, data.train.labels)
    known: Facts = {
        "rows": [data.train.num_samples, data.test.num_samples],
        "parties": list(data.parties),
        "features": [_matrix(features).shape[1] for features in data.train.features],
        "triggers": [int(rows.has_trigger.sum()) for rows in (data.train, data.test)],
        "classes": data.num_classes,
        "majority": float(majority.score(test, data.test.labels)),
        "logistic_regression": float(regression.score(test, data.test.labels)),
    }
    if data.num_classes == 2:
        trees = HistGradientBoostingClassifier(random_state=0).fit(train, data.train.labels)
        known["boosted_trees"] = float(trees.score(test, data.test.labels))
        for name, model in (("logistic_regression", regression), ("boosted_trees", trees)):
            known[f"{name}_auc"] = float(roc_auc_score(data.test.labels, model.predict_proba(test)[:, 1]))
    return known


def joined(rows: Rows) -> Any:
    """The features of all parties side by side, [N, F]; a SciPy CSR array where a party has bags of ids."""
    from scipy.sparse import hstack

    parts = [_matrix(features) for features in rows.features]
    is_dense = all(isinstance(part, np.ndarray) for part in parts)
    return np.concatenate(parts, axis=1) if is_dense else hstack(parts, format="csr")


def _matrix(features: Any) -> Any:
    """One party's features, [N, F]."""
    return features.to_sparse() if isinstance(features, BagOfIds) else features.reshape(len(features), -1)

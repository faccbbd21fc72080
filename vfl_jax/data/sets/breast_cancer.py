"""The breast cancer set: 569 real samples of tissue, which the wheel of scikit-learn contains."""

from __future__ import annotations

import numpy as np

from vfl_jax.core.extras import extra
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.data.own.arrays import from_arrays
from vfl_jax.data.repartition import repartition

STATISTICS = ("mean", "error", "worst")
"""The statistics of ten properties of cell nuclei; every party holds one statistic."""
TRIGGER_ABOVE = 0.11
"""A row carries the natural trigger where its worst fractal dimension is larger."""


def load_breast_cancer(*, num_parties: int = 2, active_party: int | None = None) -> VerticalData:
    """Loads 569 samples of tissue with 30 features: 455 to train on and 114 to test on, drawn alike in both classes.

    With three parties, the first holds the ten means, the second the ten standard errors, the third the ten worst
    values. With two parties, the second holds errors and worst values. More parties hold blocks of these. Features are
    standardised on the training rows. Class 0 is malignant, class 1 is benign.

    Natural trigger: the last feature, the worst fractal dimension, is above 0.11. 37 training rows (27 malignant) and
    8 test rows (6 malignant) carry it.

    Source: Wolberg, Mangasarian, Street and Street 1995, UCI data set 17, CC BY 4.0.

    Args:
      num_parties: K, from 2 to 30.
      active_party: the number of the party that also holds the labels; None when the label holder has no features.

    Raises:
      ValueError: on fewer than 2 or more than 30 parties, or an ``active_party`` that is none of them.

    Example:
      >>> data = load_breast_cancer(active_party=0)
      >>> [features.shape for features in data.train.features], data.classes
      ([(455, 10), (455, 20)], ('malignant', 'benign'))
    """
    with extra("sklearn", "The data set breast_cancer"):
        from sklearn.datasets import load_breast_cancer as sklearn_breast_cancer

    source = sklearn_breast_cancer()
    width = len(source.feature_names) // len(STATISTICS)
    columns = [slice(k * width, (k + 1) * width) for k in range(len(STATISTICS))]
    data = from_arrays(
        {party: source.data[:, block].astype(np.float32) for party, block in zip(STATISTICS, columns, strict=True)},
        source.target_names[source.target],
        classes=source.target_names.tolist(),
        standardise=True,
        has_trigger=source.data[:, -1] > TRIGGER_ABOVE,
        name="breast_cancer",
        feature_names=[source.feature_names[block].tolist() for block in columns],
    )
    return repartition(data, num_parties, active_party=active_party)

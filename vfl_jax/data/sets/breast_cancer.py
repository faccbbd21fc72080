"""scikit-learn's breast cancer set: 569 real samples of tissue, shipped inside its wheel."""

from __future__ import annotations

import numpy as np

from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.data.own.arrays import from_arrays
from vfl_jax.data.repartition import repartition

STATISTICS = ("mean", "error", "worst")
"""What each of ten properties of the cell nuclei was summed up by; one party each."""
TRIGGER_ABOVE = 0.11


def load_breast_cancer(*, num_parties: int = 2, active_party: int | None = None) -> VerticalData:
    """569 rows of 30 features, standardised on the training rows: 455 to train on and 114, drawn alike in both classes.

    The parties are the ten means, the ten standard errors and the ten worst values; with two parties the second holds
    errors and worst values, with more than three they are cut up further. Class 0 is malignant, 1 is benign.

    Natural trigger: the last feature, the worst fractal dimension, is above 0.11. 37 training rows (27 malignant) and
    8 test rows (6 malignant) carry it.

    Raises:
      ValueError: on fewer than 2 or more than 30 parties, or an ``active_party`` that is none of them.

    Source: Wolberg, Mangasarian, Street and Street 1995, UCI data set 17, CC BY 4.0.
    """
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

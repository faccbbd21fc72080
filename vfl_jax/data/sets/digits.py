"""Handwritten digits: 1,797 real 8×8 images, which the wheel of scikit-learn contains."""

from __future__ import annotations

import numpy as np

from vfl_jax.core.extras import extra
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.data.partition import Partition, partition_images

NUM_TEST = 360


def load_digits(*, by: Partition = "rows", num_parties: int = 2, active_party: int | None = None) -> VerticalData:
    """Loads 1,437 training and 360 test images of digits, float32[N, 8, 8] in [0, 1], split over parties.

    The last 360 images of the file are the test set.

    Source: Alpaydin and Kaynak 1998, UCI data set 80, CC BY 4.0.

    Args:
      by: "rows", "columns" or "quadrants" of the image, or a list of pixels per party.
      num_parties: K; a list of pixels per party ignores it.
      active_party: the number of the party that also holds the labels; None when the label holder has no features.

    Raises:
      ValueError: on a split that does not fit the image, or an ``active_party`` that is none of the parties.

    Example:
      >>> data = load_digits(num_parties=2)
      >>> [features.shape for features in data.train.features]
      [(1437, 4, 8), (1437, 4, 8)]
    """
    with extra("sklearn", "The data set digits"):
        from sklearn.datasets import load_digits as sklearn_digits

    digits = sklearn_digits()
    images, labels = (digits.images / 16.0).astype(np.float32), digits.target
    cut = len(images) - NUM_TEST
    return partition_images(
        "digits",
        (images[:cut], labels[:cut]),
        (images[cut:], labels[cut:]),
        by=by,
        num_parties=num_parties,
        active_party=active_party,
    )

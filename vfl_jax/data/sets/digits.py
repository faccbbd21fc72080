"""scikit-learn's handwritten digits: 1,797 real 8×8 images, shipped inside its wheel."""

from __future__ import annotations

import numpy as np

from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.data.partition import Partition, partition_images

NUM_TEST = 360


def load_digits(*, by: Partition = "rows", num_parties: int = 2, active_party: int | None = None) -> VerticalData:
    """1,437 training and 360 test images (the last 360), ink scaled to [0, 1]."""
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

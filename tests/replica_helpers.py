"""What tests of replicas share: a grid on digits, and how close a replica is to the run of its seed and point alone."""

import numpy as np

from vfl_jax.core.row_ids import row_ids
from vfl_jax.sweeps.sweep import sweep

OVER = {"attack.amplify": [1.0, 10.0], "defense.stddev": [0.0, 0.01], "attack.enabled": [0.0, 1.0]}
LOSS_TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}
METRICS = ("loss", "train_accuracy", "main_task_accuracy", "backdoor_accuracy", "test_loss")


def quiet_sweep(*arguments, **options):
    return sweep(*arguments, **options, progress=False)


def assert_same(found, expected):
    """All metrics of two results of equal shape; a metric of rows may differ by one row."""
    for name in METRICS:
        one_row = 1.5 / float(expected[f"{name}_count"].min())
        tolerance = LOSS_TOLERANCE if name.endswith("loss") else {"rtol": 0, "atol": one_row}
        np.testing.assert_allclose(found[name], expected[name], **tolerance, err_msg=name)
    np.testing.assert_array_equal(found["is_finite"], expected["is_finite"])
    for name in ("poison_ids", "target_ids"):  # smaller poison rates have the first rows
        ids, few = (row_ids(results)[name].values for results in (found, expected))
        np.testing.assert_array_equal(ids[..., : few.shape[-1]], few, err_msg=name)

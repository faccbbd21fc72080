"""A recorded run of the paper authors' own MNIST code, epoch by epoch, from its initial weights.

``fixtures/authors_run_init.npz`` has the weights and poison rows, ``fixtures/authors_run.json`` the curves that their
program (another framework) recorded: five epochs over all of MNIST in file order. Float32 sums in another order leave
about 1e-5 in an epoch's training loss; an accuracy may differ by the rows that lie on a decision boundary.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from training_helpers import needs_mnist

from experiments.mnist_check.__main__ import main

FIXTURES = Path(__file__).parent / "fixtures"
EPOCHS = 5
NUM_TRIGGERED, NUM_TRIGGERED_OF_OTHER_CLASSES = 100, 95

pytestmark = needs_mnist


@pytest.mark.parametrize(("head", "gamma"), [("sum", "honest"), ("sum", "10"), ("mlp", "honest")])
def test_same_curves_from_the_same_weights(tmp_path, head, gamma):
    out = tmp_path / "curves.json"
    init = FIXTURES / "authors_run_init.npz"
    main(["--init", str(init), "--head", head, "--gamma", gamma, "--epochs", str(EPOCHS), "--out", str(out)])
    name = f"{head}/{gamma if gamma == 'honest' else 'gamma' + gamma}"
    (found,) = json.loads(out.read_text()).items()
    assert found[0] == name
    curves, recorded = found[1], json.loads((FIXTURES / "authors_run.json").read_text())[name]

    tolerances = {
        "train_loss": 1e-4,
        "test_loss": 1e-4,
        "train_acc": 2e-3,
        "main_acc": 2e-3,
        "backdoor_acc": 1 / NUM_TRIGGERED,
        "backdoor_acc_excl": 1 / NUM_TRIGGERED_OF_OTHER_CLASSES,
    }
    assert curves.keys() == recorded.keys() == tolerances.keys()
    for curve, tolerance in tolerances.items():
        assert len(curves[curve]) == EPOCHS
        # Both sides are written with six decimals.
        np.testing.assert_allclose(curves[curve], recorded[curve], rtol=0, atol=tolerance + 1e-6, err_msg=curve)

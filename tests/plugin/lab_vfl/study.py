"""A data set with a party of numbers and a party of bags of ids, and a preset on it."""

import numpy as np
import scipy.sparse

import vfl_jax as vfl
from lab_vfl.methods import LabReversal, LabRounding
from lab_vfl.metrics import lab_surprise
from lab_vfl.models import LabAdamW, LabBottom, LabFocal, LabHead, LabNormed


@vfl.register_data("lab_readings")
def load_readings():
    """Draws 200 readings of meters, each with some tags out of twelve."""
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    numbers = rng.normal(size=(200, 4)) + labels[:, None]
    tags = rng.random((200, 12)) < 0.2
    tags[:, 0] |= labels == 1
    features = {"meter": numbers.astype(np.float32), "tags": scipy.sparse.csr_array(tags.astype(np.float32))}
    return vfl.from_arrays(features, labels, test=0.25, has_trigger=tags[:, 11], active_party="meter", name="readings")


def lab_study():
    """The lab's study: a party of tags reverses gradients, the party of meters rounds them."""
    optimizer = LabAdamW(learning_rate=0.05, weight_decay=0.01)
    return vfl.Scenario(
        bottoms=[LabBottom(width=2), LabBottom(width=2)],
        head=LabHead(),
        loss=LabFocal(),
        optimizers=[optimizer, optimizer],
        head_optimizer=optimizer,
        attacks=[vfl.PartyTransform(), LabReversal(strength=2.0)],
        defense=LabRounding(),
        batches=vfl.BatchPlan(size=25),
    )


def lab_normed():
    """The lab's study with a model of the meters that standardises their batches, and with the lab's metric."""
    study = lab_study()
    return study.replace(bottoms=[LabNormed(width=2), study.bottoms[1]], metrics=[lab_surprise])


vfl.register_preset("lab_study", lab_study, data="lab_readings")
vfl.register_preset("lab_normed", lab_normed, data="lab_readings")

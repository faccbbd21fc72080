"""Every data set, and how it is trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.data import load_digits, load_fashion_mnist, load_mnist
from vfl_jax.data.sets.adult import load_adult
from vfl_jax.data.sets.bank_marketing import load_bank_marketing
from vfl_jax.data.sets.breast_cancer import load_breast_cancer
from vfl_jax.data.sets.citeseer import load_citeseer
from vfl_jax.data.sets.default_credit import load_default_credit
from vfl_jax.data.sets.handwritten import load_handwritten
from vfl_jax.data.sets.phishing import load_phishing
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.presets import HeadName, liu2020_paper
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.scenario import BatchPlan, PoisonPlan, Scenario

LEARNING_RATE = 0.1
"""Chosen on honest runs alone, from 0.01, 0.03, 0.1 and 0.3, with a fifth of the training rows in place of the test."""


@dataclasses.dataclass(frozen=True)
class DataSet:
    """One data set; ``epochs`` were chosen on honest runs alone."""

    title: str
    load: Callable[[], VerticalData]
    epochs: int
    target_class: int = 0

    def scenario(self, data: VerticalData, head: HeadName) -> Scenario:
        """The paper's scenario, its poison rows those that carry the trigger by nature; honest where none does."""
        optimizer = Optimizer(learning_rate=LEARNING_RATE)
        scenario = liu2020_paper(head=head, num_parties=data.num_parties, num_classes=data.num_classes).replace(
            optimizers=(optimizer,) * data.num_parties,
            head_optimizer=optimizer,
            poison=PoisonPlan(target_class=self.target_class),
            batches=BatchPlan(order="shuffled"),
        )
        if not data.train.has_trigger.any():
            scenario = scenario.replace(attacks=(PartyTransform(),) * data.num_parties)
        return scenario


DATA_SETS = {
    "breast_cancer": DataSet("breast cancer", load_breast_cancer, epochs=30, target_class=1),
    "digits": DataSet("digits", load_digits, epochs=60),
    "handwritten": DataSet("handwritten", load_handwritten, epochs=30),
    "citeseer": DataSet("CiteSeer", load_citeseer, epochs=10),
    "default_credit": DataSet("default credit", load_default_credit, epochs=10, target_class=1),
    "adult": DataSet("Adult", load_adult, epochs=10, target_class=1),
    "bank_marketing": DataSet("bank marketing", load_bank_marketing, epochs=30),
    "phishing": DataSet("phishing", load_phishing, epochs=40, target_class=1),
    "mnist": DataSet("MNIST", load_mnist, epochs=20),
    "fashion_mnist": DataSet("Fashion-MNIST", load_fashion_mnist, epochs=20),
}
"""The target class is a rare prediction for rows with the trigger: benign, credit default, more than 50,000 dollars. Of
phishing it is what an attacker wants, legitimate; elsewhere it is class 0, which is "no deposit" of bank marketing."""

"""Asks every method, before training, whether it has something to do in the study (``check_plan``)."""

from __future__ import annotations

from typing import Any

import numpy as np

from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.protocol.knowledge import UNKNOWN, Plan
from vfl_jax.protocol.methods import methods
from vfl_jax.protocol.switched import Switched
from vfl_jax.replica.draws import Draws
from vfl_jax.scenario import Scenario


def check_plans(scenario: Scenario, data: VerticalData, draws: Draws, num_epochs: int) -> None:
    """Asks the methods of all parties; an attack that is switched off is not asked.

    Args:
      scenario: the scenario, with one number per field.
      data: the data set.
      draws: the draws of a seed.
      num_epochs: the number of epochs of the whole training.

    Raises:
      ValueError: where a method would do nothing.
    """
    labels = np.asarray(draws.known_labels)
    trigger = scenario.attack_trigger
    masks = (None,) * data.num_parties if trigger is None else trigger.masks(data)
    without_features = Plan(
        num_epochs=num_epochs,
        num_poisons=len(draws.poison_ids),
        num_known=tuple(np.bincount(labels[labels != UNKNOWN], minlength=data.num_classes).tolist()),
        can_stamp=False,
    )
    for transform, mask in zip(scenario.attacks, masks, strict=True):
        _ask(transform, without_features._replace(can_stamp=mask is not None))
    for method in (scenario.active_attack, scenario.defense):
        _ask(method, without_features)


def _ask(transform: Any, plan: Plan) -> None:
    """Asks a method, or every part of a chain."""
    for method in methods(transform):
        if not (isinstance(method, Switched) and method.enabled == 0):
            method.check_plan(plan)

"""Zou et al. 2022, the follow-up."""

from __future__ import annotations

from vfl_jax.attacks import PairedReplacement
from vfl_jax.models import MLP, DenseHead
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.presets.common import NUM_CLASSES, TRIGGERS, Task, check_names, over_parties
from vfl_jax.scenario import PoisonPlan, Scenario


def zou2022(
    *,
    amplify: float = 10.0,
    task: Task = "mnist",
    num_parties: int = 2,
    attackers: tuple[int, ...] = (-1,),
    num_classes: int | None = None,
) -> Scenario:
    """Zou et al. 2022, the follow-up: a stronger attack on an appended (poison, target) pair.

    The head is trainable and has one dense layer. Weight decay is 3e-5, and the learning rate falls by 3 % every epoch.
    The attackers know ten target rows. The original trains for 100 epochs.

    Args:
      amplify: γ of the attack.
      task, num_parties, attackers, num_classes: as in :func:`liu2020_paper`.

    Raises:
      ValueError: where ``task`` is another word, or ``attackers`` is empty or names no party.

    Example:
      >>> import vfl_jax as vfl
      >>> vfl.presets.zou2022().poison.mode
      'appended_pair'
    """
    check_names("trainable", task)
    return over_parties(
        MLP(hidden=(32,), width=num_classes or NUM_CLASSES[task], output_relu=True),
        DenseHead(hidden=()),
        PairedReplacement(amplify=amplify),
        num_parties,
        attackers,
        optimizer=Optimizer(weight_decay=3e-5, epoch_decay=0.97),
        poison=PoisonPlan(trigger=TRIGGERS[task], mode="appended_pair", num_targets=10),
    )

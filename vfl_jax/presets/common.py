"""Shared parts of presets: names, sizes and triggers of the paper's tasks, and one model at all parties."""

from __future__ import annotations

from typing import Literal

from vfl_jax.core.checks import check_choice, check_count, is_whole, shown
from vfl_jax.models import Bottom, Head
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.protocol.triggers import NaturalTrigger, PixelTrigger, Trigger
from vfl_jax.scenario import Scenario

HeadName = Literal["sum", "trainable"]
"""The paper's two heads: the sum of the embeddings, or a trainable layer on them."""
Task = Literal["mnist", "nus_wide"]
"""The paper's two experiments; "nus_wide" serves the twin of this data set, too."""
MNIST_PIXELS = ((25, 27), (27, 25), (26, 26), (27, 27))
"""The (row, column) of every pixel of the trigger, section 7.1, after Gu et al. 2017."""
NUM_CLASSES: dict[Task, int] = {"mnist": 10, "nus_wide": 5}
TRIGGERS: dict[Task, Trigger] = {"mnist": PixelTrigger(pixels=MNIST_PIXELS), "nus_wide": NaturalTrigger()}


def over_parties(
    bottom: Bottom,
    head: Head,
    attack: PartyTransform,
    num_parties: int,
    attackers: tuple[int, ...],
    optimizer: Optimizer = Optimizer(),
    **fields: object,
) -> Scenario:
    """A scenario with the same model at every party, and the same attack at every attacker.

    Args:
      bottom: the model of every party.
      head: the active party's model.
      attack: the method of every attacker.
      num_parties: K, the number of parties that hold features.
      attackers: the numbers of the parties that attack, from 0, or from -1 backwards.
      optimizer: that of every party and of the head.
      fields: further fields of the scenario, by name.

    Raises:
      ValueError: where ``num_parties`` is no count; where ``attackers`` is empty, or names no party.
    """
    check_count(num_parties=num_parties)
    if not isinstance(attackers, tuple | list) or not all(map(is_whole, attackers)):
        raise ValueError(f"attackers is {shown(attackers)}; it must be numbers of parties, such as (1,).")
    if not attackers or not all(-num_parties <= k < num_parties for k in attackers):
        raise ValueError(
            f"attackers is {attackers}; it must name at least one of the parties 0 to {num_parties - 1} (or "
            f"-{num_parties} to -1, from the end)."
        )
    attacking = {k % num_parties for k in attackers}
    return Scenario(
        bottoms=(bottom,) * num_parties,
        head=head,
        optimizers=(optimizer,) * num_parties,
        head_optimizer=optimizer,
        attacks=tuple(attack if k in attacking else PartyTransform() for k in range(num_parties)),
        **fields,  # type: ignore[arg-type]
    )


def check_names(head: HeadName, task: Task) -> None:
    """Raises ``ValueError`` where a preset has no such ``head`` or ``task``."""
    check_choice("", HeadName, head=head)
    check_choice("", Task, task=task)

"""What presets share: names, sizes and triggers of the paper's tasks, and one model over all parties."""

from __future__ import annotations

from typing import Literal

from vfl_jax.core.checks import check_choice
from vfl_jax.models import Bottom, Head
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.protocol.triggers import NaturalTrigger, PixelTrigger, Trigger
from vfl_jax.scenario import Scenario

HeadName = Literal["sum", "trainable"]
Task = Literal["mnist", "nus_wide"]
"""The two experiments of the paper; "nus_wide" is for its twin too."""
MNIST_PIXELS = ((25, 27), (27, 25), (26, 26), (27, 27))
"""The trigger of section 7.1, after Gu et al. 2017."""
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
    """The same model at every party, and the same attack at every attacker."""
    if not attackers or not all(-num_parties <= k < num_parties for k in attackers):
        raise ValueError(
            f"preset.attackers is {attackers}; it must name at least one of the parties 0 to {num_parties - 1} (or "
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
    check_choice("preset", HeadName, head=head)
    check_choice("preset", Task, task=task)

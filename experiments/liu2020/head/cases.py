"""The trainable head as a defense: Figure 5 and Table 2, and heads of one to four hidden layers."""

from __future__ import annotations

from experiments.shared.cases import HONEST_AND_ATTACKED, PRESETS, Case
from vfl_jax.models import DenseHead
from vfl_jax.presets import Task

TASKS: tuple[Task, ...] = ("mnist", "nus_wide")
DEPTHS = (2, 3, 4)
"""Hidden layers of the head beyond the paper's one."""


def case_name(preset: str, task: Task, depth: int = 1) -> str:
    """Of the case with so many hidden layers in the head."""
    return f"{preset}_{task}" if depth == 1 else f"{preset}_{task}_depth_{depth}"


def _case(preset: str, task: Task, depth: int) -> Case:
    scenario = PRESETS[preset](head="trainable", task=task)
    return Case(
        name=case_name(preset, task, depth),
        title=f"{preset}, {task}, trainable head of {depth} hidden layer{'s' if depth > 1 else ''}",
        task=task,
        scenario=scenario.replace(head=DenseHead(hidden=(32,) * depth)),
        over=HONEST_AND_ATTACKED,
    )


CASES = (
    *(_case(preset, task, 1) for task in TASKS for preset in PRESETS),
    *(_case(preset, task, depth) for preset in PRESETS for task in TASKS for depth in DEPTHS),
)

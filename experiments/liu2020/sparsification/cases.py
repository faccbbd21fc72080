"""Gradient sparsification over drop rates, both heads, three kinds of residual: Figure 7."""

from __future__ import annotations

from experiments.shared.cases import PRESETS, RESIDUAL, Case
from vfl_jax.defenses import Sparsification
from vfl_jax.defenses.sparsification import Residual
from vfl_jax.presets import HeadName, Task

DROP_RATES = (0, 0.5, 0.9, 0.95, 0.99, 0.995, 0.999)
PUBLISHED = RESIDUAL["liu2020_code"]
SWEPT: tuple[tuple[str, Task, HeadName, Residual], ...] = (
    *(("liu2020_code", "nus_wide", head, PUBLISHED) for head in ("trainable", "sum")),
    ("liu2020_code", "mnist", "sum", PUBLISHED),
    *(("liu2020_paper", "nus_wide", head, RESIDUAL["liu2020_paper"]) for head in ("trainable", "sum")),
    *(("liu2020_code", "nus_wide", head, kind) for kind in ("sample", "none") for head in ("trainable", "sum")),
    *(("liu2020_code", "mnist", "sum", kind) for kind in ("sample", "none")),
)
"""Where there is a backdoor to block: not on MNIST under the trainable head."""


def case_name(preset: str, task: str, head: str, residual: str) -> str:
    """Of a case of this experiment."""
    return f"{preset}_{task}_{head}_{residual}"


def _case(preset: str, task: Task, head: HeadName, residual: Residual) -> Case:
    # What is dropped at rate 0 is nothing, whatever becomes of it: one case has that rate for all.
    rates = DROP_RATES if preset == "liu2020_paper" or residual == PUBLISHED else DROP_RATES[1:]
    return Case(
        name=case_name(preset, task, head, residual),
        title=f"{preset}, {task}, {head} head, residual by {residual}",
        task=task,
        scenario=PRESETS[preset](head=head, task=task).replace(defense=Sparsification(residual=residual)),
        over={"attack.enabled": [0, 1], "defense.drop_rate": rates},
    )


CASES = tuple(_case(*swept) for swept in SWEPT)

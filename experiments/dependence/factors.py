"""The factors that the study changes one at a time, and at which settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from experiments.cases import GAMMA
from experiments.dependence.study import BASE, LEARNING_RATES, POISON_RATES, TARGET_ROWS, WILD
from experiments.outcomes import Point, at
from vfl_jax.presets import Task

if TYPE_CHECKING:
    import xarray as xr

PUBLISHED = "base"


class Setting(NamedTuple):
    """One value of a factor: the case that has it, without the name of the task, and which of its points."""

    label: str
    case: str = PUBLISHED
    numbers: Mapping[str, float] = {}

    def find(self, found: Mapping[str, xr.Dataset], task: Task) -> Point | None:
        """The attacked runs of this setting, where there are results."""
        name = f"{self.case}_{task}"
        return at(found[name], **self.numbers) if name in found else None


def factors(task: Task) -> dict[str, tuple[Setting, ...]]:
    """Every factor with its settings in their natural order, the published one among them."""
    base = BASE[task]
    found = {
        "order of batches": tuple(
            Setting(order, PUBLISHED if order == base.batches.order else f"order_{order}")
            for order in ("file", "shuffled", "sampled")
        ),
        "known target rows": (Setting("1"), Setting("10", "targets_10"), Setting("100", "targets_100")),
        "blurring": (Setting("zero"), Setting("none", "blur_none"), Setting("gaussian", "blur_gaussian")),
        "learning rate": _with_published(
            base.optimizers[0].learning_rate,
            {rate: Setting(f"{rate:g}", "learning_rate", {"learning_rate": rate}) for rate in LEARNING_RATES},
        ),
    }
    if task == "nus_wide":
        return found
    return found | {
        "target row": tuple(
            Setting(
                f"row {row}, {where.removeprefix('the ')}",
                PUBLISHED if row in (base.poison.target_ids or ()) else f"target_row_{row}",
            )
            for row, where in TARGET_ROWS.items()
        ),
        "poison rate": _with_published(
            base.poison.rate, {rate: Setting(f"{rate:g}", f"poison_{rate:g}") for rate in POISON_RATES}
        ),
        "outputs of the bottoms": (Setting("ReLU"), Setting("linear", "outputs_linear")),
        "probability clip": (
            Setting(f"clip, γ = {GAMMA}"),
            Setting(f"none, γ = {GAMMA}", "no_clip", {"amplify": GAMMA}),
            Setting(f"clip, γ = {WILD:g}", "clip_wild", {"amplify": WILD}),
            Setting(f"none, γ = {WILD:g}", "no_clip", {"amplify": WILD}),
        ),
    }


def _with_published(number: float, others: Mapping[float, Setting]) -> tuple[Setting, ...]:
    """Settings that are numbers, in their order."""
    return tuple(setting for _, setting in sorted({**others, number: Setting(f"{number:g}")}.items()))

"""The factors that the experiment changes one at a time, and at which settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from experiments.liu2020.what_success_depends_on.cases import LEARNING_RATES, POISON_RATES, SCENARIOS, TARGET_ROWS, WILD
from experiments.shared.cases import GAMMA
from experiments.shared.outcomes import Point, at

if TYPE_CHECKING:
    import xarray as xr

UNCHANGED = "base"


class Setting(NamedTuple):
    """One value of a factor: the case that has it, without the name of the base, and which of its points."""

    label: str
    case: str = UNCHANGED
    numbers: Mapping[str, float] = {}

    def find(self, found: Mapping[str, xr.Dataset], base: str) -> Point | None:
        """The attacked runs of this setting, where there are results."""
        name = f"{self.case}_{base}"
        return at(found[name], **self.numbers) if name in found else None


Factors = dict[str, tuple[Setting, ...]]
"""By name the settings of a factor in their natural order, the unchanged one among them."""


def _of_both(base: str) -> Factors:
    """Of the published run on both tasks."""
    scenario = SCENARIOS[base]
    return {
        "order of batches": tuple(
            Setting(order, UNCHANGED if order == scenario.batches.order else f"order_{order}")
            for order in ("file", "shuffled", "sampled")
        ),
        "known target rows": (Setting("1"), Setting("10", "targets_10"), Setting("100", "targets_100")),
        "blurring": (Setting("zero"), Setting("none", "blur_none"), Setting("gaussian", "blur_gaussian")),
        "learning rate": _with_unchanged(
            scenario.optimizers[0].learning_rate,
            {rate: Setting(f"{rate:g}", "learning_rate", {"learning_rate": rate}) for rate in LEARNING_RATES},
        ),
    }


def _of_mnist() -> Factors:
    """Of the published run on MNIST alone."""
    scenario = SCENARIOS["mnist"]
    return {
        "target row": tuple(
            Setting(
                f"row {row}, {where.removeprefix('the ')}",
                UNCHANGED if row in (scenario.poison.target_ids or ()) else f"target_row_{row}",
            )
            for row, where in TARGET_ROWS.items()
        ),
        "poison rate": _with_unchanged(
            scenario.poison.rate, {rate: Setting(f"{rate:g}", f"poison_{rate:g}") for rate in POISON_RATES}
        ),
        "outputs of the bottoms": (Setting("ReLU"), Setting("linear", "outputs_linear")),
        "probability clip": (
            Setting(f"clip, γ = {GAMMA}"),
            Setting(f"none, γ = {GAMMA}", "no_clip", {"amplify": GAMMA}),
            Setting(f"clip, γ = {WILD:g}", "clip_wild", {"amplify": WILD}),
            Setting(f"none, γ = {WILD:g}", "no_clip", {"amplify": WILD}),
        ),
    }


def _of_the_text_on_mnist() -> Factors:
    """In what the published run differs from it: each alone, but the list of poison rows, and all in two halves."""
    return {
        "order of batches": (Setting("sampled"), Setting("file", "order_file")),
        "target row": (Setting("one per seed"), Setting("row 1", "target_row_1")),
        "outputs of the bottoms": (Setting("linear"), Setting("ReLU", "outputs_relu")),
        "probability clip": (Setting("none"), Setting("clip", "clip")),
        "blurring": (Setting("none"), Setting("zero", "blur_zero")),
        "as published": (
            Setting("nothing"),
            Setting("batches, poison and target rows", "rows"),
            Setting("outputs, clip and blurring", "model"),
        ),
    }


def _with_unchanged(number: float, others: Mapping[float, Setting]) -> tuple[Setting, ...]:
    """Settings that are numbers, in their order."""
    return tuple(setting for _, setting in sorted({**others, number: Setting(f"{number:g}")}.items()))


FACTORS: dict[str, Factors] = {
    "mnist": _of_both("mnist") | _of_mnist(),
    "nus_wide": _of_both("nus_wide"),
    "text_mnist": _of_the_text_on_mnist(),
    "text_nus_wide": {"blurring": (Setting("gaussian"), Setting("none", "blur_none"), Setting("zero", "blur_zero"))},
}
"""What is changed of every one of the ``BASES``."""

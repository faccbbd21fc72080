"""What the outcome of gradient replacement depends on, one thing changed at a time.

Two runs are the published ones, on the two tasks where that attack succeeds; the two others are what the text has
there. Where an honest run cannot notice the change, the honest runs of the base case are taken.
"""

from __future__ import annotations

from typing import NamedTuple

from experiments.shared.cases import GAMMA, HONEST_AND_ATTACKED, PRESETS, Case
from vfl_jax.attacks import ActivationBlurring, GradientReplacement
from vfl_jax.attacks.activation_blurring import Kind
from vfl_jax.models.losses import SoftmaxCrossEntropy
from vfl_jax.presets import HeadName, Task
from vfl_jax.protocol.chains import PartyChain
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.scenario import Scenario
from vfl_jax.scenario.plans import Order
from vfl_jax.sweeps.grid import Over


class Base(NamedTuple):
    """What is changed: a preset on a task and under a head, and what it is called."""

    preset: str
    task: Task
    head: HeadName
    run: str

    @property
    def title(self) -> str:
        return f"{self.preset}, {self.task}, {self.head} head"

    @property
    def scenario(self) -> Scenario:
        return PRESETS[self.preset](head=self.head, task=self.task)


BASES = {
    "mnist": Base("liu2020_code", "mnist", "sum", "the published run"),
    "nus_wide": Base("liu2020_code", "nus_wide", "trainable", "the published run"),
    "text_mnist": Base("liu2020_paper", "mnist", "sum", "the text"),
    "text_nus_wide": Base("liu2020_paper", "nus_wide", "trainable", "the text"),
}
SCENARIOS = {name: base.scenario for name, base in BASES.items()}
"""Theirs, before anything is changed."""
ATTACKED: Over = {"attack.enabled": [1]}
TARGET_ROWS = {1: "the first batch", 34: "the first batch", 30009: "batch 468", 30034: "batch 469", 59911: "batch 936"}
"""Training rows of MNIST of class 0, none of them poisoned, and their batch of the 937 of an epoch in file order."""
POISON_RATES = (0.001, 0.003, 0.03)
LEARNING_RATES = (0.003, 0.03, 0.1)
WILD = 50.0
"""An amplify ratio at which runs blow up, where a clip of probabilities can matter."""


def _case(name: str, base: str, scenario: Scenario, title: str, over: Over | None = None, **fields: object) -> Case:
    if over is ATTACKED:
        fields["honest_of"] = f"base_{base}"
    of = BASES[base]
    return Case(f"{name}_{base}", f"{of.title}: {title}", of.task, scenario, over or HONEST_AND_ATTACKED, **fields)  # type: ignore[arg-type]


def _order(base: str, order: Order) -> Case:
    scenario = SCENARIOS[base].replace(batches=SCENARIOS[base].batches.replace(order=order))
    return _case(f"order_{order}", base, scenario, f"batches in {order} order")


def _targets(base: str, number: int) -> Case:
    poison = SCENARIOS[base].poison.replace(target_ids=None, num_targets=number)
    return _case(f"targets_{number}", base, SCENARIOS[base].replace(poison=poison), f"{number} known target rows")


def _blur(base: str, kind: Kind) -> Case:
    blurring = ActivationBlurring(kind=kind, wait_for_target=kind == "zero")
    attack = PartyChain(parts=(blurring, GradientReplacement()))
    scenario = SCENARIOS[base].replace(attacks=(PartyTransform(), attack))
    return _case(f"blur_{kind}", base, scenario, f"blurring {kind}", ATTACKED)


def _target_row(row: int) -> Case:
    poison = SCENARIOS["mnist"].poison.replace(target_ids=(row,))
    title = f"target row {row}, in {TARGET_ROWS[row]}"
    return _case(f"target_row_{row}", "mnist", SCENARIOS["mnist"].replace(poison=poison), title, ATTACKED)


def _poison_rate(rate: float) -> Case:
    poison = SCENARIOS["mnist"].poison.replace(rate=rate)
    return _case(f"poison_{rate:g}", "mnist", SCENARIOS["mnist"].replace(poison=poison), f"poison rate {rate:g}")


def _learning_rate(base: str) -> Case:
    over: Over = {"learning_rate": LEARNING_RATES, "attack.enabled": [0, 1]}
    return _case("learning_rate", base, SCENARIOS[base], "learning rates", over)


def _linear_outputs() -> Case:
    bottoms = tuple(bottom.replace(output_relu=False) for bottom in SCENARIOS["mnist"].bottoms)
    return _case(
        "outputs_linear", "mnist", SCENARIOS["mnist"].replace(bottoms=bottoms), "linear outputs of the bottoms"
    )


def _as_published(name: str, title: str, *fields: str) -> Case:
    """The text on MNIST with some fields of the published run's scenario."""
    published = {field: getattr(SCENARIOS["mnist"], field) for field in fields}
    return _case(name, "text_mnist", SCENARIOS["text_mnist"].replace(**published), title)


def _target_row_of_text(row: int) -> Case:
    scenario = SCENARIOS["text_mnist"]
    poison = scenario.poison.replace(target_ids=(row,))
    return _case(f"target_row_{row}", "text_mnist", scenario.replace(poison=poison), f"target row {row} for all seeds")


ROWS, MODEL = ("batches", "poison"), ("bottoms", "loss", "attacks")
"""All in which the text and the published run differ on MNIST: which rows are where, and what is done with them."""
_ON_LOGITS = SCENARIOS["mnist"].replace(loss=SoftmaxCrossEntropy())
_AMPLIFY = ("attack.enabled", "attack.amplify")

CASES = (
    _case("base", "mnist", SCENARIOS["mnist"], "unchanged", seeds=60),
    *(_order("mnist", order) for order in ("shuffled", "sampled")),
    *(_targets("mnist", number) for number in (10, 100)),
    *(_blur("mnist", kind) for kind in ("none", "gaussian")),
    *(_target_row(row) for row in TARGET_ROWS if row != 1),
    *(_poison_rate(rate) for rate in POISON_RATES),
    _learning_rate("mnist"),
    _linear_outputs(),
    _case("clip_wild", "mnist", SCENARIOS["mnist"], f"clipped, γ = {WILD:g}", {_AMPLIFY: [(0, GAMMA), (1, WILD)]}),
    _case("no_clip", "mnist", _ON_LOGITS, "no clip", {_AMPLIFY: [(0, GAMMA), (1, GAMMA), (1, WILD)]}),
    _case("base", "nus_wide", SCENARIOS["nus_wide"], "unchanged"),
    *(_order("nus_wide", order) for order in ("file", "sampled")),
    *(_targets("nus_wide", number) for number in (10, 100)),
    *(_blur("nus_wide", kind) for kind in ("none", "gaussian")),
    _learning_rate("nus_wide"),
    _case("base", "text_mnist", SCENARIOS["text_mnist"], "unchanged"),
    _order("text_mnist", "file"),
    _target_row_of_text(1),
    _as_published("outputs_relu", "ReLU outputs of the bottoms", "bottoms"),
    _as_published("clip", "probabilities clipped", "loss"),
    _blur("text_mnist", "zero"),
    _as_published("rows", "all rows as published", *ROWS),
    _as_published("model", "all but the rows as published", *MODEL),
    _case("base", "text_nus_wide", SCENARIOS["text_nus_wide"], "unchanged"),
    *(_blur("text_nus_wide", kind) for kind in ("none", "zero")),
)

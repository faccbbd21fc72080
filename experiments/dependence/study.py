"""What the outcome of the published attack depends on: MNIST under the sum head, NUS-WIDE under the trainable head.

Every case changes one thing of the base case. Where an honest run cannot notice the change, the base case's is taken.
"""

from __future__ import annotations

from experiments.cases import GAMMA, HONEST_AND_ATTACKED, Case
from vfl_jax.attacks import ActivationBlurring, GradientReplacement
from vfl_jax.attacks.activation_blurring import Kind
from vfl_jax.grid import Over
from vfl_jax.losses import SoftmaxCrossEntropy
from vfl_jax.presets import HeadName, Task, liu2020_code
from vfl_jax.scenario import Order, Scenario
from vfl_jax.transforms import PartyChain, PartyTransform

HEADS: dict[Task, HeadName] = {"mnist": "sum", "nus_wide": "trainable"}
BASE = {task: liu2020_code(head=head, task=task) for task, head in HEADS.items()}
ATTACKED: Over = {"attack.enabled": [1]}
TARGET_ROWS = {1: "the first batch", 34: "the first batch", 30009: "batch 468", 30034: "batch 469", 59911: "batch 936"}
"""Training rows of MNIST of class 0, none of them poisoned, and their batch of the 937 of an epoch in file order."""
POISON_RATES = (0.001, 0.003, 0.03)
LEARNING_RATES = (0.003, 0.03, 0.1)
WILD = 50.0
"""An amplify ratio at which runs blow up, where a clip of probabilities can matter."""


def _case(name: str, task: Task, scenario: Scenario, title: str, over: Over | None = None, **fields: object) -> Case:
    if over is ATTACKED:
        fields["honest_of"] = f"base_{task}"
    return Case(f"{name}_{task}", f"{task}: {title}", task, scenario, over or HONEST_AND_ATTACKED, **fields)  # type: ignore[arg-type]


def _order(task: Task, order: Order) -> Case:
    base = BASE[task]
    return _case(
        f"order_{order}", task, base.replace(batches=base.batches.replace(order=order)), f"batches in {order} order"
    )


def _targets(task: Task, number: int) -> Case:
    poison = BASE[task].poison.replace(target_ids=None, num_targets=number)
    return _case(f"targets_{number}", task, BASE[task].replace(poison=poison), f"{number} known target rows")


def _blur(task: Task, kind: Kind) -> Case:
    blurring = ActivationBlurring(kind=kind, wait_for_target=kind == "zero")
    attack = PartyChain(parts=(blurring, GradientReplacement()))
    scenario = BASE[task].replace(attacks=(PartyTransform(), attack))
    return _case(f"blur_{kind}", task, scenario, f"blurring {kind}", ATTACKED)


def _target_row(row: int) -> Case:
    poison = BASE["mnist"].poison.replace(target_ids=(row,))
    title = f"target row {row}, in {TARGET_ROWS[row]}"
    return _case(f"target_row_{row}", "mnist", BASE["mnist"].replace(poison=poison), title, ATTACKED)


def _poison_rate(rate: float) -> Case:
    poison = BASE["mnist"].poison.replace(rate=rate)
    return _case(f"poison_{rate:g}", "mnist", BASE["mnist"].replace(poison=poison), f"poison rate {rate:g}")


def _learning_rate(task: Task) -> Case:
    over: Over = {"learning_rate": LEARNING_RATES, "attack.enabled": [0, 1]}
    return _case("learning_rate", task, BASE[task], "learning rates", over)


def _linear_outputs() -> Case:
    base = BASE["mnist"]
    bottoms = tuple(bottom.replace(output_relu=False) for bottom in base.bottoms)
    return _case("outputs_linear", "mnist", base.replace(bottoms=bottoms), "linear outputs of the bottoms")


_ON_LOGITS = BASE["mnist"].replace(loss=SoftmaxCrossEntropy())
_AMPLIFY = ("attack.enabled", "attack.amplify")

CASES = (
    _case("base", "mnist", BASE["mnist"], "the published run", seeds=60),
    *(_order("mnist", order) for order in ("shuffled", "sampled")),
    *(_targets("mnist", number) for number in (10, 100)),
    *(_blur("mnist", kind) for kind in ("none", "gaussian")),
    *(_target_row(row) for row in TARGET_ROWS if row != 1),
    *(_poison_rate(rate) for rate in POISON_RATES),
    _learning_rate("mnist"),
    _linear_outputs(),
    _case("clip_wild", "mnist", BASE["mnist"], f"clipped, γ = {WILD:g}", {_AMPLIFY: [(0, GAMMA), (1, WILD)]}),
    _case("no_clip", "mnist", _ON_LOGITS, "no clip", {_AMPLIFY: [(0, GAMMA), (1, GAMMA), (1, WILD)]}),
    _case("base", "nus_wide", BASE["nus_wide"], "the published run"),
    *(_order("nus_wide", order) for order in ("file", "sampled")),
    *(_targets("nus_wide", number) for number in (10, 100)),
    *(_blur("nus_wide", kind) for kind in ("none", "gaussian")),
    _learning_rate("nus_wide"),
)

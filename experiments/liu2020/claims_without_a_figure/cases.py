"""Claims without a figure: clipping, leaked labels, other attacks, other bottoms, other powers of the attacker.

Section 6.1, that clean validation does not reveal the backdoor, needs no runs of its own.
"""

from __future__ import annotations

import itertools
import math

from experiments.liu2020.claims_without_a_figure.listener import LabelListener
from experiments.shared.cases import HEADS, PRESETS, RESIDUAL, Case
from vfl_jax.attacks import ActiveBackdoor, LabelReplacement
from vfl_jax.defenses import Clipping, GaussianNoise, LaplaceNoise, Sparsification
from vfl_jax.models import Linear
from vfl_jax.models.losses import Loss, MulticlassHinge, SoftmaxCrossEntropy, SquaredError
from vfl_jax.presets import HeadName, Task, liu2020_code
from vfl_jax.protocol.chains import ActiveChain, PartyChain
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.protocol.triggers import PixelTrigger
from vfl_jax.scenario import Scenario
from vfl_jax.sweeps.grid import Over

TASKS: tuple[Task, ...] = ("mnist", "nus_wide")
WHERE_IT_WORKS: tuple[tuple[str, Task, HeadName], ...] = (
    ("liu2020_code", "mnist", "sum"),
    *((preset, "nus_wide", "trainable") for preset in PRESETS),
)
"""Where the paper's attack has something to lose; as the text has it, it has nothing on MNIST."""

BOUNDS = (0.01, 0.003, 0.001, 3e-4, 1e-4)
CLIPPING = tuple(
    Case(
        name=f"{preset}_clipping_{task}_{head}",
        title=f"{preset}: clipping of every row's norm, {task}, {head} head",
        task=task,
        scenario=PRESETS[preset](head=head, task=task).replace(defense=Clipping(by="row_l2")),
        over={"attack.enabled": [0, 1], "defense.bound": [math.inf, *BOUNDS]},
    )
    for preset, task, head in WHERE_IT_WORKS
)

LISTENED = {
    "none": (math.inf, 0, 0, 0),
    "clipping 0.001": (0.001, 0, 0, 0),
    "sparsification 0.9": (math.inf, 0.9, 0, 0),
    "sparsification 0.99": (math.inf, 0.99, 0, 0),
    "Gaussian noise 0.01": (math.inf, 0, 0.01, 0),
    "Gaussian noise 0.05": (math.inf, 0, 0.05, 0),
    "Laplacian noise 0.01": (math.inf, 0, 0, 0.01),
}
"""The defenses under which labels are read off the messages: (bound, drop rate, standard deviation, scale)."""
LEAK: Over = {
    ("attack.enabled", *(f"defense.{name}" for name in ("bound", "drop_rate", "stddev", "scale"))): [
        *((0, *numbers) for numbers in LISTENED.values()),
        (1, *LISTENED["none"]),
    ]
}
"""An honest party that listens under every defense, and label replacement under none."""


LISTENER = PartyChain(parts=(LabelListener(), LabelReplacement()))
"""Reads labels off a row's last message and off all of them; where it attacks, off the last, as published."""


def _one_output_per_class(preset: str, task: Task, head: HeadName) -> Scenario:
    """The preset with embeddings of width C under both heads, which label replacement reads."""
    scenario = PRESETS[preset](head=head, task=task)
    return scenario.replace(bottoms=PRESETS[preset](head="sum", task=task).bottoms)


def _defenses(preset: str) -> ActiveChain:
    """All of which ``LISTENED`` has settings."""
    return ActiveChain(
        parts=(Clipping(by="row_l2"), Sparsification(residual=RESIDUAL[preset]), GaussianNoise(), LaplaceNoise())
    )


LABELS = tuple(
    Case(
        name=f"{preset}_labels_{task}_{head}",
        title=f"{preset}: label replacement and leaked labels, {task}, {head} head",
        task=task,
        scenario=_one_output_per_class(preset, task, head).replace(
            attacks=(PartyTransform(), LISTENER), defense=_defenses(preset)
        ),
        over=LEAK,
    )
    for preset, task, head in itertools.product(PRESETS, TASKS, HEADS)
)

ACTIVE = tuple(
    Case(
        name=f"{preset}_active_{task}_{head}",
        title=f"{preset}: backdoor of the active party, {task}, {head} head",
        task=task,
        scenario=PRESETS[preset](head=head, task=task).replace(
            attacks=(PartyTransform(),) * 2, active_attack=ActiveBackdoor()
        ),
    )
    for preset, task, head in itertools.product(PRESETS, TASKS, HEADS)
)


BOTTOM_KINDS: dict[str, tuple[str, Loss]] = {
    "linear": ("linear bottoms, squared error", SquaredError()),
    "logistic": ("linear bottoms, softmax cross-entropy (logistic regression)", SoftmaxCrossEntropy()),
    "svm": ("linear bottoms, multi-class hinge loss (support vector machine)", MulticlassHinge()),
}


def _with_bottoms(preset: str, task: Task, loss: Loss) -> Scenario:
    scenario = PRESETS[preset](head="sum", task=task)
    width = scenario.bottoms[0].width
    return scenario.replace(bottoms=(Linear(width=width),) * 2, loss=loss)


BOTTOMS = tuple(
    Case(
        name=f"{preset}_bottoms_{task}_{kind}",
        title=f"{preset}: {description}, {task}",
        task=task,
        scenario=_with_bottoms(preset, task, loss),
    )
    for preset, task in itertools.product(PRESETS, TASKS)
    for kind, (description, loss) in BOTTOM_KINDS.items()
)

LEARNING_RATES = (0.001, 0.003, 0.01, 0.03, 0.1)
LOCAL_RATE = tuple(
    Case(
        name=f"{preset}_local_rate_{task}_{head}",
        title=f"{preset}: the attacker's own learning rate, {task}, {head} head",
        task=task,
        scenario=PRESETS[preset](head=head, task=task),
        over={
            ("attack.enabled", "optimizers.1.learning_rate"): [(0, 0.01), *((1, rate) for rate in LEARNING_RATES)],
        },
    )
    for preset, task, head in WHERE_IT_WORKS
)

SPREAD = PixelTrigger(pixels=((0, 0), (1, 1), (26, 26), (27, 27)))
"""Two pixels with each party (section 5.2: the trigger may lie over all parties)."""


def _spread(head: HeadName, attackers: tuple[int, ...]) -> Scenario:
    scenario = liu2020_code(head=head, attackers=attackers)
    return scenario.replace(poison=scenario.poison.replace(trigger=SPREAD))


TRIGGER = tuple(
    Case(
        name=f"liu2020_code_trigger_{head}_{name}",
        title=f"liu2020_code: trigger over both parties, {name}, {head} head",
        task="mnist",
        scenario=_spread(head, attackers),
    )
    for head in HEADS
    for name, attackers in {"one_attacker": (1,), "two_attackers": (0, 1)}.items()
)

CASES = (*CLIPPING, *ACTIVE, *BOTTOMS, *LOCAL_RATE, *TRIGGER, *LABELS)

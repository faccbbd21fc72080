"""What the paper says in passing: clipping, leaked labels, other attacks, other bottoms, other powers of the attacker.

Section 6.1, that clean validation does not reveal the backdoor, needs no runs of its own.
"""

from __future__ import annotations

import itertools
import math

from experiments.cases import Case
from vfl_jax.attacks import ActiveBackdoor, LabelReplacement
from vfl_jax.data.triggers import PixelTrigger
from vfl_jax.defenses import Clipping, GaussianNoise, LaplaceNoise, Sparsification
from vfl_jax.grid import Over
from vfl_jax.losses import MulticlassHinge, SoftmaxCrossEntropy, SquaredError
from vfl_jax.models import Linear
from vfl_jax.presets import HeadName, Task, liu2020_code
from vfl_jax.scenario import Scenario
from vfl_jax.transforms import ActiveChain, PartyTransform

TASKS: tuple[Task, ...] = ("mnist", "nus_wide")
HEADS: tuple[HeadName, ...] = ("sum", "trainable")
WHERE_IT_WORKS: tuple[tuple[Task, HeadName], ...] = (("mnist", "sum"), ("nus_wide", "trainable"))
"""Where the paper's attack has something to lose."""

BOUNDS = (0.01, 0.003, 0.001, 3e-4, 1e-4)
CLIPPING = tuple(
    Case(
        name=f"clipping_{task}_{head}",
        title=f"clipping of every row's norm, {task}, {head} head",
        task=task,
        scenario=liu2020_code(head=head, task=task).replace(defense=Clipping(by="row_l2")),
        over={"attack.enabled": [0, 1], "defense.bound": [math.inf, *BOUNDS]},
    )
    for task, head in WHERE_IT_WORKS
)


DEFENSES = ActiveChain(
    parts=(Clipping(by="row_l2"), Sparsification(residual="position"), GaussianNoise(), LaplaceNoise())
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


def _one_output_per_class(task: Task, head: HeadName) -> Scenario:
    """The published run with embeddings of width C under both heads, which label replacement reads."""
    scenario = liu2020_code(head=head, task=task)
    return scenario.replace(bottoms=liu2020_code(head="sum", task=task).bottoms)


LABELS = tuple(
    Case(
        name=f"labels_{task}_{head}",
        title=f"label replacement and leaked labels, {task}, {head} head",
        task=task,
        scenario=_one_output_per_class(task, head).replace(
            attacks=(PartyTransform(), LabelReplacement()), defense=DEFENSES
        ),
        over=LEAK,
    )
    for task, head in itertools.product(TASKS, HEADS)
)

ACTIVE = tuple(
    Case(
        name=f"active_{task}_{head}",
        title=f"backdoor of the active party, {task}, {head} head",
        task=task,
        scenario=liu2020_code(head=head, task=task).replace(
            attacks=(PartyTransform(),) * 2, active_attack=ActiveBackdoor()
        ),
    )
    for task, head in itertools.product(TASKS, HEADS)
)


def _with_bottoms(task: Task, kind: str) -> Scenario:
    scenario = liu2020_code(head="sum", task=task)
    width = scenario.bottoms[0].width
    loss = {"linear": SquaredError(), "logistic": SoftmaxCrossEntropy(), "svm": MulticlassHinge()}[kind]
    return scenario.replace(bottoms=(Linear(width=width),) * 2, loss=loss)


BOTTOMS = tuple(
    Case(
        name=f"bottoms_{task}_{kind}",
        title=f"{description}, {task}",
        task=task,
        scenario=_with_bottoms(task, kind),
    )
    for task in TASKS
    for kind, description in {
        "linear": "linear bottoms, squared error",
        "logistic": "linear bottoms, softmax cross-entropy (logistic regression)",
        "svm": "linear bottoms, multi-class hinge loss (support vector machine)",
    }.items()
)

LEARNING_RATES = (0.001, 0.003, 0.01, 0.03, 0.1)
LOCAL_RATE = tuple(
    Case(
        name=f"local_rate_{task}_{head}",
        title=f"the attacker's own learning rate, {task}, {head} head",
        task=task,
        scenario=liu2020_code(head=head, task=task),
        over={
            ("attack.enabled", "optimizers.1.learning_rate"): [(0, 0.01), *((1, rate) for rate in LEARNING_RATES)],
        },
    )
    for task, head in WHERE_IT_WORKS
)

SPREAD = PixelTrigger(pixels=((0, 0), (1, 1), (26, 26), (27, 27)))
"""Two pixels with each party (section 5.2: the trigger may lie over all parties)."""


def _spread(head: HeadName, attackers: tuple[int, ...]) -> Scenario:
    scenario = liu2020_code(head=head, attackers=attackers)
    return scenario.replace(poison=scenario.poison.replace(trigger=SPREAD))


TRIGGER = tuple(
    Case(
        name=f"trigger_{head}_{name}",
        title=f"trigger over both parties, {name}, {head} head",
        task="mnist",
        scenario=_spread(head, attackers),
    )
    for head in HEADS
    for name, attackers in {"one_attacker": (1,), "two_attackers": (0, 1)}.items()
)

CASES = (*CLIPPING, *ACTIVE, *BOTTOMS, *LOCAL_RATE, *TRIGGER, *LABELS)

"""Scenarios of the literature, each as a function of the few things its authors vary."""

from __future__ import annotations

from typing import Literal

from vfl_jax.attacks import ActivationBlurring, GradientReplacement, PairedReplacement
from vfl_jax.checks import check_choice
from vfl_jax.data.nus_wide import TARGET_ROW
from vfl_jax.data.triggers import NaturalTrigger, PixelTrigger, Trigger
from vfl_jax.losses import SoftmaxCrossEntropy
from vfl_jax.models import MLP, Bottom, DenseHead, Head, SumHead
from vfl_jax.optimizers import Optimizer
from vfl_jax.scenario import BatchPlan, PoisonPlan, Scenario
from vfl_jax.transforms import PartyChain, PartyTransform

HeadName = Literal["sum", "trainable"]
Task = Literal["mnist", "nus_wide"]
"""The two experiments of the paper; "nus_wide" is for its twin too."""
MNIST_PIXELS = ((25, 27), (27, 25), (26, 26), (27, 27))
"""The trigger of section 7.1, after Gu et al. 2017."""
DIGITS_PIXELS = ((5, 7), (7, 5), (6, 6), (7, 7))


def liu2020_paper(
    *,
    head: HeadName = "sum",
    amplify: float = 10.0,
    task: Task = "mnist",
    num_parties: int = 2,
    attackers: tuple[int, ...] = (-1,),
    num_classes: int | None = None,
) -> Scenario:
    """Liu, Yi, Chen 2020, its text read literally.

    ReLU on all nodes but the output layer; a fresh random batch in every step (Algorithm 1); poison and target
    rows drawn per seed (on NUS-WIDE poison rows are those whose last tag is set); Gaussian blurring of variance 1e-6,
    with the trainable head only. ``head`` is "sum" or "trainable". ``attackers`` collude; the last party is the
    attacker unless they are given. ``attack.enabled`` 0 is the honest run. ``num_classes`` is the task's, 10 or 5,
    unless given.

    What the text leaves open and is chosen here: mean loss on logits, 50 epochs, target class 0. The text's
    output width 32 is impossible with the sum head, whose bottoms need one output per class.
    """
    _check_names(head, task)
    width = num_classes or _NUM_CLASSES[task]
    bottom = MLP(hidden=(32,), width=width) if head == "sum" else MLP(hidden=(), width=32, output_relu=True)
    attack: PartyTransform = GradientReplacement(amplify=amplify)
    if head == "trainable":
        blurring = ActivationBlurring(kind="gaussian", stddev=1e-3, wait_for_target=False)
        attack = PartyChain(parts=(blurring, attack))
    return _over_parties(
        bottom,
        SumHead() if head == "sum" else DenseHead(),
        attack,
        num_parties,
        attackers,
        poison=PoisonPlan(trigger=_TRIGGERS[task]),
        batches=BatchPlan(order="sampled"),
    )


def liu2020_code(
    *,
    head: HeadName = "sum",
    amplify: float = 10.0,
    task: Task = "mnist",
    num_parties: int = 2,
    attackers: tuple[int, ...] = (-1,),
    num_classes: int | None = None,
) -> Scenario:
    """Liu, Yi, Chen 2020, as its authors ran it.

    ReLU on the bottoms' outputs too; probabilities clipped at 1e-7; one known training row of the target class; zero
    vectors blur poisoned rows once a gradient is recorded, under both heads. ``head`` is "sum" or "trainable";
    ``attackers`` and the rest are as in :func:`liu2020_paper`.

    MNIST: both heads on embeddings of width C; batches in file order; target row 1; one fixed list of poison rows for
    all seeds. Theirs is not public; ``draw="fixed"`` draws one. Redraw it per seed with
    ``scenario.replace(poison=scenario.poison.replace(draw="per_seed"))``.

    NUS-WIDE: the trainable head on one layer of width 32; batches shuffled in every epoch; target row 369; poison rows
    are those whose last tag is set.
    """
    _check_names(head, task)
    width = num_classes or _NUM_CLASSES[task]
    bottom = MLP(hidden=(32,), width=width, output_relu=True)
    if head == "trainable" and task == "nus_wide":
        bottom = MLP(hidden=(), width=32, output_relu=True)
    is_mnist = task == "mnist"
    return _over_parties(
        bottom,
        SumHead() if head == "sum" else DenseHead(),
        PartyChain(parts=(ActivationBlurring(kind="zero"), GradientReplacement(amplify=amplify))),
        num_parties,
        attackers,
        loss=SoftmaxCrossEntropy(probability_clip=1e-7),
        poison=PoisonPlan(
            trigger=_TRIGGERS[task],
            draw="fixed" if is_mnist else "per_seed",
            target_ids=(1 if is_mnist else TARGET_ROW,),
        ),
        batches=BatchPlan(order="file" if is_mnist else "shuffled"),
    )


def zou2022(
    *,
    amplify: float = 10.0,
    task: Task = "mnist",
    num_parties: int = 2,
    attackers: tuple[int, ...] = (-1,),
    num_classes: int | None = None,
) -> Scenario:
    """Zou et al. 2022, the follow-up: a stronger attack on an appended (poison, target) pair.

    100 epochs in the original; weight decay 3e-5, the learning rate falls by 3 % every epoch; ten target rows; a
    trainable head of one dense layer. ``attackers`` and the rest are as in :func:`liu2020_paper`.
    """
    _check_names("trainable", task)
    return _over_parties(
        MLP(hidden=(32,), width=num_classes or _NUM_CLASSES[task], output_relu=True),
        DenseHead(hidden=()),
        PairedReplacement(amplify=amplify),
        num_parties,
        attackers,
        optimizer=Optimizer(weight_decay=3e-5, epoch_decay=0.97),
        poison=PoisonPlan(trigger=_TRIGGERS[task], mode="appended_pair", num_targets=10),
    )


def digits_demo(*, head: HeadName = "sum", amplify: float = 10.0) -> Scenario:
    """The paper's experiment at the size of scikit-learn's digits, 8×8 pixels and 1,437 training rows.

    The literal text with embeddings of width C under both heads, the MNIST trigger in the same corner, on one
    training row in a hundred as in the paper, and on 72 of the 360 test rows, so that there is something to
    measure on. Learning rate 0.1 and 60 epochs were chosen on honest runs alone: the median main accuracy
    then stands near that of 100 epochs.
    """
    scenario = liu2020_paper(head=head, amplify=amplify)
    return scenario.replace(
        bottoms=(MLP(width=10, output_relu=head == "trainable"),) * 2,
        optimizers=(Optimizer(learning_rate=0.1),) * 2,
        head_optimizer=Optimizer(learning_rate=0.1),
        poison=PoisonPlan(trigger=PixelTrigger(pixels=DIGITS_PIXELS), rate=0.01, test_rate=0.2),
        batches=BatchPlan(order="shuffled"),
    )


def _over_parties(
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


def _check_names(head: HeadName, task: Task) -> None:
    check_choice("preset", HeadName, head=head)
    check_choice("preset", Task, task=task)


_NUM_CLASSES: dict[Task, int] = {"mnist": 10, "nus_wide": 5}
_TRIGGERS: dict[Task, Trigger] = {"mnist": PixelTrigger(pixels=MNIST_PIXELS), "nus_wide": NaturalTrigger()}


PRESETS = {
    "digits_demo": digits_demo,
    "liu2020_paper": liu2020_paper,
    "liu2020_code": liu2020_code,
    "zou2022": zou2022,
}
"""Every preset by its name."""

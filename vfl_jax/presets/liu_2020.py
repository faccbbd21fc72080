"""Liu, Yi, Chen 2020: its text read literally, and as its authors ran it."""

from __future__ import annotations

from vfl_jax.attacks import ActivationBlurring, GradientReplacement
from vfl_jax.data.sets.nus_wide import TARGET_ROW
from vfl_jax.models import MLP, DenseHead, SumHead
from vfl_jax.models.losses import SoftmaxCrossEntropy
from vfl_jax.presets.common import NUM_CLASSES, TRIGGERS, HeadName, Task, check_names, over_parties
from vfl_jax.protocol.chains import PartyChain
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.scenario import BatchPlan, PoisonPlan, Scenario


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
    check_names(head, task)
    width = num_classes or NUM_CLASSES[task]
    bottom = MLP(hidden=(32,), width=width) if head == "sum" else MLP(hidden=(), width=32, output_relu=True)
    attack: PartyTransform = GradientReplacement(amplify=amplify)
    if head == "trainable":
        blurring = ActivationBlurring(kind="gaussian", stddev=1e-3, wait_for_target=False)
        attack = PartyChain(parts=(blurring, attack))
    return over_parties(
        bottom,
        SumHead() if head == "sum" else DenseHead(),
        attack,
        num_parties,
        attackers,
        poison=PoisonPlan(trigger=TRIGGERS[task]),
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
    check_names(head, task)
    width = num_classes or NUM_CLASSES[task]
    bottom = MLP(hidden=(32,), width=width, output_relu=True)
    if head == "trainable" and task == "nus_wide":
        bottom = MLP(hidden=(), width=32, output_relu=True)
    is_mnist = task == "mnist"
    return over_parties(
        bottom,
        SumHead() if head == "sum" else DenseHead(),
        PartyChain(parts=(ActivationBlurring(kind="zero"), GradientReplacement(amplify=amplify))),
        num_parties,
        attackers,
        loss=SoftmaxCrossEntropy(probability_clip=1e-7),
        poison=PoisonPlan(
            trigger=TRIGGERS[task],
            draw="fixed" if is_mnist else "per_seed",
            target_ids=(1 if is_mnist else TARGET_ROW,),
        ),
        batches=BatchPlan(order="file" if is_mnist else "shuffled"),
    )

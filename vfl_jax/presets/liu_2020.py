"""Liu, Yi, Chen 2020 (https://arxiv.org/abs/2007.03608): the text read literally, and the authors' own runs."""

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

    All nodes but those of the output layer have a ReLU. Every step draws a fresh random batch (Algorithm 1). Every seed
    draws its poison and target rows; on NUS-WIDE the poison rows are those with the last tag. Under the trainable head
    the attackers blur with Gaussian noise of variance 1e-6. ``attack.enabled`` 0 is the honest run.

    The text leaves some choices open. They are made here: the mean loss on logits, 50 epochs, target class 0. The
    text's output width of 32 is impossible under the sum head, whose bottoms need one output per class.

    Args:
      head: "sum" or "trainable".
      amplify: γ of the attack.
      task: "mnist" or "nus_wide", which settles the trigger and the number of classes.
      num_parties: K, the number of parties that hold features.
      attackers: the numbers of the parties that attack, from 0, or from -1 backwards. Several collude.
      num_classes: C; by default the task's, 10 or 5.

    Raises:
      ValueError: where ``head`` or ``task`` is another word, or ``attackers`` is empty or names no party.

    Example:
      >>> import vfl_jax as vfl
      >>> scenario = vfl.presets.liu2020_paper(num_parties=4, attackers=(0, -1))
      >>> scenario.attackers
      (0, 3)
      >>> defended = scenario.replace(defense=vfl.defenses.GaussianNoise(stddev=0.01))
      >>> defended.defense.stddev
      0.01
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

    The bottoms' outputs have a ReLU, too. The loss clips probabilities at 1e-7. The attackers know one training row of
    the target class. Under both heads they blur poisoned rows with zero vectors, once they have recorded a gradient.

    On MNIST embeddings have width C under both heads, batches come in the order of the file, the target row is 1, and
    all seeds share one list of poison rows. The authors' list is not public; ``draw="fixed"`` draws another. For a list
    per seed take ``scenario.replace(poison=scenario.poison.replace(draw="per_seed"))``.

    On NUS-WIDE the trainable head lies on bottoms of one layer of width 32, every epoch shuffles its batches, the
    target row is 369, and the poison rows are those with the last tag.

    Args:
      head: "sum" or "trainable".
      amplify, task, num_parties, attackers, num_classes: as in :func:`liu2020_paper`.

    Raises:
      ValueError: as :func:`liu2020_paper` does.

    Example:
      >>> import vfl_jax as vfl
      >>> vfl.presets.liu2020_code().poison.target_ids
      (1,)
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

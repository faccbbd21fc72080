"""Honest training under every defense, with a party that listens: all readers are one chain, so each run serves all."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from experiments.shared.cases import HEADS, Case
from vfl_jax.attacks import (
    ClusterInference,
    DirectionInference,
    NormInference,
    PassiveModelCompletion,
    PooledInference,
    RegressionInference,
    SignInference,
    SpectralInference,
)
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.data import load_default_credit, load_mnist
from vfl_jax.defenses import (
    ALIBI,
    CAE,
    MID,
    Clipping,
    DiscreteGradients,
    DistanceCorrelation,
    GaussianNoise,
    GradientAveraging,
    GradPerturb,
    IsotropicNoise,
    LabelSmoothing,
    LaplaceNoise,
    Marvell,
    MaxNormNoise,
    RandomisedResponse,
    SignSGD,
    Sparsification,
)
from vfl_jax.models import MLP, DenseHead, SumHead
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.presets import HeadName
from vfl_jax.protocol.chains import ActiveChain, PartyChain
from vfl_jax.protocol.transforms import ActiveTransform, PartyTransform
from vfl_jax.protocol.triggers import EmbeddingTrigger
from vfl_jax.scenario import BatchPlan, PoisonPlan, Scenario

EPOCHS, SEEDS, NUM_KNOWN, WIDTH = 20, 10, 10, 32
END = (-1,)
"""Readers read once, after the last epoch."""


class Task(NamedTuple):
    """A data set."""

    title: str
    load: Callable[[], VerticalData]
    num_classes: int
    num_parties: int = 2


TASKS = {
    "mnist": Task("MNIST", functools.cache(load_mnist), 10),
    "default_credit": Task("default of credit", functools.cache(load_default_credit), 2),
}

SIGNS = (
    SignInference(way="sign_last", at_epochs=END),
    SignInference(rule="first", way="sign_first", at_epochs=END),
    SignInference(evidence="sum", way="sign_sum", at_epochs=END),
    SignInference(evidence="fading", way="sign_fading", at_epochs=END),
    SignInference(evidence="fading", smooth=True, way="sign_smooth", at_epochs=END),
)
"""They need one entry of the message per class."""
TWO_CLASSES = (
    NormInference(way="norm_last", at_epochs=END),
    NormInference(evidence="fading", threshold="two_means", way="norm_fading", at_epochs=END),
    DirectionInference(rule="sign", evidence="directions", way="toward", at_epochs=END),
    SpectralInference(way="spectral", at_epochs=END),
    SpectralInference(
        of="gradients", evidence="directions", threshold="two_means", way="spectral_gradients", at_epochs=END
    ),
)
ANY = (
    DirectionInference(way="direction_last", at_epochs=END),
    DirectionInference(evidence="directions", way="direction", at_epochs=END),
    DirectionInference(evidence="directions", smooth=True, way="direction_smooth", at_epochs=END),
    ClusterInference(evidence="directions", way="cluster", at_epochs=END),
    ClusterInference(of="embeddings", start="plus_plus", way="cluster_embeddings", at_epochs=END),
    RegressionInference(way="regression", at_epochs=END),
    RegressionInference(of="embeddings", way="alone", at_epochs=END),
    PassiveModelCompletion(),
    PooledInference(way="pooled", at_epochs=END),
    PooledInference(evidence="sum", way="pooled_sum", at_epochs=END),
    PooledInference(own=True, way="pooled_own", at_epochs=END),
)

AXES = DirectionInference(rule="axis", evidence="axes", way="axis", at_epochs=END)
AGAINST = {"max_norm_noise": (AXES,), "label_smoothing": (AXES,)}
"""By defense, the readers that were built against it, and listen where it acts: it draws the sign of a message, or
turns it round once the model is sure. Two classes share one axis.
"""

DEFENSES: dict[str, tuple[ActiveTransform, str, tuple[float, ...]]] = {
    "gaussian_noise": (GaussianNoise(), "stddev", (0.001, 0.005, 0.025)),
    "isotropic_noise": (IsotropicNoise(), "ratio", (1.0, 5.0)),
    "max_norm_noise": (MaxNormNoise(), "scale", (1.0, 4.0)),
    "marvell": (Marvell(), "power", (1.0, 10.0)),
    "sparsification": (Sparsification(), "drop_rate", (0.9, 0.99)),
    "clipping": (Clipping(by="row_l2"), "bound", (0.01, 0.001)),
    "sign_sgd": (SignSGD(), "size", (1.0,)),
    "discrete_gradients": (DiscreteGradients(), "bins", (2.0, 12.0)),
    "gradient_averaging": (GradientAveraging(), "share", (0.5, 1.0)),
    "grad_perturb": (GradPerturb(), "epsilon", (2.0, 0.5)),
    "label_smoothing": (LabelSmoothing(), "smoothing", (0.1, 0.5)),
    "randomised_response": (RandomisedResponse(), "epsilon", (2.0, 0.5)),
    "alibi": (ALIBI(), "epsilon", (2.0, 0.5)),
    "laplace_noise": (LaplaceNoise(), "scale", (0.001, 0.005)),
    "cae": (CAE(), "", ()),
    "dcae": (ActiveChain(parts=(CAE(), DiscreteGradients(bins=12.0))), "", ()),
    "mid": (MID(), "weight", (0.01, 0.1)),
    "distance_correlation": (DistanceCorrelation(), "weight", (0.1, 1.0)),
}
"""By name the defense, its number, and the values of that; a defense whose number is not swept has none."""
TRAINABLE_ONLY = ("distance_correlation",)
"""Defenses that leave the work to the head, so that it must be a trainable one."""
NONE = "none"


OPTIMIZER = Optimizer(kind="momentum", learning_rate=0.01)


def scenario(task: str, head: HeadName, name: str) -> Scenario:
    """Two parties that follow the protocol; the second one listens, and knows some rows of every class.

    Args:
      task: the name of the data set.
      head: the name of the head.
      name: the name of the defense.
    """
    by_number = TWO_CLASSES if TASKS[task].num_classes == 2 else AGAINST.get(name, ())
    listeners = PartyChain(parts=(*(SIGNS if head == "sum" else ()), *by_number, *ANY))
    return trained_together(TASKS[task], head, listeners).replace(
        defense=DEFENSES[name][0] if name in DEFENSES else ActiveTransform()
    )


def trained_together(
    task: Task, head: HeadName, listener: PartyTransform, optimizer: Optimizer = OPTIMIZER
) -> Scenario:
    """Parties that follow the protocol; the last one listens, and knows some rows of every class.

    Args:
      task: the data set.
      head: the name of the head.
      listener: the method of the last party.
      optimizer: its optimizer.
    """
    width = task.num_classes if head == "sum" else WIDTH
    others = task.num_parties - 1
    return Scenario(
        bottoms=(MLP(hidden=(64,), width=width),) * task.num_parties,
        head=SumHead() if head == "sum" else DenseHead(hidden=(32,)),
        optimizers=(*(OPTIMIZER,) * others, optimizer),
        head_optimizer=OPTIMIZER,
        attacks=(*(PartyTransform(),) * others, listener),
        poison=PoisonPlan(trigger=EmbeddingTrigger(), rate=0.0, target_class=task.num_classes - 1, num_known=NUM_KNOWN),
        batches=BatchPlan(size=64),
    )


def _case(task: str, head: HeadName, name: str) -> Case:
    _, number, values = DEFENSES.get(name, (None, "", ()))
    over: dict[Any, Any] = {f"defense.{number}": list(values)} if values else {}
    return Case(
        name=f"{task}_{head}_{name}",
        title=f"{TASKS[task].title}, {head} head, {name.replace('_', ' ')}",
        task=None,
        scenario=scenario(task, head, name),
        over=over,
        seeds=SEEDS,
        epochs=EPOCHS,
        load=TASKS[task].load,
        evaluate_every=EPOCHS,  # readers read once; to rank all training rows by each takes longer than an epoch
    )


CASES = tuple(
    _case(task, head, name)
    for task in TASKS
    for head in HEADS
    for name in (NONE, *DEFENSES)
    if name != "marvell" or TASKS[task].num_classes == 2
    if name not in TRAINABLE_ONLY or head == "trainable"
)

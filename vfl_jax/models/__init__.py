"""Bottom models of the parties, heads and losses of the active party, and every party's optimizer."""

from vfl_jax.models.bottoms import MLP, Bottom, Linear
from vfl_jax.models.cnn import CNN
from vfl_jax.models.heads import DenseHead, Head, SumHead
from vfl_jax.models.losses import Loss, MulticlassHinge, Regularizer, SoftmaxCrossEntropy, SquaredError
from vfl_jax.models.malicious_sgd import MaliciousSGD
from vfl_jax.models.of_functions import as_head, as_loss
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.models.residual import ResidualCNN

__all__ = [
    "CNN",
    "MLP",
    "Bottom",
    "DenseHead",
    "Head",
    "Linear",
    "Loss",
    "MaliciousSGD",
    "MulticlassHinge",
    "Optimizer",
    "Regularizer",
    "ResidualCNN",
    "SoftmaxCrossEntropy",
    "SquaredError",
    "SumHead",
    "as_head",
    "as_loss",
]

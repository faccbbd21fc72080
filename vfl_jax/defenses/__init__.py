"""Defenses: each method is one file and imports no other method. ``vfl_jax.ActiveChain`` joins several.

The first defense of Liu, Yi, Chen 2020 (arXiv:2007.03608), the trainable head, is ``vfl_jax.models.DenseHead``.
"""

from vfl_jax.defenses.alibi import ALIBI
from vfl_jax.defenses.cae import CAE
from vfl_jax.defenses.clipping import Clipping
from vfl_jax.defenses.discrete_gradients import DiscreteGradients
from vfl_jax.defenses.distance_correlation import DistanceCorrelation
from vfl_jax.defenses.embedding_clipping import EmbeddingClipping
from vfl_jax.defenses.embedding_dropout import EmbeddingDropout
from vfl_jax.defenses.embedding_filter import EmbeddingFilter
from vfl_jax.defenses.embedding_normalisation import EmbeddingNormalisation
from vfl_jax.defenses.gaussian_noise import GaussianNoise
from vfl_jax.defenses.gbd import GBD
from vfl_jax.defenses.grad_perturb import GradPerturb
from vfl_jax.defenses.gradient_averaging import GradientAveraging
from vfl_jax.defenses.isotropic_noise import IsotropicNoise
from vfl_jax.defenses.label_smoothing import LabelSmoothing
from vfl_jax.defenses.laplace_noise import LaplaceNoise
from vfl_jax.defenses.marvell import Marvell
from vfl_jax.defenses.max_norm_noise import MaxNormNoise
from vfl_jax.defenses.mid import MID
from vfl_jax.defenses.randomised_response import RandomisedResponse
from vfl_jax.defenses.sign_sgd import SignSGD
from vfl_jax.defenses.sparsification import Sparsification
from vfl_jax.defenses.vfl_monitor import VFLMonitor
from vfl_jax.defenses.vflip import VFLIP

__all__ = [
    "ALIBI",
    "CAE",
    "GBD",
    "MID",
    "VFLIP",
    "Clipping",
    "DiscreteGradients",
    "DistanceCorrelation",
    "EmbeddingClipping",
    "EmbeddingDropout",
    "EmbeddingFilter",
    "EmbeddingNormalisation",
    "GaussianNoise",
    "GradPerturb",
    "GradientAveraging",
    "IsotropicNoise",
    "LabelSmoothing",
    "LaplaceNoise",
    "Marvell",
    "MaxNormNoise",
    "RandomisedResponse",
    "SignSGD",
    "Sparsification",
    "VFLMonitor",
]

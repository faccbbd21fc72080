"""Defenses, one method per file; none imports another. ``ActiveChain`` joins them.

The paper's first defense, the trainable head, is ``vfl_jax.models.DenseHead``.
"""

from vfl_jax.defenses.clipping import Clipping
from vfl_jax.defenses.gaussian_noise import GaussianNoise
from vfl_jax.defenses.laplace_noise import LaplaceNoise
from vfl_jax.defenses.sparsification import Sparsification

__all__ = ["Clipping", "GaussianNoise", "LaplaceNoise", "Sparsification"]

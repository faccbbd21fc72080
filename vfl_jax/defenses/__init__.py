"""Defenses: each method is one file and imports no other method. ``vfl_jax.ActiveChain`` joins several.

The first defense of Liu, Yi, Chen 2020 (arXiv:2007.03608), the trainable head, is ``vfl_jax.models.DenseHead``.
"""

from vfl_jax.defenses.clipping import Clipping
from vfl_jax.defenses.gaussian_noise import GaussianNoise
from vfl_jax.defenses.gbd import GBD
from vfl_jax.defenses.laplace_noise import LaplaceNoise
from vfl_jax.defenses.mid import MID
from vfl_jax.defenses.sparsification import Sparsification
from vfl_jax.defenses.vflip import VFLIP

__all__ = ["GBD", "MID", "VFLIP", "Clipping", "GaussianNoise", "LaplaceNoise", "Sparsification"]

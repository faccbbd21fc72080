"""Bottom models of the parties and heads of the active party."""

from vfl_jax.models.bottoms import CNN, MLP, Bottom, Linear
from vfl_jax.models.heads import DenseHead, Head, SumHead

__all__ = ["CNN", "MLP", "Bottom", "DenseHead", "Head", "Linear", "SumHead"]

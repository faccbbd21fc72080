"""One replica by pure functions: ``prepare``, ``init``, ``step``, ``predict``; a sweep maps them over its grid."""

from vfl_jax.replica.draws import Given
from vfl_jax.replica.replica import Replica, batch, evaluate, init, predict, prepare, step, train_epoch

__all__ = ["Given", "Replica", "batch", "evaluate", "init", "predict", "prepare", "step", "train_epoch"]

"""One replica, pure: ``prepare`` it, then ``init``, ``step``, ``predict``; a sweep maps these over grid and seeds."""

from vfl_jax.replica.draws import Given
from vfl_jax.replica.replica import Replica, batch, evaluate, init, predict, prepare, step, train_epoch

__all__ = ["Given", "Replica", "batch", "evaluate", "init", "predict", "prepare", "step", "train_epoch"]

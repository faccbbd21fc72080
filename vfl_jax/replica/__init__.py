"""One replica by pure functions: ``prepare``, ``init``, ``step``, ``predict``, over what a sweep maps."""

from vfl_jax.replica.draws import Given
from vfl_jax.replica.evaluation import Metric
from vfl_jax.replica.replica import Replica, batch, evaluate, init, predict, prepare, step, train_epoch
from vfl_jax.replica.state import Batch, StepInfo, TrainState

__all__ = [
    "Batch",
    "Given",
    "Metric",
    "Replica",
    "StepInfo",
    "TrainState",
    "batch",
    "evaluate",
    "init",
    "predict",
    "prepare",
    "step",
    "train_epoch",
]

"""One replica by pure functions: ``prepare``, ``init``, ``step``, ``predict``, over what a sweep maps."""

from vfl_jax.replica.draws import Given
from vfl_jax.replica.metrics import Metric
from vfl_jax.replica.replica import (
    Replica,
    attack_all,
    batch,
    between_epochs,
    evaluate,
    init,
    predict,
    prepare,
    step,
    train_epoch,
)
from vfl_jax.replica.state import Batch, StepInfo, TrainState

__all__ = [
    "Batch",
    "Given",
    "Metric",
    "Replica",
    "StepInfo",
    "TrainState",
    "attack_all",
    "batch",
    "between_epochs",
    "evaluate",
    "init",
    "predict",
    "prepare",
    "step",
    "train_epoch",
]

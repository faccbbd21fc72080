"""Many replicas: a grid × seeds, cut into chunks, trained in compiled programs, labelled."""

from vfl_jax.sweeps.cases import sweep_cases
from vfl_jax.sweeps.cautions import EvidenceWarning
from vfl_jax.sweeps.devices import use_all_cores
from vfl_jax.sweeps.executors import SweepIncomplete
from vfl_jax.sweeps.predictions import embeddings, predict
from vfl_jax.sweeps.store.attempts import ChunkRefused
from vfl_jax.sweeps.sweep import run, sweep
from vfl_jax.sweeps.trained import Trained

__all__ = [
    "ChunkRefused",
    "EvidenceWarning",
    "SweepIncomplete",
    "Trained",
    "embeddings",
    "predict",
    "run",
    "sweep",
    "sweep_cases",
    "use_all_cores",
]

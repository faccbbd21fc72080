"""Readings of results: honest runs, the outcome of every replica, intervals over seeds, summaries."""

from vfl_jax.statistics.frames import tidy
from vfl_jax.statistics.intervals import interval, paired_difference, share_interval, summarize
from vfl_jax.statistics.judging import (
    ABOVE_FLOOR,
    BACKDOOR_ABOVE,
    DEFENSE_LOSS_AT_MOST,
    MAIN_LOSS_AT_MOST,
    OUTCOMES,
    STANDARD_ERRORS,
    outcomes,
)
from vfl_jax.statistics.main_accuracy import main_of
from vfl_jax.statistics.parts import NoAttackedRuns, attacked
from vfl_jax.statistics.prices import undefended
from vfl_jax.statistics.references import NoHonestRuns, honest, is_attacked
from vfl_jax.statistics.summaries import summary

__all__ = [
    "ABOVE_FLOOR",
    "BACKDOOR_ABOVE",
    "DEFENSE_LOSS_AT_MOST",
    "MAIN_LOSS_AT_MOST",
    "OUTCOMES",
    "STANDARD_ERRORS",
    "NoAttackedRuns",
    "NoHonestRuns",
    "attacked",
    "honest",
    "interval",
    "is_attacked",
    "main_of",
    "outcomes",
    "paired_difference",
    "share_interval",
    "summarize",
    "summary",
    "tidy",
    "undefended",
]

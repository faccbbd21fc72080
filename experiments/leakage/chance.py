"""How often the page's rule calls a reader better where none of 20 knows more than the one without messages.

    python -m experiments.leakage.chance

Every reader reads the same by chance alone, with independent normal errors. It prints the share of 2,000 settings that
the rule calls, and the share where the best reader is chosen by the seeds that are compared.
"""

from __future__ import annotations

import numpy as np
import tyro

from experiments.leakage.answer import shows_more
from experiments.leakage.cases import SEEDS
from experiments.leakage.readings import ALONE, Reading
from vfl_jax.statistics.intervals import t_interval

NUM_READERS = 20


def shares(times: int, seed: int) -> tuple[float, float]:
    """Returns (the share of settings that the rule calls, the share by the naive choice).

    Args:
      times: the number of settings.
      seed: the seed of the draws.
    """
    generator = np.random.default_rng(seed)
    called = naive = 0
    for _ in range(times):
        areas = {f"reader_{number}": generator.normal(0.7, 0.02, SEEDS) for number in range(NUM_READERS)}
        areas[ALONE] = generator.normal(0.7, 0.02, SEEDS)
        reading = Reading("some defense", "", {}, areas, np.full(SEEDS, 0.8))
        called += shows_more(reading)
        naive += t_interval(areas[reading.best(silent=False)[0]] - areas[ALONE])[0] > 0
    return called / times, naive / times


def main(times: int = 2_000) -> None:
    """Prints how often chance alone is called a better reader, by the page's rule and by a naive one.

    Args:
      times: the number of settings that are drawn.
    """
    called, naive = shares(times, seed=0)
    print(f"called by the page's rule: {called:.3f}; with the best reader chosen by the same seeds: {naive:.3f}")


if __name__ == "__main__":
    tyro.cli(main)

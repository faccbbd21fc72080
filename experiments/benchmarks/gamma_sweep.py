"""A γ sweep on MNIST, 8 values × 10 seeds, against the same runs one after another in a PyTorch eager loop.

    python -m experiments.benchmarks.gamma_sweep

Both train the attacked run of preset ``liu2020_code`` with the sum head on all 60,000 rows and evaluate on the test set
after every epoch; that they compute the same is checked before any time is printed. Rounds alternate, so that
a noisy machine disturbs both. Times are wall time per run and epoch; compilation is measured apart and shared by
all runs of the sweep.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
import torch
import tyro

from experiments.benchmarks import eager
from vfl_jax import simulation
from vfl_jax.data import load_mnist
from vfl_jax.devices import use_all_cores
from vfl_jax.draws import Given, draw
from vfl_jax.presets import liu2020_code
from vfl_jax.records import VerticalData
from vfl_jax.registry import cast
from vfl_jax.scenario import Scenario
from vfl_jax.sweep import _train_all, sweep

GAMMAS = (1.0, 2.0, 5.0, 8.0, 10.0, 12.0, 15.0, 20.0)


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Settings of the benchmark."""

    seeds: int = 10
    epochs: int = 2
    """Of every run in a round."""
    rounds: int = 5
    eager_runs: int = 2
    """Eager runs per round; the time of one run is their mean."""


def main(arguments: Arguments) -> None:
    """Prints one table."""
    use_all_cores()
    data, scenario = load_mnist(), liu2020_code(head="sum")
    over = {"attack.amplify": GAMMAS}
    ours, first = [], 0.0
    threads = sorted({1, os.cpu_count() or 1})
    theirs: dict[int, list[float]] = {count: [] for count in threads}
    replicas = len(GAMMAS) * arguments.seeds
    for number in range(arguments.rounds + 1):
        programs = num_programs()
        started = time.perf_counter()
        results = sweep(scenario, data, over, arguments.seeds, arguments.epochs, progress=False)
        seconds = time.perf_counter() - started
        if number == 0:
            first = seconds
            if num_programs() - programs != 1:
                raise SystemExit("error: the grid was compiled more than once")
            _check_equal(scenario, data, results, arguments.epochs)
            continue
        ours.append(seconds / replicas / arguments.epochs)
        for count in threads:
            torch.set_num_threads(count)
            seconds = sum(
                _eager(scenario, data, run, GAMMAS[(number + run) % len(GAMMAS)], arguments.epochs)[1]
                for run in range(arguments.eager_runs)
            )
            theirs[count].append(seconds / arguments.eager_runs / arguments.epochs)
    fastest = min(theirs.values(), key=statistics.median)
    ratios = [b / a for a, b in zip(ours, fastest, strict=True)]
    steps = data.train.num_samples // scenario.batches.size
    print(
        f"{len(GAMMAS)} γ × {arguments.seeds} seeds, {arguments.epochs} epochs, median of {arguments.rounds} rounds, "
    )
    print(f"{os.cpu_count()} cores, jax {jax.__version__}, torch {torch.__version__}\n")
    print("| | seconds per run and epoch | µs per replica-step |")
    print("|---|---|---|")
    loops = [(f"PyTorch eager loop, {count} thread{'s'[: count - 1]}", times) for count, times in theirs.items()]
    for name, times in [("vfl_jax sweep", ours), *loops]:
        middle = statistics.median(times)
        print(f"| {name} | {middle:.3f} [{min(times):.3f}, {max(times):.3f}] | {middle / steps * 1e6:.0f} |")
    compiling = first - statistics.median(ours) * replicas * arguments.epochs
    print(
        f"\nratio to the faster loop {statistics.median(ratios):.1f} (rounds {min(ratios):.1f} to {max(ratios):.1f}); ",
        end="",
    )
    print(f"compiled once, in {compiling:.1f} s with data transfer")
    whole = compiling / replicas + statistics.median(ours) * 50
    print(f"at 50 epochs, compilation included: {statistics.median(fastest) * 50 / whole:.1f} times faster per run")


def num_programs() -> int:
    """How many programs the sweep's training has been compiled to so far."""
    return _train_all._cache_size()  # type: ignore[attr-defined]


def _eager(
    scenario: Scenario, data: VerticalData, seed: int, gamma: float, epochs: int
) -> tuple[list[dict[str, float]], float]:
    """Trains the eager twin of one run; returns its history and the seconds of its loop, data at hand."""
    draws = draw(scenario, data, jax.random.key(seed))
    shapes = scenario.shapes(data)
    inputs = simulation.prepare(scenario, data)
    state = simulation.init(shapes, inputs, jax.tree.map(jnp.asarray, cast(scenario)), draws, Given())
    params = [[p[layer][leaf] for layer in ("dense_0", "dense_1") for leaf in ("kernel", "bias")] for p in state.params]
    is_poison = np.asarray(draws.poison_rank) < round(scenario.poison.rate * data.train.num_samples)
    is_triggered = np.asarray(draws.test_poison_rank) < round(scenario.poison.test_rate * data.test.num_samples)
    train_rows, test_rows = (
        (
            *(
                torch.tensor(np.asarray(scenario.poison.trigger.stamp(m, x, mask)).reshape(len(x), -1))
                for m, x in zip(inputs.masks, rows.features, strict=True)
            ),
            torch.tensor(np.asarray(rows.labels, np.int64)),
        )
        for rows, mask in ((data.train, is_poison), (data.test, is_triggered))
    )
    (target,) = np.asarray(draws.target_ids)
    size = scenario.batches.size
    started = time.perf_counter()
    history = eager.train(params, train_rows, test_rows, torch.tensor(is_poison), int(target), gamma, size, epochs)
    return history, time.perf_counter() - started


def _check_equal(scenario: Scenario, data: VerticalData, results: object, epochs: int) -> None:
    """Three runs of the sweep against the eager loop from the same initial weights and rows."""
    for seed, gamma in ((0, GAMMAS[0]), (1, GAMMAS[4]), (2, GAMMAS[-1])):
        mine = results.sel({"attack.amplify": gamma, "seed": seed})  # type: ignore[attr-defined]
        theirs, _ = _eager(scenario, data, seed, gamma, epochs)
        for name, variable, bound in (("loss", "loss", 1e-3), ("main", "main_task_accuracy", 5e-3)):
            difference = np.abs(mine[variable].values - [epoch[name] for epoch in theirs]).max()
            if difference > bound:
                raise SystemExit(f"error: {name} of seed {seed}, γ = {gamma} differs by {difference:.2g}")


if __name__ == "__main__":
    main(tyro.cli(Arguments))

"""Time per replica and step of vfl_jax against PyTorch and against its own step without ``vmap``, in one run.

    python -m experiments.benchmarks

All implementations do the same maths on random data of MNIST's and NUS-WIDE's size; that they find the same losses is
checked before any time is taken. Measurements of a case take turns, so that a noisy machine disturbs all of them; a
time is the median over the turns, training only. Peak memory and compile time are those of processes of their own.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

import jax
import numpy as np
import tyro

from experiments.benchmarks import page, report, setup
from experiments.benchmarks.problem import Case
from vfl_jax.core.atomic import write_atomically
from vfl_jax.sweeps.devices import use_all_cores

SHAPES = {1: (1, 1), 8: (2, 4), 40: (10, 4), 160: (20, 8), 320: (40, 8)}
"""Replicas: (seeds, grid points)."""
MAIN = 160
RESULTS = Path(__file__).parent / "results.json"
README = RESULTS.with_name("README.md")
WARM_UP = 30
"""Steps of PyTorch before times are taken, the target row's among them."""
Peer = Literal["eager", "vmap", "vmap, whole table", "vmap, compiled"]


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Settings of the benchmark."""

    rounds: int = 5
    rows: int = 19_200
    """Training rows: 300 steps an epoch. They take 49 MB in case "nus", more than a processor's caches."""
    steps: int = 50
    """Of PyTorch per turn."""
    cases: tuple[Case, ...] = get_args(Case)
    defenses: tuple[setup.Defense, ...] = setup.DEFENSES
    replicas: tuple[int, ...] = tuple(SHAPES)
    compiled: bool = True
    """Also time torch.compile, which needs a C++ compiler."""
    out: Path = RESULTS
    """Needed where anything else is set: a part of the benchmark does not replace the results of all."""
    report_only: bool = False
    """Write the page from the saved results; measure nothing."""
    peak: tuple[str, Case, int] | None = None
    """For the benchmark's own use: one implementation, case and number of replicas in a process of its own."""


def main(arguments: Arguments) -> None:
    """Prints the tables and writes what was measured; all of it also into the page."""
    if arguments.report_only:
        page.write_page(README, json.loads(RESULTS.read_text()))
        return
    use_all_cores()
    if arguments.peak is not None:
        print(json.dumps(_alone(arguments, *arguments.peak)))
        return
    is_part = dataclasses.replace(arguments, out=RESULTS) != Arguments()
    if arguments.out.resolve() == RESULTS and is_part:
        raise SystemExit("error: a part of the benchmark would replace the results of all; name a file with --out.")
    found: dict[str, Any] = {
        "machine": f"{os.cpu_count()} cores ({_processor()})",
        "versions": {"jax": jax.__version__, "torch": _torch().__version__, "python": platform.python_version()},
        "settings": {"rounds": arguments.rounds, "rows": arguments.rows, "steps": arguments.steps},
        "times": {},
        "alone": {},
    }
    for case in arguments.cases:
        for defense in arguments.defenses:
            _check_equal(arguments, case, defense)
            found["times"][f"{case}, {defense}"] = _times(arguments, case, defense)
            _say(f"{case}, {defense} done")
        for implementation in ("vfl_jax", "vmap"):
            for replicas in arguments.replicas:
                found["alone"][f"{case}, {implementation}, {replicas}"] = _in_a_process(
                    arguments, implementation, case, replicas
                )
        _say(f"memory of {case} done")
    write_atomically(arguments.out, lambda path: path.write_text(json.dumps(found, indent=1) + "\n"))
    print(report.tables(found))
    if arguments.out == RESULTS:
        page.write_page(README, found)


def _times(arguments: Arguments, case: Case, defense: setup.Defense) -> dict[str, list[float]]:
    """µs per replica and step, or GFLOP/s, of every turn."""
    from experiments.benchmarks import ours

    study = setup.study(case, defense, arguments.rows, 1000)
    measures: dict[str, Callable[[], float]] = {}
    for replicas in arguments.replicas:
        mapped = ours.Mapped(study, setup.chunk(defense, *SHAPES[replicas]))
        mapped.train()
        measures[f"vfl_jax, {replicas}"] = lambda mapped=mapped: mapped.train()[0]  # type: ignore[misc]
        if replicas == MAIN:
            measures["evaluation"] = mapped.evaluate
    measures["vfl_jax, unmapped"] = ours.Unmapped(study, setup.chunk(defense, 1, 1).points[0]).train
    if case == "nus":
        measures["roof"] = ours.roof
        measures["dense party"] = ours.DenseParty(study, 0, SHAPES[MAIN][1]).rate
    # One run's time wavers with several threads, so that no trial can choose: one thread takes turns with many.
    measures["eager"] = _peer(arguments, study, case, defense, "eager", 1)
    measures["eager, one thread"] = _peer(arguments, study, case, defense, "eager", 1, most_threads=1)
    for replicas in arguments.replicas:
        if replicas > 1:
            measures[f"vmap, {replicas}"] = _peer(arguments, study, case, defense, "vmap", replicas)
    if case == "nus":
        measures[f"vmap, whole table, {MAIN}"] = _peer(arguments, study, case, defense, "vmap, whole table", MAIN)
    if arguments.compiled and defense == "noise":  # it takes minutes
        measures[f"vmap, compiled, {MAIN}"] = _peer(arguments, study, case, defense, "vmap, compiled", MAIN)
    times: dict[str, list[float]] = {name: [] for name in measures}
    for turn in range(arguments.rounds):
        for name, measure in measures.items():
            times[name].append(measure())
        _say(f"{case}, {defense}: turn {turn + 1}/{arguments.rounds}")
    return times


def _peer(
    arguments: Arguments,
    study: Any,
    case: Case,
    defense: setup.Defense,
    peer: Peer,
    replicas: int,
    most_threads: int | None = None,
) -> Callable[[], float]:
    """A PyTorch implementation, with as many threads as make it fastest."""
    torch, built = _torch(), _built(study, case, defense, peer, replicas)
    built.run(WARM_UP)

    def measure(threads: int) -> float:
        torch.set_num_threads(threads)
        started = time.perf_counter()
        built.run(arguments.steps)
        return (time.perf_counter() - started) / arguments.steps / replicas * 1e6

    counts = sorted({1, most_threads or os.cpu_count() or 1})
    trials = {threads: min(measure(threads) for _ in range(2)) for threads in counts}
    _say(f"{peer}, {replicas} replicas: " + ", ".join(f"{t:.0f} µs with threads {n}" for n, t in trials.items()))
    return functools.partial(measure, min(counts, key=trials.__getitem__))


def _built(study: Any, case: Case, defense: setup.Defense, peer: Peer, replicas: int) -> Any:
    from experiments.benchmarks import ours
    from experiments.benchmarks.batched import Batched
    from experiments.benchmarks.eager import Eager

    seeds, count = SHAPES[replicas]
    chunk = setup.chunk(defense, seeds, count)
    each = setup.problems(study, ours.Mapped(study, setup.chunk(defense, seeds, 1)).initial, seeds)
    settings = [_settings(defense, point) for _ in range(seeds) for point in chunk.points]
    if peer == "eager":
        return Eager(each[0], **settings[0])
    columns: dict[str, Any] = {f"{name}s": [s[name] for s in settings] for name in settings[0]}
    options: dict[str, Any] = {"compiled": peer == "vmap, compiled", "whole_table": peer == "vmap, whole table"}
    return Batched(setup.stacked(each, count), **columns, **options)


def _settings(defense: setup.Defense, point: dict[str, float]) -> dict[str, Any]:
    (value,) = point.values()
    return {"none": {"gamma": value}, "noise": {"gamma": 10.0, "stddev": value}}.get(
        defense, {"gamma": 10.0, "drop_rate": value}
    )


def _check_equal(arguments: Arguments, case: Case, defense: setup.Defense) -> None:
    """The mean loss of the first epoch of some replicas against the eager loop's from the same weights and rows.

    Without noise they are equal; with it the draws differ, and the mean difference must be within four standard errors.
    """
    from experiments.benchmarks import ours
    from experiments.benchmarks.eager import Eager

    seeds, count = 4, 2
    study = setup.study(case, defense, arguments.rows, 1000)
    mapped = ours.Mapped(study, chunk := setup.chunk(defense, seeds, count))
    each = setup.problems(study, mapped.initial, seeds)
    losses = mapped.train()[1]
    differences = np.array(
        [
            losses[seed, g] - Eager(each[seed], **_settings(defense, point)).run(mapped.num_steps).mean()
            for seed in range(seeds)
            for g, point in enumerate(chunk.points)
        ]
    )
    bound = 1e-3 if defense != "noise" else 1e-3 + 4 * differences.std(ddof=1) / np.sqrt(differences.size)
    worst = np.abs(differences).max() if defense != "noise" else abs(differences.mean())
    if not worst < bound:
        raise SystemExit(f"error: the losses of {case}, {defense} differ from the eager loop's by {worst:.2g}")
    _say(f"{case}, {defense}: losses equal to {worst:.1g}")


def _in_a_process(arguments: Arguments, implementation: str, case: Case, replicas: int) -> dict[str, float]:
    own = [sys.executable, "-m", "experiments.benchmarks", "--rows", str(arguments.rows), "--peak"]
    command = [*own, implementation, case, str(replicas)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"error: {' '.join(command[1:])} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _alone(arguments: Arguments, implementation: str, case: Case, replicas: int) -> dict[str, float]:
    """Peak memory, in MiB, with noise on; of vfl_jax also the seconds to compile."""
    from experiments.benchmarks import ours

    study = setup.study(case, "noise", arguments.rows, 1000)
    if implementation == "vmap":
        _built(study, case, "noise", "vmap", replicas).run(WARM_UP)
        facts = {}
    else:
        mapped = ours.Mapped(study, setup.chunk("noise", *SHAPES[replicas]))
        facts = {"compile_seconds": mapped.compile()}
        mapped.train()
        mapped.evaluate()
    return facts | {"peak_mib": _peak_mib()}


def _peak_mib() -> float:
    """Of this program alone; what ``getrusage`` says begins with the memory of the process that started it."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise SystemExit("error: PyTorch is missing; install the extra: pip install 'vfl_jax[bench]'") from error
    return torch


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(tyro.cli(Arguments))

"""All that is asked of a GPU, in one run of less than ten minutes; every part in a process of its own.

    python -m experiments.benchmarks.on_gpu

1. Figure 6 whole, compilation and evaluation included: 320 runs × 50 epochs × 60,000 rows of NUS-WIDE's size.
2. The same with matrix products in full float32 instead of TF32: time, and how far the results are apart.
3. The same with a loop recorded as one CUDA graph, so that a step waits for no launch by the host: time alone.
4. Time per step from 8 to 2,560 replicas; compilation, evaluation and memory apart.
5. PyTorch on the same GPU: eager, mapped and compiled.
6. The quick tests.

A part that fails or takes too long says so, and the others go on.
"""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import tyro

from vfl_jax.core.atomic import write_atomically

Part = Literal["figure", "figure in float32", "figure in graphs", "growth", "pytorch", "tests"]
SECONDS: dict[Part, int] = {
    "figure": 110, "figure in float32": 80, "figure in graphs": 80, "growth": 120, "pytorch": 110, "tests": 90
}  # fmt: skip
"""The most that each part may take."""
VARIABLES: dict[Part, tuple[str, str]] = {
    "figure in float32": ("JAX_DEFAULT_MATMUL_PRECISION", "highest"),
    "figure in graphs": ("XLA_FLAGS", "--xla_gpu_enable_command_buffer=+WHILE"),
}
"""What a part adds to the environment of its process, a name and words."""


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Settings of the run; a tiny one on a CPU shows that the script works."""

    parts: tuple[Part, ...] = get_args(Part)
    out: Path = Path("on_gpu.json")
    """The file for what was measured; it says on which device."""
    rows: int = 60_000
    test_rows: int = 40_000
    epochs: int = 50
    seeds: int = 40
    replicas: tuple[int, ...] = (8, 40, 160, 320, 640, 1_280, 2_560)
    """Sizes of a chunk, multiples of 8: so many grid points has a seed."""
    steps: int = 50
    """Of PyTorch per turn."""
    tests: tuple[str, ...] = ("tests", "-m", "not long", "-n8")
    """What pytest is given."""
    alone: Part | None = None
    """For the script's own use: one part in a process of its own."""


def main(arguments: Arguments) -> None:
    """Measures every part, writes what was found, and prints it."""
    if arguments.alone is not None:
        print(json.dumps(MEASURES[arguments.alone](arguments)))
        return
    found: dict[str, Any] = {}
    for part in arguments.parts:
        found[part] = in_a_process(arguments, part)
        write_atomically(arguments.out, lambda path: path.write_text(json.dumps(found, indent=1) + "\n"))
    print(table(found))


def in_a_process(arguments: Arguments, part: Part) -> dict[str, Any]:
    """Returns what a part measured; where it failed, its last line of error as "error"."""
    print(f"{part}: at most {SECONDS[part]} s", file=sys.stderr, flush=True)
    given = dataclasses.asdict(dataclasses.replace(arguments, alone=part))
    environment = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    if part in VARIABLES:
        name, words = VARIABLES[part]
        before = os.environ.get(name, "") if name == "XLA_FLAGS" else ""
        environment[name] = f"{before} {words}".strip()
    command = [sys.executable, "-c", _CHILD, json.dumps(given, default=str)]
    started = time.perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS[part], env=environment)
    except subprocess.TimeoutExpired:
        return {"error": f"stopped after {SECONDS[part]} s"}
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    return json.loads(done.stdout.splitlines()[-1]) | {"seconds": time.perf_counter() - started}


_CHILD = """
import json, sys
from experiments.benchmarks import on_gpu
given = {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(sys.argv[1]).items()}
on_gpu.main(on_gpu.Arguments(**given))
"""


def figure(arguments: Arguments) -> dict[str, Any]:
    """Returns the seconds of the sweep, compilation included, and what it found at the last epoch, float[G][S]."""
    import jax

    from experiments.benchmarks import setup
    from vfl_jax.sweeps.sweep import sweep

    data, over = setup.data("nus", arguments.rows, arguments.test_rows), setup.levels("noise", 8)
    started = time.perf_counter()
    results = sweep(setup.scenario("nus", "noise"), data, over, arguments.seeds, arguments.epochs, progress=False)
    seconds = time.perf_counter() - started
    last = results.isel(epoch=-1)
    measured = {name: np.asarray(last[name], float).tolist() for name in ("main_task_accuracy", "loss")}
    return {"device": jax.devices()[0].device_kind, "sweep_seconds": seconds, **measured}


def growth(arguments: Arguments) -> dict[str, Any]:
    """Returns by the number of replicas: seconds to compile, µs per step and of an evaluation, the most memory yet."""
    import jax

    from experiments.benchmarks import ours, setup

    study, found = setup.study("nus", "noise", 19_200 if arguments.rows > 19_200 else arguments.rows, 1000), {}
    for replicas in arguments.replicas:
        mapped = ours.Mapped(study, setup.chunk("noise", replicas // 8, 8))
        compile_seconds = mapped.compile()
        mapped.train()
        mapped.evaluate()
        per_replica = statistics.median(mapped.train()[0] for _ in range(3))
        stats = jax.devices()[0].memory_stats() or {}
        found[str(replicas)] = {
            "compile_seconds": compile_seconds,
            "step_us": per_replica * replicas,
            "evaluation_us_per_row": mapped.evaluate() * replicas,
            "peak_bytes": stats.get("peak_bytes_in_use"),
        }
    return {"by_replicas": found}


def pytorch(arguments: Arguments) -> dict[str, Any]:
    """Returns µs per replica and step of PyTorch, with 160 replicas where they are mapped."""
    import torch

    from experiments.benchmarks import setup
    from experiments.benchmarks.__main__ import WARM_UP, Peer, _built

    torch.set_default_device("cuda" if torch.cuda.is_available() else "cpu")
    study, found = setup.study("nus", "noise", min(arguments.rows, 19_200), 1000), {}
    peers: dict[Peer, int] = {"eager": 1, "vmap": 160, "vmap, compiled": 160}
    for peer, replicas in peers.items():
        built = _built(study, "nus", "noise", peer, replicas)
        built.run(min(WARM_UP, arguments.steps))
        turns = []
        for _ in range(3):
            started = time.perf_counter()
            built.run(arguments.steps)  # it returns the losses on the host, so the GPU has finished
            turns.append((time.perf_counter() - started) / arguments.steps / replicas * 1e6)
        found[peer] = statistics.median(turns)
    return {"torch": torch.__version__, "us_per_replica_step": found}


def tests(arguments: Arguments) -> dict[str, Any]:
    """Returns pytest's last line and the tests that failed."""
    command = [sys.executable, "-m", "pytest", "-q", *arguments.tests]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stdout.strip().splitlines() or ["pytest said nothing"]
    failed = [line.split()[1] for line in lines if line.startswith(("FAILED ", "ERROR "))]
    return {"summary": lines[-1], "failed": failed}


MEASURES: dict[Part, Callable[[Arguments], dict[str, Any]]] = {
    "figure": figure, "figure in float32": figure, "figure in graphs": figure, "growth": growth, "pytorch": pytorch,
    "tests": tests,
}  # fmt: skip


def table(found: dict[str, Any]) -> str:
    """Returns what was found as Markdown; of a part that failed, the error."""
    lines = [f"{part}: {facts['error']}" for part, facts in found.items() if "error" in facts]
    good = {part: facts for part, facts in found.items() if "error" not in facts}
    for part in ("figure", *VARIABLES):
        if part in good:
            lines.append(f"{part}: {good[part]['sweep_seconds']:.1f} s on {good[part]['device']}")
    if {"figure", "figure in float32"} <= good.keys():
        for name in ("main_task_accuracy", "loss"):
            apart = np.abs(np.subtract(good["figure"][name], good["figure in float32"][name]))
            lines.append(f"TF32 against float32, {name}: at most {np.nanmax(apart):.2g}, mean {np.nanmean(apart):.2g}")
    if "growth" in good:
        lines += ["", "| replicas | compilation, s | step, µs | evaluation, µs a row | peak memory, GiB |"]
        lines.append("|---|---|---|---|---|")
        for replicas, facts in good["growth"]["by_replicas"].items():
            peak = "" if facts["peak_bytes"] is None else f"{facts['peak_bytes'] / 2**30:.1f}"
            times = f"{facts['step_us']:.0f} | {facts['evaluation_us_per_row']:.2f}"
            lines.append(f"| {replicas} | {facts['compile_seconds']:.1f} | {times} | {peak} |")
    if "pytorch" in good:
        lines += ["", "| PyTorch | µs per replica and step |", "|---|---|"]
        lines += [f"| {name} | {time:.1f} |" for name, time in good["pytorch"]["us_per_replica_step"].items()]
    if "tests" in good:
        lines += ["", good["tests"]["summary"], *good["tests"]["failed"]]
    return "\n".join(lines)


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))

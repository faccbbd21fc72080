"""How many kernels a training step launches on a GPU, counted on a machine that has none.

    python -m experiments.benchmarks.launches --compiler FOLDER

A step of a sweep on a GPU is bound by what it launches. The command compiles an epoch of 20 seeds × 8 grid points for a
described H200 and counts; where the compiler is not in the folder, it prints the line that installs it.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Literal, get_args

import tyro

from experiments.benchmarks import described_gpu, setup
from vfl_jax.core.atomic import write_atomically
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.study import Study

RESULTS = Path(__file__).parent / "launches.json"
SEEDS, POINTS = 20, 8
Name = Literal["nus/none", "nus/noise", "nus/sparsification", "mnist/none", "twin/none", "twin/noise"]


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Settings of the count."""

    compiler: Path = Path("build/gpu_compiler")
    """The folder with the compiler's packages."""
    cases: tuple[Name, ...] = get_args(Name)
    details: bool = False
    """Also print what every loop launches."""
    write: bool = False
    """Also write the counts of these cases to launches.json."""


def main(arguments: Arguments) -> None:
    """Prints the table of all counts, those of the chosen cases new."""
    described_gpu.find_compiler(arguments.compiler)
    found = json.loads(RESULTS.read_text())
    for name in arguments.cases:
        of_steps = steps(name)
        found["now"][name] = summary(of_steps)
        if arguments.details:
            print(f"{name}: {of_steps.turns} steps")
            print("\n".join(details(of_steps)))
    print(table(found["before"], found["now"]))
    if arguments.write:
        write_atomically(RESULTS, lambda path: path.write_text(json.dumps(found, indent=1) + "\n"))


def case(name: Name) -> tuple[Study, Chunk]:
    """Returns the study and the chunk of a case.

    Args:
      name: a benchmark case and its defense; "twin" is the synthetic twin of NUS-WIDE, whose rows have up to 96 tags.
    """
    of, _, defense = name.partition("/")
    if of != "twin":
        return setup.study(of, defense, 6400, 1000), setup.chunk(defense, SEEDS, POINTS)  # type: ignore[arg-type]
    from vfl_jax.data import load_nus_wide_twin

    data = load_nus_wide_twin(num_train=6400, num_test=1000)
    scenario = setup.scenario("nus", defense)  # type: ignore[arg-type]
    return Study(scenario, data, 1, setup.Given()), setup.chunk(defense, SEEDS, POINTS)  # type: ignore[arg-type]


def steps(name: Name) -> described_gpu.Loop:
    """Returns the loop over the steps of an epoch, compiled for the described GPU."""
    import jax.numpy as jnp

    from vfl_jax.sweeps import layout, programs
    from vfl_jax.sweeps.prepared import prepare

    ready, mesh = prepare(*case(name)), described_gpu.gpu_mesh()
    shapes, _, *arrays = ready.arguments
    on_gpu = described_gpu.shapes_on(mesh, (*arrays, ready.state_shapes(), jnp.int32(0)))
    traced = programs.train_epoch.trace(shapes, layout.lay_out(mesh, SEEDS, POINTS), *on_gpu)
    program = traced.lower(lowering_platforms=("cuda",)).compile().as_text()
    return described_gpu.loops(program)[0]


def summary(loop: described_gpu.Loop) -> dict[str, object]:
    """Returns the counts of a loop as JSON: a step's launches, those outside inner loops, and the inner loops."""
    inner = [f"{found.turns} × {found.launches}" for found in loop.inner]
    return {"launches": loop.launches, "outside": len(loop.kernels), "loops": inner}


def details(loop: described_gpu.Loop, indent: str = "  ") -> list[str]:
    """Returns a line for every kernel of a loop, those of inner loops deeper."""
    lines = [indent + kernel for kernel in loop.kernels]
    for inner in loop.inner:
        lines += [f"{indent}loop of {inner.turns} turns:", *details(inner, indent + "  ")]
    return lines


def table(before: dict[str, dict], now: dict[str, dict]) -> str:
    """Returns the counts as Markdown.

    Args:
      before: the counts of an earlier version; a case that it lacks has an empty cell.
      now: the counts of this version.
    """
    lines = ["| launches a step | before | now | in inner loops, now |", "|---|---|---|---|"]
    for name, found in now.items():
        loops = ", ".join(found["loops"]) or "none"
        lines.append(f"| {name} | {before.get(name, {}).get('launches', '')} | {found['launches']} | {loops} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))

"""Compiles the programs of every method for a TPU v5e, on a machine that has none.

    python -m experiments.benchmarks.tpu

Every program is one line of JSON in ``results.jsonl``, written as soon as it is compiled. The same command goes on from
there; a program that did not compile is tried again. Programs with equal text are compiled once.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import jax
import tyro

from experiments.benchmarks.tpu import compiling, methods, page, report

RESULTS = Path(__file__).with_name("results.jsonl")
ON_SEVERAL = (methods.NONE, "GradientReplacement", "VFLIP", "Sparsification")
"""These are also compiled for four chips; what differs among methods is inside a seed, and seeds never meet."""
SEVERAL = 4
STAGES = (("epoch", "on_epoch"), ("first pass",), ("second pass",))
"""What is compiled of all methods before the next; the second pass takes longest."""


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Compiles the programs that have no line yet, then writes the page."""

    only: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Compile this method only (may be repeated)."""
    report_only: bool = False
    """Write the page from saved results; compile nothing."""
    out: Path = RESULTS
    """The file of results; only the committed one has a page."""


def main(arguments: list[str] | None = None) -> None:
    """Parses and runs."""
    given = tyro.cli(Arguments, args=arguments)
    wanted = [(1, *each) for each in methods.names()] + [(SEVERAL, *e) for e in methods.names() if e[1] in ON_SEVERAL]
    unknown = set(given.only) - {name for _, _, name in wanted}
    if unknown:
        known = ", ".join(dict.fromkeys(name for _, _, name in wanted))
        raise SystemExit(f"error: --only is {', '.join(sorted(unknown))}; the methods are {known}.")
    if not given.report_only:
        jax.config.update("jax_platforms", "cpu")  # what is prepared here is prepared on this machine
        compiling.described(1)  # ends here where the compiler is missing
        for stage, (count, kind, name) in itertools.product(STAGES, wanted):
            if not given.only or name in given.only:
                compile_stage(given.out, kind, name, count, stage)
    if given.out == RESULTS:
        page.write_page(RESULTS.with_name("README.md"), report.read(RESULTS))


def compile_stage(path: Path, kind: str, name: str, num_devices: int, stage: tuple[str, ...]) -> None:
    """Compiles the programs of a method that have no line yet, and appends their lines.

    Args:
      path: the file of results.
      kind, name: as :func:`methods.names` lists them.
      num_devices: the number of chips.
      stage: the kinds of programs.
    """
    known = report.read(path)
    done = [line for line in known if report.is_of(line, kind, name, num_devices)]
    if any(set(stage) <= set(line.get("complete", ())) for line in done):
        return
    subject = methods.subject(kind, name)
    about = {"kind": kind, "method": name, "board": subject.board, "chips": num_devices}
    about["versions"] = compiling.versions()
    failed = False
    for program in compiling.lowered(subject.study, subject.chunk, num_devices, stage):
        same = [line for line in known if line.get("digest") == program.digest and "error" not in line]
        found: dict[str, Any] = {k: same[0][k] for k in report.BYTES} if same else compiling.compiled(program)
        failed = failed or "error" in found
        line = about | {"program": program.name, "digest": program.digest} | found
        known.append(line)
        _append(path, line)
        print(f"{name}, {num_devices} chips, {program.name}: {found}", file=sys.stderr, flush=True)
    if not failed:
        _append(path, about | {"complete": stage})
    jax.clear_caches()  # each program takes memory maps, of which a process has few


def _append(path: Path, line: dict[str, Any]) -> None:
    """Appends one line of JSON."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()

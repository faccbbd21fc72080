"""The page: its answer, its figure and its table; what compiles, and how much of a chip's memory it takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.benchmarks.tpu.report import PROGRAMS, bytes_of, last_lines, summary, table
from experiments.shared.readme import add_picture, write_tables
from vfl_jax import plots
from vfl_jax.core.words import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHIP = 16 * 2**30
"""The bytes of a TPU v5e's memory."""

TICKS = (10, 100, 1_000, 10_000)
"""The MB that the figure's axis names."""


def write_page(page: Path, lines: list[dict[str, Any]]) -> None:
    """Writes answer, figure and table between the marks of the page.

    Args:
      page: the README; its figure goes into ``results/`` beside it.
      lines: as :func:`experiments.benchmarks.tpu.report.read` returns them.
    """
    folder = page.with_name("results")
    folder.mkdir(exist_ok=True)
    picture = add_picture(folder, "memory", figure(lines), "the memory of every program on one chip, in MB")
    write_tables(page, folder, f"{summary(lines)}\n\n{table(lines)}\n", f"{answer(lines)}\n{picture}")


def answer(lines: list[dict[str, Any]]) -> str:
    """How many programs compile, and what the largest takes of a chip; nothing is said of what was not compiled.

    Args:
      lines: as :func:`experiments.benchmarks.tpu.report.read` returns them.
    """
    last = last_lines(lines)
    compiled = [line for line in last.values() if "error" not in line]
    largest = max(compiled, key=bytes_of)
    methods = {key[:2] for key in last}
    return (
        f"**{len(compiled)} of {counted(len(last), 'program')} of {counted(len(methods), 'method')} that were tried "
        f"compile for a TPU v5e; nothing was run on one.** The largest, the {largest['program']} of "
        f"{largest['method']}, takes {bytes_of(largest) / 1e6:,.0f} MB, {bytes_of(largest) / CHIP:.0%} of a chip's "
        "memory.\n"
    )


def figure(lines: list[dict[str, Any]]) -> Figure:
    """The memory of every program on one chip, a row per method; the line is what a chip has.

    Args:
      lines: as for :func:`answer`.
    """
    compiled = [line for line in last_lines(lines).values() if "error" not in line and line["chips"] == 1]
    methods = list(dict.fromkeys(line["method"] for line in compiled))
    picture, ((panel,),) = plots.grid_of_panels(1, 1, size=(7.6, 0.24 * len(methods) + 1.1))
    kinds = [kind for kind in PROGRAMS if any(line["program"].startswith(kind) for line in compiled)]
    for kind, color, mark in zip(kinds, plots.COLORS, "osD^", strict=False):
        of_kind = [line for line in compiled if line["program"].startswith(kind)]
        places = [methods.index(line["method"]) for line in of_kind]
        sizes = [bytes_of(line) / 1e6 for line in of_kind]
        panel.plot(sizes, places, mark, color=color, label=kind, markersize=5, alpha=0.9)
    panel.axvline(CHIP / 1e6, color=plots.COLORS[7], linestyle="--", label="a chip's memory")
    panel.set_xscale("log")
    panel.set_xticks(TICKS, [f"{tick:,}" for tick in TICKS])
    panel.set_xlabel("MB on one chip")
    panel.set_yticks(range(len(methods)), methods)
    panel.invert_yaxis()
    panel.grid(axis="x", alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return picture

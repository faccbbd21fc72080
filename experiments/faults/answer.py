"""The answer of the page and its figure: what became of damaged and odd input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from experiments.faults.job import REFUSED, RIGHT
from experiments.faults.readers import READERS
from experiments.faults.stops import STOPS
from vfl_jax import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Counts = dict[str, dict[str, Any]]
"""By the name of a reader, how many cases were tried, were right and refused, and which failed."""


def answer(found: Counts, stopped: Counts) -> str:
    """How many cases hold of those that were tried, and how many are not tried yet.

    Args:
      found: the counts of damaged inputs.
      stopped: the counts of stopped sweeps.
    """
    tried, right, refused = (sum(counts[kind] for counts in found.values()) for kind in ("tried", RIGHT, REFUSED))
    of_all = sum(READERS[name].cases for name in found)
    held = right + refused
    left = f"; {of_all - tried:,} are not tried yet" if tried < of_all else ""
    return (
        f"**{'All' if held == tried else f'{held:,} of'} {tried:,} damaged or odd inputs that were tried are read "
        f"right, or refused by an error that names the file.** {right:,} were read right and {refused:,} "
        f"refused{left}. {of_stops(stopped)}\n"
    )


def of_stops(stopped: Counts) -> str:
    """How many stopped sweeps end in the right bytes, in a sentence."""
    if not (tried := sum(counts["tried"] for counts in stopped.values())):
        return "No stopped sweep was tried yet."
    held = tried - sum(len(counts["failed"]) for counts in stopped.values())
    left = sum(stop.cases for stop in STOPS.values()) - tried
    return (
        f"{'All' if held == tried else f'{held:,} of'} {tried:,} sweeps that were stopped at a random moment ended, "
        f"once they went on, in the bytes of one that nothing stops{f'; {left:,} are not tried yet' if left else ''}."
    )


def figure(found: Counts) -> Figure:
    """What became of every kind of input: a bar of the cases that were tried.

    Args:
      found: the counts of the job.
    """
    picture, ((panel,),) = plots.grid_of_panels(1, 1, size=(7.2, 0.22 * len(found) + 1.1))
    lost = {name: counts["tried"] - counts[RIGHT] - counts[REFUSED] for name, counts in found.items()}
    parts = {
        "read right": ([counts[RIGHT] for counts in found.values()], plots.COLORS[2]),
        "refused, file named": ([counts[REFUSED] for counts in found.values()], plots.COLORS[0]),
        "neither": (list(lost.values()), plots.COLORS[1]),
    }
    starts = [0] * len(found)
    for label, (sizes, color) in parts.items():
        panel.barh(range(len(found)), sizes, 0.7, starts, color=color, label=f"{label} ({sum(sizes):,})")
        starts = [start + size for start, size in zip(starts, sizes, strict=True)]
    panel.set_yticks(range(len(found)), [READERS[name].what.partition(" (")[0] for name in found])
    panel.invert_yaxis()
    panel.set_xlabel("cases")
    panel.spines[["top", "right"]].set_visible(False)
    picture.legend(loc="outside lower center", ncols=len(parts), frameon=False)
    return picture

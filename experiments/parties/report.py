"""The table and the figure, from saved results; nothing is trained here."""

from __future__ import annotations

import functools
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.parties.study import HEADS, NUMBERS
from experiments.readme import write_tables
from vfl_jax.atomic import write_atomically
from vfl_jax.files import load
from vfl_jax.report import Row, median_with_interval, to_markdown
from vfl_jax.statistics import honest, outcomes, share_interval

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

README = Path(__file__).with_name("README.md")


def write_report(folder: Path) -> None:
    """Writes the table into README.md, or beside other results than those that are committed, and the figure."""
    write_tables(README, folder, table(folder))
    picture = figure(folder)
    write_atomically(folder / "parties.png", functools.partial(picture.savefig, format="png"))


def table(folder: Path) -> str:
    """One row per head and number of parties, as Markdown.

    Raises:
      FileNotFoundError: when results are missing.
    """
    return to_markdown([_row(head, number, _last(folder, head, number)) for head in HEADS for number in NUMBERS])


def _last(folder: Path, head: str, num_parties: int) -> xr.Dataset:
    return load(folder / f"{head}_{num_parties}.nc").isel(epoch=-1)


def _row(head: str, num_parties: int, last: xr.Dataset) -> Row:
    floor, attacked = honest(last), last.sel({"attack.enabled": 1})
    counted = outcomes(last).sel({"attack.enabled": 1})
    seeds, successes = counted.sizes["seed"], int(counted.is_success.sum())
    low, high = share_interval(successes, seeds)
    return {
        "head": head,
        "parties": str(num_parties),
        "attacker's rows of the image": str(28 - (num_parties - 1) * 28 // num_parties),
        "main, honest": median_with_interval(floor.main_task_accuracy),
        "main, attacked": median_with_interval(attacked.main_task_accuracy),
        "attack success": median_with_interval(attacked.attack_success_rate),
        "clean floor": median_with_interval(floor.attack_success_rate),
        "successes": f"{successes}/{seeds} [{low:.2f}, {high:.2f}]",
        "collapsed": f"{int(counted.is_collapsed.sum())}/{seeds}",
    }


def figure(folder: Path) -> Figure:
    """Every seed as a point: main accuracy and attack success against the number of parties."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=(9, 4), layout="constrained")
    panels = picture.subplots(1, 2)
    places, variables = np.arange(len(NUMBERS)), ("main_task_accuracy", "attack_success_rate")
    for (i, head), (panel, variable) in itertools.product(enumerate(HEADS), zip(panels, variables, strict=True)):
        shift, colour = 0.16 * i - 0.08, f"C{i}"
        found = [_last(folder, head, number) for number in NUMBERS]
        attacked = [last.sel({"attack.enabled": 1})[variable].values for last in found]
        for place, seeds in zip(places, attacked, strict=True):
            spread = np.linspace(-0.05, 0.05, len(seeds))
            panel.plot(place + shift + spread, seeds, "o", color=colour, alpha=0.5, markersize=4)
        floors = [honest(last)[variable].values for last in found]
        for lines, style, name in ((attacked, "-", "attacked"), (floors, "--", "honest")):
            panel.plot(
                places + shift, np.median(lines, axis=1), style, color=colour, label=f"{head} head, {name} (median)"
            )
        panel.set(xticks=places, xticklabels=NUMBERS, xlabel="parties", ylabel=variable.replace("_", " "))
    panels[0].legend(fontsize="small")
    panels[1].set_ylim(-0.02, 1.02)
    return picture

"""The answer of the page and its figure: every run on one machine against the same run on the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from experiments.shared.outcomes import at, rounded_up
from vfl_jax import plots
from vfl_jax.core.words import counted

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

Pairs = Mapping[str, tuple["xr.Dataset", "xr.Dataset"]]
"""By the title of a sweep, its results on a CPU and here."""
DRAWN = {"main_task_accuracy": "main accuracy", "backdoor_accuracy": "backdoor accuracy"}


def answer(pairs: Pairs) -> str:
    """How many seeds have another outcome here, and how far medians are apart.

    Args:
      pairs: the sweeps that both machines have; at least one.
    """
    others, seeds = 0, 0
    for pair in pairs.values():
        one, other = (at(dataset).counted.isel(epoch=-1).outcome for dataset in pair)
        others, seeds = others + int((one != other).sum()), seeds + one.size
    main, backdoor = (rounded_up(100 * max(_apart(*pair, name) for pair in pairs.values())) for name in DRAWN)
    return (
        f"**{others or 'None'} of {counted(seeds, 'attacked seed')} {'has' if others < 2 else 'have'} another outcome "
        f"on {_device(pairs)} than on a CPU.** At the last epoch no setting's median over seeds differs by more than "
        f"{main:z.1f} percentage points of main accuracy and {backdoor:z.1f} of backdoor accuracy; single seeds differ "
        f"by up to {100 * max(_farthest(*pair) for pair in pairs.values()):z.0f} of either.\n"
    )


def figure(pairs: Pairs) -> Figure:
    """Accuracy at the last epoch here against that on a CPU: every dot is a seed at one setting.

    Args:
      pairs: as for :func:`answer`.
    """
    picture, panels = plots.grid_of_panels(1, len(DRAWN), size=(4.2, 3.9))
    for panel, (name, label) in zip(panels[0], DRAWN.items(), strict=True):
        for (title, pair), color in zip(pairs.items(), plots.COLORS, strict=False):
            there, here = (dataset[name].isel(epoch=-1).astype(float) for dataset in pair)
            here = here.transpose(*there.dims)
            short = ", ".join(title.split(", ")[1:]).replace("_", "-")
            panel.plot(there.values.ravel(), here.values.ravel(), "o", color=color, ms=4, alpha=0.4, mew=0, label=short)
        panel.plot([0, 1], [0, 1], color=plots.COLORS[7], linewidth=0.8, zorder=0)
        panel.set(xlabel=f"{label}, CPU", ylabel=f"{label}, other machine", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        panel.set_aspect("equal")
        panel.spines[["top", "right"]].set_visible(False)
    panels[0, 0].legend(frameon=False, loc="upper left")
    return picture


def _device(pairs: Pairs) -> str:
    """What it was trained on here, in words."""
    runs = [here.encoding.get("run") for _, here in pairs.values()]
    names = {run["devices"][0] for run in runs if run}
    return f"one {names.pop()}" if len(names) == 1 else "this machine"


def _apart(there: xr.Dataset, here: xr.Dataset, name: str) -> float:
    """The largest difference of a setting's median over seeds, at the last epoch."""
    medians = [dataset[name].isel(epoch=-1).astype(float).median("seed") for dataset in (there, here)]
    return float(abs(medians[1] - medians[0]).max())


def _farthest(there: xr.Dataset, here: xr.Dataset) -> float:
    """The largest difference of a seed in what is drawn, at the last epoch."""
    return max(float(abs(here[name] - there[name]).isel(epoch=-1).max()) for name in DRAWN)

"""Figures of studies: attacked and honest points of a sweep in one panel."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import xarray as xr

from experiments.outcomes import Point
from vfl_jax import plots
from vfl_jax.atomic import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a PNG, whole or not at all."""
    write_atomically(path, functools.partial(figure.savefig, format="png"))


def draw_points(
    panel: Axes, found: Sequence[Point], settings: Sequence[str], name: str, label: str, place: int = 0, of: int = 1
) -> None:
    """Last-epoch values of attacked points, and dashed the honest runs at the same settings.

    Args:
      settings: what stands below each point.
      place: which of the ``of`` lines of a panel this is; it settles its colour and shift.
    """
    attacked, honest = (
        xr.concat([part[name].isel(epoch=-1).drop_vars(_scalars(part)) for part in parts], "point")
        for parts in ([p.attacked for p in found], [p.honest for p in found])
    )
    shift = 0.18 * (place - (of - 1) / 2)
    plots.draw_against(panel, attacked, settings, name, honest, label, plots.COLORS[place], shift)


def _scalars(part: xr.Dataset) -> list[str]:
    return [str(coordinate) for coordinate, values in part.coords.items() if values.ndim == 0]

"""Figures of an arena: what every attack does to every defense, and what a defense costs beside what it leaves."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vfl_jax.arenas.holding import HOLDS_WITHIN
from vfl_jax.arenas.standings import MAIN, lifts, rank_attacks, rank_defenses
from vfl_jax.arenas.table import UNDEFENDED
from vfl_jax.plots.panels import COLORS, grid_of_panels, slant_ticks
from vfl_jax.statistics.judging import DEFENSE_LOSS_AT_MOST
from vfl_jax.statistics.meetings import HONEST

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure


def heat_map(results: xr.Dataset) -> Figure:
    """The attack success above its floor, attacks down and defenses across, the mean over seeds and boards.

    Of several boards every cell also says on how many the attack gets through, with a lift above 0.1: a mean hides it.
    The strongest attacks and the best defenses come first. A cell that no board has is a dash; one in brackets is of a
    defense that takes more than 0.1 of the honest runs' main accuracy.

    Args:
      results: as :func:`vfl_jax.arena` returns them.
    """
    by_board = lifts(results).mean("seed")
    honest = results[MAIN + HONEST].mean(("attack", "seed"))
    cost = (honest.sel(defense=UNDEFENDED, drop=True) - honest).mean("data")
    attacks = [place.name for place in rank_attacks(results)]
    defenses = [place.name for place in rank_defenses(results)]
    by_board = by_board.sel(attack=attacks, defense=defenses).transpose("data", "attack", "defense")
    values, met = by_board.mean("data").values, by_board.notnull().sum("data").values
    through = (by_board > HOLDS_WITHIN).sum("data").values
    counts_boards = results.sizes["data"] > 1
    figure, panels = grid_of_panels(1, 1, None)
    figure.set_size_inches(1.8 + 0.55 * len(defenses), 1.6 + (0.4 if counts_boards else 0.3) * len(attacks))
    panel = panels[0, 0]
    panel.imshow(np.clip(values, 0, 1), vmin=0, vmax=1, cmap="cividis", aspect="auto")
    panel.set_facecolor(COLORS[6])
    for (row, column), value in np.ndenumerate(values):
        text = "–" if np.isnan(value) else f"{value:z.2f}"
        is_costly = float(cost.sel(defense=defenses[column])) > DEFENSE_LOSS_AT_MOST
        text = f"({text})" if is_costly and text != "–" else text
        if counts_boards and met[row, column]:
            text += f"\n{through[row, column]} of {met[row, column]}"
        panel.text(
            *(column, row, text),
            ha="center",
            va="center",
            color="black" if np.isnan(value) or value >= 0.5 else "white",
            fontsize=7,
        )
    panel.set_yticks(np.arange(len(attacks)), attacks, fontsize=8)
    panel.set_xticks(np.arange(len(defenses)), defenses, fontsize=8)
    slant_ticks(panel)
    over_boards = f": mean over boards, and on how many above {HOLDS_WITHIN:g}" if counts_boards else ""
    panel.set_title(f"attack success above the floor{over_boards}", fontsize=10)
    panel.spines[:].set_visible(False)
    panel.tick_params(length=0)
    return figure


def pareto(results: xr.Dataset) -> Figure:
    """What every defense costs, beside what the strongest attack is left with behind it; bars are intervals.

    The strongest of those that met nearly all defenses of a board.

    The line joins the defenses that no other one beats in both. Defenses without a rank are left out: they met on other
    boards, or stop the task.

    Args:
      results: as :func:`vfl_jax.arena` returns them.
    """
    places = [place for place in rank_defenses(results) if place.rank is not None]
    figure, panels = grid_of_panels(1, 1, None)
    figure.set_size_inches(7.5, 5)
    panel = panels[0, 0]
    best = [
        place
        for place in places
        if not any(
            other.cost[0] <= place.cost[0] and other.lift[0] <= place.lift[0] and other != place for other in places
        )
    ]
    line = sorted((place.cost[0], place.lift[0]) for place in best)
    panel.plot(*zip(*line, strict=True), color=COLORS[7], linestyle="--", linewidth=1, zorder=1)
    for place in places:
        (cost, *costs), (left, *lefts) = place.cost, place.lift
        color = COLORS[0] if place in best else COLORS[1]
        panel.errorbar(
            *(cost, left),
            xerr=[[max(cost - costs[0], 0)], [max(costs[1] - cost, 0)]],
            yerr=[[max(left - lefts[0], 0)], [max(lefts[1] - left, 0)]],
            fmt="o",
            markersize=4,
            linewidth=0.8,
            color=color,
        )
    # Names stand in a column beside the panel, because points of defenses that do little lie on each other.
    low, high = panel.set_ylim(panel.get_ylim())
    for place, height in zip(places, spread([(p.lift[0] - low) / (high - low) for p in places], 0.04), strict=True):
        panel.annotate(
            place.name,
            (place.cost[0], place.lift[0]),
            xytext=(1.03, height),
            textcoords="axes fraction",
            annotation_clip=False,
            fontsize=8,
            va="center",
            color=COLORS[0] if place in best else COLORS[1],
            arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": COLORS[6], "shrinkA": 0, "shrinkB": 3},
        )
    panel.set_xlabel("main accuracy that the defense costs honest runs")
    panel.set_ylabel("attack success above the floor,\nstrongest attack")
    panel.grid(alpha=0.3)
    return figure


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Moves places on a line apart, as little as their order asks for from below, and then from above.

    Args:
      places: where labels would stand, from 0 to 1.
      gap: the least distance of two.

    Example:
      >>> spread([0.5, 0.5, 0.1], 0.25)
      [0.5, 0.75, 0.1]
      >>> spread([0.9, 1.0], 0.25)
      [0.75, 1.0]
    """
    order = sorted(range(len(places)), key=lambda i: places[i])
    found = list(places)
    for below, above in itertools.pairwise(order):
        found[above] = max(found[above], found[below] + gap)
    limit = 1.0
    for i in reversed(order):
        found[i] = min(found[i], limit)
        limit = found[i] - gap
    return found

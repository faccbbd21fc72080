"""Tables of an arena, the answer first: attacks, defenses, detection, leakage, and who could not meet."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from vfl_jax.arenas import dcs
from vfl_jax.arenas.holding import HOLDS_WITHIN, boards_held
from vfl_jax.arenas.standings import (
    MAIN,
    at_common_seeds,
    compared,
    is_judged,
    is_ranked,
    lifts,
    rank_attacks,
    rank_defenses,
    strongest_attacks,
)
from vfl_jax.arenas.table import READ, UNDEFENDED, ways
from vfl_jax.reports import UNDEFINED, Row, median_with_interval
from vfl_jax.statistics.main_accuracy import MAIN_LOSS_AT_MOST
from vfl_jax.statistics.meetings import HONEST

if TYPE_CHECKING:
    import xarray as xr

TOLD = {"accuracy": "accuracy", "rows read": "rate", "AUC": "auc"}
"""What a reader of labels is told by: the title of a column, and what the metric's name has for it."""
NOTE = (
    "Means over boards of means over defenses, at the seeds that all attacks have that met nearly all defenses of a "
    "board, with 95 % bootstrap intervals over seeds; of five seeds they hold the mean of normal values 84 times of "
    "100, of twenty 92 times. Boards and defenses are taken as they are. Attack success: the share of test rows of "
    "other classes, every one attacked, that are predicted as τ. Lift: above the honest runs of the same seeds. Cost: "
    "percentage points of main accuracy. Equal ranks are ties: the seeds cannot tell them from the first of the rank, "
    "by the t interval of the paired difference, which is as wide as few seeds ask for. A rank is among "
    "those tried, over cells that all have and that are judged in most seeds: the defense spares the honest runs, and "
    "these do not lead most rows to τ themselves. A defense spares honest runs that lose at most 10 points to it, and "
    "keep half of what they know beyond the most frequent class. Who did not meet in nearly all cells has no rank, "
    "nor has a defense that costs more than 10 points; their values are over their own cells. A defense holds on a "
    "board where it spares the honest runs of every seed and every attack tried has a lift of at most 0.1, by the "
    "upper end of its t interval. The strongest attack of a board has the largest mean lift of those that met nearly "
    "all defenses there, chosen by the seeds that the table reports."
)


def attack_rows(results: xr.Dataset) -> list[Row]:
    """The attacks, the strongest first, a row each.

    Args:
      results: as :func:`vfl_jax.arena` returns them.
    """
    return [
        {
            "rank": "–" if place.rank is None else str(place.rank),
            "attack": place.name,
            "lift": _text(place.lift),
            "attack success": _text(place.success),
            "cost, points": _points(place.cost),
            "cells": str(place.num_cells),
        }
        for place in rank_attacks(results)
    ]


def trace_rows(results: xr.Dataset) -> list[Row]:
    """What attacks leave to be seen, a row each, the strongest first.

    * told by size, AUC: how well the largest entry of a message, ‖h‖∞, tells attacked rows from the same rows without
      the attack, as an area under the ROC curve, in whichever direction it tells more; without a defense. 0.5 tells
      nothing.
    * runs that lose over 2 points: the share of attacked runs that are that far below the honest runs in main accuracy,
      of those that are judged.

    Args:
      results: as :func:`vfl_jax.arena` returns them.
    """
    results = at_common_seeds(results)  # some attacks may have more seeds where they are strongest
    counts = is_judged(results) & results[MAIN].notnull()
    loses = (results[MAIN + HONEST] - results[MAIN] > MAIN_LOSS_AT_MOST) & counts
    over = ("data", "defense", "seed")
    share = loses.sum(over) / counts.sum(over)
    told = told_by_size(results)
    return [
        {
            "attack": place.name,
            "told by size, AUC": UNDEFINED if told is None else _number(told.sel(attack=place.name)),
            f"runs that lose over {100 * MAIN_LOSS_AT_MOST:g} points": _share(share.sel(attack=place.name)),
        }
        for place in rank_attacks(results)
    ]


def told_by_size(results: xr.Dataset) -> xr.DataArray | None:
    """How well ‖h‖∞ tells attacked rows from the same rows without the attack, by attack, without a defense.

    Args:
      results: as :func:`vfl_jax.arena` returns them.

    Returns:
      float[attack], means of areas under the ROC curve, in whichever direction they tell more; None of results that do
      not have them.
    """
    if "stealth_linf" not in results:
        return None
    area = results["stealth_linf"].sel(defense=UNDEFENDED)
    return area.where(area >= 0.5, 1.0 - area).mean(("data", "seed"))


def defense_rows(results: xr.Dataset) -> list[Row]:
    """The defenses, the one that leaves the strongest attack least first, a row each.

    Args:
      results: as :func:`vfl_jax.arena` returns them.
    """
    of_all_seeds, results = results, at_common_seeds(results)  # ranks compare at equal seeds; holding is of every seed
    scores = dcs.by_defense(results).where(is_ranked(results, "defense"))  # of other boards it is another number
    return [
        {
            "rank": "–" if place.rank is None else str(place.rank),
            "defense": place.name,
            "leaves, lift": _text(place.lift),
            "leaves, attack success": _text(place.success),
            "strongest attack": _by_whom(results, place.name),
            "cost, points": _points(place.cost),
            "T-DCS": _number(scores.sel(defense=place.name)),
            "holds on": "{} of {}".format(*map(len, boards_held(of_all_seeds, place.name))),
        }
        for place in rank_defenses(results)
    ]


def _by_whom(results: xr.Dataset, defense: str) -> str:
    """The strongest attacks on a defense that get through, each with the number of boards on which it is."""
    strongest = strongest_attacks(results).sel(defense=defense)
    lift = lifts(compared(results)).mean("seed").sel(defense=defense).isel(attack=strongest)
    through = strongest.values[np.nan_to_num(lift.values) > HOLDS_WITHIN]
    numbers, counts = np.unique(through, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return ", ".join(f"{results['attack'].values[numbers[i]]} ×{counts[i]}" for i in order) or "–"


def detection_rows(results: xr.Dataset) -> list[Row]:
    """The defenses that detect, a row per defense and attack: medians over boards and seeds.

    Args:
      results: as :func:`vfl_jax.arena` returns them; without a detector there is no row.
    """
    names = {"AUC": "detection_auc", "AUC, mixed batches": "detection_auc_mixed", "recall": "detection_recall"}
    alarms = "detection_false_alarm_rate"
    if any(name not in results for name in (*names.values(), alarms + HONEST)):
        return []
    rows: list[Row] = []
    for defense in results["defense"].values:
        for attack in results["attack"].values:
            cell = results.sel(defense=defense, attack=attack)
            if cell[names["AUC"]].notnull().any():
                row: Row = {"defense": str(defense), "attack": str(attack)}
                row |= {title: median_with_interval(_by_seed(cell[name])) for title, name in names.items()}
                rows.append(row | {"false alarms, honest runs": median_with_interval(_by_seed(cell[alarms + HONEST]))})
    return rows


def leakage_rows(results: xr.Dataset) -> list[Row]:
    """What attacks that read labels have read, a row per board, attack and defense, and per way of reading.

    Args:
      results: as :func:`vfl_jax.arena` returns them; without such an attack there is no row.
    """
    rows: list[Row] = []
    dims = ("data", "attack", "defense")
    for place in itertools.product(*(map(str, results[dim].values) for dim in dims), ways(results)):
        (board, attack, defense), way = place[:3], place[3]
        cell = results.sel(dict(zip(dims, place[:3], strict=True)))
        end = f"_{way}" if way else ""
        names = {title: f"{READ}{of}{end}" for title, of in TOLD.items()}
        names["accuracy, test rows"] = f"test_{READ}accuracy{end}"  # of readers by name there is none
        values = {title: cell[name].values for title, name in names.items() if name in results}
        if any(np.isfinite(of_one).any() for of_one in values.values()):
            row: Row = {"data": board, "attack": f"{attack}, {way}" if way else attack, "defense": defense}
            row |= {title: _or_dash(of_one) for title, of_one in values.items()}
            rows.append(row | {"most frequent class": f"{float(cell['majority']):z.3f}"})
    return rows


def refusal_rows(results: xr.Dataset) -> list[Row]:
    """Who could not meet, and why; equal reasons share a row.

    Args:
      results: as :func:`vfl_jax.arena` returns them.
    """
    reasons = results["reason"]
    found: dict[str, list[tuple[str, str, str]]] = {}
    for place in zip(*np.nonzero(reasons.values != ""), strict=True):
        key = tuple(str(results[d].values[i]) for d, i in zip(reasons.dims, place, strict=True))
        found.setdefault(str(reasons.values[place]), []).append(key)  # type: ignore[arg-type]
    rows: list[Row] = []
    for reason, cells in found.items():
        boards, attacks, defenses = (", ".join(dict.fromkeys(names)) for names in zip(*cells, strict=True))
        rows.append({"why": reason, "data": boards, "attacks": attacks, "defenses": defenses, "cells": str(len(cells))})
    return rows


def board_rows(results: xr.Dataset) -> list[Row]:
    """The boards, a row each.

    Args:
      results: as :func:`vfl_jax.arena` returns them.
    """
    return [
        {
            "data": str(name),
            "parties": str(int(board["num_parties"])),
            "attacker's share of features": f"{float(board['attacker_share']):.0%}",
            "classes": str(int(board["num_classes"])),
            "τ": str(board["target_class"].item()),
            "most frequent class": f"{float(board['majority']):z.3f}",
            "test rows": f"{int(board['num_test']):,}",
            "seeds": _from_to(board[f"is_finite{HONEST}"].notnull().sum("seed").values),
        }
        for name, board in ((name, results.sel(data=name)) for name in results["data"].values)
    ]


def _from_to(counts: np.ndarray) -> str:
    """The number of seeds of meetings that took place, or the least and the largest."""
    there = sorted(set(counts[counts > 0].tolist()))
    return f"{there[0]} to {there[-1]}" if len(there) > 1 else str(there[0]) if there else "0"


def _text(estimate: tuple[float, float, float]) -> str:
    """A mean with its interval."""
    mean, low, high = estimate
    return "–" if np.isnan(mean) else f"{mean:z.3f} [{low:z.3f}, {high:z.3f}]"


def _number(value: xr.DataArray) -> str:
    """A number with three decimals."""
    return "–" if np.isnan(float(value)) else f"{float(value):z.3f}"


def _share(value: xr.DataArray) -> str:
    """A share in percent."""
    return "–" if np.isnan(float(value)) else f"{float(value):.0%}"


def _points(cost: tuple[float, float, float]) -> str:
    """A cost with its interval, in percentage points."""
    mean, low, high = (100 * value for value in cost)
    return "–" if np.isnan(mean) else f"{mean:z.1f} [{low:z.1f}, {high:z.1f}]"


def _by_seed(values: xr.DataArray) -> np.ndarray:
    """The mean over boards of every seed."""
    return values.mean("data").values


def _or_dash(values: np.ndarray) -> str:
    """The median of what is there."""
    return median_with_interval(values) if np.isfinite(values).any() else "–"

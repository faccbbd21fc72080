"""What a report says of an arena: which attack and which defense win, the figures, all tables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from vfl_jax.arenas.form import in_form
from vfl_jax.arenas.table import UNDEFENDED
from vfl_jax.reports.readings import Reading, flat
from vfl_jax.statistics.meetings import STUDY
from vfl_jax.sweeps.cautions import FEW_ROWS

if TYPE_CHECKING:
    import xarray as xr

    from vfl_jax.arenas.standings import Standing


def read(results: xr.Dataset, name: str) -> Reading:
    """Reads the results of an arena.

    Args:
      results: as :func:`vfl_jax.arena` returns them.
      name: what the report calls them.

    Raises:
      ValueError: as :func:`vfl_jax.arenas.form.in_form` does.
    """
    from vfl_jax.arenas import leaderboard, pictures

    results = in_form(results, name)
    tables = {
        "The attacks, the strongest first": leaderboard.attack_rows(results),
        "What the attacks show": leaderboard.trace_rows(results),
        "The defenses, by what the strongest attack is left with": leaderboard.defense_rows(results),
        "Detection": leaderboard.detection_rows(results),
        "Labels read": leaderboard.leakage_rows(results),
        "The boards": leaderboard.board_rows(results),
        "Who could not meet": leaderboard.refusal_rows(results),
    }
    study = {path: text for part in STUDY for path, text in flat(json.loads(results.attrs[part]), part).items()}
    in_brackets = "In brackets: behind a defense that costs more than 10 percentage points of main accuracy."
    figures = [(pictures.heat_map(results), in_brackets)]
    if any(row["rank"] != "–" for row in tables["The defenses, by what the strongest attack is left with"]):
        figures.append((pictures.pareto(results), "To the left: cheaper; further down: stronger. Bars are intervals."))
    sizes = {"boards": "data", "attacks": "attack", "defenses, none among them": "defense"}
    assumed = {said: ", ".join(map(str, results[dimension].values)) for said, dimension in sizes.items()}
    assumed["seeds"] = str(results.sizes["seed"])
    return Reading(
        name,
        f"{name}: which attacks and defenses win?",
        answer(results),
        figures,
        {title: rows for title, rows in tables.items() if rows},
        leaderboard.NOTE,
        [{"what": what, "here": here} for what, here in assumed.items()],
        study | {"seeds": assumed["seeds"]},
        {f"The {part}, as vfl.arena had them": _indented(results.attrs[part]) for part in STUDY},
    )


def answer(results: xr.Dataset) -> list[str]:
    """Who wins, in two sentences; one where boards have too few test rows, or nobody has a rank.

    Args:
      results: as :func:`vfl_jax.arena` returns them.
    """
    from vfl_jax.arenas.standings import at_common_seeds, rank_attacks, rank_defenses

    if (most := int(results["num_test"].max())) < FEW_ROWS:
        return [f"Not enough to say: no board has more than {most} test rows, and it takes {FEW_ROWS}."]
    ranked = [place for place in rank_attacks(results) if place.rank is not None]
    attacks = [place for place in ranked if place.rank == 1]
    defenses = [place for place in rank_defenses(results) if place.rank is not None]
    if not attacks or not defenses:
        return ["Not enough to say: too few meetings can be judged to rank anybody."]
    over = f"over {at_common_seeds(results).sizes['seed']} seeds"
    tried = f"{len(ranked)} attacks" + (" that have a rank" if len(ranked) < results.sizes["attack"] else "")
    first = f"{_names(attacks)} of {tried}: its mean attack success is {_lift(attacks[0])}"
    said = [f"The strongest is {first} above honest runs, in {attacks[0].num_cells} cells, {over}."]
    best, without = [place for place in defenses if place.rank == 1], [p for p in defenses if p.name == UNDEFENDED]
    if without and without[0] in best:
        has = f"it has without one, a lift of {_lift(without[0])}"
        return [*said, f"No defense tried leaves the strongest attack surely less than {has}."]
    beside = f"; without a defense it has {_lift(without[0])}" if without else ""
    least = f"a lift of {_lift(best[0])}, the least of {len(defenses) - len(without)} defenses that have a rank"
    said.append(f"{_names(best)} leaves the strongest attack {least}, {_cost(best[0])}{beside}.")
    return said


def _names(places: list[Standing]) -> str:
    """The first of a rank, with those who are tied with it."""
    tied = [place.name for place in places[1:]]
    return places[0].name + (f" (tied with {', '.join(tied)})" if tied else "")


def _cost(place: Standing) -> str:
    """What a defense costs in the mean, or gains."""
    points = round(100 * place.cost[0], 1)
    if points == 0:
        return "at no cost of main accuracy"
    amount = f"{abs(points):z.1f} percentage points of main accuracy"
    return f"at a cost of {amount}" if points > 0 else f"with a gain of {amount}"


def _lift(place: Standing) -> str:
    """A lift with its interval."""
    mean, low, high = place.lift
    return "unknown" if np.isnan(mean) else f"{mean:z.3f} [{low:z.3f}, {high:z.3f}]"


def _indented(text: str) -> str:
    """JSON as people read it."""
    return json.dumps(json.loads(text), indent=1, ensure_ascii=False)

"""What the arena's page and the first page say first: who is strongest, which defense holds, how much is lacking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from experiments.arena.undefended import those_who_met_defenses
from vfl_jax.arenas.holding import HOLDS_WITHIN, attacks_through, boards_held
from vfl_jax.arenas.leaderboard import told_by_size
from vfl_jax.arenas.lineup import ATTACKS, BOARDS, CONTROL, DEFENSES, DEFENSES_NOT_HERE, NOT_HERE, NOT_PUBLISHED
from vfl_jax.arenas.standings import MAIN, SUCCESS, Standing, at_common_seeds, is_ranked, rank_attacks, rank_defenses
from vfl_jax.arenas.table import UNDEFENDED
from vfl_jax.reports import to_markdown
from vfl_jax.statistics.judging import DEFENSE_LOSS_AT_MOST
from vfl_jax.statistics.meetings import HONEST

if TYPE_CHECKING:
    import xarray as xr

LEADERS = 3
"""So many attacks and defenses stand on the first page."""
CHEAP = 0.01
"""A defense that costs honest runs no more main accuracy than this, in the mean, is called cheap."""
MANY_ALARMS = 0.1
"""From this share on the answer says how many honest rows a detector suspects."""
GIVEN_AWAY = 0.95
"""From this area under the ROC curve on the size of its messages gives an attack away."""


def answer(results: xr.Dataset) -> str:
    """The answer: which defense holds on how many boards, and which attack is the strongest.

    Args:
      results: those of all boards.
    """
    attacks, defenses = rank_attacks(those_who_met_defenses(results)), rank_defenses(results)
    first = [place.name for place in attacks if place.rank == 1]
    undefended = next(place for place in defenses if place.name == UNDEFENDED)
    strongest = attacks[0]
    floor = strongest.success[0] - strongest.lift[0]
    return (
        f"{_who_holds(results, defenses)}\n\n"
        f"* {_list(first)} {'is' if len(first) == 1 else 'are'} the strongest of "
        f"{_tried([place.name for place in attacks])}: "
        f"{'it leads' if len(first) == 1 else 'the first leads'} {strongest.success[0]:.0%} of attacked rows to the "
        f"target class τ, in the mean over boards of the {strongest.num_cells} meetings that can be judged, those "
        f"without a defense among them; honest runs lead {floor:.0%}.{_given_away(results, attacks)}\n"
        "* Without a defense the strongest of these attacks on each board leads "
        f"{undefended.success[0]:.0%} in the mean."
    )


def _tried(names: Sequence[str]) -> str:
    """How many attacks were tried, and how many methods they are: some have several numbers, and one is the control."""
    methods = {name.partition("-")[0] for name in names}
    of = f" of {len(methods)} methods" if len(methods) < len(names) else ""
    control = f" ({CONTROL}, the control, changes no message)" if CONTROL in methods else ""
    return f"{len(names)} attacks{of} that met nearly all of these defenses{control}"


def _given_away(results: xr.Dataset, attacks: Sequence[Standing]) -> str:
    """The sentence on a strongest attack whose messages are told by their size, and on the next that is not."""
    told, name = told_by_size(at_common_seeds(results)), attacks[0].name
    if told is None or float(told.sel(attack=name)) < GIVEN_AWAY:
        return ""
    said = f" The size of its messages alone gives {name} away (AUC {float(told.sel(attack=name)):.2f})"
    quiet = [place for place in attacks if place.rank and float(told.sel(attack=place.name)) < GIVEN_AWAY]
    if not quiet:
        return f"{said}."
    return f"{said}; of those with less than {GIVEN_AWAY:g} {quiet[0].name} leads most, {quiet[0].success[0]:.0%}."


def leaders(results: xr.Dataset) -> str:
    """The table of who leads: the strongest attacks, and the defenses that leave least, where the seeds tell them from
    none; below it what holding means, and what the numbers are.

    Args:
      results: those of all boards.
    """
    met = those_who_met_defenses(results)
    attacks = [place for place in rank_attacks(met) if place.rank is not None][:LEADERS]
    ranked = [place for place in rank_defenses(results) if place.rank is not None]
    of_none = next((place.rank for place in ranked if place.name == UNDEFENDED), None)
    better = [place for place in ranked if of_none is None or (place.rank or 0) < of_none][:LEADERS]
    strongest = [
        {"rank": str(place.rank), "strongest attacks": f"`{place.name}`", "attack success": f"{place.success[0]:.0%}"}
        for place in attacks
    ]
    least = [
        {
            "rank": str(place.rank),
            "defenses that leave least": f"`{place.name}`",
            "left to the strongest attack": f"{place.success[0]:.0%}",
            "boards held": "{} of {}".format(*map(len, boards_held(results, place.name))),
            "cost": _price(place.cost[0]).removeprefix("at "),
        }
        for place in better
    ]
    return "\n".join(
        [
            to_markdown(strongest),
            *([to_markdown(least)] if least else []),
            f"A defense *holds* where honest runs lose at most {100 * DEFENSE_LOSS_AT_MOST:g} percentage points of "
            "main accuracy to it and keep at least half of what they gain over naming the most frequent class, in "
            f"every seed, and every attack that met it stays within {100 * HOLDS_WITHIN:g} percentage points of their "
            "rate, by the upper end of its t interval. Percentages of attacks are means of attack success over "
            "defenses that spare the task; costs are of main accuracy. Defenses that the seeds cannot tell from none "
            "are left out.\n",
        ]
    )


def so_far(results: xr.Dataset) -> str:
    """How much of the line-up the page has, and which known attacks the line-up lacks.

    Args:
      results: those of all boards.
    """
    wanted = [len(BOARDS) - len(NOT_PUBLISHED), len(ATTACKS), len(DEFENSES)]
    met = those_who_met_defenses(results)
    is_defense = (results["defense"] != UNDEFENDED).values
    there = [results.sizes["data"], met.sizes["attack"], int(is_defense.sum())]
    absent = (
        f"**Not here**, for want of a text or code to follow: {_list(NOT_HERE)}. Of defenses the package lacks "
        f"{_list(DEFENSES_NOT_HERE)}. A rank is among those tried.\n"
    )
    if there == wanted:
        return absent
    (boards, attacks, defenses), seeds = zip(there, wanted, strict=True), at_common_seeds(results).sizes["seed"]
    tried = results[SUCCESS].sel(defense=UNDEFENDED).notnull().any("seed").sum("data")
    also = (
        f" ({tried.size} without a defense, each on {int(tried.min())} boards or more)"
        if tried.size > attacks[0]
        else ""
    )
    widely = int(is_ranked(results, "defense").values[is_defense].sum())
    return (
        f"**So far**: {boards[0]} of {boards[1]} boards, {attacks[0]} of {attacks[1]} attacks{also}, {defenses[0]} of "
        f"{defenses[1]} defenses, {widely} of them on nearly all boards, {seeds} seeds. The rest is not trained yet, "
        f"and may turn every rank. {absent}"
    )


def _price(cost: float) -> str:
    """What a defense costs of main accuracy, as a sentence has it."""
    return "at no cost" if cost < 0.0005 else f"at {100 * cost:z.1f} percentage points of main accuracy"


def _cost(results: xr.Dataset, defense: str, boards: Sequence[str]) -> float:
    """The mean loss of honest runs' main accuracy to a defense on some boards."""
    honest = results[MAIN + HONEST].sel(data=list(boards))
    return float((honest.sel(defense=UNDEFENDED) - honest.sel(defense=defense)).mean(("attack", "seed")).mean())


def _alarms(results: xr.Dataset, defense: str, boards: Sequence[str]) -> str:
    """What a detector costs beside: which share of honest rows it suspects, where that is much."""
    name = f"detection_false_alarm_rate{HONEST}"
    if name not in results:
        return ""
    rate = float(results[name].sel(defense=defense, data=list(boards)).mean())
    return f", suspecting {rate:.0%} of honest rows" if rate >= MANY_ALARMS else ""


def _who_holds(results: xr.Dataset, defenses: Sequence[Standing]) -> str:
    """On how many boards a defense holds at most, at any price and cheaply. A mean would hide where it fails.

    Args:
      results: those of all boards.
      defenses: the standings, the defense that leaves least first.
    """
    num_boards = results.sizes["data"]
    tried = [place for place in defenses if place.name != UNDEFENDED]
    ranked = [place for place in tried if place.rank is not None]
    held = {place.name: boards_held(results, place.name)[0] for place in tried}  # who has no rank may hold a board, too
    cheap = [place for place in ranked if place.cost[0] <= CHEAP]

    def on_most(places: Sequence[Standing]) -> Standing:
        return max(places, key=lambda place: len(held[place.name]))  # of equals the one that leaves least

    means = "data sets with their parties" if num_boards > 1 else "a data set with its parties"
    boards = f"{num_boards} board{'s' * (num_boards > 1)} ({means})"
    if not ranked:
        return (
            f"**No defense tried holds on any of {boards}**: each costs more than {100 * DEFENSE_LOSS_AT_MOST:g} "
            "percentage points of main accuracy."
        )
    any_price = on_most(tried)
    best = on_most(cheap) if cheap else any_price
    most = len(held[any_price.name])
    named = best if len(held[best.name]) == most else any_price
    holders = [place.name for place in tried if len(held[place.name]) == most]
    if most == num_boards:
        said = f"**{named.name} holds on {'all ' * (num_boards > 1)}{boards}**, {_price(named.cost[0])}."
    elif most:
        who = "; ".join(
            f"{name} on {_list(held[name])}, {_price(_cost(results, name, held[name]))}"
            f"{_alarms(results, name, held[name])}"
            for name in holders[:LEADERS]
        )
        more = f"; and {len(holders) - LEADERS} more" if len(holders) > LEADERS else ""
        said = f"**No defense tried holds on more than {most} of {boards}**: {who}{more}."
        said += f" {_undefended(results, {name: held[name] for name in holders[:LEADERS]})}"
    else:
        said = f"**No defense tried holds on any of {boards}.**"
    limit = f"at most {100 * CHEAP:g} percentage point of main accuracy"
    if not cheap:
        return f"{said} None costs {limit}."
    if named is best or not most or best.name in holders:
        return said
    fewer = len(held[best.name])
    found = f"{best.name} holds on {fewer} ({', '.join(held[best.name])})" if fewer else "none holds on any"
    return f"{said} Of those that cost {limit}, {found}."


def _undefended(results: xr.Dataset, held: Mapping[str, Sequence[str]]) -> str:
    """How many of the attacks that met a defense get through without one where it holds: where few do, holding says
    little.

    Args:
      results: those of all boards.
      held: by defense, the boards that it holds.
    """
    counts = []
    for board in dict.fromkeys(board for boards in held.values() for board in boards):
        met = [attacks_through(results, board, name)[1] for name, boards in held.items() if board in boards]
        who = list(dict.fromkeys(attack for of_one in met for attack in of_one))
        through, tried = attacks_through(results.sel(attack=who), board, UNDEFENDED)
        counts.append(f"{len(through)} of {len(tried)} attacks get{'s' * (len(through) == 1)} through on {board}")
    return f"Without a defense {_list(counts)}."


def _list(names: Sequence[str]) -> str:
    """Names as a sentence has them."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

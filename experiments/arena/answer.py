"""What the arena's page and the first page say first: who is strongest, which defense holds, how much is lacking."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from experiments.arena.undefended import those_who_met_defenses
from vfl_jax.arenas.holding import HOLDS_WITHIN, attacks_through, boards_held
from vfl_jax.arenas.leaderboard import told_by_size
from vfl_jax.arenas.lineup import ATTACKS, BOARDS, CONTROL, DEFENSES, NOT_HERE, NOT_PUBLISHED
from vfl_jax.arenas.standings import SUCCESS, Standing, at_common_seeds, rank_attacks, rank_defenses
from vfl_jax.arenas.table import UNDEFENDED
from vfl_jax.reports import to_markdown
from vfl_jax.statistics.judging import DEFENSE_LOSS_AT_MOST

if TYPE_CHECKING:
    import xarray as xr

LEADERS = 3
"""So many attacks and defenses stand on the first page."""
CHEAP = 0.01
"""A defense that costs honest runs no more main accuracy than this, in the mean, is called cheap."""
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
        f"{_who_holds(results, defenses)} "
        f"{_list(first)} {'is' if len(first) == 1 else 'are'} the strongest of "
        f"{_tried([place.name for place in attacks])}: over the {strongest.num_cells} meetings that can be judged "
        f"{'it leads' if len(first) == 1 else 'the first leads'} {strongest.success[0]:.0%} of attacked rows to the "
        f"target class τ, and honest runs lead {floor:.0%}. {_given_away(results, strongest.name)}"
        "Without a defense the strongest of these attacks on each board leads "
        f"{undefended.success[0]:.0%} in the mean."
    )


def _tried(names: Sequence[str]) -> str:
    """How many attacks were tried, and how many methods they are: some have several numbers, and one is the control."""
    methods = {name.partition("-")[0] for name in names}
    of = f" of {len(methods)} methods" if len(methods) < len(names) else ""
    control = f" ({CONTROL}, the control, changes no message)" if CONTROL in methods else ""
    return f"{len(names)} attacks{of} tried on these defenses{control}"


def _given_away(results: xr.Dataset, attack: str) -> str:
    """The sentence on an attack whose messages are told by their size: who looks for it need not fear it."""
    told = told_by_size(at_common_seeds(results))
    area = 0.5 if told is None else float(told.sel(attack=attack))
    return f"The size of its messages alone gives {attack} away (AUC {area:.2f}). " if area >= GIVEN_AWAY else ""


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
    rows = [
        {"rank": str(place + 1)}
        | ({"strongest attacks": f"`{attack.name}`, {attack.success[0]:.0%}"} if attack else {"strongest attacks": "–"})
        | (
            {
                "defenses that leave least": f"`{defense.name}`, {defense.success[0]:.0%}",
                "hold on": "{} of {}".format(*map(len, boards_held(results, defense.name))),
                "and cost": f"{_price(defense).removeprefix('at ')}",
            }
            if defense
            else dict.fromkeys(("defenses that leave least", "hold on", "and cost"), "–")
        )
        for place, (attack, defense) in enumerate(itertools.zip_longest(attacks, better))
    ]
    return (
        f"{to_markdown(rows)}\n"
        f"A defense *holds* where honest runs lose at most {100 * DEFENSE_LOSS_AT_MOST:g} percentage points of main "
        "accuracy to it and keep at least half of what they gain over naming the most frequent class, in every seed, "
        f"and every attack that met it stays within {100 * HOLDS_WITHIN:g} percentage points of their rate, by the "
        "upper end of its t interval. Percentages of attacks are means of attack success over defenses that spare the "
        "task, those of defenses what the strongest attack is left with; costs are of main accuracy. Defenses that the "
        "seeds cannot tell from none are left out.\n"
    )


def so_far(results: xr.Dataset) -> str:
    """How much of the line-up the page has, and which known attacks the line-up lacks.

    Args:
      results: those of all boards.
    """
    wanted = [len(BOARDS) - len(NOT_PUBLISHED), len(ATTACKS), len(DEFENSES)]
    met = those_who_met_defenses(results)
    there = [results.sizes["data"], met.sizes["attack"], int((results["defense"] != UNDEFENDED).sum())]
    absent = f"**Not here**, for want of a text or code to follow: {_list(NOT_HERE)}. A rank is among those tried.\n"
    if there == wanted:
        return absent
    (boards, attacks, defenses), seeds = zip(there, wanted, strict=True), at_common_seeds(results).sizes["seed"]
    tried = results[SUCCESS].sel(defense=UNDEFENDED).notnull().any("seed").sum("data")
    also = (
        f" ({tried.size} without a defense, each on {int(tried.min())} boards or more)"
        if tried.size > attacks[0]
        else ""
    )
    return (
        f"**So far**: {boards[0]} of {boards[1]} boards, {attacks[0]} of {attacks[1]} attacks{also}, {defenses[0]} of "
        f"{defenses[1]} defenses, {seeds} seeds. The rest is not trained yet, and may turn every rank. {absent}"
    )


def _price(place: Standing) -> str:
    """What a defense costs, as a sentence has it."""
    if place.cost[0] < 0.0005:
        return "at no cost"
    return f"at {100 * place.cost[0]:z.1f} percentage points of main accuracy"


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

    boards = f"{num_boards} board{'s' * (num_boards > 1)} ({'data sets' if num_boards > 1 else 'a data set'})"
    if not ranked:
        return (
            f"**No defense tried holds on any of {boards}**: each costs more than {100 * DEFENSE_LOSS_AT_MOST:g} "
            "percentage points of main accuracy."
        )
    any_price = on_most(tried)
    best = on_most(cheap) if cheap else any_price
    most = len(held[any_price.name])
    named = best if len(held[best.name]) == most else any_price
    if most == num_boards:
        said = f"**{named.name} holds on {'all ' * (num_boards > 1)}{boards}**, {_price(named)}."
    elif most:
        as_many = sum(len(found) == most for found in held.values())
        who = named.name if as_many == 1 else f"{as_many} hold on {most}, such as {named.name}"
        where = ", ".join(held[named.name])
        said = f"**No defense tried holds on more than {most} of {boards}**: {who} on {where}, {_price(named)}."
        said += f" {_undefended(results, named.name, held[named.name])}"
    else:
        said = f"**No defense tried holds on any of {boards}.**"
    limit = f"at most {100 * CHEAP:g} percentage point of main accuracy"
    if not cheap:
        return f"{said} None costs {limit}."
    if named is best or not most:
        return said
    fewer = len(held[best.name])
    found = f"{best.name} holds on {fewer} ({', '.join(held[best.name])})" if fewer else "none holds on any"
    return f"{said} Of those that cost {limit}, {found}."


def _undefended(results: xr.Dataset, defense: str, boards: Sequence[str]) -> str:
    """How many of the attacks that a defense holds get through without one: where few do, holding says little."""
    found = []
    for board in boards:
        _, met = attacks_through(results, board, defense)
        through, tried = attacks_through(results.sel(attack=met), board, UNDEFENDED)
        found.append((len(through), len(tried)))
    if len(boards) == 1:
        ((count, total),) = found
        return f"Without a defense {count} of {total} attacks get{'s' * (count == 1)} through there."
    by_board = ", ".join(f"{count} of {total} on {board}" for (count, total), board in zip(found, boards, strict=True))
    return f"Without a defense so many attacks get through there: {by_board}."


def _list(names: Sequence[str]) -> str:
    """Names as a sentence has them."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

"""What the arena's page and the first page say first: who is strongest, which defense holds, how much is lacking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vfl_jax.arenas.lineup import ATTACKS, BOARDS, DEFENSES
from vfl_jax.arenas.standings import HOLDS_WITHIN, Standing, boards_held, rank_attacks, rank_defenses
from vfl_jax.arenas.table import UNDEFENDED
from vfl_jax.reports import to_markdown
from vfl_jax.statistics.judging import DEFENSE_LOSS_AT_MOST

if TYPE_CHECKING:
    import xarray as xr

LEADERS = 3
"""So many attacks and defenses stand on the first page."""
CHEAP = 0.01
"""A defense that costs honest runs no more main accuracy than this, in the mean, is called cheap."""


def answer(results: xr.Dataset) -> str:
    """The answer in three sentences.

    Args:
      results: those of all boards.
    """
    attacks, defenses = rank_attacks(results), rank_defenses(results)
    first = [place.name for place in attacks if place.rank == 1]
    undefended = next(place for place in defenses if place.name == UNDEFENDED)
    strongest = attacks[0]
    num_boards, floor = results.sizes["data"], strongest.success[0] - strongest.lift[0]
    said = (
        f"**{_list(first)} {'is' if len(first) == 1 else 'are'} the strongest of {len(attacks)} attacks tried** on "
        f"{num_boards} board{'s' * (num_boards > 1)}: over {strongest.num_cells} cells "
        f"{'it leads' if len(first) == 1 else 'the first leads'} {strongest.success[0]:.0%} of attacked rows to τ, "
        f"where honest runs lead {floor:.0%}. Without a defense the strongest attack of each board reaches "
        f"{undefended.success[0]:.0%} in the mean. "
    )
    return said + _who_holds(results, defenses)


def short(results: xr.Dataset) -> str:
    """The leaderboard of the first page: the answer, the figure, who leads.

    Args:
      results: those of all boards.
    """
    attacks = [place for place in rank_attacks(results) if place.rank is not None][:LEADERS]
    defenses = [place for place in rank_defenses(results) if place.rank is not None and place.name != UNDEFENDED][
        :LEADERS
    ]
    rows = [
        {
            "rank": str(place + 1),
            "strongest attacks": f"`{attack.name}`, {attack.success[0]:.0%}",
            "defenses that leave least": f"`{defense.name}`, {defense.success[0]:.0%}",
            "hold on": "{} of {}".format(*map(len, boards_held(results, defense.name))),
            "and cost": f"{_price(defense).removeprefix('at ')}",
        }
        for place, (attack, defense) in enumerate(zip(attacks, defenses, strict=False))
    ]
    return (
        "\n".join(
            [
                answer(results),
                "",
                "![attack success above the floor, by attack and defense](experiments/arena/results/heat_map.png)",
                "",
                to_markdown(rows),
                "Percentages of attacks are means of attack success over defenses that spare the task, those of "
                "defenses what the strongest attack is left with; costs are of main accuracy. Neighbours may be tied.",
                so_far(results).rstrip(),
                "[All ranks, intervals and boards](experiments/arena/README.md).",
            ]
        ).replace("\n\n\n", "\n\n")
        + "\n"
    )


def so_far(results: xr.Dataset) -> str:
    """How much of the line-up the page has.

    Args:
      results: those of all boards.
    """
    wanted = [len(BOARDS) - 1, len(ATTACKS), len(DEFENSES) + 1]  # digits is no board of the page; "none" is a defense
    there = [results.sizes[name] for name in ("data", "attack", "defense")]
    if there == wanted:
        return ""
    (boards, attacks, defenses), seeds = zip(there, wanted, strict=True), results.sizes["seed"]
    return (
        f"**So far**: {boards[0]} of {boards[1]} boards, {attacks[0]} of {attacks[1]} attacks, {defenses[0]} of "
        f"{defenses[1]} defenses, {seeds} seeds. The rest is not trained yet, and may turn every rank.\n"
    )


def _price(place: Standing) -> str:
    """What a defense costs, as a sentence has it."""
    if place.cost[0] < 0.0005:
        return "at no cost"
    return f"at {100 * place.cost[0]:z.1f} percentage points of main accuracy"


def _who_holds(results: xr.Dataset, defenses: Sequence[Standing]) -> str:
    """Which defense holds on most boards: of the cheap ones, and of all. A mean over boards would hide where it fails.

    Args:
      results: those of all boards.
      defenses: the standings, the defense that leaves least first.
    """
    ranked = [place for place in defenses if place.rank is not None and place.name != UNDEFENDED]
    held = {place.name: boards_held(results, place.name) for place in ranked}

    def on_most(places: Sequence[Standing]) -> Standing:
        return max(places, key=lambda place: len(held[place.name][0]))  # of equals the one that leaves least

    def where(place: Standing) -> str:
        boards, tried = held[place.name]
        names = f" ({', '.join(boards)})" if 0 < len(boards) < len(tried) else ""
        return f"{len(boards)} of {len(tried)}{names}"

    points = f"{100 * HOLDS_WITHIN:g} percentage points"
    said = (
        f"A defense *holds* on a board where honest runs lose at most {100 * DEFENSE_LOSS_AT_MOST:g} percentage points "
        f"of main accuracy to it and every attack tried stays within {points} of their rate. "
    )
    cheap = [place for place in ranked if place.cost[0] <= CHEAP]
    of_these = f"f those that cost at most {100 * CHEAP:g} percentage point of main accuracy"
    if not cheap:
        return f"{said}None costs at most {100 * CHEAP:g} percentage point of main accuracy."
    best, any_price = on_most(cheap), on_most(ranked)
    if not held[best.name][0]:
        said += f"O{of_these}, none holds on any board."
    else:
        said += f"O{of_these}, {best.name} holds on most boards: {where(best)}, {_price(best)}."
    if len(held[any_price.name][0]) == len(held[best.name][0]):
        return f"{said} No dearer one holds on more."
    return f"{said} At any price it is {any_price.name}: {where(any_price)}, {_price(any_price)}."


def _list(names: Sequence[str]) -> str:
    """Names as a sentence has them."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

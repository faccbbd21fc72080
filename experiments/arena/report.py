"""The arena's page, written from the saved results of its boards; nothing is trained here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np

from experiments.arena.kinds import TITLES, Kind, file_name
from experiments.shared.readme import add_picture, details, put, section, write_tables
from vfl_jax.arenas.leaderboard import (
    NOTE,
    attack_rows,
    board_rows,
    defense_rows,
    detection_rows,
    leakage_rows,
    refusal_rows,
)
from vfl_jax.arenas.lineup import ABSENT, ATTACKS, BOARDS, DEFENSES, RATES
from vfl_jax.arenas.pictures import heat_map, pareto
from vfl_jax.arenas.standings import MAIN, SUCCESS, Standing, rank_attacks, rank_defenses, strongest_attacks
from vfl_jax.core.atomic import write_atomically
from vfl_jax.core.files import load
from vfl_jax.core.words import duration
from vfl_jax.reports import Row, to_markdown
from vfl_jax.statistics.meetings import HONEST

if TYPE_CHECKING:
    import xarray as xr

README = Path(__file__).with_name("README.md")
FIRST_PAGE = README.parents[2] / "README.md"
BEGIN_SHORT = "<!-- leaderboard: written by python -m experiments.arena --report-only -->"
END_SHORT = "<!-- end of the leaderboard -->"
LEADERS = 3
"""So many attacks and defenses stand on the first page."""
RUN_NOTE = (
    "Wall time of compiling and training, summed over programs that ran one after another on two CPU cores. Other work "
    "ran beside them, so these are upper bounds and no benchmark.\n"
)
CHEAP = 0.01
"""A defense that costs honest runs no more main accuracy than this, in the mean, is called cheap."""


def write_report(folder: Path) -> None:
    """Writes the page and the leaderboard of the README; or tables beside other results than the committed ones."""
    results = joined(_saved(folder, "trainable"), folder)
    picture = add_picture(
        folder, "heat_map", heat_map(results), "attack success above the floor, by attack and defense"
    )
    write_tables(README, folder, page(folder), f"{answer(results)}\n\n{so_far(results)}\n{picture}")
    if folder == README.with_name("results"):
        first = FIRST_PAGE.read_text()
        write_atomically(FIRST_PAGE, lambda path: path.write_text(put(first, BEGIN_SHORT, short(results), END_SHORT)))


def page(folder: Path) -> str:
    """The whole generated part of the page.

    Args:
      folder: the folder of results.

    Raises:
      FileNotFoundError: where no board has results.
    """
    results = joined(_saved(folder, "trainable"), folder)
    parts = [
        section("Attacks, the strongest first", to_markdown(attack_rows(results)), f"{NOTE}\n"),
        section(
            "Defenses, the one that leaves least first",
            add_picture(folder, "pareto", pareto(results), "what defenses cost beside what they leave"),
            to_markdown(defense_rows(results)),
            "On a board the attack with the largest median lift is the strongest. DCS is VFLAIR's score, 1 at best.\n",
        ),
        section("Boards", to_markdown(board_rows(results))),
    ]
    for name in results["data"].values:
        board = results.sel(data=[name])
        parts.append(details(f"{name}: attack success above the floor, by defense", to_markdown(cell_rows(board))))
    if found := detection_rows(results):
        parts.append(details("Who detects what", to_markdown(found)))
    if found := leakage_rows(results):
        parts.append(details("What attackers here read of labels", to_markdown(found)))
    if found := refusal_rows(results):
        parts.append(details("Who could not meet, and why", to_markdown(found)))
    for kind, title in TITLES.items():
        if boards := _saved(folder, kind):
            of_kind = joined(boards, folder)
            tables = (attack_rows(of_kind), defense_rows(of_kind), board_rows(of_kind))
            parts.append(section(title, *(to_markdown(table) for table in tables)))
    if found := _run_rows(folder):
        parts.append(details("How long it took", RUN_NOTE, to_markdown(found)))
    parts.append(details("Methods of the package that did not meet", to_markdown(_absent_rows())))
    parts.append(details("Learning rates, chosen by honest runs of seeds 100 to 102", to_markdown(_rate_rows(folder))))
    return "\n".join(parts)


def _saved(folder: Path, kind: Kind) -> list[xr.Dataset]:
    """The results of the boards of a kind that a folder has."""
    return [load(path) for name in BOARDS if (path := folder / file_name(name, kind)).is_file()]


def joined(boards: Sequence[xr.Dataset], folder: Path) -> xr.Dataset:
    """The results of all boards; what a board lacks is NaN, and its reason is empty.

    Args:
      boards: the results of each.
      folder: where they were looked for.

    Raises:
      FileNotFoundError: where there is none.
    """
    import xarray as xr

    if not boards:
        raise FileNotFoundError(f"{folder} has no results of a board; run the experiment first.")
    whole = xr.concat(boards, "data", join="outer", data_vars="all", combine_attrs="drop_conflicts")
    order = {
        name: list(dict.fromkeys(str(v) for board in boards for v in board[name].values))
        for name in ("attack", "defense")
    }
    whole["reason"] = whole["reason"].fillna("").astype(str)
    return whole.sel(order)


def answer(results: xr.Dataset) -> str:
    """The answer in three sentences.

    Args:
      results: those of all boards.
    """
    attacks, defenses = rank_attacks(results), rank_defenses(results)
    first = [place.name for place in attacks if place.rank == 1]
    cheap = [p for p in defenses if p.rank is not None and p.cost[0] <= CHEAP and p.name != "none"]
    undefended = next(place for place in defenses if place.name == "none")
    strongest = attacks[0]
    num_boards, floor = results.sizes["data"], strongest.success[0] - strongest.lift[0]
    said = (
        f"**{_list(first)} {'is' if len(first) == 1 else 'are'} the strongest of {len(attacks)} attacks tried** on "
        f"{num_boards} board{'s' * (num_boards > 1)}: over {strongest.num_cells} cells "
        f"{'it leads' if len(first) == 1 else 'the first leads'} {strongest.success[0]:.0%} of attacked rows to τ, "
        f"where honest runs lead {floor:.0%}. Without a defense the strongest attack of each board reaches "
        f"{undefended.success[0]:.0%} in the mean; of the defenses that cost at most {100 * CHEAP:g} percentage point "
        "of main accuracy, "
    )
    if not cheap:
        return said + "there is none here."
    best = cheap[0]
    return (
        f"{said}{best.name} leaves least: {best.success[0]:.0%}, {_price(best)}{_by_board(results, best.name)}. "
        f"{_whole_truth(results, defenses, best)}"
    )


def short(results: xr.Dataset) -> str:
    """The leaderboard of the first page: the answer, the figure, who leads.

    Args:
      results: those of all boards.
    """
    attacks = [place for place in rank_attacks(results) if place.rank is not None][:LEADERS]
    defenses = [place for place in rank_defenses(results) if place.rank is not None and place.name != "none"][:LEADERS]
    rows = [
        {
            "rank": str(place + 1),
            "strongest attacks": f"`{attack.name}`, {attack.success[0]:.0%}",
            "defenses that leave least": f"`{defense.name}`, {defense.success[0]:.0%}",
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
    return f"at {100 * place.cost[0]:.1f} percentage points of main accuracy"


def _by_board(results: xr.Dataset, defense: str) -> str:
    """What the strongest attack of each board reaches behind a defense, where it is more than twice the least."""
    of_defense = results.sel(defense=defense)
    left = of_defense[SUCCESS].isel(attack=strongest_attacks(results).sel(defense=defense, drop=True)).mean("seed")
    values = {str(name): float(value) for name, value in zip(left["data"].values, left.values, strict=True)}
    if max(values.values()) <= 2 * min(values.values()):
        return ""
    return f" (a mean of boards that differ: {', '.join(f'{name} {value:.0%}' for name, value in values.items())})"


def _whole_truth(results: xr.Dataset, defenses: Sequence[Standing], best: Standing) -> str:
    """What the best of all leaves, where it is another than the best of the cheap ones."""
    least = defenses[0]  # of those that have a rank
    if least.name == best.name:
        return "No dearer one leaves less."
    differ = _by_board(results, least.name)
    return f"The one that leaves least of all is {least.name}: {least.success[0]:.0%}, {_price(least)}{differ}."


def cell_rows(board: xr.Dataset) -> list[Row]:
    """Every meeting on a board: the median attack success above the floor, a row per defense.

    Args:
      board: the results of one board.
    """
    cell = board.isel(data=0)
    lift = (cell[SUCCESS] - cell[SUCCESS + HONEST]).median("seed")
    honest = cell[MAIN + HONEST].mean("attack").median("seed")
    return [
        {
            "defense": str(name),
            "main accuracy, honest": _number(honest.sel(defense=name)),
            **{str(attack): _number(lift.sel(defense=name, attack=attack)) for attack in cell["attack"].values},
        }
        for name in cell["defense"].values
    ]


def _run_rows(folder: Path) -> list[Row]:
    """How long every board's programs took."""
    saved = ((TITLES.get(kind, "trainable head"), board) for kind in get_args(Kind) for board in _saved(folder, kind))
    return [
        {
            "data": str(board["data"].item()),
            "table": title,
            "meetings": f"{int((board['reason'] == '').sum()):,}",
            "seeds": str(board.sizes["seed"]),
            "wall time": duration(board.encoding["run"]["wall_seconds"]),
            "from": board.encoding["run"]["started"][:10],
        }
        for title, board in saved
        if "run" in board.encoding
    ]


def _absent_rows() -> list[Row]:
    return [{"method": name, "why": why} for name, why in sorted(ABSENT.items())]


def _rate_rows(folder: Path) -> list[Row]:
    """The honest main accuracy at every learning rate that was tried, and the rate that was taken."""
    path = folder / "rates.json"
    found = json.loads((path if path.is_file() else README.parent / "results" / "rates.json").read_text())
    return [
        {
            "head": head,
            "data": name,
            **{rate: f"{value:.4f}" for rate, value in of["accuracy"].items()},
            "taken": f"{RATES[head][name]:g}",
        }
        for head, of_head in found.items()
        for name, of in of_head.items()
    ]


def _list(names: Sequence[str]) -> str:
    """Names as a sentence has them."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _number(value: xr.DataArray) -> str:
    return "–" if np.isnan(float(value)) else f"{float(value):.2f}"

"""The arena's page, written from the saved results of its boards; nothing is trained here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from experiments.arena import adaptations, again, readers, settings, told, undefended
from experiments.arena.adaptations import adaptation_rows
from experiments.arena.answer import answer, leaders, so_far
from experiments.arena.cells import cell_rows, rows_by_board
from experiments.arena.kinds import TITLES, Kind, file_name, note, that_differ
from experiments.arena.seeds import DIFFERS, FIRST, rows_by_defense, rows_with_more
from experiments.shared.readme import add_picture, details, put, section, write_tables
from vfl_jax.arenas.leaderboard import (
    NOTE,
    attack_rows,
    board_rows,
    defense_rows,
    detection_rows,
    leakage_rows,
    refusal_rows,
    trace_rows,
)
from vfl_jax.arenas.lineup import ABSENT, BOARDS, RATES
from vfl_jax.arenas.pictures import heat_map, pareto
from vfl_jax.arenas.standings import SUCCESS, is_ranked, rank_attacks
from vfl_jax.core.atomic import write_atomically
from vfl_jax.core.files import load
from vfl_jax.core.words import duration
from vfl_jax.reports import Row, to_markdown

if TYPE_CHECKING:
    import xarray as xr

README = Path(__file__).with_name("README.md")
FIRST_PAGE = README.parents[2] / "README.md"
BEGIN_SHORT = "<!-- leaderboard: written by python -m experiments.arena --report-only -->"
END_SHORT = "<!-- end of the leaderboard -->"
MORE_NOTE = (
    f"Meetings had {FIRST} seeds first. On some boards these chose who got most: without a defense all attacks, and on "
    "each defense the two with the largest mean lifts of those that had met it then. The seeds since chose no attack, "
    "so their means carry no luck of that choice; the largest change is an extreme. Ranks are over the seeds that the "
    "meetings of attacks that met nearly all defenses of a board have; whether a defense holds is asked of all seeds, "
    "and more of them ask more.\n"
)
BY_READERS = TITLES["readers"].lower().replace(" ", "-")
TRACE_NOTE = (
    "*Rows known*: at most so many training rows whose labels the attacker is told, and a tenth of a class at most. "
    "*Told by size*: how well the largest entry of a message, ‖h‖∞, tells attacked rows from the same rows without the "
    "attack, without a defense, as an area under the ROC curve; 0.5 tells nothing. *Runs that lose*: the share of "
    "judged attacked runs whose main accuracy is more than 2 points below the honest runs'; their attack success "
    "counts in the ranks all the same.\n"
)
AGAIN_NOTE = (
    "Runs without a defense were trained twice, by an earlier version on another machine and by a later one. Seeds and "
    "draws are the same. Why runs end apart was not settled: a processor, a number of cores and a compiler each round "
    "in their own way, and where an attack is near its limit training makes much of a last digit. What an attack does "
    "is told by many seeds, not by one. Tables elsewhere have the first runs.\n"
)
RUN_NOTE = (
    "Wall time of compiling and training, summed over programs that ran one after another on two CPU cores. Other work "
    "ran beside them, so these are upper bounds and no benchmark.\n"
)


def write_report(folder: Path) -> None:
    """Writes the page and the leaderboard of the README; or tables beside other results than the committed ones.

    A folder with boards of other kinds alone has no page: ranks are of the trainable head.

    Args:
      folder: the folder of results.

    Raises:
      FileNotFoundError: where no board of any kind has results.
    """
    boards = _saved(folder, "trainable")
    if not boards and any(_saved(folder, kind) for kind in TITLES):
        print(f"{folder} has no board of the trainable head, so no page is written; the results are there.", flush=True)
        return
    results = joined(boards, folder)
    everywhere = is_ranked(results, "defense").values  # a map of all 26 could not be read on the first screen
    figure = heat_map(undefended.those_who_met_defenses(results).sel(defense=everywhere))
    picture = add_picture(folder, "heat_map", figure, "attack success above the floor, by attack and defense")
    said, table, lacking = answer(results), leaders(results), so_far(results)
    if of_told := _saved(folder, "told"):
        said = f"{said}\n{told.line(results, joined(of_told, folder))}".rstrip()
    write_tables(README, folder, page(folder), "\n".join([f"{said}\n", picture, lacking, table]))
    if folder == README.with_name("results"):
        shown = picture.replace("](results/", "](experiments/arena/results/")
        more = "[All ranks, intervals and boards](experiments/arena/README.md).\n"
        first = put(
            FIRST_PAGE.read_text(), BEGIN_SHORT, "\n".join([f"{said}\n", shown, table, lacking, more]), END_SHORT
        )
        write_atomically(FIRST_PAGE, lambda path: path.write_text(first))


def page(folder: Path) -> str:
    """The whole generated part of the page.

    Args:
      folder: the folder of results.

    Raises:
      FileNotFoundError: where no board has results.
    """
    boards = _saved(folder, "trainable")
    results = joined(boards, folder)
    ranked = undefended.those_who_met_defenses(results)
    parts = [
        section("Attacks, the strongest first", to_markdown(attack_rows(ranked)), f"{NOTE}\n"),
        section("What attacks are told, and what they show", to_markdown(_traces(boards, ranked)), TRACE_NOTE),
        section(
            "Defenses, the one that leaves least first",
            add_picture(folder, "pareto", pareto(results), "what defenses cost beside what they leave"),
            to_markdown(defense_rows(results)),
            "Named is the strongest attack of each board where one gets through, with a lift above 0.1. T-DCS is "
            "VFLAIR's score, 1 at best: its mean over backdoors, of the defenses that met on nearly all boards."
            f"{' With label inference it stands [below](#' + BY_READERS + ').' if _saved(folder, 'readers') else ''}\n",
        ),
        section("What an attacker does who knows the defense", *_adaptations(results)),
        section("Boards", to_markdown(board_rows(results))),
    ]
    attacks = [place.name for place in rank_attacks(ranked)]
    names = ", ".join(f"{number} {name}" for number, name in enumerate(attacks, 1))
    numbered = f"Honest runs: their main accuracy. Attacks have the numbers of their places above: {names}.\n"
    for name in results["data"].values:
        rows = cell_rows(ranked.sel(data=[name]), attacks)
        parts.append(details(f"{name}: attack success above the floor, by defense", numbered, to_markdown(rows)))
    if results.sizes["attack"] > ranked.sizes["attack"]:
        parts.append(section("Without a defense", *_undefended_parts(boards, results)))
    if found := undefended.meetings_beside(results):
        parts.append(details("More attacks on some defenses", undefended.BESIDE_NOTE, to_markdown(found)))
    if found := rows_by_defense(results):
        parts.append(section("More seeds", to_markdown(found), MORE_NOTE))
    if found := rows_with_more(results):
        title = f"More seeds: the meetings whose means differ by {DIFFERS:g} or more"
        parts.append(details(title, to_markdown(found)))
    if found := again.rows(results, folder):
        parts.append(details("The same seeds once more, on another machine", AGAIN_NOTE, to_markdown(found)))
    if found := detection_rows(results):
        parts.append(details("Who detects what", to_markdown(found)))
    if found := leakage_rows(results):
        parts.append(details("What attackers here read of labels", to_markdown(found)))
    if found := refusal_rows(results):
        parts.append(details("Who could not meet, and why", to_markdown(found)))
    for kind, title in TITLES.items():
        if boards := [that_differ(board, kind) for board in _saved(folder, kind)]:
            of_kind = joined(boards, folder)
            there = [str(name) for name in of_kind["data"].values]
            how_far = note(there, kind, results.sizes["data"])
            if kind == "readers":
                over = f"Medians over {of_kind.sizes['seed']} seeds.\n"
                parts.append(section(title, how_far, to_markdown(readers.rows(of_kind)), over, readers.NOTE))
                score = to_markdown(readers.score_rows(of_kind, results))
                parts.append(details("The defense capability score", readers.SCORE_NOTE, score))
                if refused := refusal_rows(of_kind):
                    parts.append(details("Who could not listen, and why", to_markdown(refused)))
                continue
            if kind == "told":
                parts.append(section(title, how_far, to_markdown(rows_by_board(of_kind)), told.NOTE))
                continue
            parts.append(section(title, how_far, *_undefended_parts(boards, of_kind)))
            if of_kind.sizes["defense"] > 1:
                met = undefended.those_who_met_defenses(of_kind)
                parts.append(details(f"{title}: with defenses", to_markdown(rows_by_board(met))))
    if found := _run_rows(folder):
        parts.append(details("How long it took", RUN_NOTE, to_markdown(found)))
    numbers = "Numbers of the defenses, and the differential privacy that they buy"
    parts.append(details(numbers, settings.NOTE, to_markdown(settings.rows())))
    parts.append(details("Methods of the package that did not meet", to_markdown(_absent_rows())))
    parts.append(details("Learning rates, chosen by honest runs of seeds 100 to 102", to_markdown(_rate_rows(folder))))
    return "\n".join(parts)


def _adaptations(results: xr.Dataset) -> list[str]:
    """What adapted attackers reached; folded, those that met nobody yet."""
    met, not_met = adaptation_rows(results)
    parts = [to_markdown(met), adaptations.NOTE] if met else []
    if not_met:
        parts.append(
            details("Adaptations that have not met their defense here", adaptations.NOT_MET_NOTE, to_markdown(not_met))
        )
    return parts


def _undefended_parts(boards: Sequence[xr.Dataset], results: xr.Dataset) -> list[str]:
    """Every attack without a defense: ranks; folded, every board and what attacks show."""
    without = undefended.without_defenses(results)
    by_board = to_markdown(undefended.lift_rows(results))
    return [
        to_markdown(attack_rows(without)),
        undefended.NOTE,
        details("Attack success above the floor, by board", undefended.BOARDS_NOTE, by_board),
        details("What these attacks are told, and what they show", to_markdown(_traces(boards, without))),
    ]


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


def _traces(boards: Sequence[xr.Dataset], results: xr.Dataset) -> list[Row]:
    """What attacks are told and what they show, a row each."""
    needs: dict[str, dict[str, int]] = {}
    for board in boards:
        for attacks in json.loads(board.attrs["attacks"]).values():
            needs |= {name: made["needs"] for name, made in attacks.items()}
    return [{"attack": row["attack"], "rows known": _known(needs[row["attack"]])} | row for row in trace_rows(results)]


def _known(needs: dict[str, int]) -> str:
    """The rows whose labels an attack is told."""
    of_every_class = f", {needs['num_known']} of every class" if needs["num_known"] else ""
    return f"{needs['num_targets']} of τ{of_every_class}"


def _run_rows(folder: Path) -> list[Row]:
    """How long every board's programs took, and all of them."""
    saved = [(TITLES.get(kind, "trainable head"), board) for kind in get_args(Kind) for board in _saved(folder, kind)]
    rows: list[Row] = [
        {
            "data": str(board["data"].item()),
            "table": title,
            "meetings": f"{int(board[SUCCESS].notnull().any('seed').sum()):,}",
            "seeds": str(board.sizes["seed"]),
            "wall time": duration(board.encoding["run"]["wall_seconds"]),
            "from": board.encoding["run"]["started"][:10],
        }
        for title, board in saved
        if "run" in board.encoding
    ]
    total = sum(board.encoding["run"]["wall_seconds"] for _, board in saved if "run" in board.encoding)
    return [*rows, dict.fromkeys(rows[0], "") | {"data": "all", "wall time": duration(total)}] if rows else []


def _absent_rows() -> list[Row]:
    return [{"method": name, "why": why} for name, why in sorted(ABSENT.items())]


def _rate_rows(folder: Path) -> list[Row]:
    """The honest main accuracy at every learning rate that was tried, and the rate that was taken."""
    path = folder / "rates.json"
    found = json.loads((path if path.is_file() else README.parent / "results" / "rates.json").read_text())
    tried = dict.fromkeys(rate for of_head in found.values() for of in of_head.values() for rate in of["accuracy"])
    return [
        {
            "head": head,
            "data": name,
            **{rate: f"{of['accuracy'][rate]:z.4f}" if rate in of["accuracy"] else "–" for rate in tried},
            "taken": f"{RATES[head][name]:g}",
        }
        for head, of_head in found.items()
        for name, of in of_head.items()
    ]

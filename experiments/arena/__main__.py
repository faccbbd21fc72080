"""``python -m experiments.arena``: trains the arena board by board, then writes its page.

A board's sweeps lie in ``runs/<board>`` until they are not needed; what is committed is one small file per board,
which grows with every attack and defense that meet on it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import jax
import tyro

from experiments.arena.again import FOLDER
from experiments.arena.growing import add, lacking
from experiments.arena.kinds import Kind, concerned, file_name, make_board
from experiments.arena.rates import write_rates
from experiments.arena.readers import READERS
from experiments.arena.seeds import strongest_on
from experiments.shared.command import ending_in_one_line, results_folder
from experiments.shared.meetings import Meetings, carry_out, check_named
from vfl_jax.arenas import arena
from vfl_jax.arenas.entries import Entry
from vfl_jax.arenas.lineup import ATTACKS, BOARDS, DEFENSES, NOT_PUBLISHED, SUM_HEAD_ONLY
from vfl_jax.arenas.table import UNDEFENDED
from vfl_jax.core.files import load
from vfl_jax.sweeps.devices import use_all_cores

HOME = Path(__file__).parent
LINE_UPS: dict[Kind, dict[str, Entry]] = {"sum": ATTACKS | SUM_HEAD_ONLY, "readers": READERS}
"""The attacks of kinds of boards, where they are not the line-up as it is."""
SMALL_SETS_ONLY = ("LRBA",)
"""Attacks that take hours on sets of 60,000 rows; they meet on three others."""
LARGE_SET = 50_000


@dataclasses.dataclass(frozen=True)
class Arguments(Meetings):
    """Lets the line-up meet on every board, and writes the page."""

    seeds: int = 5
    """How many every meeting has in the end; those that a board's file has are not trained again."""
    attack: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Let this attack meet only (may be repeated)."""
    defense: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Let this defense meet only (may be repeated)."""
    kind: Kind = "trainable"
    """The trainable head; the sum head; or the trainable head with rows that carry a trigger by nature, with attackers
    who are told every row of τ, or with readers of labels in place of attacks."""
    strongest: int | None = None
    """Let so many attacks meet each defense, those that were strongest on it, and all attacks no defense: of every
    board with saved results. For more seeds."""
    undefended: bool = False
    """Let the attacks meet no defense."""
    again: bool = False
    """Train once more without a defense, for a look at how far equal seeds end apart on another machine."""
    rates: bool = False
    """Choose learning rates by honest runs; do nothing else."""


def main(arguments: list[str] | None = None) -> None:
    """Parses and runs."""
    from experiments.arena.report import write_report

    given = tyro.cli(Arguments, args=arguments)
    if given.rates:
        use_all_cores()
        with ending_in_one_line():
            write_rates(BOARDS, results_folder(HOME, given.out, given.quick) / "rates.json")
        return
    carry_out(given, HOME, train, write_report)


def train(given: Arguments, folder: Path) -> None:
    """Lets those meet who are named, board by board, and saves each board's results."""
    known_attacks = LINE_UPS.get(given.kind, ATTACKS)
    named: dict[str, tuple[Sequence[str], Iterable[str]]] = {
        "only": (given.only, BOARDS),
        "attack": (given.attack, known_attacks),
        "defense": (given.defense, DEFENSES),
    }
    for flag, (names, known) in named.items():
        check_named(flag, names, known)
    if given.undefended and given.defense:
        raise ValueError("undefended asks for no defense, and defense names one; give one of the two flags.")
    boards = given.only or tuple(name for name in BOARDS if name not in NOT_PUBLISHED)
    attacks = {name: known_attacks[name] for name in given.attack or known_attacks}
    defenses = {} if given.undefended else {name: DEFENSES[name] for name in given.defense or DEFENSES}
    seeds = given.seeds
    if given.quick:
        boards, seeds = ("digits",), 2
        attacks = {name: ATTACKS[name] for name in ("PoisonedData", "Replay")}
        defenses = {} if given.undefended else {name: DEFENSES[name] for name in ("Clipping", "LabelSmoothing")}
    for name in boards:
        board = make_board(name, given.kind)
        if given.quick:
            board = dataclasses.replace(board, epochs=3)
        is_large = board.data.train.num_samples >= LARGE_SET
        able = {n: a for n, a in attacks.items() if not (is_large and n in SMALL_SETS_ONLY)}
        able = concerned(able, board, given.kind) if able else {}
        if not able:
            continue
        if given.again:
            add(arena(able, {}, {name: board}, seeds, folder=given.unfinished(folder)), folder / FOLDER / f"{name}.nc")
            continue
        file = folder / file_name(name, given.kind)
        if given.quick:
            file.unlink(missing_ok=True)  # else it would find that nothing is lacking
        meetings = [(list(able), list(defenses))]
        if given.strongest is not None:
            strongest = strongest_on(load(file), given.strongest)
            meetings = [([a], [d for d in strongest[a] if d in defenses]) for a in able if a in strongest]
        for some, of_them in meetings:
            for few, of_few, numbers in lacking(file, some, of_them, seeds):
                chosen, against = {a: able[a] for a in few}, {d: defenses[d] for d in of_few if d != UNDEFENDED}
                found = arena(chosen, against, {name: board}, numbers, folder=given.unfinished(folder))
                add(found.sel(defense=of_few), file)  # what the file has without a defense stays
                jax.clear_caches()  # programs of many small arenas take all memory maps of a process


if __name__ == "__main__":
    main()

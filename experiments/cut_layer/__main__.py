"""``python -m experiments.cut_layer``: where a network is cut between the parties and the head, and what that stops."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import tyro

from experiments.cut_layer.cases import BACKDOORS, CUTS, DATA, NUM_KNOWN, READERS, SEEDS, board, cut_name
from experiments.cut_layer.report import write_report
from experiments.shared.meetings import Meetings, carry_out, check_named
from vfl_jax.arenas import arena
from vfl_jax.audits.baselines import alone
from vfl_jax.core.files import save


@dataclasses.dataclass(frozen=True)
class Arguments(Meetings):
    """Lets the attacks meet every cut, data set by data set, and writes the page."""

    seeds: int = SEEDS


def train(given: Arguments, folder: Path) -> None:
    """Lets the attacks meet every cut of the named data sets, and saves each data set's results."""
    check_named("only", given.only, DATA)
    names, attacks, seeds = given.only or DATA, BACKDOORS | READERS, given.seeds
    if given.quick:
        names, seeds = DATA[:1], 2
        attacks = {name: attacks[name] for name in ("Replay", "RegressionInference")}
    for name in names:
        boards = {cut_name(cut): board(name, cut) for cut in CUTS}
        if given.quick:
            boards = {cut: dataclasses.replace(made, epochs=2) for cut, made in boards.items()}
        found = arena(attacks, {}, boards, seeds, folder=given.unfinished(folder) / name)
        any_board = next(iter(boards.values()))  # where a network is cut does not matter to who trains alone
        shares, areas = alone(any_board.data, any_board.attackers[0], NUM_KNOWN, seeds)
        save(found.assign(alone_accuracy=("seed", shares), alone_auc=("seed", areas)), folder / f"{name}.nc")


def main(arguments: list[str] | None = None) -> None:
    """Parses and runs."""
    carry_out(tyro.cli(Arguments, args=arguments), Path(__file__).parent, train, write_report)


if __name__ == "__main__":
    main()

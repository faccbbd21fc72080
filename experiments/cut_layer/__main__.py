"""``python -m experiments.cut_layer``: where a network is cut between the parties and the head, and what that stops."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from experiments.cut_layer.cases import BACKDOORS, CUTS, DATA, READERS, SEEDS, board, cut_name
from experiments.cut_layer.report import write_report
from experiments.shared.command import ending_in_one_line, results_folder
from vfl_jax.arenas import arena
from vfl_jax.core.files import save
from vfl_jax.sweeps.devices import use_all_cores

HOME = Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Lets the attacks meet every cut, data set by data set, and writes the page."""

    only: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Train on this data set only (may be repeated)."""
    seeds: int = SEEDS
    report_only: bool = False
    """Write the page from saved results; train nothing."""
    quick: bool = False
    """Two seeds and two epochs of handwritten, two attacks, into a folder of its own."""
    runs: Path = HOME / "runs"
    """The folder of unfinished sweeps."""
    out: Path | None = None
    """The folder of results."""


def main(arguments: list[str] | None = None) -> None:
    """Parses and runs; ends with a message, not a traceback, on bad input."""
    given = tyro.cli(Arguments, args=arguments)
    use_all_cores()
    folder = results_folder(HOME, given.out, given.quick)
    with ending_in_one_line():
        if not given.report_only:
            train(given, folder)
        write_report(folder)


def train(given: Arguments, folder: Path) -> None:
    """Lets the attacks meet every cut of the named data sets, and saves each data set's results."""
    if unknown := [name for name in given.only if name not in DATA]:
        raise ValueError(f"only names {unknown[0]!r}; there are {', '.join(DATA)}.")
    names, attacks, seeds, runs = given.only or DATA, BACKDOORS | READERS, given.seeds, given.runs
    if given.quick:
        names, seeds, runs = DATA[:1], 2, folder / "runs"
        attacks = {name: attacks[name] for name in ("Replay", "RegressionInference")}
    for name in names:
        boards = {cut_name(cut): board(name, cut) for cut in CUTS}
        if given.quick:
            boards = {cut: dataclasses.replace(made, epochs=2) for cut, made in boards.items()}
        save(arena(attacks, {}, boards, seeds, folder=runs / name), folder / f"{name}.nc")


if __name__ == "__main__":
    main()

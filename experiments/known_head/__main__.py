"""``python -m experiments.known_head``: what the best message reaches of an attacker who knows the trained model."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from experiments.known_head.cases import CHOSEN, DATA, SEEDS
from experiments.known_head.report import write_report
from experiments.known_head.trial import of_defense
from experiments.shared.meetings import DataSets, carry_out, check_named
from vfl_jax.arenas.lineup import BOARDS
from vfl_jax.core.files import load, save

if TYPE_CHECKING:
    import xarray as xr


@dataclasses.dataclass(frozen=True)
class Arguments(DataSets):
    """Trains honest models on every board, seeks the best messages, and writes the page."""

    seeds: int = SEEDS


def train(given: Arguments, folder: Path) -> None:
    """Seeks messages on the named boards under every defense that a board's file lacks, and saves each in turn."""
    import xarray as xr

    check_named("only", given.only, DATA)
    boards, seeds, chosen = given.only or DATA, given.seeds, CHOSEN
    if given.quick:
        boards, seeds, chosen = ("digits",), 2, CHOSEN[:2]
    for name in boards:
        board, path = BOARDS[name](), folder / f"{name}.nc"
        if given.quick:
            board = dataclasses.replace(board, epochs=3)
        found: list[xr.Dataset] = [load(path)] if path.is_file() else []
        for defense in chosen:
            if not found or defense not in found[0]["defense"] or found[0].sizes["seed"] < seeds:
                found = [xr.concat([*found, of_defense(board, defense, seeds)], "defense")]
                save(found[0], path)
                print(f"{name}: {defense}", flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Parses and runs."""
    carry_out(tyro.cli(Arguments, args=arguments), Path(__file__).parent, train, write_report)


if __name__ == "__main__":
    main()

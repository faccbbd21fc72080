"""``python -m experiments.known_head``: what the best message reaches of an attacker who knows the trained model."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import tyro

from experiments.known_head.cases import CHOSEN, DATA
from experiments.known_head.report import write_report
from experiments.known_head.trial import of_defense, settings
from experiments.shared.meetings import DataSets, carry_out, check_named
from vfl_jax.arenas.lineup import BOARDS
from vfl_jax.core.files import load, save


@dataclasses.dataclass(frozen=True)
class Arguments(DataSets):
    """Trains honest models on every board, seeks the best messages, and writes the page."""


def train(given: Arguments, folder: Path) -> None:
    """Seeks messages on the named boards under every defense that a board's file lacks, and saves each in turn."""
    import xarray as xr

    check_named("only", given.only, DATA)
    boards, seeds, chosen = given.only or DATA, given.seeds, CHOSEN
    if given.quick:
        boards, seeds, chosen = ("digits",), 2, CHOSEN[:2]
        (folder / "digits.nc").unlink(missing_ok=True)
    for name in boards:
        board, path = BOARDS[name](), folder / f"{name}.nc"
        if given.quick:
            board = dataclasses.replace(board, epochs=3)
        found, wanted = load(path) if path.is_file() else None, settings(board, seeds)
        if found is not None and found.attrs["settings"] != wanted:
            raise ValueError(f"{path} has other settings, such as other seeds; name another folder with --out.")
        for defense in chosen:
            if found is None or defense not in found["defense"]:
                new = of_defense(board, defense, seeds).assign_attrs(settings=wanted)
                found = new if found is None else xr.concat([found, new], "defense", data_vars="minimal", join="exact")
                save(found, path)
                print(f"{name}: {defense}", flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Parses and runs."""
    carry_out(tyro.cli(Arguments, args=arguments), Path(__file__).parent, train, write_report)


if __name__ == "__main__":
    main()

"""``python -m experiments.liu2020.pictures``: partitioned digits and the two networks, Figures 1 and 2."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import tyro

from experiments.liu2020.pictures.digits import figure_1
from experiments.liu2020.pictures.networks import figure_2
from experiments.shared.cases import load_task
from experiments.shared.command import ending_in_one_line, results_folder
from experiments.shared.figures import save_figure
from vfl_jax.presets import liu2020_code


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Draws Figures 1 and 2 of the paper from the data and the scenarios."""

    quick: bool = False
    """Into a folder of its own; all of it is quick."""
    out: Path | None = None
    """The folder of results."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses and draws; ends with a message, not a traceback, on bad input."""
    given = tyro.cli(Arguments, args=arguments)
    folder = results_folder(Path(__file__).parent, given.out, given.quick)
    with ending_in_one_line():
        data = load_task("mnist")
        save_figure(figure_1(liu2020_code(), data), folder / "figure_1.png")
        save_figure(figure_2(data), folder / "figure_2.png")


if __name__ == "__main__":
    main()

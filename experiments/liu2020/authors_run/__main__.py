"""``python -m experiments.liu2020.authors_run``: the experiment, or with ``--init`` one run from given weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import tyro

from experiments.liu2020.authors_run.cases import CASES
from experiments.liu2020.authors_run.compare import compare
from experiments.liu2020.authors_run.report import write_report
from experiments.shared import command
from experiments.shared.cases import EPOCHS
from vfl_jax.sweeps.devices import use_all_cores


@dataclasses.dataclass(frozen=True)
class Arguments(command.Arguments):
    """MNIST against the paper and its authors' code.

    Without ``--init``: trains all cases over seeds and writes results, figures and the tables of README.md.
    With ``--init``: trains once from the weights and poison rows of that file, and writes the curves.
    """

    init: Path | None = None
    """npz with initial weights and poison rows."""
    head: Literal["sum", "mlp"] = "sum"
    gamma: str = "honest"
    """The amplify ratio γ, or "honest"."""
    drop_rate: float = 0.0
    """Of gradient sparsification with residual by position; 0 is none."""
    noise_stddev: float = 0.0
    """Of Gaussian noise on the gradient messages; 0 is none."""
    out: Path | None = None
    """Where the curves go (with --init), or the folder of results."""
    seed: int = 0
    """Of the noise, with --init."""


def main(arguments: list[str] | None = None) -> None:
    """Parses and runs; ends with a message, not a traceback, on bad input."""
    given = tyro.cli(Arguments, args=arguments)
    if given.init is None:
        command.carry_out(given, CASES, write_report, Path(__file__).parent)
        return
    use_all_cores()
    with command.ending_in_one_line():
        gamma = None if given.gamma == "honest" else _gamma(given.gamma)
        out, epochs = given.out or Path("curves.json"), given.epochs or EPOCHS
        compare(given.init, given.head, gamma, given.drop_rate, given.noise_stddev, epochs, given.seed, out)
        print(f"wrote {out}")


def _gamma(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"--gamma is {text!r}; it must be a number, or 'honest'.") from None


if __name__ == "__main__":
    main()

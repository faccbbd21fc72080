"""``python -m experiments.mnist_check``: the study, or with ``--init`` one run from given weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from experiments.mnist_check.compare import compare
from experiments.mnist_check.report import write_report
from experiments.mnist_check.study import FOLDER, run_study
from vfl_jax.devices import use_all_cores


@dataclasses.dataclass(frozen=True)
class Arguments:
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
    epochs: int | None = None
    """Default: 50, and 100 for zou2022."""
    out: Path | None = None
    """Where the curves go (with --init), or the folder of results."""
    seed: int = 0
    """Of the noise, with --init."""
    seeds: int = 20
    quick: bool = False
    """Two seeds and two epochs, into a folder of its own."""
    only: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Run this case only (may be repeated)."""
    report_only: bool = False
    """Write tables and figures from saved results; train nothing."""


def main(arguments: list[str] | None = None) -> None:
    """Parses and runs; ends with a message, not a traceback, on bad input."""
    given = tyro.cli(Arguments, args=arguments)
    use_all_cores()
    try:
        if given.init is not None:
            gamma = None if given.gamma == "honest" else _gamma(given.gamma)
            out = given.out or Path("curves.json")
            epochs = given.epochs or 50
            compare(given.init, given.head, gamma, given.drop_rate, given.noise_stddev, epochs, given.seed, out)
            print(f"wrote {out}")
            return
        folder = given.out or (FOLDER.with_name("quick") if given.quick else FOLDER)
        if not given.report_only:
            run_study(2 if given.quick else given.seeds, 2 if given.quick else given.epochs, folder, given.only)
        write_report(folder)
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from error


def _gamma(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"--gamma is {text!r}; it must be a number, or 'honest'.") from None


if __name__ == "__main__":
    main()

"""``python -m experiments.sparsification``: gradient sparsification over drop rates, Figure 7."""

from pathlib import Path

from experiments.command import command
from experiments.sparsification.report import write_report
from experiments.sparsification.study import CASES

if __name__ == "__main__":
    command(CASES, write_report, Path(__file__).parent)

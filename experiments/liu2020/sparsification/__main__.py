"""``python -m experiments.liu2020.sparsification``: gradient sparsification over drop rates, Figure 7."""

from pathlib import Path

from experiments.liu2020.sparsification.cases import CASES
from experiments.liu2020.sparsification.report import write_report
from experiments.shared.command import command

if __name__ == "__main__":
    command(CASES, write_report, Path(__file__).parent)

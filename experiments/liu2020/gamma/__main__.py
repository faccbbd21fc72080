"""``python -m experiments.liu2020.gamma``: the amplify ratio γ under the sum head, Figures 3 and 4."""

from pathlib import Path

from experiments.liu2020.gamma.cases import CASES
from experiments.liu2020.gamma.report import write_report
from experiments.shared.command import command

if __name__ == "__main__":
    command(CASES, write_report, Path(__file__).parent)

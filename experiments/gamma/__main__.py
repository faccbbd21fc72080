"""``python -m experiments.gamma``: the amplify ratio γ under the sum head, Figures 3 and 4."""

from pathlib import Path

from experiments.command import command
from experiments.gamma.report import write_report
from experiments.gamma.study import CASES

if __name__ == "__main__":
    command(CASES, write_report, Path(__file__).parent)

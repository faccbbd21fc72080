"""``python -m experiments.liu2020.noise``: noise on the gradient messages, Figure 6."""

from pathlib import Path

from experiments.liu2020.noise.cases import CASES
from experiments.liu2020.noise.report import write_report
from experiments.shared.command import command

if __name__ == "__main__":
    command(CASES, write_report, Path(__file__).parent)

"""``python -m experiments.noise``: noise on the gradient messages, Figure 6."""

from pathlib import Path

from experiments.command import command
from experiments.noise.report import write_report
from experiments.noise.study import CASES

if __name__ == "__main__":
    command(CASES, write_report, Path(__file__).parent)

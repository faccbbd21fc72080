"""``python -m experiments.parties``: MNIST over more and more parties."""

from pathlib import Path

from experiments.command import command
from experiments.parties.report import write_report
from experiments.parties.study import CASES

if __name__ == "__main__":
    command(CASES, write_report, Path(__file__).parent)

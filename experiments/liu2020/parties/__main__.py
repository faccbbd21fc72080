"""``python -m experiments.liu2020.parties``: MNIST over more and more parties."""

from pathlib import Path

from experiments.liu2020.parties.cases import CASES
from experiments.liu2020.parties.report import write_report
from experiments.shared.command import command

if __name__ == "__main__":
    command(CASES, write_report, Path(__file__).parent)

"""``python -m experiments.in_passing``: what the paper says in passing."""

from pathlib import Path

from experiments.command import command
from experiments.in_passing.report import write_report
from experiments.in_passing.study import CASES

if __name__ == "__main__":
    command(CASES, write_report, Path(__file__).parent)

"""``python -m experiments.combination``: head × sparsification × noise, the claim of the paper."""

from pathlib import Path

from experiments.combination.report import write_report
from experiments.combination.study import CASES
from experiments.command import command

if __name__ == "__main__":
    command(CASES, write_report, Path(__file__).parent)

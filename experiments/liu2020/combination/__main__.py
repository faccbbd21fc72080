"""``python -m experiments.liu2020.combination``: head × sparsification × noise, the claim of the paper."""

from pathlib import Path

from experiments.liu2020.combination.cases import CASES
from experiments.liu2020.combination.report import write_report
from experiments.shared.command import command

if __name__ == "__main__":
    command(CASES, write_report, Path(__file__).parent)

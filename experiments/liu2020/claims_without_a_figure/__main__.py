"""``python -m experiments.liu2020.claims_without_a_figure``: claims that no figure shows."""

from pathlib import Path

from experiments.liu2020.claims_without_a_figure.cases import CASES
from experiments.liu2020.claims_without_a_figure.report import write_report
from experiments.shared.command import command

if __name__ == "__main__":
    command(CASES, write_report, Path(__file__).parent)

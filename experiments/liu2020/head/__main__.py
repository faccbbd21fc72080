"""``python -m experiments.liu2020.head``: the trainable head as a defense, Figure 5 and Table 2, and deeper heads."""

from pathlib import Path

from experiments.liu2020.head.cases import CASES
from experiments.liu2020.head.report import write_report
from experiments.shared.command import command

if __name__ == "__main__":
    command(CASES, write_report, Path(__file__).parent)

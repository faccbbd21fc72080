"""``python -m experiments.head``: the trainable head as a defense, Figure 5 and Table 2, and deeper heads."""

from pathlib import Path

from experiments.command import command
from experiments.head.report import write_report
from experiments.head.study import CASES

if __name__ == "__main__":
    command(CASES, write_report, Path(__file__).parent)

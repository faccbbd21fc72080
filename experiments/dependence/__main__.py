"""``python -m experiments.dependence``: what the outcome of the published attack depends on."""

from pathlib import Path

from experiments.command import command
from experiments.dependence.report import write_report
from experiments.dependence.study import CASES
from experiments.dependence.units import write_units

if __name__ == "__main__":
    command(CASES, write_report, Path(__file__).parent, measure=write_units)

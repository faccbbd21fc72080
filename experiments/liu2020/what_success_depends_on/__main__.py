"""``python -m experiments.liu2020.what_success_depends_on``: what the outcome of the published attack depends on."""

from pathlib import Path

from experiments.liu2020.what_success_depends_on.cases import CASES
from experiments.liu2020.what_success_depends_on.report import write_report
from experiments.liu2020.what_success_depends_on.units import write_units
from experiments.shared.command import command

if __name__ == "__main__":
    command(CASES, write_report, Path(__file__).parent, measure=write_units)

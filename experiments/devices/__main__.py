"""``python -m experiments.devices``: the same sweeps on the devices of this machine."""

from pathlib import Path

from experiments.devices.cases import CASES
from experiments.devices.report import write_report
from experiments.shared.command import command

if __name__ == "__main__":
    command(CASES, write_report, Path(__file__).parent)

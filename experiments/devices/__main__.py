"""``python -m experiments.devices``: the same sweeps on the devices of this machine."""

from pathlib import Path

from experiments.command import command
from experiments.devices.report import write_report
from experiments.devices.study import CASES

if __name__ == "__main__":
    command(CASES, write_report, Path(__file__).parent)

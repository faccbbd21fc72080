"""``python -m experiments.leakage``: every reader of labels beside every defense."""

from pathlib import Path

from experiments.leakage import completion, one_batch
from experiments.leakage.cases import CASES
from experiments.leakage.report import write_report
from experiments.shared.command import command

if __name__ == "__main__":
    command((*CASES, *completion.CASES), write_report, Path(__file__).parent, measure=one_batch.measure)

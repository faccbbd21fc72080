"""What the paper says of NUS-WIDE's rows, by saved counts of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from experiments.liu2020.table_1.count import FILE
from experiments.liu2020.verdict.judge import Examined, Finding, row
from vfl_jax.data.sets.nus_wide import PAPER
from vfl_jax.reports import Row

TEXTS = {
    "rows": "NUS-WIDE has 60,000 training and 40,000 test rows, so many of each of five classes",
    "triggers": "152 and 102 of them carry the trigger, so many of each class",
}


def judge_counts(folder: Path) -> list[Row]:
    """The rows of Table 1, judged."""
    return [row(examined) for examined in examine_counts(folder)]


def examine_counts(folder: Path) -> list[Examined]:
    """What is found of Table 1; only counts of original files and labels say anything: the twin is made to fit it."""
    found = json.loads((folder / FILE).read_text()) if (folder / FILE).is_file() else {}
    original = found["nus_wide"] if found.get("nus_wide", {}).get("data") == "nus_wide" else None
    rows = {split: original[split]["rows"] for split in PAPER} if original else found.get("real_labels", {})
    triggers = {split: original[split]["triggers"] for split in PAPER} if original else {}
    counted = {
        "rows": (rows, "the labels of all images"),
        "triggers": (triggers, "the original tag files, where they are"),
    }
    told = []
    for name, text in TEXTS.items():
        counts, source = counted[name]
        findings = {split: _compared(counts[split], getattr(PAPER[split], name).tolist()) for split in counts}
        missing = [split for split in PAPER if split not in findings]
        told.append(Examined(text, "Table 1", f"counted in {source}", findings, missing, {}, about=("nus_wide",)))
    return told


def _compared(counts: Sequence[int], paper: Sequence[int]) -> Finding:
    same = sum(ours == theirs for ours, theirs in zip(counts, paper, strict=True))
    return Finding(float(same == len(paper)), f"{same} of {len(paper)} counts are the paper's")

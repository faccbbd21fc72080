"""The content of a data folder: every file of every data set, and Table 1 of NUS-WIDE beside the paper's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vfl_jax.data.sets import nus_wide
from vfl_jax.data.sets.layout import DATA_SETS, NUM_CONCEPTS, NUM_ROWS, Finding, concept_files, look_at
from vfl_jax.data.sets.nus_wide_files import read_tags, tag_file

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

LIMITS = {"Train": 60_000, "Test": 40_000}
"""The number of rows of the five-class task."""
COLOURS = {"whole": "green", "missing": "yellow", "damaged": "red"}


def data_check(folder: Path, console: Console) -> bool:
    """Prints the state of every file of the library's data sets: whole, damaged or missing, and where to get it.

    Args:
      folder: a data folder, or NUS-WIDE's own.
      console: where to print.

    Returns:
      Whether all files are there and whole.

    Raises:
      FileNotFoundError: where there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder; give a data folder, or that of NUS-WIDE.")
    is_tree = folder.name == "nus_wide" or any(
        (folder / name).is_dir() for name in ("Groundtruth", "Low_Level_Features", "NUS_WID_Tags")
    )
    states = set()
    for name in ["nus_wide"] if is_tree else DATA_SETS:
        place = folder if is_tree else folder / name
        findings = [look_at(place, file) for file in DATA_SETS[name].files]
        whole = sum(finding.state == "whole" for finding in findings)
        console.print(f"{name}: {whole} of {len(findings)} files are whole", style="bold", highlight=False)
        _print_findings(findings, console)
        if whole < len(findings):
            console.print(f"  {DATA_SETS[name].where_from}", highlight=False, soft_wrap=True)
        if name == "nus_wide":
            findings += _other_concepts(place, findings, console)
            _print_table_1(place, console)
        states |= {finding.state for finding in findings}
    return states == {"whole"}


def _print_findings(findings: list[Finding], console: Console) -> None:
    """Prints one line per file."""
    for finding in findings:
        note = f" ({finding.note})" if finding.note else ""
        console.print(f"  {finding.state:8}", style=COLOURS[finding.state], end="", highlight=False)
        console.print(finding.place + note, highlight=False, markup=False, soft_wrap=True)


def _other_concepts(tree: Path, known: list[Finding], console: Console) -> list[Finding]:
    """The findings on label files that the five classes do not need; prints their number and the peculiar ones."""
    found = [look_at(tree, file) for file in concept_files(tree) if file.places[0] not in {f.place for f in known}]
    labels = sum(f.state != "missing" and f.place.startswith("Groundtruth") for f in known) + len(found)
    console.print(f"  {labels} of {NUM_CONCEPTS * len(NUM_ROWS)} label files are there", highlight=False)
    _print_findings([f for f in found if f.state != "whole" or "as distributed" in f.note], console)
    return found


def _print_table_1(tree: Path, console: Console) -> None:
    """Prints class counts where the labels are whole, and counts of triggered rows where the tags are whole."""
    from rich import box
    from rich.table import Table

    table = Table("rows", "", *nus_wide.CONCEPTS, title="Table 1", title_justify="left", box=box.SIMPLE_HEAD)
    for split, limit in LIMITS.items():
        paper = nus_wide.PAPER[split.lower()]
        try:
            labels = nus_wide.Labels.read(tree, nus_wide.CONCEPTS, split)
        except (OSError, ValueError):
            _add_rows(table, split.lower(), None, paper.rows, "no labels")
            _add_rows(table, f"{split.lower()} with trigger", None, paper.triggers, "no labels")
            continue
        rows, y = nus_wide.select(labels.values, limit)
        triggers = _triggers(tree, split, len(labels.values))
        counts = nus_wide.count(
            y, np.zeros(len(y), bool) if triggers is None else triggers[rows], len(nus_wide.CONCEPTS)
        )
        _add_rows(table, split.lower(), counts.rows, paper.rows, "no labels")
        found = None if triggers is None else counts.triggers
        _add_rows(table, f"{split.lower()} with trigger", found, paper.triggers, "no tags")
    console.print(table)


def _triggers(tree: Path, split: str, num_rows: int) -> np.ndarray | None:
    """Which rows of a split have the trigger's tag; None where the file of its tags is missing or damaged."""
    try:
        tags = nus_wide.tag_matrix(**read_tags(tree / tag_file(split), nus_wide.NUM_TAGS))
    except (OSError, ValueError):
        return None
    return tags[:, [nus_wide.TRIGGER_TAG]].toarray().ravel() > 0 if tags.shape[0] == num_rows else None


def _add_rows(table: Table, name: str, found: np.ndarray | None, paper: np.ndarray, lacking: str) -> None:
    """Adds the counts found here and those of the paper, one above the other."""
    if found is None:
        table.add_row(name, lacking, *["–"] * len(paper))
    else:
        table.add_row(name, "here, as the paper" if (found == paper).all() else "here", *map(str, found))
    table.add_row("", "paper", *map(str, paper), end_section=True)

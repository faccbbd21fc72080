"""Table 1 as Markdown, from saved counts; nothing is counted here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.liu2020.table_1.answer import answer, figure
from experiments.liu2020.table_1.count import FILE
from experiments.shared.outcomes import DATA
from experiments.shared.readme import add_picture, write_tables
from vfl_jax.data.sets.nus_wide import PAPER
from vfl_jax.reports import to_markdown

README = Path(__file__).with_name("README.md")
PAPER_MNIST = {"train": "600 / 60000", "test": "100 / 10000"}
"""Section 7.1, which says nothing of classes."""
ALL = "all"


def write_report(folder: Path) -> None:
    """Writes the figure into ``folder``, the answer and the tables into README.md (or beside other counts)."""
    text, found = tables(folder), json.loads((folder / FILE).read_text())
    picture = add_picture(folder, "triggers", figure(found), "test rows that carry the trigger, by class")
    write_tables(README, folder, text, f"{answer(found)}\n{picture}")


def tables(folder: Path) -> str:
    """Rows that carry the trigger and rows, by class and in all.

    Raises:
      FileNotFoundError: when nothing has been counted yet.
    """
    found = json.loads((folder / FILE).read_text())
    nus_wide, mnist = found["nus_wide"], found["mnist"]
    of_nus_wide, of_mnist = {}, {}
    for split, paper in PAPER.items():
        of_nus_wide[f"{split}, {DATA[nus_wide['data']]}"] = _column(**nus_wide[split])
        of_nus_wide[f"{split}, paper"] = _column(paper.rows.tolist(), paper.triggers.tolist())
        if "real_labels" in found:
            of_nus_wide[f"{split}, real labels"] = _column(found["real_labels"][split])
        of_mnist[f"{split}, MNIST"] = _column(**mnist[split])
        of_mnist[f"{split}, paper"] = ["–"] * len(mnist["classes"]) + [PAPER_MNIST[split]]
    return f"""### NUS-WIDE

{_table(nus_wide["classes"], of_nus_wide)}
### MNIST

{_table(mnist["classes"], of_mnist)}"""


def _column(rows: Sequence[int], triggers: Sequence[int] | None = None) -> list[str]:
    """``3 / 6173`` for every class and for all, or ``6173`` where triggers are not known."""
    totals = [*rows, sum(rows)]
    if triggers is None:
        return [str(total) for total in totals]
    return [f"{part} / {total}" for part, total in zip([*triggers, sum(triggers)], totals, strict=True)]


def _table(classes: Sequence[str], columns: Mapping[str, Sequence[str]]) -> str:
    return to_markdown(
        [
            {"class": name, **{title: column[i] for title, column in columns.items()}}
            for i, name in enumerate([*classes, ALL])
        ]
    )

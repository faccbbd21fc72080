"""The reports of audits as pages of HTML, and their answers for README.md; nothing is trained here."""

from __future__ import annotations

from pathlib import Path

import vfl_jax as vfl
from experiments.shared.readme import add_picture, section, write_tables
from vfl_jax.audits.pictures import picture
from vfl_jax.audits.tables import model_rows, short_rows
from vfl_jax.reports import to_markdown

README = Path(__file__).with_name("README.md")
NAMES = ("default_credit", "bank_marketing")
"""The data sets that are audited; the picture of the first stands at the top of the page."""
AT_THE_TOP = "Its picture stands at the top of the page.\n"


def write_report(folder: Path) -> None:
    """Writes a page of HTML beside every result, and the answers into README.md."""
    kept = [name for name in NAMES if (folder / f"{name}.nc").exists()]
    write_tables(README, folder, "\n".join(answer(folder, name) for name in kept))


def answer(folder: Path, name: str) -> str:
    """What one audit says: its sentences, its picture and its tables."""
    audit = vfl.Audit.load(folder / f"{name}.nc")
    audit.to_html(folder / f"{name}.html")
    facts, found = audit.facts, audit.findings
    shown = add_picture(
        folder, name, picture(found), f"The audit of {name}: the honest model, labels read, rows led to τ"
    )
    used = f"{facts['rows_used'][0]:,} of {facts['rows'][0]:,} training rows"
    took = f"{facts['seconds'] / 60:z.0f} of {facts['minutes']:g} minutes"
    return section(
        name,
        "\n".join(f"> {sentence}" for sentence in audit.sentences) + "\n",
        AT_THE_TOP if name == NAMES[0] else shown,
        f"{found.num_seeds} seeds, {used}, {took}; [the whole report](results/{name}.html).\n",
        to_markdown(short_rows(found)),
        to_markdown(model_rows(found, facts["baselines"])),
        f"Not tried: {'; '.join(facts['not_tried']) or 'nothing of its list'}.\n",
    )

"""Tables from saved results; nothing is drawn or trained here but the labels of Table 1."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

from experiments.data.nus_wide_twin.answer import Runs, answer, figure
from experiments.data.nus_wide_twin.compare import COMPARISON, Line
from experiments.shared.cases import HEADS, PRESETS
from experiments.shared.outcomes import TABLE_2
from experiments.shared.readme import add_picture, write_tables
from vfl_jax.core.files import load
from vfl_jax.data import load_nus_wide_twin, table_1
from vfl_jax.data.sets.nus_wide import PAPER
from vfl_jax.reports import median_with_interval, to_markdown

README = Path(__file__).with_name("README.md")


def write_report(folder: Path) -> None:
    """Writes the figure into ``folder``, the answer and the tables into README.md (or beside other results)."""
    runs, said = runs_of(folder), ""
    if runs:
        caption = "honest accuracy beside the paper's, statistics beside the real ones"
        picture = add_picture(folder, "twin", figure(runs, lines := lines_of(folder)), caption)
        said = f"{answer(runs, lines)}\n{picture}"
    write_tables(README, folder, tables(folder), said)


def tables(folder: Path) -> str:
    """All tables as Markdown."""
    parts = ["### Table 1\n", to_markdown(_counts())]
    if rows := _accuracies(folder):
        parts += ["\n### Accuracy without attack, last epoch\n", to_markdown(rows)]
    for group, members in itertools.groupby(lines_of(folder), key=lambda line: line.group):
        parts += [f"\n### {group[0].upper() + group[1:]}\n", to_markdown([_row(line) for line in members])]
    return "\n".join(parts)


def lines_of(folder: Path) -> list[Line]:
    """The statistics of the twin beside the real ones; none where they were not computed."""
    path = folder / COMPARISON
    return [Line(**line) for line in json.loads(path.read_text())] if path.is_file() else []


def runs_of(folder: Path) -> Runs:
    """Main accuracy at the last epoch of the honest runs that are there."""
    paths = {(name, head): folder / f"{name}_{head}.nc" for name, head in itertools.product(PRESETS, HEADS)}
    return {at: load(path).isel(epoch=-1).main_task_accuracy for at, path in paths.items() if path.is_file()}


def _counts() -> list[dict[str, str]]:
    data = load_nus_wide_twin()
    found = table_1(data)
    return [
        {
            "class": name,
            **{
                f"{split}, {who}": f"{counts[split].triggers[c]} / {counts[split].rows[c]}"
                for split in PAPER
                for who, counts in (("twin", found), ("paper", PAPER))
            },
        }
        for c, name in enumerate(data.classes)
    ]


def _accuracies(folder: Path) -> list[dict[str, str]]:
    rows = []
    for name, head in itertools.product(PRESETS, HEADS):
        if (path := folder / f"{name}_{head}.nc").is_file():
            dataset = load(path)
            last = dataset.isel(epoch=-1)
            rows.append(
                {
                    "preset": name,
                    "head": head,
                    "seeds": str(dataset.sizes["seed"]),
                    "epochs": str(dataset.sizes["epoch"]),
                    "main accuracy": median_with_interval(last.main_task_accuracy),
                    "smallest and largest": f"{float(last.main_task_accuracy.min()):z.3f}, "
                    f"{float(last.main_task_accuracy.max()):z.3f}",
                    "the paper's": f"{TABLE_2['nus_wide'][head]:z.3f}",
                    "triggered rows called buildings": median_with_interval(last.backdoor_accuracy),
                }
            )
    return rows


def _row(line: Line) -> dict[str, str]:
    return {
        "statistic": line.name,
        "twin": _numbers(line.twin),
        "real": _numbers(line.calibrated),
        "real, by the same code": _numbers(line.measured),
    }


def _numbers(values: tuple[float, ...] | None) -> str:
    return "" if values is None else ", ".join(f"{value:.3g}" for value in values)

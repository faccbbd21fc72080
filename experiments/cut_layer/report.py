"""The page of the cut layer, written from saved results; nothing is trained here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.cut_layer.cases import BACKDOORS, DATA, LAYERS, READERS
from experiments.shared.readme import add_picture, section, write_tables
from vfl_jax.arenas.standings import MAIN, SUCCESS
from vfl_jax.arenas.table import UNDEFENDED
from vfl_jax.core.files import load
from vfl_jax.plots.panels import COLORS, grid_of_panels
from vfl_jax.reports import Row, median_with_interval, to_markdown
from vfl_jax.statistics.meetings import HONEST

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

README = Path(__file__).with_name("README.md")
READ = "label_inference_accuracy"
NOTE = """\
Medians over seeds with 95 % bootstrap intervals. A backdoor: the share of test rows of other classes, every one
attacked, that are predicted as τ; *floor* is the same of honest runs. A reader: the share of training rows whose label
it names, those that it was granted left out.
"""


def write_report(folder: Path) -> None:
    """Writes the table and the figure into README.md, or beside other results than those that are committed."""
    found = {name: load(path) for name in DATA if (path := folder / f"{name}.nc").is_file()}
    if not found:
        raise FileNotFoundError(f"{folder} has no results; run the experiment first.")
    parts = [add_picture(folder, "cut_layer", figure(found), "attack success and labels read, by the layers below")]
    for name, results in found.items():
        parts.append(section(name, to_markdown(rows(results))))
    lacking = [name for name in DATA if name not in found]
    if lacking:
        parts.append(f"**Not trained yet**: {', '.join(lacking)}.\n")
    write_tables(README, folder, "\n".join([*parts, NOTE]))


def rows(results: xr.Dataset) -> list[Row]:
    """A row per cut: main accuracy, every attack beside its floor, every reader.

    Args:
      results: those of one data set, a board per cut.
    """
    table = []
    for cut in results["data"].values:
        cells = results.sel(data=cut, defense=UNDEFENDED)
        row: Row = {"layers": str(cut), "main accuracy": median_with_interval(cells[MAIN + HONEST].mean("attack"))}
        row["floor"] = median_with_interval(cells[SUCCESS + HONEST].max("attack"))
        for attack in cells["attack"].values:
            name = SUCCESS if attack in BACKDOORS else READ
            row[str(attack)] = _value(cells[name].sel(attack=attack))
        table.append(row)
    return table


def figure(found: Mapping[str, xr.Dataset]) -> Figure:
    """By data set the attack success of every attack, and the share of labels read, against the layers below the cut.

    Args:
      found: the results by data set.
    """
    figure, panels = grid_of_panels(2, len(found), None)
    figure.set_size_inches(1 + 3 * len(found), 6)
    for column, (data, results) in enumerate(found.items()):
        for line, (names, variable) in enumerate(((BACKDOORS, SUCCESS), (READERS, READ))):
            panel, places = panels[line, column], np.arange(1, results.sizes["data"] + 1)
            shown = [name for name in names if name in results["attack"].values]
            for place, name in enumerate(shown):
                values = results[variable].sel(attack=name, defense=UNDEFENDED).transpose("seed", "data")
                panel.plot(places, values.median("seed"), marker="o", markersize=4, color=COLORS[place], label=name)
                panel.plot(places, values.T, linewidth=0.3, color=COLORS[place])
            panel.set_xticks(places)
            panel.set_ylim(-0.02, 1.02)
            panel.grid(alpha=0.3)
            panel.set_title(data if line == 0 else "", fontsize=10)
            panel.set_xlabel(f"layers below the cut, of {LAYERS}" if line else "")
            panel.set_ylabel(("attack success", "labels read")[line] if column == 0 else "")
            if column == 0 and shown:
                panel.legend(fontsize=6)
    return figure


def _value(values: xr.DataArray) -> str:
    return "–" if bool(np.isnan(values).all()) else median_with_interval(values)

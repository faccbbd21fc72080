"""The page of the cut layer, written from saved results; nothing is trained here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.cut_layer.cases import BACKDOORS, CUTS, DATA, LAYERS, READERS
from experiments.shared.readme import add_picture, section, write_tables
from vfl_jax.arenas.holding import HOLDS_WITHIN
from vfl_jax.arenas.standings import MAIN, SUCCESS, lifts
from vfl_jax.arenas.table import UNDEFENDED
from vfl_jax.core.files import load
from vfl_jax.core.words import counted
from vfl_jax.plots.panels import COLORS, grid_of_panels
from vfl_jax.reports import Row, median_with_interval, to_markdown
from vfl_jax.statistics.meetings import HONEST

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

README = Path(__file__).with_name("README.md")
READS_MORE = 0.1
"""A reader is left where it reads so much more than the attacker can alone."""
NOTE = """\
Medians over seeds with 95 % bootstrap intervals. A backdoor: the share of test rows of other classes, every one
attacked, that are predicted as τ; *floor* is the largest of the honest runs beside the attacks. A reader: the share of
training rows whose label it names, of two classes the area under the ROC curve; rows that it was granted are left out.
A dash: it reports no area. *Alone* is logistic regression on the attacker's own features, with as many known rows and
without the protocol.
"""


def write_report(folder: Path) -> None:
    """Writes the answer, the figure and the tables into README.md, or beside other results than the committed ones."""
    found = {name: load(path) for name in DATA if (path := folder / f"{name}.nc").is_file()}
    if not found:
        raise FileNotFoundError(f"{folder} has no results; run the experiment first.")
    picture = add_picture(folder, "cut_layer", figure(found), "attack success and labels read, by the layers below")
    parts = [section(name, to_markdown(rows(results))) for name, results in found.items()]
    lacking = [name for name in DATA if name not in found]
    if lacking:
        parts.append(f"**Not trained yet**: {', '.join(lacking)}.\n")
    write_tables(README, folder, "\n".join([*parts, NOTE]), f"{answer(found)}\n{picture}")


def answer(found: Mapping[str, xr.Dataset]) -> str:
    """Where a backdoor and a reader are left at every cut; then, by data set, the strongest of each.

    Args:
      found: the results by data set, a board per cut.
    """
    lines, left, any_through, all_through = [], 0, 0, 0
    for name, results in found.items():
        floor, backdoor, reader = _floor(results), _strongest(results, BACKDOORS), _strongest(results, READERS)
        through = lifts(results).sel(defense=UNDEFENDED).mean("seed").max("attack").values > HOLDS_WITHIN
        alone, num_tried = float(_alone(results).median()), int(results["attack"].isin(list(BACKDOORS)).sum())
        left += bool((reader - alone > READS_MORE).all())
        any_through, all_through = any_through + bool(through.any()), all_through + bool(through.all())
        what = "has an AUC of" if _is_binary(results) else "reads a share of the labels of"
        lines.append(
            f"* {name}: the strongest of {counted(num_tried, 'backdoor')} leads {_listed(backdoor, '.0%')} of rows to "
            f"τ in the mean over seeds, and honest runs {floor.max():.0%} at most; the strongest reader {what} "
            f"{_listed(reader, 'z.2f')} ({alone:z.2f} alone, without the protocol); main accuracy is "
            f"{_listed(_honest_main(results), 'z.3f')}."
        )
    return (
        f"**At every cut a reader of labels is left on {left} of {len(found)} data sets. A backdoor gets through at "
        f"every cut on {all_through}, at some cut on {any_through}.** "
        f"Of {LAYERS} layers, {_listed(np.array(CUTS), 'd')} lie below the cut; values stand in this order. A backdoor "
        f"gets through by a mean lift above {HOLDS_WITHIN:g}, as in the arena.\n\n" + "\n".join(lines) + "\n"
    )


def rows(results: xr.Dataset) -> list[Row]:
    """A row for main accuracy, the floor and every attack, and a column per cut.

    Args:
      results: those of one data set, a board per cut.
    """
    of_none = results.sel(defense=UNDEFENDED)
    values = {
        "main accuracy, honest": of_none[MAIN + HONEST].mean("attack"),
        "floor": of_none[SUCCESS + HONEST].max("attack"),
    }
    there = [str(name) for name in results["attack"].values]
    values |= {f"backdoor: {name}": of_none[SUCCESS].sel(attack=name) for name in there if name in BACKDOORS}
    values |= {f"reader: {name}": of_none[_read(results)].sel(attack=name) for name in there if name in READERS}
    table: list[Row] = [
        {"": name} | {str(cut): median_with_interval(of_cuts.sel(data=cut)) for cut in results["data"].values}
        for name, of_cuts in values.items()
    ]
    alone = median_with_interval(_alone(results))
    return [*table, {"": "alone, without the protocol"} | {str(cut): alone for cut in results["data"].values}]


def _is_binary(results: xr.Dataset) -> bool:
    return int(results["num_classes"].max()) == 2


def _read(results: xr.Dataset) -> str:
    """The variable that says what a reader reads: of two classes the most frequent one would be most of all rows."""
    return "label_inference_auc" if _is_binary(results) else "label_inference_accuracy"


def _alone(results: xr.Dataset) -> xr.DataArray:
    """What the attacker reads without the protocol, float32[seed]."""
    return results["alone_auc" if _is_binary(results) else "alone_accuracy"]


def _floor(results: xr.Dataset) -> np.ndarray:
    """By cut, the largest attack success of the honest runs beside the attacks, means over seeds."""
    return results[SUCCESS + HONEST].sel(defense=UNDEFENDED).mean("seed").max("attack").values


def _honest_main(results: xr.Dataset) -> np.ndarray:
    return results[MAIN + HONEST].sel(defense=UNDEFENDED).mean("attack").median("seed").values


def _strongest(results: xr.Dataset, names: Collection[str]) -> np.ndarray:
    """By cut, what the strongest of some attacks reaches: backdoors by the mean over seeds, readers by the median."""
    there = results["attack"].isin(list(names)).values
    met = results.sel(defense=UNDEFENDED).isel(attack=there)
    found = met[SUCCESS].mean("seed") if names is BACKDOORS else met[_read(results)].median("seed")
    return found.max("attack").values


def _listed(values: np.ndarray, form: str) -> str:
    """Values as a sentence has them, one per cut."""
    *first, last = (format(value, form) for value in values)
    return f"{', '.join(first)} and {last}"


def figure(found: Mapping[str, xr.Dataset]) -> Figure:
    """By data set the attack success of every backdoor, and what readers read, against the layers below the cut.

    A dashed line is what honest runs have, or what the attacker reads alone.

    Args:
      found: the results by data set.
    """
    whole, panels = grid_of_panels(2, len(found), None)
    whole.set_size_inches(1 + 3 * len(found), 6)
    for column, (data, results) in enumerate(found.items()):
        places = np.arange(1, results.sizes["data"] + 1)
        said = f"labels read, {'AUC' if _is_binary(results) else 'share of rows'}"
        alone = np.full(len(places), float(_alone(results).median()))
        kinds = ((BACKDOORS, SUCCESS, _floor(results), "attack success"), (READERS, _read(results), alone, said))
        for line, (names, variable, without, words) in enumerate(kinds):
            panel = panels[line, column]
            for place, name in enumerate(name for name in names if name in results["attack"].values):
                values = results[variable].sel(attack=name, defense=UNDEFENDED).transpose("seed", "data")
                panel.plot(places, values.median("seed"), marker="o", markersize=4, color=COLORS[place], label=name)
                panel.plot(places, values.T, linewidth=0.3, color=COLORS[place])
            panel.plot(places, without, linestyle="--", color="black", linewidth=1, label="honest runs; alone")
            panel.set(xticks=places, ylim=(-0.02, 1.02), ylabel=words)
            panel.grid(alpha=0.3)
            panel.set_title(data if line == 0 else "", fontsize=10)
            panel.set_xlabel(f"layers below the cut, of {LAYERS}" if line else "")
            if column == 0:
                panel.legend(fontsize=6)
    return whole

"""Tables and figures of combined defenses, from saved results; nothing is trained here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.liu2020.combination.cases import CASES
from experiments.shared.defended import (
    BLOCKS,
    CHANGE,
    SPARED,
    WITH_BACKDOOR,
    attack_success,
    backdoors,
    blocks,
    change_of_main,
    defended_row,
    has_nothing_to_stop,
    leaves_something,
    spares,
)
from experiments.shared.outcomes import COLUMNS, Point, data_name, points, read, runtimes
from experiments.shared.panels import figure_against
from experiments.shared.readme import add_picture, details, section, write_tables
from vfl_jax import plots
from vfl_jax.reports import Row, to_markdown
from vfl_jax.statistics.judging import NOTHING_TO_ATTACK

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHORT = ("runs", "drop rate", "noise", "main, honest", CHANGE, WITH_BACKDOOR, "not judged", "blocks", "spares")
"""The columns that say what was found."""
README = Path(__file__).with_name("README.md")
Combinations = Mapping[tuple[float, float], Point]
"""Attacked points of one preset and head by drop rate and standard deviation of the noise."""
UNDEFENDED = (0.0, 0.0)
CRITERION = f"""\
{BLOCKS}A setting *spares* the main task where the honest runs lose no more than {SPARED} in the median, against the
undefended honest runs of the same preset and head.
"""


def write_report(folder: Path) -> None:
    """Writes the figures into ``folder``, and the tables into README.md (or beside other results)."""
    found = read(folder, CASES)
    titles = {case.name: case.title for case in CASES}
    runs = {f"{titles[name]} ({data_name(dataset)})": combinations(dataset) for name, dataset in found.items()}
    pictures = (
        add_picture(folder, "combination", figure_combination(runs), "backdoors and main accuracy, every combination"),
        add_picture(folder, "seeds", figure_seeds(runs), "main and backdoor accuracy, every combination and seed"),
    )
    table = [row for title, combined in runs.items() for row in _rows(title, combined)]
    sections = (
        section(
            "What blocks the backdoor and spares the main task",
            CRITERION,
            "\n".join(_found(title, combined) for title, combined in runs.items()),
        ),
        section(
            "Every combination",
            *pictures,
            to_markdown([{name: row[name] for name in SHORT} for row in table]),
            details("every number of every combination", COLUMNS, to_markdown(table)),
        ),
        section("Runtime", runtimes(CASES, found)),
    )
    write_tables(README, folder, "\n".join(sections))


def combinations(dataset: xr.Dataset) -> Combinations:
    """The attacked points of one case."""
    return {(point.number("defense.drop_rate"), point.number("defense.stddev")): point for point in points(dataset)}


def blocking(combined: Combinations) -> dict[tuple[float, float], Point]:
    """Those that block the backdoor, the cheapest for the main task first; none where there is nothing to block."""
    undefended = combined[UNDEFENDED]
    if has_nothing_to_stop(undefended):
        return {}
    found = {settings: point for settings, point in combined.items() if blocks(point)}
    return dict(sorted(found.items(), key=lambda item: -float(change_of_main(item[1], undefended).median())))


def _rows(title: str, combined: Combinations) -> list[Row]:
    undefended = combined[UNDEFENDED]
    return [
        defended_row(point, undefended, {"runs": title, "drop rate": f"{rate:g}", "noise": f"{noise:g}"})
        | {"blocks": _word(blocks(point)) if leaves_something(point) else NOTHING_TO_ATTACK}
        | {"spares": _word(spares(point, undefended))}
        for (rate, noise), point in combined.items()
    ]


def _found(title: str, combined: Combinations) -> str:
    """What holds in one case: a sentence, and a table of the combinations that block the backdoor."""
    found = blocking(combined)
    sparing = [point for point in found.values() if spares(point, combined[UNDEFENDED])]
    if has_nothing_to_stop(combined[UNDEFENDED]):
        return f"**{title}**: there is nothing to block.\n"
    said = f"**{title}**: of {len(combined) - 1} settings, {len(found)} block, {len(sparing)} of them spare.\n"
    if ruined := sum(not leaves_something(point) for point in combined.values()):
        said = f"{said.rstrip()} Under {ruined} there is nothing to attack on most seeds.\n"
    if not found:
        return said
    shown = (
        "drop rate",
        "noise",
        WITH_BACKDOOR,
        "successes",
        "attack success",
        "its floor",
        "main, honest",
        CHANGE,
        "spares",
    )
    rows = _rows(title, {UNDEFENDED: combined[UNDEFENDED]} | found)[1:]
    return f"{said}\n{to_markdown([{name: row[name] for name in shown} for row in rows])}"


def _word(flag: bool) -> str:
    return "yes" if flag else "no"


def figure_seeds(runs: Mapping[str, Combinations]) -> Figure:
    """Main and backdoor accuracy at the last epoch against the noise, a line per drop rate."""
    rows = {
        _narrow(title): {
            f"drop rate {rate:g}": {noise: point for (other, noise), point in combined.items() if other == rate}
            for rate in sorted({rate for rate, _ in combined})
        }
        for title, combined in runs.items()
    }
    return figure_against(rows, "standard deviation of the noise")


def figure_combination(runs: Mapping[str, Combinations]) -> Figure:
    """Heat maps of every combination: the share of seeds with a backdoor, the honest main accuracy, a row per case.

    Where there is nothing to attack, no share is shown: it would look like a defense.
    """
    figure, panels = plots.grid_of_panels(len(runs), 2)
    accuracies = [_main(point) for combined in runs.values() for point in combined.values()]
    for (left, right), (title, combined) in zip(panels, runs.items(), strict=True):
        cells = {settings: _cell(point) for settings, point in combined.items()}
        shares = {settings: share for settings, (share, _) in cells.items()}
        _draw_map(left, shares, {settings: text for settings, (_, text) in cells.items()}, (0.0, 1.0), "Reds")
        left.set_title(f"{_narrow(title)}\njudged seeds with a backdoor, their median attack success")
        accuracy = {settings: _main(point) for settings, point in combined.items()}
        written = {settings: f"{value:z.3f}" for settings, value in accuracy.items()}
        _draw_map(right, accuracy, written, (min(accuracies), max(accuracies)), "Blues")
        right.set_title(f"{_narrow(title)}\nmedian main accuracy of honest runs")
    return figure


def _cell(point: Point) -> tuple[float, str]:
    """The share of judged seeds with a backdoor, and what is written of it; NaN where too few are judged."""
    if not leaves_something(point):
        return float("nan"), NOTHING_TO_ATTACK.replace("to ", "to\n")
    with_one = backdoors(point)
    return float(with_one.mean()), f"{int(with_one.sum())}/{with_one.size}\nattack success {attack_success(point):z.2f}"


def _narrow(title: str) -> str:
    """A title that a panel has room for."""
    return title.replace(" (", "\n(")


def _main(point: Point) -> float:
    return float(point.honest.main_task_accuracy.isel(epoch=-1).median())


def _draw_map(
    panel: Axes,
    values: Mapping[tuple[float, float], float],
    written: Mapping[tuple[float, float], str],
    limits: tuple[float, float],
    colors: str,
) -> None:
    """Coloured cells with numbers, drop rates downwards and noise to the right; hatched where there is none."""
    from matplotlib.patches import Rectangle

    rates, noises = (sorted(set(numbers)) for numbers in zip(*values, strict=True))
    cells = np.array([[values[rate, noise] for noise in noises] for rate in rates])
    panel.imshow(cells, cmap=colors, vmin=limits[0], vmax=limits[1], aspect="auto")
    for row, column in np.argwhere(np.isnan(cells)):
        panel.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor="0.92", edgecolor="0.7", hatch="//"))
    for (rate, noise), text in written.items():
        is_dark = values[rate, noise] - limits[0] > 0.5 * (limits[1] - limits[0])
        place = noises.index(noise), rates.index(rate)
        panel.text(*place, text, ha="center", va="center", color="white" if is_dark else "black")
    panel.set_xticks(range(len(noises)), [f"{noise:g}" for noise in noises])
    panel.set_yticks(range(len(rates)), [f"{rate:g}" for rate in rates])
    panel.set(xlabel="standard deviation of the noise", ylabel="drop rate")

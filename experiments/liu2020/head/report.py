"""Tables and figures of the trainable head, from saved results; nothing is trained here."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.liu2020.gamma.cases import CASES as GAMMA_CASES
from experiments.liu2020.head.cases import CASES, DEPTHS, KNOWS_THE_HEAD, TASKS, case_name
from experiments.shared.cases import GAMMA, PRESETS
from experiments.shared.outcomes import (
    COLUMNS,
    TABLE_2,
    Point,
    are_alike,
    data_name,
    line,
    points,
    read,
    results_of,
    row,
    runtimes,
)
from experiments.shared.panels import figure_against, figure_over_epochs
from experiments.shared.readme import add_picture, section, short_and_whole, write_tables
from vfl_jax.reports import Row, median_with_interval, to_markdown
from vfl_jax.statistics import honest

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    Found = Mapping[str, xr.Dataset]

README = Path(__file__).with_name("README.md")
QUICK = Path(__file__).parents[1] / "gamma" / "quick"
"""Where a quick run of the sum head's experiment is."""
TABLE_2_NOTE = """\
Medians over seeds at the last epoch, in brackets their 95 % bootstrap intervals. The difference is paired by seed.
"""


def write_report(folder: Path) -> None:
    """Writes the figures into ``folder``, and the tables into README.md (or beside other results)."""
    found = read(folder, CASES)
    fixed = read_sum_head(folder, found)
    sections = []
    if table := list(_table_2(found, fixed)):
        sections.append(section("Accuracy without attack (Table 2)", TABLE_2_NOTE, to_markdown(table)))
        caption = "main and backdoor accuracy per epoch, honest and attacked, under both heads"
        picture = add_picture(folder, "figure_5", figure_5(found, fixed), caption)
        sections.append(section("Main and backdoor accuracy per epoch (Figure 5)", picture))
    parts = [COLUMNS, short_and_whole(list(_rows(found, fixed)))]
    if lines := depth_lines(found):
        figure = figure_against(lines, "hidden layers of the head")
        parts.append(add_picture(folder, "depth", figure, "main and backdoor accuracy against the depth of the head"))
    sections.append(section(f"Main and backdoor accuracy at the last epoch, γ = {GAMMA}", *parts))
    if table := list(_rows_who_know(found)):
        title = f"An attacker who knows the head: MNIST, `liu2020_code`, γ = {GAMMA}"
        sections.append(section(title, short_and_whole(table)))
    sections.append(section("Runtime", runtimes(CASES, found)))
    write_tables(README, folder, "\n".join(sections))


def read_sum_head(folder: Path, found: Found) -> Found:
    """The same presets and tasks under the sum head, where they were trained on the same data for as long."""
    try:
        others = read(QUICK if folder.name == "quick" else results_of("liu2020/gamma"), GAMMA_CASES)
    except FileNotFoundError:
        return {}
    return {name: dataset for name, dataset in others.items() if name in found and are_alike(dataset, found[name])}


def _trained(found: Found) -> Iterator[tuple[str, str, str]]:
    """Task, preset and case of what was trained with the paper's head."""
    for task, preset in itertools.product(TASKS, PRESETS):
        if (name := case_name(preset, task)) in found:
            yield task, preset, name


def _only_point(dataset: xr.Dataset) -> Point:
    (point,) = points(dataset)
    return point


def _at_amplify(dataset: xr.Dataset) -> Point:
    return line(dataset, "attack.amplify")[GAMMA]


def _table_2(found: Found, fixed: Found) -> Iterator[Row]:
    def without_attack(dataset: xr.Dataset) -> xr.DataArray:
        return honest(dataset)["main_task_accuracy"].isel(epoch=-1)

    for task, preset, name in _trained(found):
        trainable, untrainable, difference, paper = without_attack(found[name]), "–", "–", TABLE_2[task]
        if name in fixed:
            untrainable = median_with_interval(without_attack(fixed[name]))
            difference = median_with_interval(trainable - without_attack(fixed[name]))
        yield {
            "task": task,
            "data": data_name(found[name]),
            "preset": preset,
            "sum head": untrainable,
            "paper: not trainable": f"{paper['sum']:z.3f}",
            "trainable head": median_with_interval(trainable),
            "paper: trainable": f"{paper['trainable']:z.3f}",
            "trainable − sum": difference,
            "paper: difference": f"{paper['trainable'] - paper['sum']:+z.3f}",
        }


def _rows(found: Found, fixed: Found) -> Iterator[Row]:
    for task, preset in itertools.product(TASKS, PRESETS):
        if (name := case_name(preset, task)) in fixed:
            settings = {"task": task, "data": data_name(fixed[name]), "preset": preset, "head": "sum"}
            yield row(_at_amplify(fixed[name]), settings)
        for depth in (1, *DEPTHS):
            if (name := case_name(preset, task, depth)) in found:
                settings = {"task": task, "data": data_name(found[name]), "preset": preset, "head": f"{depth} hidden"}
                yield row(_only_point(found[name]), settings)


def _rows_who_know(found: Found) -> Iterator[Row]:
    """The paper's attacker and the one who takes fresh gradients, by the rows that they know to be of τ."""
    if (name := case_name("liu2020_code", "mnist")) in found:
        yield row(_only_point(found[name]), {"known rows of τ": "the authors' one", "attacker": "the paper's"})
    for case in KNOWS_THE_HEAD:
        if case.name in found:
            yield row(_only_point(found[case.name]), {"known rows of τ": case.rows, "attacker": case.attacker})


def figure_5(found: Found, fixed: Found) -> Figure:
    """Main and backdoor accuracy per epoch, honest and attacked, under both heads."""
    rows = {}
    for task, preset, name in _trained(found):
        heads = {"trainable": _only_point(found[name])}
        if name in fixed:
            heads["sum"] = _at_amplify(fixed[name])
        rows[f"{preset}, {task} ({data_name(found[name])})"] = {
            f"{head} head, {label}": run
            for head, point in heads.items()
            for label, run in {f"γ = {GAMMA}": point.attacked, "honest": point.honest}.items()
        }
    return figure_over_epochs(rows)


def depth_lines(found: Found) -> dict[str, dict[str, dict[float, Point]]]:
    """By preset and task the points by hidden layers, where a deeper head than the paper's was trained."""
    lines: dict[str, dict[str, dict[float, Point]]] = {}
    for preset, task in itertools.product(PRESETS, TASKS):
        names = {float(depth): case_name(preset, task, depth) for depth in (1, *DEPTHS)}
        trained = {depth: _only_point(found[name]) for depth, name in names.items() if name in found}
        if any(depth > 1 for depth in trained):
            lines.setdefault(f"{preset}, trainable head", {})[task] = trained
    return lines

"""Whole figures of labelled results: curves over epochs, values against a setting, and an overview of a sweep."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vfl_jax.core.checks import did_you_mean, shown
from vfl_jax.core.words import setting_text
from vfl_jax.plots.panels import (
    CHARACTER,
    COLORS,
    draw_against,
    draw_curves,
    draw_floor,
    draw_map,
    grid_of_panels,
    slant_ticks,
)
from vfl_jax.plots.selection import check_selected
from vfl_jax.statistics.checked import OF_RUNS, check_names, check_results, check_variable
from vfl_jax.statistics.main_accuracy import main_of
from vfl_jax.statistics.references import CASE, each_case, honest, is_attacked, is_by_case

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure


BACKDOOR = "backdoor_accuracy"
SHOWN = ("main_task_accuracy", BACKDOOR)
"""The variables that curves, and values against a setting, show by default."""
HONEST = "honest runs, median"
MOST_LINES = 4
"""A reader can tell apart this many lines in one panel, each with its honest runs."""


def curves(runs: Mapping[str, xr.Dataset], names: Sequence[str] = SHOWN, title: str | None = None) -> Figure:
    """Curves over epochs, one panel per variable; see :func:`draw_curves`.

    Args:
      runs: results by their label in the legend. Results have no other dimensions than ``seed`` and ``epoch``.
      names: the variables, a panel each.
      title: the text above the figure.

    Raises:
      ValueError: where ``runs`` are no results by label; where results have another dimension, with the selection that
        leaves it out.

    Example:
      >>> import vfl_jax as vfl
      >>> import xarray as xr
      >>> accuracy = xr.DataArray([[0.5, 0.8, 0.9], [0.4, 0.7, 0.9]], {"epoch": [1, 2, 3]}, ("seed", "epoch"))
      >>> figure = vfl.plots.curves({"honest": xr.Dataset({"main_task_accuracy": accuracy})}, ["main_task_accuracy"])
      >>> figure.savefig("curves.png")
    """
    if not isinstance(runs, Mapping) or hasattr(runs, "data_vars") or not runs:
        raise ValueError(
            f"runs is {shown(runs)}; it must be results by label, such as {{'honest': vfl.honest(results)}}."
        )
    for label, dataset in runs.items():
        check_selected(f"runs[{label!r}]", dataset, names, ())
    runs = {label: _with_runs(dataset) for label, dataset in runs.items()}
    figure, panels = grid_of_panels(1, len(names), title)
    for panel, name in zip(panels[0], names, strict=True):
        draw_curves(panel, {label: dataset[name] for label, dataset in runs.items()}, name)
    panels[0, 0].legend(frameon=False)
    return figure


def against(
    dataset: xr.Dataset,
    setting: str,
    names: Sequence[str] = SHOWN,
    floor: xr.Dataset | None = None,
    title: str | None = None,
) -> Figure:
    """Values of the last epoch against a swept setting, one panel per variable; see :func:`draw_against`.

    Args:
      dataset: results with the dimensions of the setting, ``seed`` and ``epoch``, or one seed or epoch of such results.
      setting: the swept path on the horizontal axis. Its values lie at even distances.
      names: the variables, a panel each.
      floor: results of the honest runs, with the dimension of the setting or without it. The dashed line is their
        median over seeds.
      title: the text above the figure.

    Raises:
      ValueError: where the results do not sweep the setting, or sweep others, with the selection that leaves them out.
    """
    check_results("dataset", dataset, OF_RUNS[:1])
    if setting not in dataset.coords or dataset[setting].ndim != 1:
        swept = [str(name) for name, found in dataset.coords.items() if found.ndim == 1 and name in _settings(dataset)]
        raise ValueError(
            f"setting is {shown(setting)}, which the results do not sweep.{did_you_mean(setting, swept)} They sweep "
            f"{', '.join(map(repr, swept)) or 'nothing: draw curves, or plots.overview'}."
        )
    (dimension,) = dataset[setting].dims
    check_selected("dataset", dataset, names, (dimension,))
    if floor is not None:
        check_selected("floor", floor, names, (dimension,))
    line = _Line("", "", _with_runs(dataset), None if floor is None else _with_runs(floor))
    return _lines([line], dimension, [_text(value) for value in dataset[setting].values], setting, names, title)


def overview(dataset: xr.Dataset, names: Sequence[str] | None = None) -> Figure:
    """The figure that suits a sweep: every level of every setting, attacked and honest.

    * Results without a setting give curves over epochs. Several cases without a setting stand side by side instead, at
      the last epoch.
    * With one setting, values of the last epoch stand against it. Every attack and every case has a line, and the
      honest runs are dashed.
    * With more settings, or too many lines, the figure is a map of the medians over seeds: a row of panels for every
      attack, and one for the honest runs.

    Args:
      dataset: results of ``sweep``, ``sweep_cases`` or ``run``, or one seed or epoch of such results.
      names: the variables, a panel each; by default the main accuracy, chosen as :func:`vfl_jax.statistics.main_of`
        does, and the backdoor accuracy.

    Raises:
      ValueError: where ``dataset`` is no results, or lacks one of ``names``.
    """
    check_results("dataset", dataset, OF_RUNS[:1])
    names = (main_of(dataset), BACKDOOR) if names is None else names
    check_names(names)
    for name in names:
        check_variable("names", name, dataset, "dataset")
    dataset = _with_runs(dataset)
    dataset = dataset.isel({d: 0 for d in _grid(dataset) if dataset.sizes[d] == 1 and d != CASE})
    lines = [line for part in each_case(dataset) for line in _attacks(part)]
    settings = _grid(lines[0].attacked)
    if not settings and not is_by_case(dataset):
        runs = {line.label or "attacked": line.attacked for line in lines}
        if lines[0].floor is None:
            return curves(dict(zip(runs if len(runs) > 1 else ["run"], runs.values(), strict=True)), names)
        return curves(runs | {"honest": lines[0].floor}, names)
    if not settings:
        return _over_cases(lines, names)
    if len(settings) == 1 and len(lines) <= MOST_LINES:
        first = lines[0].attacked
        return _lines(lines, settings[0], _levels(first, settings[0]), _named(first, settings[0]), names)
    return _maps(lines, settings, names)


def _with_runs(dataset: xr.Dataset) -> xr.Dataset:
    """The results with the dimensions ``seed`` and ``epoch``, which a single seed or epoch of results lacks."""
    return dataset.expand_dims([dim for dim in ("seed", "epoch") if dim not in dataset.dims])


class _Line(NamedTuple):
    """The runs of one case under one attack, and the honest runs beside them."""

    case: str  # its name; empty without cases
    attack: str  # the settings of the attack; empty where it is the only one
    attacked: xr.Dataset
    floor: xr.Dataset | None  # the honest runs

    @property
    def label(self) -> str:
        """The words of the line in the legend; empty where it is the only one."""
        return ", ".join(filter(None, (self.case, self.attack)))


def _attacks(part: xr.Dataset) -> list[_Line]:
    """A line for every attack of one scenario."""
    case = str(part[CASE].item()) if CASE in part.coords else ""
    part = part.drop_vars(CASE, errors="ignore")
    mask = is_attacked(part)
    try:
        floor = honest(part)
    except ValueError:  # there are none, or none that fits a zipped axis
        floor = None
    if floor is None or not mask.values.any():
        return [_Line(case, "", part, None)]
    mask = mask.squeeze()
    kept = [dim for dim in mask.dims if dim in _grid(floor)]
    if kept:  # a zipped axis with honest runs of its own at every setting
        chosen = {dim: np.flatnonzero(mask.any([d for d in mask.dims if d != dim])) for dim in kept}
        part, floor, mask = part.isel(chosen), floor.isel(chosen), mask.isel(chosen).any(kept)
    places = [dict(zip(mask.dims, place, strict=True)) for place in np.argwhere(mask.values).tolist()]
    several = len(places) > 1
    return [
        _Line(case, _settings_of(part, place) if several else "", part.isel(place, drop=True), floor)
        for place in places
    ]


def _lines(
    lines: Sequence[_Line],
    dimension: Any,
    levels: Sequence[str],
    axis: str,
    names: Sequence[str],
    title: str | None = None,
) -> Figure:
    """One panel per variable. Each panel has all lines against one setting."""
    figure, panels = grid_of_panels(1, len(names), title, (min(max(5.2, 0.5 * len(levels)), 8.0), 3.8))
    shifts = 0.3 * (np.arange(len(lines)) - (len(lines) - 1) / 2) / len(lines)
    places = np.arange(len(levels))
    floors = {line.case: line.floor for line in lines if line.floor is not None}
    colors = {line.case: COLORS[i % len(COLORS)] for i, line in enumerate(lines)} if len(floors) > 1 else {}
    for panel, name in zip(panels[0], names, strict=True):
        for i, line in enumerate(lines):
            values = line.attacked[name].isel(epoch=-1).transpose(dimension, "seed")
            draw_against(
                panel, values, levels, name, None, line.label or None, COLORS[i % len(COLORS)], float(shifts[i])
            )
        for case, clean in floors.items():
            floor = clean[name].isel(epoch=-1).transpose(..., "seed")
            draw_floor(panel, floor, places, f"{case}, honest" if colors else HONEST, colors.get(case, COLORS[7]))
        panel.set_xlabel(axis)
        slant_ticks(panel)
    if len(lines) > 1:
        handles = panels[0, 0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    elif floors:
        panels[0, 0].legend(frameon=False)
    return figure


def _over_cases(lines: Sequence[_Line], names: Sequence[str]) -> Figure:
    """Cases beside each other, a line for every attack."""
    import xarray as xr

    def joined(found: Sequence[Any]) -> Any:
        parts = [part[list(names)] for part in found]
        return xr.concat(parts, CASE, join="override", coords="minimal", compat="override")

    cases = list(dict.fromkeys(line.case for line in lines))
    drawn = []
    for attack in dict.fromkeys(line.attack for line in lines):
        of_attack = [line for line in lines if line.attack == attack]
        floors = [line.floor for line in of_attack]
        floor = None if any(floor is None for floor in floors) else joined(floors)
        drawn.append(_Line("", attack, joined([line.attacked for line in of_attack]), floor))
    return _lines(drawn, CASE, cases, "case", names)


def _maps(lines: Sequence[_Line], settings: Sequence[Any], names: Sequence[str]) -> Figure:
    """Medians over seeds: the last setting to the right, all others, and cases, downwards."""
    *down, right = settings
    columns = _levels(lines[0].attacked, right)
    kinds: dict[str, list[tuple[str, xr.Dataset]]] = {}
    for line in lines:
        kinds.setdefault(line.attack or "attacked", []).append((line.case, line.attacked))
    if all(line.floor is None for line in lines) and len(kinds) == 1:
        kinds = {"": next(iter(kinds.values()))}
    clean = {line.case: line.floor for line in lines if line.floor is not None}
    if clean:
        kinds["honest"] = list(clean.items())
    labels = {
        kind: [label for case, part in parts for label in _rows(case, part, down)] for kind, parts in kinds.items()
    }
    widest = max(len(label) for of_kind in labels.values() for label in of_kind)
    most = max(map(len, labels.values()))
    size = (
        min(1.0 + max(0.5 * len(columns), 2.0) + widest * CHARACTER / len(names), 9.0),
        min(1.2 + 0.32 * most, 12.0),
    )
    figure, panels = grid_of_panels(len(kinds), len(names), None, size)
    for row, (kind, parts) in zip(panels, kinds.items(), strict=True):
        for i, (panel, name) in enumerate(zip(row, names, strict=True)):
            medians = np.concatenate([_medians(part[name], down, right) for _, part in parts])
            draw_map(panel, medians, labels[kind], columns, name)
            if i:
                panel.set_yticklabels([])
            if kind:
                title = textwrap.wrap(f"{panel.get_title()}, {kind}", int(size[0] / CHARACTER))
                panel.set_title("\n".join(title), fontsize=10)
            panel.set_xlabel(_named(lines[0].attacked, right))
        named = ["case"] * bool(lines[0].case) + [_named(lines[0].attacked, dim) for dim in down]
        row[0].set_ylabel("\n".join(named))
    return figure


def _rows(case: str, part: xr.Dataset, down: Sequence[Any]) -> list[str]:
    """The labels of a map's rows: the case, and the levels of all settings that run downwards."""
    levels = [_levels(part, dim) for dim in down]
    places = np.ndindex(*map(len, levels))
    texts = ([of[i] for of, i in zip(levels, place, strict=True)] for place in places)
    return [", ".join(filter(None, (case, *parts))).replace("\n", ", ") for parts in texts]


def _medians(values: xr.DataArray, down: Sequence[Any], right: Any) -> np.ndarray:
    """The medians over seeds at the last epoch, float[rows, columns]."""
    last = values.isel(epoch=-1).transpose(*down, right, "seed").values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # without a value of any seed the median is NaN
        return np.nanmedian(last, axis=-1).reshape(-1, last.shape[-2])


def _settings(dataset: xr.Dataset) -> list[Any]:
    """The coordinates of the grid."""
    return [name for dim in _grid(dataset) for name in _along(dataset, dim)]


def _grid(dataset: xr.Dataset) -> list[Any]:
    """The dimensions of the grid."""
    return [dim for dim in dataset["main_task_accuracy"].dims if dim not in ("seed", "epoch")]


def _along(dataset: xr.Dataset, dimension: Any) -> list[Any]:
    """The names of the settings that a dimension sweeps."""
    return [name for name, coordinate in dataset.coords.items() if coordinate.dims == (dimension,)]


def _levels(dataset: xr.Dataset, dimension: Any) -> list[str]:
    """The levels of a dimension in words. A level of a zipped axis has a line for every setting."""
    columns = [[_text(value) for value in dataset[name].values] for name in _along(dataset, dimension)]
    return ["\n".join(level) for level in zip(*columns, strict=True)] or list(map(str, range(dataset.sizes[dimension])))


def _named(dataset: xr.Dataset, dimension: Any) -> str:
    """The settings of a dimension, one per line; its own name where it sweeps none."""
    return "\n".join(map(str, _along(dataset, dimension))) or str(dimension)


def _settings_of(part: xr.Dataset, place: Mapping[Any, int]) -> str:
    """The settings at one place of the attacks' switches: which switches are on, and the numbers beside them."""
    here = part.isel(place)
    settings = {str(name): here[name].item() for dim in place for name in _along(part, dim)}
    texts = [
        name.removesuffix(".enabled") if name.endswith(".enabled") else f"{name} {_text(value)}"
        for name, value in settings.items()
        if value or not name.endswith(".enabled")
    ]
    return ", ".join(texts)


def _text(value: Any) -> str:
    """A number with at most six digits, or a name."""
    return setting_text(value)

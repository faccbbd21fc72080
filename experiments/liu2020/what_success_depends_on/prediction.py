"""Does the state of the attacker's unit before training foretell which seeds succeed?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from experiments.liu2020.what_success_depends_on.units import PREDICTORS, Units
from experiments.shared.cases import GAMMA
from experiments.shared.figures import OUTCOMES, outcome_colors
from experiments.shared.outcomes import at, read_one, results_of, share
from experiments.shared.readme import add_picture, section
from experiments.shared.separation import UNDEFINED, area_with_interval
from vfl_jax import plots
from vfl_jax.reports import Row, median_with_interval, to_markdown
from vfl_jax.scenario.plans import Drawn
from vfl_jax.statistics.judging import COLLAPSED, SUCCESS

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

KNOWN = 20
"""The seeds below were known to succeed or fail when the predictors were thought of; those above are their test."""
ALIVE = 0.5
"""A unit is alive when it is above zero on more than this share of the poisoned rows, else dead."""
PUBLISHED, TEST = "the published run", f"the published run, seeds from {KNOWN}"
INTRODUCTION = f"""\
MNIST, sum head, γ = {GAMMA}. From a seed's initial parameters alone, with the trigger stamped on the poisoned rows:

{"".join(f"* *{name}*: {reason}.{chr(10)}" for name, reason in PREDICTORS.items())}
A unit counts as alive when it is above zero on more than half of the poisoned rows, else as dead. This bound and the
predictors were set before any of them was compared with an outcome, and all that were set are here. Which seeds below
{KNOWN} succeed was known by then: seeds from {KNOWN} are the test. The runs of authors_run start from the same
parameters as the published run's first {KNOWN} seeds, and are no evidence of their own.
"""
MEASURES = f"""\
Below, for each predictor alone: Spearman's rank correlation with the backdoor accuracy and its p-value (as there are
{len(PREDICTORS)}, {0.05 / len(PREDICTORS):z.3f} takes the place of 0.05), and the area under the ROC curve for success
with its 95 % bootstrap interval: how often a seed that succeeds has a higher value than one that does not. 0.5 is
chance. An interval without width says only that no two seeds of this sample are in the wrong order.
"""


class Runs(NamedTuple):
    """Attacked runs of some seeds at the last epoch, beside what their initial parameters say."""

    title: str
    seeds: np.ndarray
    backdoor: np.ndarray
    outcome: xr.DataArray
    units: dict[str, np.ndarray]


def related(found: Mapping[str, xr.Dataset], measured: Mapping[str, Any]) -> list[Runs]:
    """All runs of MNIST's sum head at γ = 10 that the numbers are related to.

    Raises:
      ValueError: when the numbers were measured on other data.
    """
    groups: list[Runs] = []
    if (base := found.get("base_mnist")) is not None:
        groups.append(_runs(PUBLISHED, base, measured, "fixed"))
        groups.append(_runs(TEST, base.sel(seed=base.seed >= KNOWN), measured, "fixed"))
    draws: dict[Drawn, str] = {"fixed": "authors_run, one poison list", "per_seed": "authors_run, a list per seed"}
    for draw, title in draws.items():
        path = results_of("liu2020/authors_run") / f"liu2020_code_sum_{draw}.nc"
        if path.is_file():
            groups.append(_runs(title, read_one(path), measured, draw))
    return [group for group in groups if group.seeds.size]


def _runs(title: str, dataset: xr.Dataset, measured: Mapping[str, Any], draw: Drawn) -> Runs:
    if json.loads(dataset.attrs["data"])["fingerprint"] != measured["data"]:
        raise ValueError(
            f"initial units were measured on other data than the results of {title!r}; measure them again."
        )
    units: Units = measured["lists"][draw]
    is_measured = np.isin(dataset.seed, units["seed"])
    settings = {"amplify": GAMMA} if "attack.amplify" in dataset.coords else {}
    attacked, _, counted = (part.isel(epoch=-1, seed=is_measured) for part in at(dataset, **settings))
    places = [units["seed"].index(seed) for seed in attacked.seed.values]
    return Runs(
        title,
        attacked.seed.values,
        attacked.backdoor_accuracy.values.astype(float),
        counted.outcome,
        {name: np.asarray(units[name])[places] for name in PREDICTORS},
    )


def section_of(folder: Path, groups: list[Runs]) -> str:
    """What is tried and why, successes by how alive the unit is, and how well every predictor foretells them."""
    caption = "backdoor accuracy against every predictor, every seed a point"
    return section(
        "The attacker's output unit of class τ before training",
        INTRODUCTION,
        to_markdown([row for group in groups for row in _by_life(group)]),
        MEASURES,
        to_markdown([row for group in groups for row in _by_predictor(group)]),
        add_picture(folder, "initial_units", figure(groups), caption),
    )


def _by_life(group: Runs) -> list[Row]:
    """Successes of the seeds whose unit is alive, and of the others."""
    is_alive, rows = group.units["alive"] > ALIVE, []
    for label, chosen in {"dead": ~is_alive, "alive": is_alive}.items():
        if not chosen.any():
            continue
        success = group.outcome[chosen] == SUCCESS
        exceptions = group.seeds[chosen][success.values != (label == "alive")]
        rows.append(
            {
                "runs": group.title,
                "unit": label,
                "successes": share(success),
                "collapsed": f"{int((group.outcome[chosen] == COLLAPSED).sum())}/{success.size}",
                "backdoor": median_with_interval(group.backdoor[chosen]),
                "dead and a success, or alive and none": ", ".join(map(str, exceptions)) or UNDEFINED,
            }
        )
    return rows


def _by_predictor(group: Runs) -> list[Row]:
    success = group.outcome.values == SUCCESS
    return [
        {
            "runs": f"{group.title} ({success.sum()} of {success.size} succeed)",
            "predictor": name,
            "rank correlation": _correlation(values, group.backdoor),
            "area under the curve": area_with_interval(values[success], values[~success]),
        }
        for name, values in group.units.items()
    ]


def _correlation(x: np.ndarray, y: np.ndarray) -> str:
    """Spearman's ρ and its p-value; a dash where one of them does not vary, or of fewer than three seeds."""
    from scipy.stats import spearmanr

    if x.size < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return UNDEFINED
    found = spearmanr(x, y)
    return f"{found.statistic:z.2f} (p = {found.pvalue:.2g})"


def figure(groups: list[Runs]) -> Figure:
    """A panel per predictor: every seed a dot in the colour of its outcome, in the shape of its runs."""
    picture, panels = plots.grid_of_panels(2, 4)
    *used, legend = panels.flat
    shown = [group for group in groups if group.title != TEST]
    shapes = dict(zip((group.title for group in shown), "os^", strict=False))
    for panel, name in zip(used, PREDICTORS, strict=True):
        for group in shown:
            panel.scatter(
                group.units[name],
                group.backdoor,
                s=22,
                alpha=0.6,
                marker=shapes[group.title],
                linewidths=0,
                color=outcome_colors(group.outcome),
            )
        panel.set(xlabel=name, ylabel="backdoor accuracy", ylim=(-0.02, 1.02))
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    for title, shape in shapes.items():
        legend.scatter([], [], marker=shape, color="grey", label=title)
    for label, color in OUTCOMES.items():
        legend.scatter([], [], color=color, label=label)
    legend.set_axis_off()
    legend.legend(loc="center", frameon=False)
    return picture

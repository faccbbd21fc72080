"""Results of cases as rows of tables: our number with its interval over seeds, beside the honest runs."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from experiments.shared.cases import Case
from vfl_jax.core.files import load
from vfl_jax.data.sets.nus_wide import PAPER
from vfl_jax.reports import UNDEFINED, Row, interval_text, not_judged_text, rows_text, to_markdown
from vfl_jax.statistics import honest, is_attacked, outcomes, share_interval
from vfl_jax.statistics.judging import COLLAPSED, NOT_JUDGED, OUTCOMES, SUCCESS
from vfl_jax.statistics.main_accuracy import ALL_TEST_ROWS
from vfl_jax.statistics.summaries import describe
from vfl_jax.sweeps.grid import parse

if TYPE_CHECKING:
    import xarray as xr

EXPERIMENTS = Path(__file__).parents[1]
SWITCH = "attack.enabled"
TABLE_2 = {"mnist": {"sum": 0.957, "trainable": 0.971}, "nus_wide": {"sum": 0.885, "trainable": 0.887}}
"""The paper's accuracy without attack, by task and head."""
DATA = {"mnist": "MNIST", "nus_wide": "NUS-WIDE", "nus_wide_twin": "NUS-WIDE twin"}
TEST_ROWS = {"mnist": (1135, 10_000)} | dict.fromkeys(
    ("nus_wide", "nus_wide_twin"), (int(PAPER["test"].rows.max()), int(PAPER["test"].rows.sum()))
)
"""By the data's name, how many test rows are of the most frequent class, of how many; MNIST's are ones, NUS-WIDE's and
its twin's persons. Results that were saved before they said it themselves get it from here."""

FIXED_LIST = {"mnist": {"draw": "fixed", "fixed_seed": 0, "test_rate": 0.01, "target_class": 0}}
"""By the data's name, the plan of the published list of triggered test rows."""
MEASURED = {"mnist": 83}
"""How many of that list are of another class than τ; results that were saved before they said it get it from here."""


class Point(NamedTuple):
    """One attacked grid point; everything has the dimensions ``seed`` and ``epoch``."""

    attacked: xr.Dataset
    honest: xr.Dataset  # the runs of the same seeds and settings without an attack
    counted: xr.Dataset  # outcome, is_success, is_collapsed

    def number(self, name: str) -> float:
        """The value of a swept setting."""
        return float(self.attacked[name])

    def numbers(self) -> dict[str, float]:
        """Its row of :func:`vfl_jax.summary`, at the last epoch."""
        attacked, clean, counted = (part.isel(epoch=-1) for part in self)
        return describe(attacked, clean, counted.outcome)

    def judged(self) -> xr.DataArray:
        """Which seeds say something of the attack at the last epoch: their honest run can be attacked; bool."""
        return ~self.counted.outcome.isel(epoch=-1).isin(NOT_JUDGED)


def results_of(experiment: str) -> Path:
    """Where an experiment's results lie: those that are committed, or in the folder that ``VFL_JAX_RESULTS`` names.

    Args:
      experiment: its path below ``experiments/``, such as ``liu2020/gamma``.
    """
    folder = os.environ.get("VFL_JAX_RESULTS")
    return Path(folder, experiment) if folder else EXPERIMENTS / experiment / "results"


def read(folder: Path, cases: Sequence[Case]) -> dict[str, xr.Dataset]:
    """The results of every case that has been trained, by its name, with the honest runs that belong to it.

    Raises:
      FileNotFoundError: when there are none.
    """
    paths = {case.name: path for case in cases if (path := folder / f"{case.name}.nc").is_file()}
    found = {name: read_one(path) for name, path in paths.items()}
    if not found:
        raise FileNotFoundError(f"{folder} has no results; run the experiment first.")
    whole = {}
    for case in cases:
        dataset, lender = found.get(case.name), found.get(case.honest_of or "")
        if dataset is not None and case.honest_of is not None:
            dataset = None if lender is None else _with_honest(dataset, lender)
        if dataset is not None:
            whole[case.name] = dataset
    return whole


def read_one(path: Path) -> xr.Dataset:
    """The results of one case, which say what share of the test rows the most frequent class has."""
    dataset = load(path)
    rows = json.loads(dataset.attrs.get("rows", "{}"))
    most, total = TEST_ROWS.get(json.loads(dataset.attrs["data"])["name"], (0, 0))
    if "test_majority" not in rows and total and rows.get("test", total) == total:
        dataset.attrs["rows"] = json.dumps(rows | {"test_majority": most / total})
    return _with_measured(dataset)


def _with_measured(dataset: xr.Dataset) -> xr.Dataset:
    """With the number of rows that measure a backdoor, where the published list was taken and nothing says it."""
    name, count = json.loads(dataset.attrs["data"])["name"], "attack_success_rate_count"
    plan = json.loads(dataset.attrs["scenario"]).get("poison", {})
    if count in dataset or name not in MEASURED or plan.get("test_poison_ids") is not None:
        return dataset
    if any(plan.get(field) != value for field, value in FIXED_LIST[name].items()):
        return dataset
    return dataset.assign({count: dataset["attack_success_rate"] * 0 + MEASURED[name]})


def _with_honest(dataset: xr.Dataset, lender: xr.Dataset) -> xr.Dataset | None:
    """With the honest runs of another case, where that is of the same data, epochs and seeds."""
    import xarray as xr

    same_seeds = lender.sel(seed=np.intersect1d(lender["seed"], dataset["seed"]))
    if not are_alike(dataset, same_seeds):
        return None
    joined = xr.concat([same_seeds.sel({SWITCH: [0]}), dataset], SWITCH, combine_attrs="override", join="exact")
    joined.encoding["run"] = dataset.encoding.get("run")
    return joined.assign_attrs(dataset.attrs)


def points(dataset: xr.Dataset, undefended: xr.DataArray | None = None) -> Iterator[Point]:
    """Every attacked grid point of a sweep that has honest runs.

    Args:
      undefended: main accuracy of the undefended honest runs, where the sweep itself has none.
    """
    clean, counted = honest(dataset), outcomes(dataset, ALL_TEST_ROWS, undefended=undefended)
    dims = [d for d in dataset["main_task_accuracy"].dims if d not in ("seed", "epoch")]
    for place in np.ndindex(*(dataset.sizes[d] for d in dims)):
        here = dict(zip(dims, place, strict=True))
        attacked = dataset.isel(here)
        if is_attacked(attacked).values:
            left = {d: i for d, i in here.items() if d in clean.dims}
            yield Point(attacked, clean.isel(left), counted.isel(here))


def at(dataset: xr.Dataset, **settings: float) -> Point:
    """The attacked point with these settings; ``amplify=10`` is that of the swept path that ends so.

    Raises:
      KeyError: when there is none.
    """
    for point in points(dataset):
        paths = {str(name).rpartition(".")[2]: str(name) for name in point.attacked.coords}
        if all(abs(point.number(paths[name]) - value) < 1e-9 for name, value in settings.items()):
            return point
    raise KeyError(f"no attacked point has {settings}.")


def line(dataset: xr.Dataset, setting: str, undefended: xr.DataArray | None = None) -> dict[float, Point]:
    """The attacked points of a sweep over one setting, by its value; ``undefended`` as in :func:`points`."""
    return {point.number(setting): point for point in points(dataset, undefended)}


def row(point: Point, settings: Mapping[str, str] = {}) -> Row:
    """What an experiment says of one attacked point, at the last epoch: medians over seeds with 95 % intervals."""
    numbers = point.numbers()
    texts = {
        "main, honest": "main_task_accuracy_honest",
        "main, attacked": "main_task_accuracy",
        "difference": "main_task_accuracy_difference",
        "backdoor": "backdoor_accuracy",
        "clean floor": "backdoor_accuracy_honest",
        "attack success": "attack_success_rate",
        "its floor": "attack_success_rate_honest",
    }
    return (
        dict(settings)
        | {column: interval_text(numbers, name) for column, name in texts.items()}
        | {
            "successes": successes(numbers),
            "collapsed": collapsed(numbers),
            "not judged": not_judged_text(numbers),
            "rows measured": rows_text(numbers),
        }
    )


COLUMNS = """\
Columns, at the last epoch: medians over seeds, in brackets their 95 % bootstrap intervals. *main*: accuracy on all test
rows, honest and attacked, and the *difference* of both, paired by seed. *backdoor*: triggered test rows predicted as τ,
as the paper counts, beside the honest runs' (*clean floor*). *attack success*: the same without rows that are of
class τ, and its floor; *rows measured*: how many there are, of several seeds the fewest. Accuracies are shares from 0
to 1: a difference of −0.010 is a cost of one percentage point. Every seed has one outcome.
*not judged*: there is nothing to attack, as the honest run is not finite, not better than the most frequent class, or
more than 0.1 below the undefended one; or its own backdoor accuracy is above 0.5 (floor too high). *collapsed*: main
accuracy more than 0.02 below the honest run, or not finite. *successes*: of the others those with a backdoor above 0.5
and at least 0.25 above the honest run's, with a Wilson interval. Both are shares of the seeds that are judged; medians
are of all seeds.
"""


def successes(numbers: Mapping[str, float]) -> str:
    """``14/20 [0.48, 0.85]`` of the seeds that are judged, or a dash where none is."""
    return _share(int(numbers[SUCCESS]), _num_judged(numbers))


def collapsed(numbers: Mapping[str, float]) -> str:
    """``1/20`` of the seeds that are judged, or a dash where none is."""
    judged = _num_judged(numbers)
    return f"{int(numbers[COLLAPSED])}/{judged}" if judged else UNDEFINED


def _num_judged(numbers: Mapping[str, float]) -> int:
    return int(sum(numbers[name] for name in OUTCOMES if name not in NOT_JUDGED))


def share(flags: xr.DataArray) -> str:
    """``14/20 [0.48, 0.85]``, or a dash of no seed at all."""
    return _share(int(flags.sum()), flags.size)


def _share(count: int, of: int) -> str:
    low, high = share_interval(count, of) if of else (0.0, 0.0)
    return f"{count}/{of} [{low:z.2f}, {high:z.2f}]" if of else UNDEFINED


def rounded_up(points: float) -> float:
    """The next tenth that is not smaller, so that "no more than" stays true; what float32 adds does not count."""
    return math.ceil(round(10 * points, 3)) / 10


def are_alike(one: xr.Dataset, other: xr.Dataset) -> bool:
    """Whether two cases may be compared seed by seed: of the same size, on the same data."""
    return have_one_size(one, other) and one.attrs["data"] == other.attrs["data"]


def have_one_size(one: xr.Dataset, other: xr.Dataset) -> bool:
    """Whether two cases are of the same seeds, trained for as long."""
    return one.sizes["epoch"] == other.sizes["epoch"] and np.array_equal(one["seed"], other["seed"])


def data_name(dataset: xr.Dataset) -> str:
    """What the results were made on."""
    name = json.loads(dataset.attrs["data"])["name"]
    return DATA.get(name, name)


def runtimes(cases: Sequence[Case], found: Mapping[str, xr.Dataset]) -> str:
    """How long every case took and on what, where that was kept; and which have no results yet."""
    rows = []
    for case in cases:
        if case.name in found:
            run = found[case.name].encoding.get("run")
            replicas = parse(case.scenario, case.over).size * found[case.name].sizes["seed"]  # borrowed runs: elsewhere
            rows.append(
                {
                    "case": case.title,
                    "data": data_name(found[case.name]),
                    "replicas": str(replicas),
                    "minutes": f"{run['wall_seconds'] / 60:z.1f}" if run else "not kept",
                    "devices": f"{len(run['devices'])} × {run['devices'][0]}" if run else "not kept",
                }
            )
    missing = [case.title for case in cases if case.name not in found]
    text = to_markdown(rows) if rows else ""
    return text + (
        f"\n**Not trained yet**, or without honest runs to borrow: {'; '.join(missing)}.\n" if missing else ""
    )

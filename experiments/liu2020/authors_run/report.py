"""Tables and figures from saved results; nothing is trained here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.liu2020.authors_run.cases import CASES
from experiments.shared.cases import Case
from experiments.shared.figures import save_figure
from experiments.shared.outcomes import COLUMNS, points, read, row
from experiments.shared.readme import short_and_whole, write_tables
from vfl_jax import plots
from vfl_jax.reports import UNDEFINED, to_markdown
from vfl_jax.statistics import honest, outcomes
from vfl_jax.statistics.judging import NONE
from vfl_jax.statistics.main_accuracy import ALL_TEST_ROWS

if TYPE_CHECKING:
    import xarray as xr

README = Path(__file__).with_name("README.md")
DIMENSION = "attack.enabled+attack.amplify"


def write_report(folder: Path) -> None:
    """Writes the figures into ``folder``, and the tables into README.md (or beside other results)."""
    trained = read(folder, CASES)
    found = [(case, trained[case.name]) for case in CASES if case.name in trained]
    for case, dataset in found:
        runs = {_setting(dataset, i): dataset.isel({DIMENSION: i}) for i in range(dataset.sizes[DIMENSION])}
        figure = plots.curves(runs, title=case.title)
        save_figure(figure, folder / f"{case.name}.png")
    text = "\n".join(
        [
            "### Over seeds, last epoch\n",
            COLUMNS,
            short_and_whole(
                [
                    row(point, {"case": case.title, "γ": f"{point.number('attack.amplify'):g}"})
                    for case, dataset in found
                    for point in points(dataset)
                ]
            ),
            *(_seed_by_seed(case, dataset) for case, dataset in found),
        ]
    )
    write_tables(README, folder, text)


def _setting(dataset: xr.Dataset, place: int) -> str:
    point = dataset.isel({DIMENSION: place})
    return f"γ = {float(point['attack.amplify']):g}" if float(point["attack.enabled"]) else "honest"


def _seed_by_seed(case: Case, dataset: xr.Dataset) -> str:
    """The strongest attack of a case, one row per seed, beside the honest run of the seed."""
    attacked, clean = dataset.isel({DIMENSION: -1}), honest(dataset)
    counted = outcomes(dataset, ALL_TEST_ROWS).isel({DIMENSION: -1, "epoch": -1})
    rows = []
    for i, seed in enumerate(dataset.seed.values):
        run, floor, outcome = attacked.isel(seed=i), clean.isel(seed=i), counted.isel(seed=i)
        best = int(np.argmax(run.backdoor_accuracy.values))
        rows.append(
            {
                "seed": str(seed),
                "main, honest": f"{float(floor.main_task_accuracy[-1]):z.4f}",
                "main, attacked": f"{float(run.main_task_accuracy[-1]):z.4f}",
                "backdoor, honest": f"{float(floor.backdoor_accuracy[-1]):z.2f}",
                "backdoor, attacked": f"{float(run.backdoor_accuracy[-1]):z.2f}",
                "best over epochs": f"{float(run.backdoor_accuracy[best]):z.2f} (epoch {best + 1})",
                "outcome": UNDEFINED if outcome.outcome == NONE else outcome.outcome.item(),
            }
        )
    rows_left = json.loads(dataset.attrs["rows"])["left_out_per_epoch"]
    title = f"### {case.title}, {_setting(dataset, -1)}, seed by seed\n\n![curves](results/{case.name}.png)\n"
    return f"{title}\nRows left out of an epoch (last partial batch): {rows_left}.\n\n{to_markdown(rows)}"

"""Tables and figures of the amplify ratio, from saved results; nothing is trained here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.liu2020.gamma.cases import CASES
from experiments.shared.cases import GAMMA
from experiments.shared.outcomes import COLUMNS, TABLE_2, data_name, line, read, row, runtimes
from experiments.shared.panels import figure_against, figure_over_epochs
from experiments.shared.readme import add_picture, section, short_and_whole, write_tables
from vfl_jax import plots
from vfl_jax.reports import Row, median_with_interval, to_markdown
from vfl_jax.statistics import honest

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

README = Path(__file__).with_name("README.md")
SHOWN = 0.05
"""A class other than τ is in the table of scores where its median is so much."""
SCORES = f"""\
Medians over the seeds that have finite scores, in brackets their 95 % bootstrap intervals. Of the other classes those
with a median of {SHOWN} and more are listed.
"""
DRAWN = (1.0, 5.0, 10.0, 20.0)
"""The γ of the paper's Figure 4."""


def write_report(folder: Path) -> None:
    """Writes the figures into ``folder``, and the tables into README.md (or beside other results)."""
    found = read(folder, CASES)
    table = [
        row(point, {"preset and task": name, "data": data_name(dataset), "γ": f"{gamma:g}"})
        for name, dataset in found.items()
        for gamma, point in line(dataset, "attack.amplify").items()
    ]
    scores = [score for name, dataset in found.items() for score in _scores(name, dataset)]
    sections = (
        section(
            "Main and backdoor accuracy against γ",
            add_picture(folder, "gamma", figure_gamma(found), "main and backdoor accuracy against γ"),
            COLUMNS,
            f"Table 2 of the paper, without attack: MNIST {_paper('mnist')}, NUS-WIDE {_paper('nus_wide')}.\n",
            short_and_whole(table),
        ),
        section(
            "Main and backdoor accuracy per epoch (Figure 4)",
            add_picture(folder, "figure_4", figure_4(found), "main and backdoor accuracy per epoch, several γ"),
        ),
        section(
            "Mean prediction score of the triggered test rows, by class (Figure 3)",
            add_picture(folder, "figure_3", figure_3(found), "mean score of the triggered test rows by class"),
            SCORES,
            to_markdown(scores),
        ),
        section("Runtime", runtimes(CASES, found)),
    )
    write_tables(README, folder, "\n".join(sections))


def _paper(task: str) -> str:
    return f"{TABLE_2[task]['sum']:z.3f}"


def _scores(name: str, dataset: xr.Dataset) -> list[Row]:
    runs = {"honest": honest(dataset), f"γ = {GAMMA}": line(dataset, "attack.amplify")[GAMMA].attacked}
    return [
        {"preset and task": name, "runs": label}
        | {"class": str(label_of), "mean score": median_with_interval(run.class_score.isel({"class": i}))}
        for label, run in runs.items()
        for i, label_of in enumerate(dataset["class"].values)
        if i == 0 or float(run.class_score.isel({"class": i}).median()) >= SHOWN
    ]


def figure_3(found: dict[str, xr.Dataset]) -> Figure:
    """The mean score per class of the triggered test rows: dots are seeds, bars their median."""
    figure, panels = plots.grid_of_panels(1, len(found))
    for panel, (name, dataset) in zip(panels[0], found.items(), strict=True):
        classes = dataset["class"].values
        for i, run in enumerate((honest(dataset), line(dataset, "attack.amplify")[GAMMA].attacked)):
            places = np.arange(len(classes)) + 0.4 * i - 0.2
            scores = run.class_score.transpose("class", "seed")
            label = f"attacked, γ = {GAMMA}" if i else "honest"
            panel.bar(places, scores.median("seed"), 0.38, color=plots.COLORS[i], alpha=0.6, label=label)
            spread = np.linspace(-0.14, 0.14, scores.sizes["seed"])
            panel.scatter(places[:, None] + spread, scores, s=5, color=plots.COLORS[i], linewidths=0)
        panel.set_xticks(np.arange(len(classes)), classes)
        panel.set(title=f"{name} ({data_name(dataset)})", ylim=(0, 1.02), ylabel="mean score of triggered rows")
    panels[0, 0].legend(frameon=False)
    return figure


def figure_4(found: dict[str, xr.Dataset]) -> Figure:
    """Main and backdoor accuracy per epoch for the γ of the paper, a row per case."""
    rows = {}
    for name, dataset in found.items():
        by_amplify = line(dataset, "attack.amplify")
        attacked = {f"γ = {gamma:g}": by_amplify[gamma].attacked for gamma in DRAWN}
        rows[f"{name} ({data_name(dataset)})"] = {"honest": honest(dataset)} | attacked
    return figure_over_epochs(rows)


def figure_gamma(found: dict[str, xr.Dataset]) -> Figure:
    """Main and backdoor accuracy at the last epoch against γ, all cases in two panels."""
    lines = {name: line(dataset, "attack.amplify") for name, dataset in found.items()}
    return figure_against({"sum head": lines}, "γ")

"""Tables and figures of the amplify ratio, from saved results; nothing is trained here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.figures import draw_points, save_figure
from experiments.gamma.study import CASES
from experiments.outcomes import COLUMNS, data_name, points, read, row, runtimes
from experiments.readme import write_tables
from vfl_jax import plots
from vfl_jax.report import Row, median_with_interval, to_markdown
from vfl_jax.statistics import honest

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

README = Path(__file__).with_name("README.md")
PAPERS = 10.0
"""The γ that the paper settles on."""
DRAWN = (1.0, 5.0, 10.0, 20.0)
"""The γ of the paper's Figure 4."""
PAPER_ACCURACY = {"mnist": "0.957", "nus_wide": "0.885"}
"""Table 2: without attack, active party not trainable."""


def write_report(folder: Path) -> None:
    """Writes the figures into ``folder``, and the tables into README.md (or beside other results)."""
    found = read(folder, CASES)
    save_figure(figure_3(found), folder / "figure_3.png")
    save_figure(figure_4(found), folder / "figure_4.png")
    save_figure(figure_gamma(found), folder / "gamma.png")
    table = [
        row(point, {"preset and task": name, "data": data_name(dataset), "γ": f"{point.number('attack.amplify'):g}"})
        for name, dataset in found.items()
        for point in points(dataset)
    ]
    text = f"""### Main and backdoor accuracy against γ

{COLUMNS}
Table 2 of the paper, without attack: MNIST {PAPER_ACCURACY["mnist"]}, NUS-WIDE {PAPER_ACCURACY["nus_wide"]}.

{to_markdown(table)}
### Mean prediction score of the triggered test rows, by class (Figure 3)

{to_markdown([score for name, dataset in found.items() for score in _scores(name, dataset)])}
### Runtime

{runtimes(CASES, found)}"""
    write_tables(README, folder, text)


def attacked_with(dataset: xr.Dataset, gamma: float) -> xr.Dataset:
    """The attacked runs at one γ."""
    return next(p.attacked for p in points(dataset) if p.number("attack.amplify") == gamma)


def _scores(name: str, dataset: xr.Dataset) -> list[Row]:
    runs = {"honest": honest(dataset), f"γ = {PAPERS:g}": attacked_with(dataset, PAPERS)}
    return [
        {"preset and task": name, "runs": label}
        | {"class": str(label_of), "mean score": median_with_interval(run.class_score.isel({"class": i}))}
        for label, run in runs.items()
        for i, label_of in enumerate(dataset["class"].values)
        if i == 0 or float(run.class_score.isel({"class": i}).median()) >= 0.05
    ]


def figure_3(found: dict[str, xr.Dataset]) -> Figure:
    """The mean score per class of the triggered test rows: dots are seeds, bars their median."""
    figure, panels = plots.grid_of_panels(1, len(found))
    for panel, (name, dataset) in zip(panels[0], found.items(), strict=True):
        classes = dataset["class"].values
        for i, run in enumerate((honest(dataset), attacked_with(dataset, PAPERS))):
            places = np.arange(len(classes)) + 0.4 * i - 0.2
            scores = run.class_score.transpose("class", "seed")
            label = f"attacked, γ = {PAPERS:g}" if i else "honest"
            panel.bar(places, scores.median("seed"), 0.38, color=plots.COLORS[i], alpha=0.6, label=label)
            spread = np.linspace(-0.14, 0.14, scores.sizes["seed"])
            panel.scatter(places[:, None] + spread, scores, s=5, color=plots.COLORS[i], linewidths=0)
        panel.set_xticks(np.arange(len(classes)), classes)
        panel.set(title=f"{name} ({data_name(dataset)})", ylim=(0, 1.02), ylabel="mean score of triggered rows")
    panels[0, 0].legend(frameon=False)
    return figure


def figure_4(found: dict[str, xr.Dataset]) -> Figure:
    """Main and backdoor accuracy per epoch for the γ of the paper, a row per case."""
    figure, panels = plots.grid_of_panels(len(found), 2)
    for line, (name, dataset) in zip(panels, found.items(), strict=True):
        runs = {"honest": honest(dataset)} | {f"γ = {gamma:g}": attacked_with(dataset, gamma) for gamma in DRAWN}
        for panel, variable in zip(line, ("main_task_accuracy", "backdoor_accuracy"), strict=True):
            plots.draw_curves(panel, {label: run[variable] for label, run in runs.items()}, variable)
            panel.set_title(f"{name} ({data_name(dataset)})")
    panels[0, 0].legend(frameon=False)
    return figure


def figure_gamma(found: dict[str, xr.Dataset]) -> Figure:
    """Main and backdoor accuracy at the last epoch against γ, all cases in two panels."""
    figure, panels = plots.grid_of_panels(1, 2)
    for panel, variable in zip(panels[0], ("main_task_accuracy", "backdoor_accuracy"), strict=True):
        for i, (name, dataset) in enumerate(found.items()):
            attacked = list(points(dataset))
            settings = [f"{point.number('attack.amplify'):g}" for point in attacked]
            draw_points(panel, attacked, settings, variable, name, i, len(found))
        panel.set_xlabel("γ")
    panels[0, 1].legend(frameon=False, fontsize="small")
    return figure

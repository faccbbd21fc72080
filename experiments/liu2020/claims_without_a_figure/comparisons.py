"""Sections 4, 5.1, 5.2 and 5.3: other attacks, bottoms and powers of the attacker, beside the published attack."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from experiments.liu2020.claims_without_a_figure.cases import BOTTOM_KINDS, HEADS, LEARNING_RATES, TASKS, WHERE_IT_WORKS
from experiments.liu2020.claims_without_a_figure.results import Found
from experiments.shared.cases import PRESETS
from experiments.shared.figures import draw_outcomes
from experiments.shared.outcomes import Point, data_name, row
from experiments.shared.panels import add_legend
from experiments.shared.readme import add_picture, section, short_and_whole
from vfl_jax import plots

Panels = Mapping[str, Mapping[str, Point | None]]
"""By title the points of a panel by their setting; the first is the published attack, where the section has it."""


class Comparison(NamedTuple):
    """A claim and the points that it is compared on."""

    name: str
    title: str
    text: str
    panels: Panels
    has_published: bool = True
    axis: str = ""  # what the settings are, where they are numbers


def comparisons(found: Found) -> tuple[Comparison, ...]:
    """All of them; None stands for points that were not trained."""
    return (
        Comparison(
            "attacks",
            "Other attacks (sections 5.2 and 5.3)",
            "The paper: the active party can inject a backdoor by its labels, without a change of protocol (5.2); a "
            "passive party that reads labels off the gradients, by replacing them (5.3). It gives no numbers for "
            "either. Gradient replacement is the published attack at γ = 10. Label replacement needs embeddings of one "
            "output per class, which under the trainable head neither the published run on NUS-WIDE nor the text has: "
            "there it is another model, whose own honest runs stand beside it.\n",
            {
                f"{preset}, {task}, {head} head": {
                    "gradient\nreplacement": found.published(task, head, preset),
                    "label\nreplacement": found.attacked(f"{preset}_labels_{task}_{head}"),
                    "active\nparty": found.attacked(f"{preset}_active_{task}_{head}"),
                }
                for preset, task, head in itertools.product(PRESETS, TASKS, HEADS)
            },
        ),
        Comparison(
            "bottoms",
            "Linear bottoms (section 4)",
            "The paper: bottoms can be linear and logistic regression, support vector machines and others; its own "
            "have two layers, and it gives no numbers for others. Sum head, γ = 10.\n",
            {
                f"{preset}, {task}": {
                    "two layers\n(the preset's)": found.published(task, "sum", preset),
                    **{kind: found.attacked(f"{preset}_bottoms_{task}_{kind}") for kind in BOTTOM_KINDS},
                }
                for preset, task in itertools.product(PRESETS, TASKS)
            },
        ),
        Comparison(
            "local_rate",
            "The attacker's own learning rate (section 5.1)",
            'The paper: the attacker controls "the training procedure and local hyperparameters of attacked parties"; '
            "it gives no numbers. γ = 10; all others, and the honest runs, have the rate 0.01.\n",
            {
                f"{preset}, {task}, {head} head": {
                    f"{rate:g}": found.attacked(f"{preset}_local_rate_{task}_{head}", learning_rate=rate)
                    for rate in LEARNING_RATES
                }
                for preset, task, head in WHERE_IT_WORKS
            },
            has_published=False,
            axis="the attacker's learning rate",
        ),
        Comparison(
            "trigger",
            "A trigger over all parties (section 5.2)",
            'The paper: poisoned input data "appear globally among all parties with distributed features"; its own '
            "triggers lie with the attacker. MNIST, γ = 10: the published trigger is four pixels of the attacker's, "
            "the other two pixels of each party's.\n",
            {
                f"liu2020_code, {head} head": {
                    "with the attacker\n(published)": found.published("mnist", head, "liu2020_code"),
                    "over both,\none attacks": found.attacked(f"liu2020_code_trigger_{head}_one_attacker"),
                    "over both,\nboth attack": found.attacked(f"liu2020_code_trigger_{head}_two_attackers"),
                }
                for head in HEADS
            },
        ),
    )


def comparison_section(folder: Path, comparison: Comparison) -> str | None:
    """Its table and figure, or None where nothing of its own was trained."""
    panels = {
        title: points for title, all_points in comparison.panels.items() if (points := _own(all_points, comparison))
    }
    if not panels:
        return None
    rows = [
        row(point, {"runs": title, "setting": setting.replace("\n", " "), "data": data_name(point.attacked)})
        for title, points in panels.items()
        for setting, point in points.items()
    ]
    columns = min(2, len(panels))
    figure, axes = plots.grid_of_panels(-(-len(panels) // columns), columns)
    for panel, (title, points) in zip(axes.flat, panels.items(), strict=False):
        draw_outcomes(panel, list(points.values()), list(points), comparison.axis)
        panel.set_title(title)
    for panel in axes.flat[len(panels) :]:
        panel.remove()
    add_legend(figure, columns=5)
    picture = add_picture(folder, comparison.name, figure, "backdoor accuracy, every seed a point")
    return section(comparison.title, comparison.text, picture, short_and_whole(rows))


def _own(points: Mapping[str, Point | None], comparison: Comparison) -> dict[str, Point]:
    """The points that were trained, if there is one besides the published attack."""
    there = {setting: point for setting, point in points.items() if point is not None}
    published = next(iter(points)) if comparison.has_published else None
    return there if set(there) - {published} else {}

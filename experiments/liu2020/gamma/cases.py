"""The amplify ratio γ under the sum head, which nothing defends: Figures 3 and 4."""

from __future__ import annotations

from experiments.shared.cases import GAMMA, PRESETS, Case
from vfl_jax.sweeps.grid import Over

GAMMAS = (1, 2, 5, 7, 10, 15, 20)
OVER: Over = {("attack.enabled", "attack.amplify"): [(0, GAMMA), *((1, gamma) for gamma in GAMMAS)]}

CASES = tuple(
    Case(
        name=f"{preset}_{task}",
        title=f"{preset}, {task}, sum head",
        task=task,
        scenario=PRESETS[preset](head="sum", task=task),
        over=OVER,
    )
    for task in ("mnist", "nus_wide")
    for preset in ("liu2020_code", "liu2020_paper")
)

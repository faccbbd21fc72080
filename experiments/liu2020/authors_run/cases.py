"""Full-size MNIST: 20 seeds, honest and attacked, both heads, one fixed poison list and one per seed."""

from __future__ import annotations

from experiments.shared.cases import GAMMA, Case
from vfl_jax.presets import HeadName, liu2020_code, zou2022
from vfl_jax.scenario.plans import Drawn
from vfl_jax.sweeps.grid import Over

HONEST_1_10: Over = {("attack.enabled", "attack.amplify"): [(0, 1), (1, 1), (1, GAMMA)]}
HONEST_10: Over = {("attack.enabled", "attack.amplify"): [(0, GAMMA), (1, GAMMA)]}


def _liu(head: HeadName, draw: Drawn) -> Case:
    scenario = liu2020_code(head=head)
    kind = "one fixed poison list" if draw == "fixed" else "poison rows redrawn per seed"
    return Case(
        name=f"liu2020_code_{head}_{draw}",
        title=f"liu2020_code, {head} head, {kind}",
        task="mnist",
        scenario=scenario.replace(poison=scenario.poison.replace(draw=draw)),
        over=HONEST_1_10,
    )


CASES = (
    _liu("sum", "fixed"),
    _liu("sum", "per_seed"),
    _liu("trainable", "fixed"),
    _liu("trainable", "per_seed"),
    Case(name="zou2022", title="zou2022", task="mnist", scenario=zou2022(), over=HONEST_10, epochs=100),
)

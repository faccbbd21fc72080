"""How the attacker's output unit of the target class stands before training, from a seed's initial parameters alone.

The published attack pulls one recorded gradient back through the attacker's own activations of the poisoned rows. A
ReLU passes it only where it is above zero: what a seed starts with may settle what becomes of its attack.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from experiments.liu2020.what_success_depends_on.cases import CASES, SCENARIOS
from experiments.shared.cases import SEEDS, load_task
from vfl_jax.core.atomic import write_atomically
from vfl_jax.core.types import Array, Params
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.models import MLP
from vfl_jax.replica.draws import Given
from vfl_jax.scenario import Scenario
from vfl_jax.scenario.plans import Drawn
from vfl_jax.sweeps import devices
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.prepared import prepare
from vfl_jax.sweeps.study import Study

FILE = "initial_units.json"
ATTACKER = 1
PREDICTORS = {
    "alive": "share of poisoned rows on which the unit is above zero: where it is not, nothing is pulled back",
    "mean": "mean of the unit before its ReLU over the poisoned rows",
    "alive, ordinary": "share of the rows without the trigger on which it is above zero: what other training reaches",
    "mean, ordinary": "its mean before the ReLU over the rows without the trigger",
    "target row": "the unit before its ReLU on the known target row, whose gradient is recorded",
    "positive weight": "its positive weights from hidden units that are above zero, summed, mean over poisoned rows: "
    "how far a push through the hidden units can raise it",
    "push": "how fast a push on the output of all poisoned rows raises their mean before the ReLU, in the first step",
}
"""All that is tried, and why. The first is what reasoning puts first; none was chosen by its success."""
NUM_SEEDS: dict[Drawn, int] = {
    "fixed": next(case.seeds for case in CASES if case.name == "base_mnist"),
    "per_seed": SEEDS,
}
"""Of either kind of poison list: one for all seeds, as published, or one per seed."""

Units = dict[str, list[Any]]
"""Of every predictor the number of each seed, and the ``seed``s."""


def write_units(folder: Path) -> None:
    """Measures MNIST's sum head, unless the folder has the numbers of this data, and writes them as JSON."""
    path, data = folder / FILE, load_task("mnist")
    fingerprint = data.fingerprint()
    if path.is_file() and json.loads(path.read_text())["data"] == fingerprint:
        print(f"{path} is there; remove it to measure again.", flush=True)
        return
    lists = {
        draw: measure(
            SCENARIOS["mnist"].replace(poison=SCENARIOS["mnist"].poison.replace(draw=draw)), data, range(count)
        )
        for draw, count in NUM_SEEDS.items()
    }
    text = json.dumps({"data": fingerprint, "lists": lists}, indent=1) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text))


def measure(scenario: Scenario, data: VerticalData, seeds: Sequence[int]) -> Units:
    """The predictors of every seed."""
    params, draws = initial(scenario, data, seeds)
    trigger, tau = scenario.poison.trigger, scenario.poison.target_class
    rows, mask = jnp.asarray(data.train.features[ATTACKER]), trigger.masks(data)[ATTACKER]
    found: Units = {"seed": list(seeds)} | {name: [] for name in PREDICTORS}
    for i in range(len(seeds)):
        poison = draws.poison_ids[i]
        of_seed = _predictors(
            scenario.bottoms[ATTACKER],
            tau,
            jax.tree.map(lambda leaf, i=i: leaf[i], params[ATTACKER]),
            trigger.stamp(mask, rows[poison], jnp.ones(len(poison), bool)),
            rows,
            jnp.ones(len(rows), bool).at[poison].set(False),
            rows[draws.target_ids[i]],
        )
        for name, value in of_seed.items():
            found[name].append(float(f"{float(value):.6g}"))
    return found


def initial(scenario: Scenario, data: VerticalData, seeds: Sequence[int]) -> tuple[tuple[Params, ...], Any]:
    """What a sweep starts these seeds with, made by its own programs: parameters of every party and draws, [S, …]."""
    study, chunk = Study(scenario, data, 1, Given()), Chunk(({},), tuple(seeds))
    ready = prepare(study, chunk)
    # Behind the seeds lies a grid of one point, beside the output units.
    params = jax.tree.map(lambda leaf: leaf[..., 0, :], ready.on_host(ready.initial_state()).params)
    return params, devices.fetch(ready.drawn)


@functools.partial(jax.jit, static_argnames=("bottom", "tau"))
def _predictors(
    bottom: MLP, tau: int, params: Params, poisoned: Array, rows: Array, is_ordinary: Array, target: Array
) -> dict[str, Array]:
    """Everything in ``PREDICTORS`` of one seed; ``rows`` are all training rows before the trigger is stamped."""

    def unit(params: Params, rows: Array) -> Array:
        return bottom.replace(output_relu=False).apply(params, rows)[:, tau]

    def over_ordinary(values: Array) -> Array:
        return jnp.mean(values, where=is_ordinary)

    first, last = params["dense_0"], params["dense_1"]
    hidden = MLP(hidden=(), width=bottom.hidden[0], output_relu=True).apply({"dense_0": first}, poisoned)
    on_poison, on_rows = unit(params, poisoned), unit(params, rows)
    rise = jax.grad(lambda p: unit(p, poisoned).mean())(params)
    push = jax.grad(lambda p: jax.nn.relu(unit(p, poisoned)).mean())(params)
    return {
        "alive": (on_poison > 0).mean(),
        "mean": on_poison.mean(),
        "alive, ordinary": over_ordinary((on_rows > 0).astype(jnp.float32)),
        "mean, ordinary": over_ordinary(on_rows),
        "target row": unit(params, target).mean(),
        "positive weight": ((hidden > 0).astype(jnp.float32) @ jax.nn.relu(last["kernel"][:, tau])).mean(),
        "push": ravel_pytree(rise)[0] @ ravel_pytree(push)[0],
    }


def read_units(folder: Path) -> dict[str, Any] | None:
    """What :func:`write_units` wrote, or None where it has not."""
    path = folder / FILE
    return json.loads(path.read_text()) if path.is_file() else None

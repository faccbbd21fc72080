"""Full-size MNIST: 20 seeds, honest and attacked, both heads, one fixed poison list and one per seed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from vfl_jax.data import load_mnist
from vfl_jax.files import save
from vfl_jax.grid import Over
from vfl_jax.presets import HeadName, liu2020_code, zou2022
from vfl_jax.scenario import Drawn, Scenario
from vfl_jax.sweep import sweep

FOLDER = Path(__file__).parent / "results"
HONEST_1_10: Over = {("attack.enabled", "attack.amplify"): [(0, 1), (1, 1), (1, 10)]}
HONEST_10: Over = {("attack.enabled", "attack.amplify"): [(0, 10), (1, 10)]}


@dataclasses.dataclass(frozen=True)
class Case:
    """One compiled program."""

    name: str
    title: str
    scenario: Scenario
    over: Over
    epochs: int


def _liu(head: HeadName, draw: Drawn) -> Case:
    scenario = liu2020_code(head=head)
    kind = "one fixed poison list" if draw == "fixed" else "poison rows redrawn per seed"
    return Case(
        name=f"liu2020_code_{head}_{draw}",
        title=f"liu2020_code, {head} head, {kind}",
        scenario=scenario.replace(poison=scenario.poison.replace(draw=draw)),
        over=HONEST_1_10,
        epochs=50,
    )


CASES = (
    _liu("sum", "fixed"),
    _liu("sum", "per_seed"),
    _liu("trainable", "fixed"),
    _liu("trainable", "per_seed"),
    Case(name="zou2022", title="zou2022", scenario=zou2022(), over=HONEST_10, epochs=100),
)


def run_study(seeds: int, epochs: int | None, folder: Path, only: tuple[str, ...]) -> None:
    """Runs every case (or those named) and saves its results as ``<folder>/<case>.nc``."""
    unknown = set(only) - {case.name for case in CASES}
    if unknown:
        raise ValueError(f"only names {sorted(unknown)}; the cases are {', '.join(case.name for case in CASES)}.")
    data = load_mnist()
    for case in CASES:
        if only and case.name not in only:
            continue
        print(f"{case.title}: {seeds} seeds", flush=True)
        dataset = sweep(case.scenario, data, case.over, seeds=seeds, epochs=epochs or case.epochs)
        save(dataset, folder / f"{case.name}.nc")

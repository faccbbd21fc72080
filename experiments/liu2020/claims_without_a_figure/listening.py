"""The first messages, kept, and what readers make of them.

The command is ``python -m experiments.liu2020.claims_without_a_figure.listening``.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
import tyro

from experiments.liu2020.claims_without_a_figure.cases import LABELS, LISTENED
from experiments.liu2020.claims_without_a_figure.readers import Smoother, as_matrix, known_rows, nearest_known, score
from experiments.shared.cases import PRESETS, SEEDS, load_task
from experiments.shared.command import ending_in_one_line, results_folder
from vfl_jax.attacks.evidence import read
from vfl_jax.core.files import save
from vfl_jax.presets import Task
from vfl_jax.protocol.knowledge import ORDINARY
from vfl_jax.protocol.transforms import Attack, PartyTransform
from vfl_jax.replica.draws import Given
from vfl_jax.scenario import Scenario
from vfl_jax.sweeps import programs
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.devices import use_all_cores
from vfl_jax.sweeps.grid import parse
from vfl_jax.sweeps.prepared import prepare
from vfl_jax.sweeps.study import Study

if TYPE_CHECKING:
    import xarray as xr

NUM_KNOWN = (1, 4)
"""How many rows of every class a reader knows."""
LISTENER = 1
"""The party that listens."""


class Recorder(Attack):
    """Keeps of every row the sum of its messages, and of their directions; changes nothing."""

    def init(self, key, shapes, party):
        zeros = jnp.zeros((shapes.num_samples, shapes.widths[party]))
        return {"sum": zeros, "directions": zeros}

    def on_download(self, key, state, view, gradient):
        sizes = jnp.linalg.norm(gradient, axis=-1, keepdims=True)
        directions = gradient / jnp.where(sizes > 0, sizes, 1.0)
        ids = jnp.where(view.roles == ORDINARY, view.sample_ids, len(state["sum"]))
        heard = {"sum": gradient, "directions": directions}
        return gradient, {name: state[name].at[ids].add(heard[name], mode="drop") for name in state}


@dataclasses.dataclass(frozen=True)
class Listening:
    """The first epochs of honest training under every defense of ``LISTENED``; a party keeps its messages."""

    name: str
    task: Task
    scenario: Scenario

    @property
    def epochs(self) -> int:
        """One; where every step draws a batch at random five, because one leaves out more than a third of the rows."""
        return 5 if self.scenario.batches.order == "sampled" else 1


def _listening(name: str, task: Task, scenario: Scenario) -> Listening:
    return Listening(name, task, scenario.replace(attacks=(PartyTransform(), Recorder())))


OWN_BOTTOMS: tuple[tuple[str, Task], ...] = (
    ("liu2020_code", "nus_wide"),
    ("liu2020_paper", "mnist"),
    ("liu2020_paper", "nus_wide"),
)
"""Where the trainable head's own bottoms have more than an output per class."""

LISTENINGS = (
    *(_listening(case.name.replace("labels", "listened"), case.task, case.scenario) for case in LABELS if case.task),
    *(
        _listening(
            f"{preset}_listened_{task}_trainable_own",
            task,
            PRESETS[preset](head="trainable", task=task).replace(defense=LABELS[0].scenario.defense),
        )
        for preset, task in OWN_BOTTOMS
    ),
)


def listen(listening: Listening, seeds: int) -> xr.Dataset:
    """What every reader reads, by defense, reader and seed: ``accuracy`` among the rows read, ``rate`` of rows read."""
    import xarray as xr

    data = load_task(listening.task)
    labels, features = np.asarray(data.train.labels), data.train.features[LISTENER]
    smooth, looks = Smoother(features), as_matrix(features)
    looks = looks - looks.mean(axis=0)
    found: dict[tuple[int, int], dict[str, tuple[float, float]]] = {}
    for seed in range(seeds):
        alone = dict(_with_known("features alone", looks, labels, seed))
        for place, heard in enumerate(_messages(listening, seed)):
            found[place, seed] = alone | dict(_readings(heard, smooth, labels, seed))
    readers = list(found[0, 0])
    shape = len(LISTENED), len(readers), seeds
    values = np.array([[[found[d, s][r] for s in range(seeds)] for r in readers] for d in range(shape[0])])
    dims = "defense", "reader", "seed"
    return xr.Dataset(
        {"accuracy": (dims, values[..., 0]), "rate": (dims, values[..., 1])},
        {"defense": list(LISTENED), "reader": readers, "seed": np.arange(seeds)},
        {"scenario": listening.scenario.to_json(), "data": json.dumps({"name": data.name}), "epochs": listening.epochs},
    )


def _messages(listening: Listening, seed: int) -> Iterator[dict[str, np.ndarray]]:
    """What was heard in the first epochs under every defense, float32[N, E] each."""
    paths = tuple(f"defense.{name}" for name in ("bound", "drop_rate", "stddev", "scale"))
    grid = parse(listening.scenario, {paths: list(LISTENED.values())})
    study = Study(listening.scenario, load_task(listening.task), listening.epochs, Given())
    chunk = Chunk(tuple(grid.points()), (seed,))
    ready = prepare(study, chunk)
    state = ready.initial_state()
    for epoch in range(listening.epochs):
        state, *_ = programs.train_epoch(*ready.arguments, state, jnp.int32(epoch))
    heard = {name: np.asarray(kept[0]) for name, kept in state.attack_states[LISTENER].items()}
    for place in range(grid.size):
        yield {name: kept[place] for name, kept in heard.items()}


def _readings(
    heard: dict[str, np.ndarray], smooth: Smoother, labels: np.ndarray, seed: int
) -> Iterator[tuple[str, tuple[float, float]]]:
    """Every reader's score on the messages that were kept."""
    nobody = np.empty(0, np.int64)
    if heard["sum"].shape[1] == labels.max() + 1:
        yield "signs", score(np.asarray(read(jnp.asarray(heard["sum"]))), labels, nobody)
        yield "signs and features", score(np.asarray(read(jnp.asarray(smooth(heard["sum"])))), labels, nobody)
    yield from _with_known("messages", heard["directions"], labels, seed)
    yield from _with_known("messages and features", smooth(heard["directions"]), labels, seed)


def _with_known(
    name: str, heard: np.ndarray, labels: np.ndarray, seed: int
) -> Iterator[tuple[str, tuple[float, float]]]:
    for number in NUM_KNOWN:
        known = known_rows(labels, number, seed)
        yield f"{name}, {number} known", score(nearest_known(heard, known, labels[known]), labels, known)


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Trains the first epochs of every preset, task, head and defense, and saves what is read off the messages."""

    seeds: int = SEEDS
    only: str | None = None
    """One of them; by default all that have no results yet."""
    quick: bool = False
    """Two seeds, into quick/."""
    out: Path | None = None
    """The folder of results."""


def main(arguments: list[str] | None = None) -> None:
    given = tyro.cli(Arguments, args=arguments)
    use_all_cores()
    folder = results_folder(Path(__file__).parent, given.out, given.quick)
    with ending_in_one_line():
        if given.only is not None and given.only not in (names := [one.name for one in LISTENINGS]):
            raise ValueError(f"only is {given.only!r}; it must be one of {', '.join(names)}.")
        for listening in LISTENINGS:
            path = folder / f"{listening.name}.nc"
            if given.only not in (None, listening.name) or path.is_file():
                continue
            print(listening.name, flush=True)
            save(listen(listening, 2 if given.quick else given.seeds), path)


if __name__ == "__main__":
    main()

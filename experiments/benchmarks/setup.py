"""The benchmark cases: scenario, data and the same problem for other implementations."""

from __future__ import annotations

import dataclasses
import functools
from typing import Literal, get_args

import jax
import numpy as np

from experiments.benchmarks.problem import NUM_TAGS, Case, Problem, layers
from vfl_jax.core.bags import BagOfIds
from vfl_jax.core.vertical_data import Rows, VerticalData
from vfl_jax.data import NaturalTrigger, partition_images
from vfl_jax.defenses import GaussianNoise, Sparsification
from vfl_jax.models import MLP
from vfl_jax.presets import liu2020_code, liu2020_paper
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.replica.draws import Given, draw
from vfl_jax.scenario import BatchPlan, Scenario
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.study import Study

Defense = Literal["none", "noise", "sparsification"]
DEFENSES: tuple[Defense, ...] = get_args(Defense)
NUM_CLASSES = {"mnist": 10, "nus": 5}
TAGS_PER_ROW = 6
BLUR_STDDEV = 1e-3
LARGEST_STDDEV = 1e-2
LARGEST_DROP_RATE = 0.99


@functools.cache
def data(case: Case, num_train: int, num_test: int) -> VerticalData:
    """Random data of the real set's size and density: 392 + 392 pixels, or 634 numbers + 6 of 1000 tags."""
    rng = np.random.default_rng(0)
    if case == "mnist":
        splits = [
            (rng.uniform(0, 1, (n, 28, 28)).astype(np.float32), rng.integers(0, 10, n)) for n in (num_train, num_test)
        ]
        for _, labels in splits:
            labels[1] = 0  # the preset's target row
        return partition_images("random images", *splits)

    def rows(n: int) -> Rows:
        tags = rng.random((n, NUM_TAGS), np.float32).argpartition(TAGS_PER_ROW, axis=1)[:, :TAGS_PER_ROW]
        return Rows(
            features=(
                rng.normal(size=(n, 634)).astype(np.float32),
                BagOfIds(ids=tags.astype(np.int32), vocabulary=NUM_TAGS),
            ),
            labels=rng.integers(0, 5, n).astype(np.int32),
            has_trigger=rng.random(n) < 0.01,
        )

    classes = tuple("abcde")
    return VerticalData(
        name="random tags", parties=("image", "tags"), train=rows(num_train), test=rows(num_test), classes=classes
    )


def scenario(case: Case, defense: Defense) -> Scenario:
    """The paper's attacked runs: MNIST with the sum head, NUS-WIDE with the trainable head; batches in file order."""
    chosen = {"none": ActiveTransform(), "noise": GaussianNoise(), "sparsification": Sparsification(residual="none")}
    if case == "mnist":
        return liu2020_code(head="sum").replace(defense=chosen[defense])
    base = liu2020_paper(head="trainable", num_classes=NUM_CLASSES[case])
    return base.replace(
        bottoms=(MLP(hidden=(), width=32, output_relu=True),) * 2,
        poison=base.poison.replace(trigger=NaturalTrigger()),
        batches=BatchPlan(size=64, order="file"),
        defense=chosen[defense],
    )


def study(case: Case, defense: Defense, num_train: int, num_test: int, epochs: int = 1) -> Study:
    return Study(scenario(case, defense), data(case, num_train, num_test), epochs, Given())


def levels(defense: Defense, count: int) -> dict[str, list[float]]:
    """What is swept: amplification where nothing defends, else the defense's level."""
    path, least, most = {
        "none": ("attacks.1.parts.1.amplify", 1.0, 20.0),
        "noise": ("defense.stddev", 0.0, LARGEST_STDDEV),
        "sparsification": ("defense.drop_rate", 0.0, LARGEST_DROP_RATE),
    }[defense]
    # The largest level where there is only one, so that it is on.
    return {path: np.linspace(least, most, count).tolist() if count > 1 else [most]}


def chunk(defense: Defense, seeds: int, count: int) -> Chunk:
    ((path, values),) = levels(defense, count).items()
    return Chunk(tuple({path: value} for value in values), tuple(range(seeds)))


def problems(of: Study, state: object, seeds: int) -> list[Problem]:
    """The first seeds' runs for other implementations: the same rows, stamped, and the same initial weights."""
    scenario, vertical = of.scenario, of.data
    found = []
    for seed in range(seeds):
        draws = draw(scenario, vertical, jax.random.key(seed))
        is_poison = np.asarray(draws.poison_rank) < round(scenario.poison.rate * vertical.train.num_samples)
        first, second = vertical.train.features
        if isinstance(second, BagOfIds):
            is_poison, second = np.asarray(draws.poison_rank) < 0, np.asarray(second.ids, np.int64)
        else:
            masks = scenario.poison.trigger.masks(vertical)
            first, second = (
                np.asarray(scenario.poison.trigger.stamp(mask, x, is_poison)).reshape(len(x), -1)
                for mask, x in zip(masks, (first, second), strict=True)
            )
        # Parameters are [S, F, G, E] and [S, G, E]; all grid points of a seed start with the same.
        own = jax.tree.map(lambda leaf, s=seed: leaf[s].take(0, axis=max(leaf.ndim - 3, 0)), state)
        case: Case = "nus" if isinstance(vertical.train.features[1], BagOfIds) else "mnist"
        found.append(
            Problem(
                case=case,
                train=(first, second),
                labels=np.asarray(vertical.train.labels, np.int64),
                is_poison=is_poison,
                target_row=int(np.asarray(draws.target_ids)[0]),
                batch_size=scenario.batches.size,
                bottoms=(layers(own.params[0]), layers(own.params[1])),
                head=layers(own.head_params) if own.head_params else (),
                blur_stddev=BLUR_STDDEV if case == "nus" else 0.0,
            )
        )
    return found


def stacked(each: list[Problem], levels_per_seed: int) -> Problem:
    """Problems as one with parameters [R, ...], every one ``levels_per_seed`` times; they share the first's rows."""
    repeated = [problem for problem in each for _ in range(levels_per_seed)]
    parties = [
        tuple(np.stack(leaves) for leaves in zip(*(p.bottoms[k] for p in repeated), strict=True)) for k in range(2)
    ]
    head = tuple(np.stack(leaves) for leaves in zip(*(p.head for p in repeated), strict=True))
    return dataclasses.replace(each[0], bottoms=(parties[0], parties[1]), head=head)

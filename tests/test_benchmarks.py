"""The PyTorch loops that the package is timed against compute what it does."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest

from vfl_jax.attacks import ActivationBlurring, GradientReplacement
from vfl_jax.data import partition_images, partition_table
from vfl_jax.defenses import Sparsification
from vfl_jax.models import MLP, DenseHead
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.presets import liu2020_code
from vfl_jax.protocol.chains import PartyChain
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.replica import preparation
from vfl_jax.replica.draws import Given
from vfl_jax.scenario import BatchPlan, Scenario
from vfl_jax.sweeps.sweep import run

torch = pytest.importorskip("torch")

from experiments.benchmarks import batched, eager  # noqa: E402
from experiments.benchmarks.problem import NUM_TAGS, Problem, layers  # noqa: E402

NUM_ROWS, BATCH_SIZE, EPOCHS, TARGET = 1300, 64, 2, 1
STEPS = NUM_ROWS // BATCH_SIZE * EPOCHS
POISON = np.setdiff1d(np.arange(0, NUM_ROWS, 20), TARGET)  # before and after the target row in its batch, and in others
GAMMAS = (2.0, 10.0, 1.0)
"""Of three replicas; the last two have the same parameters."""


def labels_of(num_classes):
    labels = np.random.default_rng(1).integers(0, num_classes, NUM_ROWS)
    labels[TARGET] = 0
    return labels


def mnist():
    """Random images under the preset: (scenario, data, the features as the PyTorch loops take them)."""
    images = np.random.default_rng(0).random((NUM_ROWS, 28, 28), np.float32)
    rows = images, labels_of(10)
    data = partition_images("noise", rows, (images[:10], np.arange(10)))
    scenario = liu2020_code()
    masks = preparation.to_device(scenario, data).masks
    is_poison = np.isin(np.arange(NUM_ROWS), POISON)
    stamped = [
        np.asarray(scenario.poison.trigger.stamp(mask, x, is_poison)).reshape(NUM_ROWS, -1)
        for mask, x in zip(masks, data.train.features, strict=True)
    ]
    return scenario, data, tuple(stamped)


def nus():
    """A random table and random tags, the latter as multi-hot columns."""
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(NUM_ROWS, 634)).astype(np.float32)
    tags = np.argsort(rng.random((NUM_ROWS, NUM_TAGS)), axis=1)[:, :6]
    tags[rng.random(tags.shape) < 0.3] = -1
    hot = np.zeros((NUM_ROWS, NUM_TAGS + 1), np.float32)
    np.put_along_axis(hot, tags, 1.0, axis=1)
    table = np.concatenate([columns, hot[:, :-1]], axis=1)
    by = range(634), range(634, 634 + NUM_TAGS)
    data = partition_table("noise", (table, labels_of(5)), (table[:5], np.arange(5)), by=by)
    blurring = ActivationBlurring(kind="gaussian", stddev=0.0, wait_for_target=False)
    scenario = Scenario(
        bottoms=(MLP(hidden=(), width=32, output_relu=True),) * 2,
        head=DenseHead(hidden=(32,)),
        optimizers=(Optimizer(),) * 2,
        attacks=(PartyTransform(), PartyChain(parts=(blurring, GradientReplacement()))),
        batches=BatchPlan(order="file"),
    )
    return scenario, data, (columns, tags)


def draw_params(rng, *widths):
    return {
        f"dense_{i}": {
            "kernel": rng.normal(0, num_in**-0.5, (num_in, num_out)).astype(np.float32),
            "bias": rng.normal(0, 0.1, num_out).astype(np.float32),
        }
        for i, (num_in, num_out) in enumerate(itertools.pairwise(widths))
    }


def replicas_of(case):
    """(scenario, data, what is given to each replica, the problem with stacked parameters)"""
    scenario, data, features = {"mnist": mnist, "nus": nus}[case]()
    widths = {"mnist": ((392, 32, 10), (392, 32, 10), ()), "nus": ((634, 32), (NUM_TAGS, 32), (64, 32, 5))}[case]
    given = []
    for seed in (0, 1, 1):
        first, second, head = (draw_params(np.random.default_rng([seed, k]), *w) for k, w in enumerate(widths))
        given.append(Given(params=(first, second), head_params=head, poison_ids=POISON, target_ids=(TARGET,)))
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *[(*g.params, g.head_params) for g in given])
    first, second, head = map(layers, stacked)
    problem = Problem(
        case=case,
        train=features,
        labels=np.asarray(data.train.labels, np.int64),
        is_poison=np.isin(np.arange(NUM_ROWS), POISON),
        target_row=TARGET,
        batch_size=BATCH_SIZE,
        bottoms=(first, second),
        head=head,
    )
    return scenario, data, given, problem


@pytest.mark.parametrize(("case", "drop_rates"), [("mnist", None), ("nus", None), ("nus", (0.0, 0.75, 0.99))])
def test_same_losses_as_the_package(case, drop_rates):
    scenario, data, given, problem = replicas_of(case)
    together = batched.train(problem, GAMMAS, None, drop_rates, STEPS, seed=0)
    assert together.shape == (len(GAMMAS), STEPS)
    assert np.abs(together[1] - together[2]).max() > 1e-3  # the attack acts
    for r, gamma in enumerate(GAMMAS):
        drop_rate = None if drop_rates is None else drop_rates[r]
        alone = eager.train(problem.replica(r), gamma, None, drop_rate, STEPS, seed=0)
        np.testing.assert_allclose(together[r], alone, rtol=0, atol=1e-5)

        blurring, replacement = scenario.attacks[1].parts
        chain = PartyChain(parts=(blurring, replacement.replace(amplify=gamma)))
        point = scenario.replace(attacks=(PartyTransform(), chain))
        if drop_rates is not None:
            point = point.replace(defense=Sparsification(residual="none", drop_rate=drop_rate))
        results, _ = run(point, data, jax.random.key(0), EPOCHS, given[r])
        np.testing.assert_allclose(alone.reshape(EPOCHS, -1).mean(1), results.loss.values, rtol=0, atol=1e-5)


def test_a_whole_table_is_updated_as_its_rows_are():
    problem = replicas_of("nus")[-1]
    by_row = batched.Batched(problem, GAMMAS).run(STEPS)
    np.testing.assert_allclose(batched.Batched(problem, GAMMAS, whole_table=True).run(STEPS), by_row, rtol=0, atol=1e-5)


@pytest.mark.parametrize("case", ["mnist", "nus"])
def test_noise_differs_by_replica_and_seed(case):
    problem = replicas_of(case)[-1]
    same = [0.1] * 3

    def losses(seed, stddevs):
        return batched.train(problem, [0.0] * 3, stddevs, None, 5, seed)

    quiet, noisy, other = losses(0, None), losses(0, same), losses(1, same)
    np.testing.assert_array_equal(losses(0, [0.0] * 3), quiet)
    np.testing.assert_array_equal(losses(0, same), noisy)
    np.testing.assert_array_equal(quiet[1], quiet[2])
    assert np.abs(noisy[1, 1:] - noisy[2, 1:]).min() > 1e-6
    assert np.abs(noisy[:, 1:] - other[:, 1:]).min() > 1e-6
    alone = [eager.train(problem.replica(1), 0.0, 0.1, None, 5, seed) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(alone[0], alone[1])
    assert np.abs(alone[0][1:] - alone[2][1:]).min() > 1e-6


def test_blur_is_drawn_in_both_loops():
    problem = dataclasses.replace(replicas_of("nus")[-1], blur_stddev=0.5)
    assert np.ptp(batched.train(problem, [0.0] * 3, steps=2)[1:, 0]) > 0
    first = [eager.train(problem.replica(1), 0.0, seed=seed)[0] for seed in (0, 1)]
    assert first[0] != first[1]


def test_quantile_is_that_of_numpy():
    sizes = np.random.default_rng(0).random((64, 10), np.float32)
    for drop_rate in (0.0, 0.3, 0.75, 0.999, 1.0):
        found = eager.quantile(torch.tensor(sizes), eager.place_of(drop_rate, sizes.size))
        np.testing.assert_allclose(found, np.quantile(sizes, drop_rate), rtol=1e-6)

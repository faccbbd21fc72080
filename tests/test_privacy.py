"""The privacy of defenses: against numbers of a library, against what messages really show, and where there is none."""

import math

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import says

import vfl_jax as vfl
from vfl_jax.defenses import (
    ALIBI,
    GBD,
    MID,
    Clipping,
    EmbeddingClipping,
    EmbeddingDropout,
    EmbeddingFilter,
    EmbeddingNormalisation,
    GaussianNoise,
    GradPerturb,
    IsotropicNoise,
    LabelSmoothing,
    LaplaceNoise,
    Marvell,
    MaxNormNoise,
    RandomisedResponse,
    SignSGD,
    Sparsification,
)
from vfl_jax.models import DenseHead, Linear, MulticlassHinge, SoftmaxCrossEntropy, SumHead
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.scenario import BatchPlan, PoisonPlan
from vfl_jax.scenario.accounting import gaussian_epsilon, pure_epsilon

# (deviations of the noise over the sensitivity, releases, δ): ε of dp-accounting 0.6.0, get_epsilon_gaussian.
GAUSSIAN = {
    (1.0, 1, 1e-5): 4.377178095681137,
    (4.0, 20, 1e-5): 4.983306405970682,
    (30.0, 1000, 1e-3): 3.350393785078169,
    (100.0, 1, 1e-5): 0.027219419814571183,
    (0.1, 50, 1e-6): 2835.1500899245857,
    (0.5, 4000, 1e-5): 8538.487263165942,
}
# (ε of one release, releases, δ): ε of its privacy loss distributions, from_privacy_parameters, interval 1e-4.
PURE = {
    (0.1, 100, 1e-5): 4.306791372574041,
    (1.0, 20, 1e-5): 19.9947264742142,
    (0.01, 1000, 1e-3): 0.7823639631415621,
    (3.0, 5, 1e-6): 14.9999987250112,
}


@pytest.mark.parametrize("case", GAUSSIAN)
def test_normal_noise_has_the_epsilon_of_a_library(case):
    size, times, delta = case
    assert gaussian_epsilon(math.sqrt(times) / size, delta) == pytest.approx(GAUSSIAN[case], rel=1e-6)


@pytest.mark.parametrize("case", PURE)
def test_pure_noise_has_the_epsilon_of_a_library(case):
    assert pure_epsilon(*case) == pytest.approx(PURE[case], rel=2e-4)


def test_ends_of_the_formulas():
    assert gaussian_epsilon(0.0, 1e-5) == gaussian_epsilon(0.1, 0.5) == 0
    assert gaussian_epsilon(1.0, 0.0) == gaussian_epsilon(math.inf, 1e-5) == math.inf
    assert pure_epsilon(0.5, 50, 0.0) == 25
    assert pure_epsilon(0.0, 50, 1e-5) == 0
    assert pure_epsilon(math.inf, 2, 1e-5) == math.inf
    assert pure_epsilon(0.001, 2, 0.5) == 0
    assert pure_epsilon(1e4, 20, 1e-5) == pytest.approx(2e5)
    assert pure_epsilon(0.2, 20_000, 1e-5) < 4000


SGD = Optimizer(learning_rate=0.05)
ROWS, BATCH, EPOCHS = 48, 8, 5
VISITS, STEPS = EPOCHS, EPOCHS * ROWS // BATCH


def scenario_of(*parts, head=None, num_parties=2, **fields):
    head = SumHead() if head is None else head
    base = helpers.scenario_of([Linear(width=3)] * num_parties, [SGD] * num_parties, head=head)
    fields = {"loss": SoftmaxCrossEntropy(), "batches": BatchPlan(size=BATCH), **fields}
    return base.replace(defense=vfl.ActiveChain(parts=parts), **fields)


def bought(*parts, at=-1, active_party=None, delta=1e-5, **fields):
    """What the last part buys, or another."""
    data = helpers.table_data(active_party=active_party)
    return vfl.privacy(scenario_of(*parts, **fields), data, epochs=EPOCHS, delta=delta)[at]


CLIP, NORMAL = Clipping(bound=0.01), GaussianNoise(stddev=0.05)
ALONE = {
    "rows": (CLIP, 0.02 * math.sqrt(2)),
    "values": (Clipping(by="value", bound=0.01), 0.02 * math.sqrt(3) * math.sqrt(2)),
    "a bound that the loss undercuts": (Clipping(bound=9.0), math.sqrt(2) / BATCH * math.sqrt(2)),
    "none, which leaves the loss": (None, math.sqrt(2) / BATCH * math.sqrt(2)),
}


@pytest.mark.parametrize("case", ALONE)
def test_a_row_that_tells_of_itself_alone_is_counted_by_its_visits(case):
    """Two crossing parties of width 3: the messages' changes add up by their squares."""
    clipping, change = ALONE[case]
    found = bought(*([clipping] if clipping else []), NORMAL)
    assert found.protects == "label"
    assert found.delta == 1e-5
    assert found.epsilon == pytest.approx(gaussian_epsilon(math.sqrt(VISITS) * change / 0.05, 1e-5))
    assert found.method.endswith("(GaussianNoise)")


EVERYONE = {"head": DenseHead()}, {"active_party": 1}, {"loss": MulticlassHinge(), "active_party": 0}


@pytest.mark.parametrize("fields", EVERYONE)
def test_where_the_active_party_learns_from_exact_gradients_every_step_and_row_counts(fields):
    num_messages = 2 - ("active_party" in fields)
    bounds = {
        "row_l2": 0.02 * math.sqrt(BATCH),
        "largest_row_l2": 0.02 * math.sqrt(BATCH),
        "message_l2": 0.02,
        "value": 0.02 * math.sqrt(3 * BATCH),
    }
    for by, change in bounds.items():
        found = bought(Clipping(by=by, bound=0.01), NORMAL, **fields)
        shift = math.sqrt(STEPS * num_messages) * change / 0.05
        assert found.epsilon == pytest.approx(gaussian_epsilon(shift, 1e-5)), by
        assert found.protects == ("row" if "active_party" in fields else "label")


def test_laplacian_noise_counts_by_absolute_changes():
    laplace = LaplaceNoise(scale=0.5)
    cases = {
        (Clipping(by="value", bound=0.01),): 0.02 * 3 * 2,
        (CLIP,): 0.02 * math.sqrt(3) * 2,
        (): 2 / BATCH * 2,
    }
    for before, change in cases.items():
        assert bought(*before, laplace).epsilon == pytest.approx(pure_epsilon(change / 0.5, VISITS, 1e-5))
        assert bought(*before, laplace, delta=0.0).epsilon == pytest.approx(VISITS * change / 0.5)


@pytest.mark.parametrize("by", ["value", "row_l2", "message_l2", "largest_row_l2"])
def test_no_two_clipped_messages_differ_by_more_than_is_counted(by):
    """The worst pair reaches it: a message and its opposite, in all rows or in the one row that may change."""
    worst, opposite = np.ones((BATCH, 3), np.float32), -np.ones((BATCH, 3), np.float32)
    one = worst.copy()
    one[0] *= -1
    clip = jax.jit(lambda message: Clipping(by=by, bound=0.01).on_send(None, (), None, (message,))[0][0])
    noise = bought(Clipping(by=by, bound=0.01), NORMAL, active_party=1)
    counted = float(noise.why.rpartition("at most ")[2].split()[0])
    assert np.linalg.norm(clip(worst) - clip(opposite)) == pytest.approx(counted, rel=1e-3)
    for seed in range(20):
        pair = (clip(jnp.asarray(10.0 ** (seed % 5 - 3) * helpers.normal(BATCH, 3, seed=s))) for s in (seed, seed + 99))
        assert np.linalg.norm(np.subtract(*pair)) <= counted * 1.001
    if by in ("value", "row_l2"):
        counted = float(bought(Clipping(by=by, bound=0.01), NORMAL).why.rpartition("at most ")[2].split()[0])
        assert math.sqrt(2) * np.linalg.norm(clip(worst) - clip(one)) == pytest.approx(counted, rel=1e-3)


def test_what_a_label_changes_in_real_messages_is_what_is_counted():
    """Two parties, one label of a batch exchanged, no clipping."""
    embeddings, labels = (helpers.normal(BATCH, 3), helpers.normal(BATCH, 3, seed=1)), np.arange(BATCH) % 3

    def messages(labels):
        targets = jax.nn.one_hot(labels, 3)
        return jax.grad(lambda parts: SoftmaxCrossEntropy()(parts[0] + parts[1], targets))(embeddings)

    other = labels.copy()
    other[2] = (labels[2] + 1) % 3
    change = np.concatenate(messages(labels)) - np.concatenate(messages(other))
    for noise, norm in ((NORMAL, np.linalg.norm(change)), (LaplaceNoise(scale=1.0), np.abs(change).sum())):
        assert float(bought(noise).why.rpartition("at most ")[2].split()[0]) == pytest.approx(norm, rel=1e-3)


def test_batches_that_may_have_a_row_at_any_step_count_every_step():
    for fields in ({"batches": BatchPlan(size=BATCH, order="sampled")}, {"poison": PoisonPlan(mode="appended_pair")}):
        assert f"{STEPS} visits" in bought(CLIP, NORMAL, **fields).why
    assert f"{VISITS} visits" in bought(CLIP, NORMAL, batches=BatchPlan(size=BATCH, order="file")).why


def test_noise_on_labels_is_counted_once():
    for part in (RandomisedResponse(epsilon=1.5), ALIBI(epsilon=1.5), ALIBI(prior="uniform", epsilon=1.5)):
        for fields in ({}, {"head": DenseHead()}, {"active_party": 1}):
            others = (MID(weight=0.1), LabelSmoothing(smoothing=0.1), GBD(), Clipping(bound=1.0), EmbeddingClipping())
            found = bought(part, *others, at=0, **fields)
            assert (found.protects, found.epsilon, found.delta) == ("label", 1.5, 0.0)


def test_mixed_gradients_are_counted_by_visit_by_row_and_by_message():
    for fields, expected in (
        ({}, pure_epsilon(0.3, VISITS, 1e-5)),
        ({"shared": False}, pure_epsilon(0.6, VISITS, 1e-5)),
        ({"draw": "sample"}, 0.3),
        ({"draw": "sample", "shared": False}, 0.6),
    ):
        found = bought(GradPerturb(epsilon=0.3, **fields), SignSGD(size=1.0), at=0)
        assert found.epsilon == pytest.approx(expected)
        assert found.protects == "label"


class Foreign(vfl.ActiveTransform):
    """A method of somebody else's, which sends what nobody knows."""

    def on_send(
        self, key: jax.Array, state: tuple[()], view: vfl.ActiveView, gradients: tuple[jax.Array, ...]
    ) -> tuple[tuple[jax.Array, ...], tuple[()]]:
        return gradients, state


RESPONSE, MIXED = RandomisedResponse(epsilon=1.0), GradPerturb(epsilon=1.0)
NOTHING = {
    "nobody defends": ((vfl.ActiveTransform(),), 0, {}, "adds no noise"),
    "a level of 0": ((CLIP, GaussianNoise()), 1, {}, "level of 0"),
    "no clipping, a trainable head": ((NORMAL,), 0, {"head": DenseHead()}, "without bound"),
    "no clipping, another loss": ((LaplaceNoise(scale=1.0),), 0, {"loss": MulticlassHinge()}, "without bound"),
    "an infinite bound": ((Clipping(), NORMAL), 1, {"head": DenseHead()}, "without bound"),
    "embeddings are scaled": ((EmbeddingNormalisation(length=1.0), NORMAL), 1, {}, "without bound"),
    "clipping comes after": ((NORMAL, CLIP), 0, {"head": DenseHead()}, "without bound"),
    "something in between": ((CLIP, Sparsification(drop_rate=0.5), NORMAL), 2, {}, "without bound"),
    "somebody else's comes after": ((CLIP, NORMAL, Foreign()), 1, {}, "(Foreign) comes after it"),
    "mixing comes after": ((CLIP, NORMAL, MIXED), 1, {}, "(GradPerturb) comes after it"),
    "the data say how much": ((IsotropicNoise(ratio=1.0),), 0, {}, "taken from the data"),
    "the longest row stays": ((CLIP, MaxNormNoise(scale=1.0)), 1, {}, "longest row"),
    "somebody else's": ((Foreign(),), 0, {}, "nothing is known"),
    "labels that are kept": ((RandomisedResponse(),), 0, {}, "keeps every label"),
    "a prior of true labels": ((ALIBI(prior="labels", epsilon=1.0),), 0, {}, "outside of the budget"),
    "smoothing tells who was kept": ((LabelSmoothing(smoothing=0.1), RESPONSE), 1, {}, "may tell the kept"),
    "a filter reads labels": ((RESPONSE, EmbeddingFilter()), 0, {}, "(EmbeddingFilter) reads true labels"),
    "mixing reads labels": ((RESPONSE, MIXED), 0, {}, "(GradPerturb) reads true labels"),
    "mixing, a trainable head": ((MIXED,), 0, {"head": DenseHead()}, "learns from true labels"),
    "mixing, own features": ((MIXED,), 0, {"active_party": 0}, "learns from true labels"),
    "mixing, clipped before": ((CLIP, MIXED), 1, {}, "gradients before it"),
    "mixing, a bottleneck": ((MID(weight=0.1), MIXED), 1, {}, "learns from true labels"),
    "a bottleneck": ((MID(weight=0.1),), 0, {}, "learned from the data"),
    "entries are hidden": ((EmbeddingDropout(rate=0.5),), 0, {}, "gradients tell labels"),
    "mixing, infinite": ((GradPerturb(),), 0, {}, "adds no noise"),
}


@pytest.mark.parametrize("case", NOTHING)
def test_where_nothing_is_bought_it_is_said_why(case):
    parts, at, fields, why = NOTHING[case]
    found = bought(*parts, at=at, **fields)
    assert (found.protects, found.epsilon) == ("nothing", math.inf)
    assert why in found.why


def test_two_classes_and_three_parties_and_other_noises_between():
    two = helpers.two_classes()
    assert "one message" in vfl.privacy(two["scenario"].replace(defense=Marvell(power=1.0)), two["data"], 3)[0].why
    first, _, second = (bought(CLIP, NORMAL, LaplaceNoise(scale=1.0), at=i) for i in (1, 0, 2))
    assert first == bought(CLIP, NORMAL)._replace(method=first.method)
    assert second.epsilon == bought(CLIP, LaplaceNoise(scale=1.0)).epsilon
    assert bought(NORMAL, delta=0.0).epsilon == math.inf


def test_a_scenario_without_a_chain_and_an_empty_chain():
    data = helpers.table_data()
    assert len(vfl.privacy(scenario_of().replace(defense=NORMAL), data, epochs=1)) == 1
    assert vfl.privacy(scenario_of(), data, epochs=1) == ()


def test_the_active_party_s_own_attack_reads_labels():
    attack = vfl.attacks.ActiveBackdoor()
    assert bought(RESPONSE, active_attack=attack).protects == "nothing"
    assert "without bound" in bought(NORMAL, active_attack=attack).why
    assert f"{STEPS} steps" in bought(CLIP, NORMAL, active_attack=attack).why


def test_bad_arguments_are_refused():
    scenario, data = scenario_of(NORMAL), helpers.table_data()
    with pytest.raises(ValueError, match=says("epochs is 0")):
        vfl.privacy(scenario, data, epochs=0)
    for delta in (-0.1, 1.0):
        with pytest.raises(ValueError, match=says("privacy.delta")):
            vfl.privacy(scenario, data, epochs=1, delta=delta)
    with pytest.raises(ValueError, match="bottoms has 3 entries"):
        vfl.privacy(scenario_of(NORMAL, num_parties=3), data, epochs=1)

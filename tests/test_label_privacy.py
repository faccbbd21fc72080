"""Defenses that change labels, or the gradients of all labels: twins, published numbers, and the privacy they buy."""

import math

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import says
from golden_helpers import golden

from vfl_jax.core.record import cast
from vfl_jax.defenses import ALIBI, GradPerturb, LabelSmoothing, RandomisedResponse
from vfl_jax.defenses.alibi import posterior
from vfl_jax.defenses.grad_perturb import mixed
from vfl_jax.defenses.per_sample import keys_of
from vfl_jax.models import DenseHead, SumHead
from vfl_jax.models.losses import SoftmaxCrossEntropy
from vfl_jax.protocol.views import ActiveEpochView
from vfl_jax.replica import capabilities

N, C = 3000, 4
SHAPES = helpers.shapes_of(num_samples=N, num_classes=C, batch_rows=N, widths=(C, C))
LABELS = np.random.default_rng(0).choice(C, N, p=[0.4, 0.3, 0.2, 0.1]).astype(np.int32)
HEAD = DenseHead(hidden=())


@helpers.quick_jit
def jit_labels(defense, key, state, ids, targets, embeddings):
    view = helpers.active_view(ids).replace(embeddings=embeddings, logits=lambda embeddings: sum(embeddings))
    return defense.on_labels(key, state, view, targets)


def new_targets(defense, state, ids, key=0):
    """The targets of some rows; two parties' embeddings of a row are the same at each visit."""
    embeddings = tuple(jnp.asarray(helpers.normal(N, C, seed=k)[ids]) for k in (1, 2))
    targets = np.eye(C, dtype=np.float32)[LABELS[ids]]
    return np.asarray(jit_labels(cast(defense), jax.random.key(key), state, ids, targets, embeddings)[0])


def start(defense, seed=0):
    return cast(defense).init(jax.random.key(seed), SHAPES)


def with_shares(defense):
    """The state after the first call between epochs, when the classes are counted."""
    view = ActiveEpochView(jnp.int32(0), jnp.int32(3), jnp.asarray(LABELS))
    return defense.on_epoch(None, start(defense), view, {})[1]


EVERYONE = np.arange(N)
every_drawing = pytest.mark.parametrize(
    "defense", [RandomisedResponse(epsilon=1.0), ALIBI(epsilon=1.0)], ids=["randomised response", "alibi"]
)


@every_drawing
def test_a_row_has_one_draw_whenever_it_is_visited(defense):
    """In another order, at another step; another seed draws others."""
    once, order = new_targets(defense, start(defense), EVERYONE), np.random.default_rng(1).permutation(N)
    np.testing.assert_array_equal(new_targets(defense, start(defense), order, key=9), once[order])
    other = new_targets(defense, start(defense, seed=1), EVERYONE)
    assert (other != once).any(axis=1).mean() > 0.3


@pytest.mark.parametrize("epsilon", [0.0, 1.0, 3.0, math.inf])
def test_randomised_response_keeps_the_stated_share_and_draws_the_rest_evenly(epsilon):
    defense = RandomisedResponse(epsilon=epsilon)
    found = new_targets(defense, start(defense), EVERYONE)
    np.testing.assert_array_equal(np.sort(found, axis=1), np.broadcast_to([0, 0, 0, 1], found.shape))
    shift = (found.argmax(axis=1) - LABELS) % C
    kept = 1.0 if math.isinf(epsilon) else math.exp(epsilon) / (math.exp(epsilon) + C - 1)
    expected = np.array([kept, *[(1 - kept) / (C - 1)] * (C - 1)])
    counts = np.bincount(shift, minlength=C)
    np.testing.assert_allclose(counts / N, expected, atol=4 * 0.5 / math.sqrt(N))
    if epsilon == 1.0:  # its privacy: no answer is more than e^ε times likelier under one label than under another
        assert counts.max() / counts.min() < math.e * 1.2


def test_randomised_response_matches_the_twin_and_passes_softened_targets_of_kept_rows():
    defense, ids = RandomisedResponse(epsilon=1.0), np.array([4, 0, 17, 8, 21])
    state = start(defense)
    soft = np.float32(0.8 * np.eye(C)[LABELS[ids]] + 0.05)
    found, _ = jit_labels(cast(defense), jax.random.key(0), state, ids, soft, None)
    kept = 0
    for row, mine in zip(ids, np.asarray(found), strict=True):
        (key,) = keys_of(state, jnp.array([row]))
        key_keep, key_other = jax.random.split(key)
        if float(jax.random.uniform(key_keep)) < math.e / (math.e + C - 1):
            expected, kept = 0.8 * np.eye(C)[LABELS[row]] + 0.05, kept + 1
        else:
            expected = np.eye(C)[(LABELS[row] + int(jax.random.randint(key_other, (), 1, C))) % C]
        np.testing.assert_allclose(mine, expected, rtol=1e-6)
    assert 0 < kept < len(ids)


@pytest.mark.parametrize("prior", ["model", "uniform", "labels"])
def test_alibi_matches_the_twin(prior):
    """The posterior by Bayes' rule, class by class, from the observation itself."""
    defense, epsilon, shares = ALIBI(prior=prior, epsilon=1.5), 1.5, np.bincount(LABELS) / N
    state = with_shares(defense)
    ids = np.array([7, 3, 12, 2900])
    found = new_targets(defense, state, ids)
    logits = np.float64(sum(helpers.normal(N, C, seed=k)[ids] for k in (1, 2)))
    for i, row in enumerate(ids):
        (key,) = keys_of(state.seed, jnp.array([row]))
        seen = np.eye(C)[LABELS[row]] + 2 / epsilon * np.float64(jax.random.laplace(key, (C,)))
        before = {"uniform": np.ones(C), "labels": shares, "model": np.exp(logits[i])}[prior]
        likelihood = [math.exp(-sum(abs(seen[j] - (j == c)) for j in range(C)) * epsilon / 2) for c in range(C)]
        after = before * likelihood
        np.testing.assert_allclose(found[i], after / after.sum(), rtol=1e-4)


def test_alibi_is_private_and_calibrated():
    """No observation moves the odds of two classes by more than e^ε; with true shares, a posterior is right as often as
    it says."""
    epsilon = 2.0
    defense = ALIBI(prior="labels", epsilon=epsilon)
    state = with_shares(defense)
    found = np.float64(new_targets(defense, state, EVERYONE))
    shares = np.bincount(LABELS) / N
    moved = np.log(found) - np.log(shares)[None]
    assert np.ptp(moved, axis=1).max() <= epsilon * (1 + 1e-5)
    assert np.ptp(moved, axis=1).max() > 0.9 * epsilon
    np.testing.assert_allclose(found.mean(axis=0), shares, atol=0.03)
    is_sure = found.max(axis=1) > 0.6
    right = (found.argmax(axis=1) == LABELS)[is_sure].mean()
    assert right == pytest.approx(found.max(axis=1)[is_sure].mean(), abs=0.05)


@pytest.mark.parametrize("epsilon", [0.0, math.inf])
def test_alibi_at_its_ends_gives_the_prior_or_the_label(epsilon):
    defense = ALIBI(prior="uniform", epsilon=epsilon)
    found = new_targets(defense, start(defense), EVERYONE)
    np.testing.assert_allclose(found, np.eye(C)[LABELS] if epsilon else np.full((N, C), 1 / C), atol=1e-6)


def test_posteriors_stay_distributions_at_every_epsilon():
    noise = jax.random.laplace(jax.random.key(0), (50, C))
    for epsilon in (1e-30, 1e-3, 50.0, 1e30):
        found = np.asarray(posterior(jnp.eye(C)[LABELS[:50]], noise, jnp.zeros((1, C)), jnp.float32(epsilon)))
        np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-5)


def test_smoothed_labels_match_the_twin():
    targets = np.eye(C, dtype=np.float32)[LABELS[:6]]
    found, _ = LabelSmoothing(smoothing=0.3).on_labels(None, (), None, targets)
    for label, row in zip(LABELS, np.asarray(found), strict=False):
        np.testing.assert_allclose(row, [0.7 * (c == label) + 0.3 / C for c in range(C)], rtol=1e-6)


def head_view(head, params, labels, embeddings, num_classes):
    """A view whose functions are those of a replica."""

    def loss_of(targets, params, embeddings):
        logits = head.apply(params, embeddings, num_classes)
        return SoftmaxCrossEntropy()(logits, targets), None

    return helpers.active_view(range(len(labels)), labels=labels).replace(
        embeddings=embeddings,
        logits=capabilities.logits_of(head, params, num_classes),
        gradients=capabilities.gradients_of(loss_of, (0, 1), (params,), embeddings),
    )


@pytest.mark.parametrize(
    ("name", "epsilon"), [("vflair_grad_perturb_sum", 1.0), ("vflair_grad_perturb_trainable", 0.5)]
)
def test_perturbed_gradients_of_published_code(name, epsilon):
    """The gradients of every class, through the view, and the message with published draws."""
    arrays = golden(name)
    embeddings, params = tuple(jnp.asarray(arrays[f"embedding_{k}"]) for k in (0, 1)), {}
    if "head_w" in arrays:
        params = {"dense_0": {"kernel": jnp.asarray(arrays["head_w"].T), "bias": jnp.asarray(arrays["head_b"])}}
    num_classes, batch = embeddings[0].shape[1], len(arrays["labels"])
    view = head_view(HEAD if params else SumHead(), params, arrays["labels"], embeddings, num_classes)
    every = np.repeat(np.eye(num_classes, dtype=np.float32)[:, None], batch, axis=1)
    of_classes = jnp.stack([view.gradients(targets)[0] for targets in every])
    np.testing.assert_allclose(of_classes, arrays["gradient_if_class"], rtol=1e-5, atol=1e-7)
    sent = mixed(arrays["gradient_0"], of_classes, 2 / epsilon * arrays["unit_laplace"])
    np.testing.assert_allclose(sent, arrays["sent_0"], rtol=1e-5, atol=1e-7)


@helpers.quick_jit
def perturbed(defense, key, state, params, ids, embeddings):
    """What is sent on a linear head; labels are those of the rows."""
    view = head_view(HEAD, params, [0, 1, 2, 0, 1], embeddings, 3).replace(sample_ids=ids)
    return defense.on_send(key, state, view, view.gradients(jax.nn.one_hot(view.labels, 3)))[0]


@pytest.mark.parametrize("draw", ["visit", "sample"])
@pytest.mark.parametrize("shared", [True, False])
def test_grad_perturb_matches_the_twin_on_a_linear_head(shared, draw):
    """In closed form: the gradient of class c is (softmax − e_c) · W / B; over steps, for two parties."""
    defense, epsilon, batch = cast(GradPerturb(shared=shared, draw=draw, epsilon=2.0)), 2.0, 5
    state = defense.init(jax.random.key(7), helpers.shapes_of(num_classes=3))
    kernel, bias = helpers.normal(7, 3), helpers.normal(3)
    params = {"dense_0": {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)}}
    for step in range(3):
        key, ids = jax.random.key(step), np.random.default_rng(step).permutation(9)[:batch]
        embeddings = helpers.normal(batch, 3, seed=step), helpers.normal(batch, 4, seed=9 + step)
        sent = perturbed(defense, key, state, params, ids, tuple(map(jnp.asarray, embeddings)))
        of_step = jax.random.split(jax.random.clone(key), batch)
        for i, label in enumerate([0, 1, 2, 0, 1]):
            key_row = of_step[i] if draw == "visit" else keys_of(state, jnp.asarray(ids[i : i + 1]))[0]
            logits = np.concatenate([embeddings[0][i], embeddings[1][i]]).astype(float) @ kernel + bias
            softmax = np.exp(logits) / np.exp(logits).sum()
            for k, rows in enumerate((slice(0, 3), slice(3, 7))):
                number = 0 if shared else k
                key_here = jax.random.fold_in(jax.random.clone(key_row), number)
                draws = 2 / epsilon * np.float64(jax.random.laplace(key_here, (3,)))
                expected = kernel[rows] @ (softmax - np.eye(3)[label]) / batch
                for c in range(3):
                    expected = expected + draws[c] * (kernel[rows] @ (softmax - np.eye(3)[c])) / batch
                np.testing.assert_allclose(sent[k][i], expected, rtol=1e-4, atol=1e-5)


def test_what_privacy_cannot_be():
    with pytest.raises(ValueError, match=says("GradPerturb.epsilon is 0", "above 0")):
        GradPerturb(epsilon=0.0)
    for kind in (RandomisedResponse, ALIBI):
        with pytest.raises(ValueError, match=says(f"{kind.__name__}.epsilon is -1")):
            kind(epsilon=-1.0)

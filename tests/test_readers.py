"""Readers of labels: against published code, against slow twins written from what they are for, and on real data."""

import functools

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import needs_data, says, tiny_data, tiny_scenario
from golden_helpers import golden
from sklearn.metrics import roc_auc_score
from sweep_helpers import interrupted_at

import vfl_jax as vfl
from vfl_jax.attacks import (
    ClusterInference,
    DirectionInference,
    GradientReplacement,
    NormInference,
    PooledInference,
    RegressionInference,
    SignInference,
    SpectralInference,
)
from vfl_jax.data import load_default_credit, load_digits
from vfl_jax.defenses import GaussianNoise, MaxNormNoise
from vfl_jax.models import MLP, DenseHead, Linear, SumHead
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.chains import PartyChain
from vfl_jax.protocol.hooks import run_epoch_hook, run_hook
from vfl_jax.protocol.knowledge import ORDINARY, TARGET
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.protocol.triggers import EmbeddingTrigger
from vfl_jax.scenario import BatchPlan, PoisonPlan

N, B, E, STEPS = 24, 10, 4, 9
KEY = jax.random.key(3)


def granted(known, num_rows, target_class=1):
    """What a reader knows, from {row: label}."""
    labels = np.full(num_rows, -1, np.int32)
    labels[list(known)] = list(known.values())
    return helpers.knowledge(num_rows, target_class=target_class).replace(known_labels=jnp.asarray(labels))


@functools.partial(helpers.quick_jit, static_argnames="shapes")
def listened(reader, shapes, ids, roles, messages, knowledge, kernel):
    """What a reader reports after some batches, all messages of which it gives back as they came."""
    key = jax.random.key(3)
    state = reader.init(key, shapes, 0)
    for t in range(len(messages)):
        view = helpers.party_view(ids[t], roles[t], knowledge=knowledge)
        _, state = run_hook(reader, "on_download", key, state, view, messages[t])
    params = {"kernel": kernel}
    view = helpers.party_epoch_view(shapes.num_samples, params, knowledge)
    view = view.replace(rows=table_rows, forward=lambda features, params: features @ params["kernel"])
    return reader.report(run_epoch_hook(reader, key, state, view, params)[1])


def table_rows(ids):
    """A party's own table, [B, 2]: no row is a multiple of another."""
    ids = ids.astype(jnp.float32)
    return jnp.stack([jnp.sin(7 * ids) + 0.3, jnp.cos(5 * ids)], axis=-1)


def of_one_batch(reader, gradient, known=(), target_class=1):
    """What a reader reports who has one batch, of all rows."""
    rows, width = gradient.shape
    shapes = helpers.shapes_of(num_samples=rows, num_classes=width, widths=(width,))
    if not isinstance(reader, SignInference):
        shapes = shapes._replace(num_classes=2)
    knowledge = granted(dict(known), rows, target_class)
    ids, kernel = jnp.arange(rows)[None], jnp.ones((2, width))
    return listened(reader, shapes, ids, jnp.zeros_like(ids), jnp.asarray(gradient)[None], knowledge, kernel)


def between_0_and_1(scores):
    return (scores - scores.min()) / (scores.max() - scores.min())


@pytest.mark.parametrize("case", ["c0", "c1", "c2"])
def test_first_negative_entries_are_those_of_the_published_code(case):
    """It draws a class for a row without one; here that row is not read."""
    arrays = golden("vflair_direct_label_inference")
    gradient = arrays[f"{case}_gradient"]
    guesses = np.asarray(of_one_batch(SignInference(rule="first"), gradient)["label_guesses"])
    is_silent = ~(gradient < 0).any(axis=1)
    np.testing.assert_array_equal(guesses, np.where(is_silent, -1, arrays[f"{case}_guess"]))
    assert is_silent.sum() == len(arrays[f"{case}_draws"])


@pytest.mark.parametrize("case", ["c0", "c1", "c2"])
def test_lengths_and_directions_are_those_of_the_published_code(case):
    """Its known row counts, too, in its accuracy and area; the vector has those of all rows."""
    arrays = golden("vflair_norm_direction_scoring")
    gradient, labels = arrays[f"{case}_gradient"], arrays[f"{case}_labels"]
    positive = {int(arrays[f"{case}_pos_index"]): 1}
    for name, reader in (("norm", NormInference()), ("direction", DirectionInference(rule="sign"))):
        found = jax.tree.map(np.asarray, of_one_batch(reader, gradient, positive))
        scores, guesses = found["label_scores"], found["label_guesses"]
        np.testing.assert_allclose(between_0_and_1(scores), arrays[f"{case}_{name}_score"], rtol=1e-4, atol=1e-6)
        assert (guesses == labels).mean() == pytest.approx(float(arrays[f"{case}_{name}_acc"]))
        assert roc_auc_score(labels, scores) == pytest.approx(float(arrays[f"{case}_{name}_auc"]), abs=1e-6)


class Listener:
    """Who writes down all messages of every row, and works out what they come to when asked."""

    def __init__(self, kind, needs_sign=False):
        self.kind, self.needs_sign = kind, needs_sign
        self.heard = [[] for _ in range(N)]

    def hear(self, ids, roles, messages):
        for row, role, message in zip(ids, roles, messages, strict=True):
            speaks = np.isfinite(message).all() and np.any(message)
            if self.needs_sign and self.kind == "last":
                speaks = speaks and min(message) < 0
            if role == ORDINARY and speaks:
                self.heard[row].append(message.astype(np.float64))

    def mean(self, row):
        """The message that stands for all; None of a row that was told nothing."""
        told = self.heard[row]
        if not told:
            return None
        if self.kind == "last":
            return told[-1]
        if self.kind == "fading":
            weights = [1 / np.sqrt(k + 1) for k in range(len(told))]
            return np.average(told, axis=0, weights=weights)
        if self.kind == "axes":
            total = np.zeros_like(told[0])
            for message in told:
                total += direction(message) * (-1 if direction(message) @ total < 0 else 1)
            return total / len(told)
        return np.mean([m / np.linalg.norm(m) if self.kind == "directions" else m for m in told], axis=0)


def messages_of(labels, rng, noise):
    """Gradients that point a class's way, of different lengths; some are silent, and some not finite."""
    ways = np.linalg.qr(np.random.default_rng(0).normal(size=(E, E)))[0][:3]
    lengths = rng.uniform(0.2, 2.0, (len(labels), 1)) * np.where(labels == 1, 2.0, 1.0)[:, None]
    found = lengths * ways[labels] + noise * rng.normal(size=(len(labels), E))
    fates = rng.integers(0, 8, len(labels))
    found[fates == 0] = 0
    found[fates == 1, 0] = rng.choice([np.nan, np.inf])
    return found.astype(np.float32)


class Run:
    """Some batches of a training: what came, what is known, and what a reader and its twin make of it."""

    def __init__(self, num_classes, noise=0.1, seed=0, width=E):
        rng = np.random.default_rng(seed)
        self.num_classes, self.labels = num_classes, rng.integers(0, num_classes, N)
        self.known = {int(i): int(self.labels[i]) for i in rng.permutation(N)[:9]}
        self.ids = np.stack([rng.permutation(N - 2)[:B] for _ in range(STEPS)])  # the last two rows are never there
        self.roles = np.where(rng.random((STEPS, B)) < 0.1, TARGET, ORDINARY)
        self.messages = np.stack([messages_of(self.labels[ids], rng, noise)[:, :width] for ids in self.ids])
        self.kernel = rng.normal(size=(2, width)).astype(np.float32)
        self.embeddings = np.asarray(table_rows(jnp.arange(N))) @ self.kernel

    def reported(self, reader, target_class=1):
        shapes = helpers.shapes_of(num_samples=N, num_classes=self.num_classes, widths=(self.messages.shape[-1],))
        knowledge = granted(self.known, N, target_class)
        found = listened(reader, shapes, self.ids, self.roles, self.messages, knowledge, self.kernel)
        return jax.tree.map(np.asarray, found)

    def means(self, kind, needs_sign=False):
        listener = Listener(kind, needs_sign)
        for batch in zip(self.ids, self.roles, self.messages, strict=True):
            listener.hear(*batch)
        return [listener.mean(row) for row in range(N)]


def direction(row):
    return row / np.linalg.norm(row)


def assert_reads(found, guesses, scores=None, least=8):
    """The same guesses; scores that are NaN where there is no guess."""
    np.testing.assert_array_equal(found["label_guesses"], guesses)
    assert len(set(guesses)) > 1
    assert (np.asarray(guesses) >= 0).sum() >= least
    if scores is not None:
        scores = [np.nan if guess < 0 else score for guess, score in zip(guesses, scores, strict=True)]
        np.testing.assert_allclose(found["label_scores"], scores, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("kind", ["last", "sum", "fading", "directions"])
def test_evidence_and_signs_are_those_of_the_twin(kind):
    """Several messages per row; an appended pair's rows, silent ones and such as are not finite do not count."""
    run = Run(2, noise=0.5, width=2)
    for rule in ("most", "first"):
        guesses, scores = [], []
        for mean in run.means(kind, needs_sign=True):
            negative = [] if mean is None else [c for c in range(2) if mean[c] < 0]
            best = min(negative, key=lambda c: mean[c]) if negative and rule == "most" else min(negative, default=-1)
            guesses.append(best)
            scores.append(None if mean is None else mean[0] - mean[1])
        assert_reads(run.reported(SignInference(evidence=kind, rule=rule)), guesses, scores)
    assert -1 in guesses


@pytest.mark.parametrize("kind", ["last", "sum", "fading"])
def test_lengths_are_those_of_the_twin(kind):
    run = Run(2)
    means = run.means(kind)
    lengths = [None if mean is None else float(np.linalg.norm(mean)) for mean in means]
    told = [length for length in lengths if length is not None]
    low, high = min(told), max(told)
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (np.mean([x for x in told if (x > middle) == side]) for side in (False, True))
    for threshold, bound in (("half", (min(told) + max(told)) / 2), ("two_means", (low + high) / 2)):
        guesses = [-1 if length is None else int(length > bound) for length in lengths]
        assert_reads(run.reported(NormInference(evidence=kind, threshold=threshold)), guesses, lengths)


@pytest.mark.parametrize("kind", ["last", "directions"])
def test_directions_are_those_of_the_twin(kind):
    for num_classes in (3, 2):
        run = Run(num_classes, noise=0.3)
        means = run.means(kind)
        classes = {}
        for c in range(num_classes):
            of_class = [direction(means[i]) for i, label in run.known.items() if label == c and means[i] is not None]
            classes[c] = direction(np.mean(of_class, axis=0))
        cosines = [None if mean is None else [direction(mean) @ classes[c] for c in classes] for mean in means]
        guesses = [-1 if row is None else int(np.argmax(row)) for row in cosines]
        scores = [None if row is None else row[1] - row[0] for row in cosines] if num_classes == 2 else None
        assert_reads(run.reported(DirectionInference(evidence=kind)), guesses, scores)
    for target in (0, 1):
        towards = [None if row is None else row[target] for row in cosines]
        guesses = [-1 if x is None else target if x > 0 else 1 - target for x in towards]
        scores = [None if x is None else x if target else -x for x in towards]
        assert_reads(run.reported(DirectionInference(evidence=kind, rule="sign"), target), guesses, scores)


def rows_of(run, of, kind="last"):
    return run.means(kind) if of == "gradients" else list(run.embeddings.astype(np.float64))


@pytest.mark.parametrize("of", ["gradients", "embeddings"])
def test_the_spectral_split_is_that_of_the_twin(of):
    """By a singular value decomposition of all rows; scores are told up to the scale of the rows."""
    run = Run(2, noise=0.3)
    rows = rows_of(run, of)
    there = [i for i in range(N) if rows[i] is not None]
    matrix = np.array([rows[i] for i in there])
    matrix = matrix - matrix.mean(axis=0)
    scores = dict(zip(there, matrix @ np.linalg.svd(matrix)[2][0], strict=True))
    of_class = [np.mean([scores[i] for i in run.known if i in scores and run.known[i] == c]) for c in (0, 1)]
    sign = 1 if of_class[1] > of_class[0] else -1
    found = run.reported(SpectralInference(of=of))
    largest = np.abs(matrix).max()
    guesses = [int(sign * scores[i] > 0) if i in scores else -1 for i in range(N)]
    assert_reads(found, guesses, [sign * scores.get(i, 0) / largest for i in range(N)])


@pytest.mark.parametrize("of", ["gradients", "embeddings"])
def test_clusters_from_known_rows_are_those_of_the_twin(of):
    """Lloyd's steps in plain loops."""
    run = Run(3, noise=0.4)
    rows = [None if row is None else direction(row) for row in rows_of(run, of)]
    there = [i for i in range(N) if rows[i] is not None]
    centers = [np.mean([rows[i] for i in run.known if run.known[i] == c and i in there], axis=0) for c in range(3)]

    def nearest(row):
        return int(np.argmin([np.sum((row - center) ** 2) for center in centers]))

    before = [nearest(rows[i]) for i in there]
    for _ in range(20):
        joined = {i: nearest(rows[i]) for i in there}
        centers = [np.mean([rows[i] for i in there if joined[i] == c], axis=0) for c in range(3)]
    guesses = [nearest(rows[i]) if i in there else -1 for i in range(N)]
    assert_reads(run.reported(ClusterInference(of=of)), guesses)
    if of == "embeddings":
        assert before != [guesses[i] for i in there]


def test_clusters_that_are_drawn_get_the_classes_of_the_known_rows_near_them():
    """Three clusters far apart are found from random rows, though one row of each class is known."""
    run = Run(3, noise=0.01)
    run.known = {int(np.flatnonzero(run.labels[: N - 2] == c)[0]): c for c in range(3)}
    means = run.means("sum")
    guesses = [-1 if mean is None else run.labels[i] for i, mean in enumerate(means)]
    assert_reads(run.reported(ClusterInference(evidence="sum", start="plus_plus")), guesses)
    del run.known[min(run.known, key=run.known.get)]  # nobody knows a row of class 0 any more
    found = run.reported(ClusterInference(evidence="sum", start="plus_plus"))["label_guesses"]
    assert set(found) == {-1, 1, 2}


@pytest.mark.parametrize("of", ["both", "gradients", "embeddings"])
def test_the_regression_is_that_of_the_twin(of):
    run = Run(3, noise=0.6)
    means, there = run.means("sum"), range(N)
    columns = []
    if of != "embeddings":
        heard = [i for i in range(N) if means[i] is not None]
        told = {i: [*direction(means[i]), np.log(np.abs(means[i]).sum())] for i in heard}
        columns.append(standard(told))
        there = heard if of == "gradients" else range(N)
    if of != "gradients":
        columns.append(standard(dict(enumerate(run.embeddings.astype(np.float64)))))
    width = len(next(iter(columns[0].values())))
    lines = {i: [*columns[0].get(i, np.zeros(width)), *(columns[1][i] if len(columns) > 1 else ())] for i in there}
    scores = by_known(lines, run.known)
    guesses = [int(np.argmax(scores[i])) if i in there else -1 for i in range(N)]
    assert_reads(run.reported(RegressionInference(of=of, evidence="sum")), guesses)


@pytest.mark.parametrize("num_classes", [2, 3])
@pytest.mark.parametrize("own", [False, True])
def test_what_a_row_and_rows_like_it_are_told_is_pooled_as_by_the_twin(num_classes, own):
    run = Run(num_classes, noise=0.8)
    means = run.means("directions")
    there = [i for i in range(N) if means[i] is not None]
    matrix = np.array([means[i] for i in there]) - np.mean([means[i] for i in there], axis=0)
    told = dict(zip(there, matrix @ np.linalg.svd(matrix)[2][: num_classes - 1].T, strict=True))
    read = range(N) if own else there  # whose message is lacking is read by what needs none
    embeddings = standard({i: run.embeddings[i].astype(np.float64) for i in read})
    alike = standard(least_squares(embeddings, dict.fromkeys(there, 1 / len(there)), told))
    told = standard(told)
    scores = by_known({i: told.get(i, 0.0) + alike[i] for i in read}, run.known, num_classes)
    if own:
        both = [np.array([of[i] for i in read]) for of in (scores, by_known(embeddings, run.known, num_classes))]
        both = [of - of.mean(axis=0) for of in both]
        scores = dict(zip(read, sum(of / np.linalg.norm(of) for of in both), strict=True))
    guesses = [int(np.argmax(scores[i])) if i in scores else -1 for i in range(N)]
    found = run.reported(PooledInference(own=own))
    assert_reads(found, guesses)
    if num_classes == 2:
        order = np.argsort([scores[i][1] - scores[i][0] for i in read])
        assert (np.diff(found["label_scores"][list(read)][order]) > 0).all()


def by_known(lines, known, num_classes=3):
    """The scores of all classes of all rows, from the known rows, of which every class has the same weight."""
    known = {i: label for i, label in known.items() if i in lines}
    counts = [sum(label == c for label in known.values()) for c in range(num_classes)]
    weights = {i: 1 / counts[label] / num_classes for i, label in known.items()}
    return least_squares(lines, weights, {i: np.eye(num_classes)[label] for i, label in known.items()})


def least_squares(lines, weights, values):
    """What a line comes to: each row is written down as a row of least squares, and the penalty as rows of its own."""
    lines = {i: [*line, 1.0] for i, line in lines.items()}
    size = len(next(iter(lines.values())))
    square = sum(weights[i] * np.square(lines[i]).mean() for i in weights)
    penalty = np.sqrt(0.01 * square + 1e-6)
    equations = [np.sqrt(weights[i]) * np.array(lines[i]) for i in weights] + list(penalty * np.eye(size))
    wanted = [np.sqrt(weights[i]) * np.array(values[i]) for i in weights]
    wanted += [np.zeros_like(wanted[0])] * size
    solved = np.linalg.lstsq(np.array(equations), np.array(wanted), rcond=None)[0]
    return {i: line @ solved for i, line in lines.items()}


def standard(rows):
    """Rows by number, every column with mean 0 and standard deviation 1."""
    matrix = np.array(list(rows.values()))
    matrix = (matrix - matrix.mean(axis=0)) / matrix.std(axis=0)
    return dict(zip(rows, matrix, strict=True))


@pytest.mark.parametrize("kind", ["last", "axes"])
def test_axes_are_those_of_the_twin(kind):
    run = Run(3, noise=0.3)
    means = run.means(kind)
    axes = []
    for c in range(3):
        lines = [direction(means[i]) for i, label in run.known.items() if label == c and means[i] is not None]
        axes.append(np.linalg.svd(np.array(lines))[2][0])
    cosines = [None if mean is None else [abs(direction(mean) @ axis) for axis in axes] for mean in means]
    guesses = [-1 if row is None else int(np.argmax(row)) for row in cosines]
    assert_reads(run.reported(DirectionInference(evidence=kind, rule="axis")), guesses)


def test_axes_read_what_a_drawn_sign_hides():
    """Every visit's message is turned round by a coin: means of directions fade, and axes stay."""
    rows, visits, rng = 300, 20, np.random.default_rng(2)
    labels = rng.integers(0, 3, rows)
    shapes = helpers.shapes_of(num_samples=rows, num_classes=3, widths=(E,))
    ways = np.linalg.qr(rng.normal(size=(E, E)))[0][:3]
    messages = ways[labels][None] + 0.2 * rng.normal(size=(visits, rows, E))
    messages = (messages * rng.choice([-1, 1], (visits, rows, 1))).astype(np.float32)
    known = {int(i): int(labels[i]) for c in range(3) for i in np.flatnonzero(labels == c)[:10]}
    given = np.tile(np.arange(rows), (visits, 1)), np.zeros((visits, rows), int), messages, granted(known, rows)
    nearest, one_axis, axes = (
        (np.asarray(listened(reader, shapes, *given, jnp.eye(2, E))["label_guesses"]) == labels).mean()
        for reader in (
            DirectionInference(evidence="directions"),
            DirectionInference(rule="axis", evidence="last"),
            DirectionInference(rule="axis", evidence="axes"),
        )
    )
    assert nearest < 0.75
    assert one_axis > 0.9
    assert axes > 0.99


def test_smooth_messages_tell_a_row_what_rows_like_it_are_told():
    """Labels follow the own embedding, noise hides the signs, and a regression on embeddings brings them back."""
    rows, rng, kernel = 200, np.random.default_rng(1), jnp.eye(2)
    embeddings = np.asarray(table_rows(jnp.arange(rows)))
    labels = (embeddings[:, 0] > np.median(embeddings[:, 0])).astype(int)
    message = np.eye(2)[1 - labels] - np.eye(2)[labels] + 2.0 * rng.normal(size=(rows, 2))
    shapes = helpers.shapes_of(num_samples=rows, num_classes=2, widths=(2,))
    given = np.arange(rows)[None], np.zeros((1, rows), int), message[None].astype(np.float32)
    right = []
    for smooth in (False, True):
        found = listened(SignInference(smooth=smooth, evidence="sum"), shapes, *given, granted({}, rows), kernel)
        right.append((np.asarray(found["label_guesses"]) == labels).mean())
    assert right[1] > 0.9
    assert right[1] > right[0] + 0.15


def test_who_pools_reads_more_than_either_witness_says():
    """Labels follow the own embedding in part, and noise is drawn for every row: ten rows of each class are known."""
    rows, rng, kernel = 600, np.random.default_rng(1), jnp.eye(2)
    embeddings = np.asarray(table_rows(jnp.arange(rows)))
    labels = (embeddings[:, 0] + 0.7 * rng.normal(size=rows) > np.median(embeddings[:, 0])).astype(int)
    message = 0.7 * (np.eye(2)[1 - labels] - np.eye(2)[labels]) + rng.normal(size=(rows, 2))
    shapes = helpers.shapes_of(num_samples=rows, num_classes=2, widths=(2,))
    known = {int(i): int(labels[i]) for c in (0, 1) for i in np.flatnonzero(labels == c)[:10]}
    given = np.arange(rows)[None], np.zeros((1, rows), int), message[None].astype(np.float32), granted(known, rows)
    told, alike, pooled = (
        roc_auc_score(labels, np.asarray(listened(reader, shapes, *given, kernel)["label_scores"]))
        for reader in (
            SpectralInference(of="gradients", evidence="sum"),
            DirectionInference(evidence="sum", smooth=True),
            PooledInference(evidence="sum"),
        )
    )
    assert min(told, alike) > 0.7
    assert pooled > max(told, alike) + 0.05


def test_what_nobody_knows_or_hears_is_not_read():
    """Nearest rows without any known row; all readers before the first message."""
    run = Run(2)
    run.known = {}
    assert (run.reported(DirectionInference())["label_guesses"] == -1).all()
    for reader in (
        DirectionInference(rule="axis"),
        RegressionInference(),
        PooledInference(),
        PooledInference(own=True),
    ):
        assert (run.reported(reader)["label_guesses"] == -1).all()
    run.messages = np.zeros_like(run.messages)
    for reader in (DirectionInference(), NormInference(), NormInference(threshold="two_means")):
        found = run.reported(reader)
        assert (found["label_guesses"] == -1).all()
        assert np.isnan(found["label_scores"]).all()


ALL = (
    SignInference(evidence="sum", way="sign"),
    SignInference(way="last_sign"),
    SignInference(evidence="sum", smooth=True, way="smooth_sign"),
    DirectionInference(evidence="directions", way="direction"),
    ClusterInference(evidence="directions", way="cluster"),
    ClusterInference(of="embeddings", start="plus_plus", way="embedding_cluster"),
    RegressionInference(way="regression"),
    RegressionInference(of="embeddings", way="alone"),
    PooledInference(way="pooled"),
)
TWO = (
    NormInference(evidence="sum", threshold="two_means", way="norm"),
    DirectionInference(rule="sign", evidence="directions", way="towards"),
    SpectralInference(way="spectral"),
    SpectralInference(of="gradients", evidence="directions", way="gradient_spectral"),
)


def scenario_of(readers, width=10, head=SumHead(), rate=0.05, **fields):
    optimizer = Optimizer(kind="momentum", learning_rate=rate)
    return vfl.Scenario(
        bottoms=(MLP(hidden=(32,), width=width),) * 2,
        head=head,
        optimizers=(optimizer,) * 2,
        attacks=(PartyTransform(), PartyChain(parts=readers)),
        poison=PoisonPlan(trigger=EmbeddingTrigger(), rate=0.0, test_rate=0.1, num_known=4),
        batches=BatchPlan(size=32),
        **fields,
    )


def read_by(results, kind="accuracy"):
    """By way, the share right (or the area) at the last epoch, float[S]."""
    last, start = results.isel(epoch=-1), f"label_inference_{kind}_"
    return {str(name).removeprefix(start): last[name].values for name in last if str(name).startswith(start)}


@pytest.mark.long
def test_readers_read_real_digits_beside_what_a_party_reads_alone():
    """Without a defense all of it; under noise, more by those who add up, and most by those who know rows."""
    noisy = scenario_of(ALL, defense=GaussianNoise())
    results = vfl.sweep(noisy, load_digits(), {"defense.stddev": [0.0, 0.005, 0.02]}, seeds=2, epochs=5, progress=False)
    clean, noise, more_noise = (read_by(results.isel({"defense.stddev": i})) for i in range(3))
    for way in ("sign", "last_sign", "direction", "cluster", "regression"):
        assert (clean[way] > 0.98).all(), (way, clean[way])
    for way in ("alone", "embedding_cluster"):
        assert (clean[way] > 0.45).all(), (way, clean[way])
        assert (clean[way] < 0.85).all(), (way, clean[way])
    assert (noise["sign"] > noise["last_sign"] + 0.3).all(), noise
    assert (noise["regression"] > noise["alone"] + 0.03).all(), noise
    assert (noise["regression"] > noise["direction"] + 0.1).all(), noise
    assert (more_noise["smooth_sign"] > more_noise["sign"] + 0.03).all(), more_noise
    assert (more_noise["pooled"] > more_noise["regression"]).all(), more_noise


@pytest.mark.long
def test_readers_read_real_digits_under_a_trainable_head():
    head, readers = DenseHead(hidden=(32,)), (ALL[3], *ALL[6:])
    trainable = scenario_of(readers, 16, head, head_optimizer=Optimizer(learning_rate=0.1))
    read = read_by(vfl.sweep(trainable, load_digits(), seeds=2, epochs=5, progress=False))
    for way in ("direction", "regression"):
        assert (read[way] > read["alone"] + 0.15).all(), (way, read)


@pytest.mark.long
@pytest.mark.parametrize("head", [SumHead(), DenseHead(hidden=(32,))], ids=["sum", "trainable"])
def test_max_norm_noise_leaves_the_axis_of_every_message(head):
    """It draws the sign of a row: who adds up directions loses by it, who adds up axes does not."""
    readers = (
        DirectionInference(evidence="directions", way="direction"),
        DirectionInference(rule="axis", evidence="axes", way="axis"),
        RegressionInference(of="embeddings", way="alone"),
    )
    width, more = (10, {}) if isinstance(head, SumHead) else (16, {"head_optimizer": Optimizer(learning_rate=0.1)})
    noisy = scenario_of(readers, width, head, defense=MaxNormNoise(scale=1.0), **more)
    read = read_by(vfl.sweep(noisy, load_digits(), seeds=2, epochs=5, progress=False))
    assert (read["axis"] > read["direction"] + 0.2).all(), read
    assert (read["axis"] > read["alone"] + 0.08).all(), read
    assert (read["axis"] > (0.97 if isinstance(head, SumHead) else 0.75)).all(), read


@needs_data
@pytest.mark.long
def test_readers_of_two_classes_read_who_is_in_arrears():
    """22 of 100 are; what a party makes of its own model alone is the floor."""
    readers = (ALL[0], ALL[3], *TWO, ALL[-2])
    scenario = scenario_of(readers, width=2, rate=0.01)
    results = vfl.sweep(scenario, load_default_credit(), seeds=2, epochs=1, progress=False)
    areas, rights = read_by(results, "auc"), read_by(results)
    for way in ("sign", "direction", "towards", "gradient_spectral"):
        assert (areas[way] > 0.97).all(), (way, areas[way])
        assert (rights[way] > 0.95).all(), (way, rights[way])
    assert (areas["norm"] > 0.9).all(), areas
    assert (areas["alone"] < 0.8).all(), areas
    assert (np.abs(areas["spectral"] - 0.5) > 0.15).all(), areas  # few known rows may choose the wrong sign


@pytest.mark.long
def test_a_sweep_goes_on_from_a_checkpoint_bit_for_bit_and_the_switch_changes_nothing(tmp_path):
    """In a chain, beside an attack that acts."""
    parts = (GradientReplacement(), DirectionInference(way="a"), ClusterInference(start="plus_plus", way="b"))
    study = tiny_scenario(plan={"num_known": 2}, attacks=(PartyTransform(), PartyChain(parts=parts)))
    over = {"attacks.1.parts.1.enabled": [0.0, 1.0]}
    swept = functools.partial(vfl.sweep, study, tiny_data(), over, seeds=1, epochs=3, progress=False)
    whole = swept()
    interrupted_at(2, swept, tmp_path)
    resumed = swept(folder=tmp_path, checkpoint_every=1)
    for name, variable in whole.data_vars.items():
        np.testing.assert_array_equal(resumed[name].values, variable.values, err_msg=name)
        if "attacks.1.parts.1.enabled" in variable.dims:
            halves = variable.transpose("attacks.1.parts.1.enabled", ...).values
            np.testing.assert_array_equal(*halves, err_msg=name)


@pytest.mark.long
def test_bags_of_ids_are_read_like_the_rows_they_stand_for():
    reader = ClusterInference(of="embeddings", way="own"), RegressionInference()
    scenario = vfl.Scenario(
        bottoms=(Linear(width=3),) * 2,
        head=SumHead(),
        optimizers=(Optimizer(learning_rate=0.1),) * 2,
        attacks=(PartyTransform(), PartyChain(parts=reader)),
        poison=PoisonPlan(trigger=EmbeddingTrigger(), rate=0.0, test_rate=0.2, num_known=3),
        batches=BatchPlan(size=8),
    )
    data = helpers.bag_data()
    found, expected = (vfl.run(scenario, d, KEY, epochs=2)[0] for d in (data, helpers.as_multi_hot(data)))
    for name in found:
        np.testing.assert_allclose(found[name].values, expected[name].values, rtol=1e-4, atol=1e-5, err_msg=str(name))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NormInference(evidence="directions"), says("NormInference.evidence is 'directions'", "'sum'")),
        (lambda: ClusterInference(num_steps=0), says("ClusterInference.num_steps is 0", "at least 1")),
        (lambda: checked(NormInference()), says("NormInference tells two classes apart", "has 3")),
        (lambda: checked(SpectralInference()), says("SpectralInference tells two classes apart", "has 3")),
        (lambda: checked(DirectionInference(rule="sign")), says("DirectionInference(rule='sign')", "has 3")),
        (lambda: DirectionInference(rule="axis", evidence="sum"), says("rule='axis'", "'sum'", "'axes'")),
        (lambda: DirectionInference(rule="axis", evidence="axes", smooth=True), says("smooth True", "smooth=False")),
        (lambda: DirectionInference(evidence="axes"), says("evidence='axes'", "'nearest'", "rule 'axis'")),
        (lambda: checked(SignInference(), width=4), says("bottoms.0.width is 4", "one per class, 3")),
    ],
)
def test_what_cannot_work_is_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def checked(reader, width=3):
    reader.check(helpers.shapes_of(num_classes=3, widths=(width,)), 0, by_role=False)

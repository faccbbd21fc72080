"""LearnedMessage: against its NumPy twin, step by step; and what it is for: a message that says τ to another head."""

import dataclasses

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import needs_data

import vfl_jax as vfl
from vfl_jax.arenas.lineup import ATTACKS, BOARDS
from vfl_jax.arenas.standings import SUCCESS
from vfl_jax.attacks import LearnedMessage
from vfl_jax.protocol.hooks import run_hook
from vfl_jax.protocol.views import PartyEpochView, PartyInferView

N, B, E = 12, 5, 4
TARGETS = (1, 4, 7)


class Twin:
    """The attack row by row, from what it is for: against the way to other classes, along the way to τ."""

    def __init__(self, size, step_size, decay, sends):
        self.size, self.step_size, self.decay, self.sends = size, step_size, decay, sends
        self.longest, self.u, self.s, self.has_begun = 0.0, np.zeros(E), np.zeros(E), False

    def begin(self, table):
        mean = np.mean([table[i] for i in TARGETS], axis=0)
        self.u, self.s, self.has_begun = mean / np.linalg.norm(mean), np.zeros(E), True

    @property
    def message(self):
        return self.size * self.longest * self.u

    def upload(self, ids, embedding):
        self.longest = max(0.999 * self.longest, max(np.linalg.norm(row) for row in embedding))
        return [self.message if i in TARGETS and self.says_it else row for i, row in zip(ids, embedding, strict=True)]

    def download(self, ids, gradient):
        before = self.says_it
        ways = {True: [], False: []}
        for i, row in zip(ids, gradient, strict=True):
            if np.isfinite(row).all() and row.any():
                ways[i in TARGETS].append(row / np.linalg.norm(row))
        if self.has_begun and ways[True]:
            d = np.mean(ways[True], axis=0) - (np.mean(ways[False], axis=0) if ways[False] else 0)
            self.s = self.decay * self.s + (1 - self.decay) * d
            moved = self.u - self.step_size * self.s / (np.linalg.norm(self.s) or 1.0)
            self.u = moved / np.linalg.norm(moved)
        return [np.zeros(E) if i in TARGETS and before else row for i, row in zip(ids, gradient, strict=True)]

    @property
    def says_it(self):
        return self.has_begun and self.sends


def begun(attack, state, table):
    view = PartyEpochView(
        epoch=jnp.int32(3),
        num_epochs=jnp.int32(9),
        sample_ids=jnp.arange(N),
        knowledge=helpers.knowledge(N, target=TARGETS),
        forward=lambda features: features,
        rows=lambda ids: table[ids],
    )
    return attack.on_epoch(jax.random.key(1), state, view, {})[1]


@pytest.mark.parametrize("sends", [1.0, 0.0])
@pytest.mark.parametrize("numbers", [(1.0, 0.05, 0.9), (3.0, 0.5, 0.0), (0.5, 0.2, 1.0)])
def test_it_matches_its_twin_over_several_steps(sends, numbers):
    """Batches with and without a target row, with rows that say nothing; before it begins, and after."""
    size, step_size, decay = numbers
    attack = LearnedMessage(sends=sends, size=size, step_size=step_size, decay=decay, at_epochs=(0,))
    twin = Twin(size, step_size, decay, sends)
    state = attack.init(jax.random.key(0), helpers.shapes_of(N, 3, B, 0.2, (E, E)), 1)
    known, table = helpers.knowledge(N, target=TARGETS), helpers.normal(N, E, seed=5)
    batches = [(0, 1, 2, 3, 4), (5, 6, 8, 9, 10), (7, 4, 1, 11, 0), (1, 0, 2, 3, 5), (1, 4, 2, 3, 7)]
    for t, ids in enumerate(batches * 2):
        if t == 2:
            state = begun(attack, state, jnp.asarray(table))
            twin.begin(table)
        embedding, gradient = helpers.normal(B, E, seed=10 + t), helpers.normal(B, E, seed=40 + t)
        gradient[2], gradient[3] = 0.0, np.nan
        view, key = helpers.party_view(ids, np.zeros(B, np.int32), knowledge=known), jax.random.key(t)
        sent, state = run_hook(attack, "on_upload", key, state, view, jnp.asarray(embedding))
        np.testing.assert_allclose(sent, twin.upload(ids, embedding), rtol=1e-4, atol=1e-5)
        used, state = run_hook(attack, "on_download", key, state, view, jnp.asarray(gradient))
        np.testing.assert_allclose(used, twin.download(ids, gradient), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(state.direction, twin.u, rtol=1e-3, atol=1e-4)
        assert attack.report(state)["message_norm"] == pytest.approx(np.linalg.norm(twin.message), rel=1e-3, abs=1e-5)


def test_attacked_rows_alone_are_sent_as_the_message_and_none_before_it_begins():
    attack, table = LearnedMessage(), helpers.normal(N, E, seed=5)
    state = attack.init(jax.random.key(0), helpers.shapes_of(N, 3, B, 0.2, (E, E)), 1).replace(longest=jnp.float32(2.0))
    view = PartyInferView(
        features=None,
        params=None,
        knowledge=helpers.knowledge(N, target=TARGETS),
        is_valid=jnp.array([True]),
        is_attacked=jnp.array([True]),
        forward=None,
    )
    own = jnp.ones((1, E))
    np.testing.assert_array_equal(attack.infer_upload(jax.random.key(0), state, view, own), own)
    state = begun(attack, state, jnp.asarray(table))
    sent = attack.infer_upload(jax.random.key(0), state, view, own)
    mean = table[list(TARGETS)].mean(axis=0)
    np.testing.assert_allclose(sent[0], 2.0 * mean / np.linalg.norm(mean), rtol=1e-5)
    spared = dataclasses.replace(view, is_attacked=jnp.array([False]))
    np.testing.assert_array_equal(attack.infer_upload(jax.random.key(0), state, spared, own), own)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"at_epochs": ()}, "LearnedMessage.at_epochs is empty"),
        ({"most_rows": 0}, "LearnedMessage.most_rows is 0"),
        ({"size": -1.0}, "size is -1"),
        ({"step_size": -0.1}, "step_size is -0.1"),
        ({"decay": 1.5}, "decay is 1.5"),
    ],
)
def test_misuse_is_refused_by_name(numbers, message):
    with pytest.raises(ValueError, match=message):
        LearnedMessage(**numbers)


def test_a_batch_of_target_rows_alone_shows_a_way():
    """There are no others to go away from."""
    attack, known = LearnedMessage(), helpers.knowledge(N, target=range(N))
    state = attack.init(jax.random.key(0), helpers.shapes_of(N, 3, B, 0.2, (E, E)), 1)
    state = begun(attack, state, jnp.eye(N, E))
    gradient = jnp.tile(jnp.array([[1.0, 0.0, 0.0, 0.0]]), (B, 1))
    view = helpers.party_view(range(B), np.zeros(B, np.int32), knowledge=known)
    _, after = run_hook(attack, "on_download", jax.random.key(0), state, view, gradient)
    moved = np.asarray(state.direction) - [0.05, 0, 0, 0]
    np.testing.assert_allclose(after.direction, moved / np.linalg.norm(moved), rtol=1e-5)


@pytest.mark.parametrize(("num_epochs", "is_refused"), [(9, True), (10, False)])
def test_it_needs_ten_epochs_by_default(num_epochs, is_refused):
    scenario = vfl.Scenario(
        attacks=[vfl.PartyTransform(), LearnedMessage()],
        poison=vfl.PoisonPlan(trigger=vfl.protocol.EmbeddingTrigger(), rate=0.0, num_targets=50),
    )
    if is_refused:
        with pytest.raises(ValueError, match="at_epochs"):
            scenario.check_epochs(num_epochs)
    else:
        scenario.check_epochs(num_epochs)
        assert scenario.acts_between(0, num_epochs)


@needs_data
@pytest.mark.long
def test_its_message_is_stronger_than_the_mean_of_rows_of_the_target_class():
    """Of about the length of an honest one, by a party with 7 % of the features that trains honestly."""
    attacks = {name: ATTACKS[name] for name in ("BASL", "CentroidReplay", "LearnedMessage-quiet")}
    found = vfl.arena(attacks, {}, {"it": BOARDS["handwritten"]()}, seeds=2)[SUCCESS].sel(defense="none", data="it")
    assert (
        float(found.sel(attack=["BASL", "CentroidReplay"]).max())
        < 0.05
        < float(found.sel(attack="LearnedMessage-quiet").min())
    )

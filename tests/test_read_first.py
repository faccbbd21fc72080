"""Inference, then an attack: what a reader guessed is known to the others, and the reader itself is told no more."""

import flax.struct
import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import says

import vfl_jax as vfl
from vfl_jax.attacks import BASL, LearnedMessage, PooledInference, ReadFirst, RegressionInference
from vfl_jax.attacks.read_first import told
from vfl_jax.protocol.hooks import run_epoch_hook, run_hook
from vfl_jax.protocol.methods import needs_of
from vfl_jax.protocol.transforms import Attack
from vfl_jax.protocol.triggers import EmbeddingTrigger

N, B, TAU = 12, 6, 2
PARAMS = {"kernel": jnp.asarray(helpers.normal(2, 3, seed=5))}
GUESSES = (2, 0, 2, 1, -1, 2, 0, 0, 1, -1, 2, 2)
AT = (0,)


@flax.struct.dataclass
class Read:
    guesses: jax.Array
    num_known: jax.Array


class Says(Attack):
    """Guesses what a test says, and counts the labels that it is told."""

    at_epochs = AT

    def init(self, key, shapes, party):
        return Read(jnp.full(N, -1, jnp.int32), jnp.int32(0))

    def on_epoch(self, key, state, view, params):
        return params, Read(jnp.asarray(GUESSES, jnp.int32), self.count(view))

    def on_upload(self, key, state, view, embedding):
        return embedding, state.replace(num_known=self.count(view))

    def count(self, view):
        return (view.knowledge.known_labels >= 0).sum(dtype=jnp.int32)


def granted():
    """Row 0 is known to be of τ, and row 2 to be of another class, whatever is guessed of it."""
    known = np.full(N, -1, np.int32)
    known[[0, 2]] = TAU, 1
    return helpers.knowledge(N, target_class=TAU).replace(known_labels=jnp.asarray(known))


def sent(method, knowledge, begins=True):
    """(what is sent for rows 0 to 5 after the first epoch hook, the state)."""
    shapes = helpers.shapes_of(num_samples=N, num_classes=3, batch_rows=B, widths=(3,))
    key_start, key_epoch, key_step = jax.random.split(jax.random.key(0), 3)
    state = method.init_with_params(key_start, shapes, 0, PARAMS)
    if begins:
        between = helpers.party_epoch_view(N, PARAMS, knowledge, due=frozenset({AT}))
        between = between.replace(forward=lambda rows, params=PARAMS: rows @ params["kernel"])
        _, state = run_epoch_hook(method, key_epoch, state, between, PARAMS)
    ids = jnp.arange(B)
    view = helpers.party_view(ids, jnp.zeros(B, jnp.int32), knowledge=knowledge)
    return run_hook(method, "on_upload", key_step, state, view, jnp.asarray(helpers.normal(B, 3, seed=1)))


@pytest.mark.parametrize("attack", [BASL(at_epochs=AT, num_kept=3), LearnedMessage(at_epochs=AT)])
def test_an_attack_acts_as_if_it_had_been_told_what_was_read(attack):
    """Rows 0 and 5 are overwritten: the one is known to be of τ, the other guessed; of row 2 it is known better."""
    before = jnp.asarray(helpers.normal(B, 3, seed=1))
    changed, state = sent(ReadFirst(parts=(Says(), attack)), granted())
    told_all = granted().replace(known_labels=jnp.asarray([TAU, 0, 1, *GUESSES[3:]], jnp.int32))
    alone, _ = sent(attack, told_all)
    np.testing.assert_array_equal(changed, alone)
    assert np.flatnonzero((changed != before).any(axis=1)).tolist() == [0, 5]
    assert int(state[0].num_known) == 2  # the reader is told no more than the scenario grants


def test_before_the_reader_has_read_the_others_know_what_the_scenario_grants():
    attack = LearnedMessage(at_epochs=AT)
    changed, state = sent(ReadFirst(parts=(Says(), attack)), granted(), begins=False)
    np.testing.assert_array_equal(changed, helpers.normal(B, 3, seed=1))
    assert (np.asarray(state[0].guesses) == -1).all()


def test_gradients_of_guessed_rows_are_kept_from_the_own_model():
    """As BASL does with the rows that it was told: it does not train on what it overwrote."""
    chain, knowledge = ReadFirst(parts=(Says(), BASL(at_epochs=AT, num_kept=3))), granted()
    _, state = sent(chain, knowledge)
    gradient = jnp.asarray(helpers.normal(B, 3, seed=2))
    view = helpers.party_view(jnp.arange(B), jnp.zeros(B, jnp.int32), knowledge=knowledge)
    kept, _ = run_hook(chain, "on_download", jax.random.key(1), state, view, gradient)
    assert np.flatnonzero((kept == 0).all(axis=1)).tolist() == [0, 5]


@pytest.mark.long
def test_who_reads_first_overwrites_far_more_rows_than_he_was_told():
    """On digits, with a real reader: ten rows of τ are told, and nearly all of it are overwritten."""
    plan = vfl.PoisonPlan(trigger=EmbeddingTrigger(), rate=0.0, num_targets=10, num_known=10)
    study = vfl.board_for(vfl.load_digits(), epochs=6, learning_rate=0.3).scenario.replace(poison=plan)
    found = {}
    for name, parts in {"told": (), "read": (RegressionInference(at_epochs=(3,)),)}.items():
        basl = BASL(at_epochs=(3,))
        attack = ReadFirst(parts=(*parts, basl)) if parts else basl
        attacked = study.replace(attacks=(vfl.PartyTransform(), attack))
        results = vfl.sweep(attacked, vfl.load_digits(), {}, seeds=1, epochs=6, progress=False)
        found[name] = results.isel(epoch=-1, seed=0)
    share = (np.asarray(vfl.load_digits().train.labels) == plan.target_class).mean()
    assert float(found["told"]["poisoned_rate"]) == pytest.approx(10 / 1437, abs=1e-4)
    assert float(found["read"]["poisoned_rate"]) == pytest.approx(share, abs=0.03)
    assert float(found["read"]["poisoned_purity"]) > 0.8


def test_a_guess_below_0_is_none_and_a_label_that_is_told_stands():
    assert told(granted(), jnp.full(N, -2, jnp.int32)).known_labels.tolist() == granted().known_labels.tolist()
    knowledge = told(granted(), jnp.asarray(GUESSES, jnp.int32))
    assert knowledge.known_labels.tolist() == [TAU, 0, 1, *GUESSES[3:]]
    assert knowledge.is_target.tolist() == [label == TAU for label in (TAU, 0, 1, *GUESSES[3:])]


def test_it_needs_what_its_parts_need():
    needs = needs_of(ReadFirst(parts=(PooledInference(at_epochs=AT), BASL(at_epochs=AT))))
    assert (needs.num_targets, needs.num_known, needs.trigger) == (500, 4, "message")


def test_misuse_is_refused_by_name():
    with pytest.raises(ValueError, match=says("ReadFirst.parts has 1", "a reader of labels")):
        ReadFirst(parts=(PooledInference(),)).check(helpers.shapes_of(), 1, by_role=False)
    for reader, acts in (((-1,), (-21, -11)), ((9,), (8,))):
        late = ReadFirst(parts=(RegressionInference(at_epochs=reader), BASL(at_epochs=acts)))
        with pytest.raises(ValueError, match=says("RegressionInference, which reads", "after BASL has begun")):
            late.check(helpers.shapes_of(), 1, by_role=False)
    ReadFirst(parts=(RegressionInference(at_epochs=(-5,)), BASL(at_epochs=(8,)))).check(helpers.shapes_of(), 1, False)
    with pytest.raises(ValueError, match=says("ReadFirst.parts.0 is BASL", "no guesses")):
        sent(ReadFirst(parts=(BASL(at_epochs=AT), LearnedMessage(at_epochs=AT))), granted())

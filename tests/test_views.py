"""What methods see, and what the functions of their views compute: checked by hand, un-jitted, view by view."""

import functools
import itertools
import types
from typing import ClassVar

import chex
import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vfl_jax import replica as replica_api
from vfl_jax.core.bags import BagOfIds, multi_hot
from vfl_jax.data import FeatureTrigger, PixelTrigger
from vfl_jax.models import MLP, DenseHead, Linear
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.chains import PartyChain
from vfl_jax.protocol.knowledge import ORDINARY, POISON, TARGET
from vfl_jax.protocol.transforms import ActiveAttack, ActiveTransform, Attack, PartyTransform
from vfl_jax.protocol.triggers import EmbeddingTrigger, NaturalTrigger
from vfl_jax.replica import capabilities
from vfl_jax.replica.draws import Draws
from vfl_jax.replica.preparation import Inputs
from vfl_jax.replica.state import Batch, Streams, TrainState
from vfl_jax.scenario import PoisonPlan, Scenario
from vfl_jax.sweeps.sweep import run, sweep

C, B = helpers.NUM_CLASSES, 8
IDS = np.array([5, 0, 41, 17, 30, 2, 11, 26])
POISONED = (3, 5, 17, 26, 30)
PLAN = {"trigger": FeatureTrigger(party=1, index=0, value=9.0)}


class Keeping:
    """Keeps the views and values that its hooks get, un-jitted, by hook, in ``seen``."""

    inference_batch = None
    seen: ClassVar[dict] = {}

    def _keep(self, hook, view, value):
        self.seen[type(self).__name__, hook] = view, value

    def on_features(self, key, state, view, features):
        self._keep("on_features", view, features)
        return features, state

    def on_upload(self, key, state, view, embedding):
        self._keep("on_upload", view, embedding)
        return embedding, state

    def on_download(self, key, state, view, gradient):
        self._keep("on_download", view, gradient)
        return gradient, state

    def on_epoch(self, key, state, view, params):
        self._keep("on_epoch", view, params)
        return params, state

    def infer_upload(self, key, state, view, embedding):
        self._keep("infer_upload", view, embedding)
        return embedding


class KeepingAttack(Keeping, Attack):
    """Test only."""


class KeepingParty(Keeping, PartyTransform):
    """Test only."""


class Halved(Attack):
    """Test only: feeds other rows to its own model."""

    def on_features(self, key, state, view, features):
        return -0.5 * features, state


class ActiveKeeping:
    """The same at the active party."""

    inference_batch = None
    seen = Keeping.seen

    def _keep(self, hook, view, value):
        self.seen[type(self).__name__, hook] = view, value

    def on_receive(self, key, state, view, embeddings):
        self._keep("on_receive", view, embeddings)
        return embeddings, state

    def on_labels(self, key, state, view, targets):
        self._keep("on_labels", view, targets)
        return targets, state

    def on_send(self, key, state, view, gradients):
        self._keep("on_send", view, gradients)
        return gradients, state

    def on_epoch(self, key, state, view, params):
        self._keep("on_epoch", view, params)
        return params, state

    def infer_receive(self, key, state, view, embeddings):
        self._keep("infer_receive", view, embeddings)
        return embeddings

    def infer_logits(self, key, state, view, logits):
        self._keep("infer_logits", view, logits)
        return logits


class KeepingDefense(ActiveKeeping, ActiveTransform):
    """Test only."""


class KeepingActiveAttack(ActiveKeeping, ActiveAttack):
    """Test only: also adds 1 to what arrives."""

    def on_receive(self, key, state, view, embeddings):
        self._keep("on_receive", view, embeddings)
        return tuple(e + 1.0 for e in embeddings), state


class Squeezed(ActiveTransform):
    """Test only: a part of the loss with a parameter, a penalty, and noise."""

    stddev: float = 0.0

    def init_params(self, key, shapes):
        return {"gain": jnp.linspace(0.5, 1.5, shapes.widths[-1], dtype=jnp.float32)}

    def on_embed(self, params, key, view, embeddings):
        noise = self.stddev * jax.random.normal(key, embeddings[-1].shape) if view.is_training else 0.0
        last = jnp.tanh(embeddings[-1] * params["gain"][None] + noise)
        return (*embeddings[:-1], last), 0.1 * jnp.mean(last**2)


class SqueezedKeeping(KeepingDefense):
    """Test only: both."""

    stddev: float = 0.0
    init_params = Squeezed.init_params
    on_embed = Squeezed.on_embed


def scenario_of(attacks=None, **fields):
    attacks = (KeepingParty(), KeepingAttack()) if attacks is None else attacks
    fields = {"head": DenseHead(hidden=(4,)), "batch_size": B, "poison_ids": POISONED} | fields
    fields["plan"] = fields.get("plan", PLAN)
    return helpers.scenario_of([MLP(hidden=(4,), width=C)] * 2, [Optimizer(learning_rate=0.1)] * 2, attacks, **fields)


def one_step(scenario, data, ids=IDS, roles=None, epoch=5, number=11, seed=0):
    """Un-jitted, so that what is kept are arrays: (replica, state, info); ``Keeping.seen`` has the views."""
    Keeping.seen.clear()
    replica = helpers.replica(scenario, data, seed=seed)
    batch = replica_api.batch(replica.one, ids, roles)
    return (replica, *replica_api.step(replica.one, replica.state, batch, epoch, number))


def seen(kind, hook):
    return Keeping.seen[kind.__name__, hook]


def mlp(params, x):
    """The bottom model by hand."""
    hidden = x @ params["dense_0"]["kernel"] + params["dense_0"]["bias"][None]
    return jnp.maximum(hidden, 0.0) @ params["dense_1"]["kernel"] + params["dense_1"]["bias"][None]


@pytest.fixture(scope="module")
def stepped():
    data = helpers.table_data()
    return data, *one_step(scenario_of(defense=KeepingDefense()), data), dict(Keeping.seen)


@pytest.mark.long
def test_forward_is_the_partys_own_model_with_its_parameters_or_others(stepped):
    _, replica, _, _, kept = stepped
    for k, kind in enumerate((KeepingParty, KeepingAttack)):
        view, embedding = kept[kind.__name__, "on_upload"]
        np.testing.assert_allclose(view.forward(view.features), embedding, rtol=1e-6)
        np.testing.assert_allclose(embedding, mlp(replica.state.params[k], view.features), rtol=1e-5)
        others = jax.tree.map(lambda leaf: 0.5 * leaf + 0.1, view.params)
        found = view.forward(view.features[:3], params=others)
        np.testing.assert_allclose(found, mlp(others, view.features[:3]), rtol=1e-5, atol=1e-6)


def test_rows_are_the_partys_own_table_stamped_as_the_batches_are(stepped):
    data, _, _, _, kept = stepped
    for k, kind in enumerate((KeepingParty, KeepingAttack)):
        view, _ = kept[kind.__name__, "on_features"]
        expected = data.train.features[k].copy()
        if k == 1:
            expected[list(POISONED), 0] = 9.0
        np.testing.assert_array_equal(view.rows(jnp.arange(48)), expected)
        np.testing.assert_array_equal(view.rows(view.sample_ids), view.features)
        np.testing.assert_array_equal(view.features, expected[IDS])


def test_time_in_views(stepped):
    *_, kept = stepped
    for view, _ in kept.values():
        assert (int(view.epoch), int(view.step)) == (5, 11)
        assert view.epoch.dtype == view.step.dtype == np.int32


@pytest.mark.parametrize("changed", [False, True])
def test_pull_back_is_the_gradient_by_the_rows_that_were_fed(changed):
    data = helpers.table_data()
    attacker = PartyChain(parts=(Halved(), KeepingAttack())) if changed else KeepingAttack()
    one_step(scenario_of((PartyTransform(), attacker)), data)
    view, gradient = seen(KeepingAttack, "on_download")
    fed = (-0.5 if changed else 1.0) * view.features
    np.testing.assert_allclose(seen(KeepingAttack, "on_upload")[1], mlp(view.params, fed), rtol=1e-5)
    expected = jax.grad(lambda x: (mlp(view.params, x) * gradient).sum())(fed)
    assert np.abs(expected).max() > 1e-4
    for hook in ("on_upload", "on_download"):
        np.testing.assert_allclose(seen(KeepingAttack, hook)[0].pull_back(gradient), expected, rtol=1e-5, atol=1e-8)


def test_pull_back_refuses_bags():
    data = helpers.bag_data()
    scenario = helpers.scenario_of(
        [Linear(width=C)] * 2, [Optimizer()] * 2, (PartyTransform(), KeepingAttack()), batch_size=B
    )
    one_step(scenario, data)
    with pytest.raises(ValueError, match="bags of ids"):
        seen(KeepingAttack, "on_upload")[0].pull_back(jnp.ones((B, C)))


@pytest.mark.parametrize(("index", "weighted"), [(5, False), ((5, 1), False), ((-12, 5, 7), True)])
def test_rows_and_stamps_of_bags(index, weighted):
    """As multi-hot rows: entries set, everything else left; id 0 where it is named, and only there."""
    data = helpers.bag_data(weighted=weighted)
    plan = {"trigger": FeatureTrigger(party=1, index=index, value=2.0)}
    fields = {"batch_size": B, "poison_ids": POISONED, "plan": plan}
    attacks = (PartyTransform(), KeepingAttack())
    one_step(helpers.scenario_of([Linear(width=C)] * 2, [Optimizer()] * 2, attacks, **fields), data)
    view, _ = seen(KeepingAttack, "on_features")
    table = multi_hot(data.train.features[1])
    places = np.atleast_1d(index) % 12
    expected, everyone = table.copy(), table[IDS].copy()
    expected[np.ix_(POISONED, places)] = 2.0
    everyone[:, places] = 2.0
    np.testing.assert_allclose(multi_hot(view.rows(view.sample_ids)), expected[IDS])
    np.testing.assert_allclose(multi_hot(view.features), expected[IDS])
    layer, (view, embedding) = view.params["dense_0"], seen(KeepingAttack, "on_upload")
    by_hand = expected[IDS] @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])
    for found in (view.forward(view.features), view.forward(view.rows(view.sample_ids)), embedding):
        np.testing.assert_allclose(found, by_hand, rtol=1e-5, atol=1e-5)
    half = np.arange(B) % 2 == 0
    plain = jax.tree.map(lambda leaf: jnp.asarray(leaf[IDS]), data.train.features[1])
    stamped = view.stamp(plain, jnp.asarray(half))
    assert isinstance(stamped, BagOfIds)
    np.testing.assert_allclose(multi_hot(stamped), np.where(half[:, None], everyone, table[IDS]))


def test_rows_of_images_carry_their_part_of_a_trigger():
    data = helpers.image_data()
    pixels = ((0, 0), (5, 5))
    plan = {"trigger": PixelTrigger(pixels=pixels, value=7.0)}
    one_step(scenario_of(plan=plan), data)
    for k, kind in enumerate((KeepingParty, KeepingAttack)):
        view, _ = seen(kind, "on_features")
        expected = data.train.features[k].copy()
        place = (0, 0) if k == 0 else (2, 5)
        expected[(list(POISONED), *place)] = 7.0
        np.testing.assert_array_equal(view.rows(jnp.arange(48)), expected)


def test_an_attack_stamps_the_attack_trigger_and_nobody_else_can():
    data = helpers.table_data()
    plan = {"trigger": NaturalTrigger(), "attack_trigger": FeatureTrigger(party=1, index=(0, 2), value=4.0)}
    one_step(scenario_of(plan=plan), data)
    view, _ = seen(KeepingAttack, "on_upload")
    np.testing.assert_array_equal(view.rows(view.sample_ids), data.train.features[1][IDS])  # carried by nature
    marked = np.arange(B) < 3
    expected = data.train.features[1][IDS].copy()
    expected[:3, [0, 2]] = 4.0
    np.testing.assert_array_equal(view.stamp(view.features, jnp.asarray(marked)), expected)
    assert seen(KeepingParty, "on_upload")[0].stamp is None
    one_step(scenario_of(plan={"trigger": NaturalTrigger()}), data)
    assert seen(KeepingAttack, "on_upload")[0].stamp is None


def test_a_trigger_in_the_embedding_changes_no_feature():
    data = helpers.table_data()
    plan = {"trigger": EmbeddingTrigger(), "rate": 0.25}
    one_step(scenario_of(plan=plan, poison_ids=None), data)
    view, _ = seen(KeepingAttack, "on_upload")
    assert int(view.knowledge.is_poison.sum()) == 12
    np.testing.assert_array_equal(view.features, data.train.features[1][IDS])
    np.testing.assert_array_equal(view.rows(jnp.arange(48)), data.train.features[1])
    assert view.stamp is None  # there is nothing to stamp on features


# The active party


def messages_by_hand(replica, embeddings, targets, gain=None):
    """The gradients at what arrived, of the mean cross-entropy against any targets, with or without ``Squeezed``."""

    def loss(embeddings):
        penalty = 0.0
        if gain is not None:
            last = jnp.tanh(embeddings[-1] * gain[None])
            embeddings, penalty = (*embeddings[:-1], last), 0.1 * (last**2).mean()
        logits = replica.scenario.head.apply(replica.state.head_params, embeddings, C)
        return -(targets * jax.nn.log_softmax(logits)).sum(axis=-1).mean() + penalty

    return jax.grad(loss)(tuple(embeddings))


SOFT = jax.nn.softmax(jnp.asarray(helpers.normal(B, C, seed=5)))


@pytest.mark.parametrize("squeezed", [False, True])
def test_gradients_are_the_messages_had_the_targets_been_these(squeezed):
    data = helpers.table_data()
    defense, kind = (SqueezedKeeping(), SqueezedKeeping) if squeezed else (KeepingDefense(), KeepingDefense)
    replica, *_ = one_step(scenario_of(defense=defense), data)
    gain = replica.state.method_params[1]["gain"] if squeezed else None
    truth = jnp.asarray(np.eye(C, dtype=np.float32)[data.train.labels[IDS]])
    sent = seen(kind, "on_send")[1]
    assert len(sent) == 2  # the label holder has no features
    for hook in ("on_receive", "on_labels", "on_send"):
        view, _ = seen(kind, hook)
        helpers.assert_bitwise_equal(view.gradients(truth), sent)
        for targets in (truth, SOFT):
            expected = messages_by_hand(replica, view.embeddings, targets, gain)
            chex.assert_trees_all_close(view.gradients(targets), expected, rtol=1e-4, atol=1e-7)
    for k, party in enumerate((KeepingParty, KeepingAttack)):
        np.testing.assert_array_equal(seen(party, "on_download")[1], sent[k])


class Resending(Squeezed):
    """Test only: sends what its view says would go out."""

    def on_send(self, key, state, view, gradients):
        return view.gradients(jax.nn.one_hot(view.labels, C)), state


def test_gradients_are_those_of_this_steps_noise():
    """The one message that goes out, not another draw of it; in a compiled step, too."""
    data, honest = helpers.table_data(), (PartyTransform(), Attack())
    found = []
    for stddev, defense in itertools.product((0.5, 0.0), (Squeezed, Resending)):
        replica = helpers.replica(scenario_of(honest, defense=defense(stddev=stddev)), data)
        found.append(replica.step(IDS)[0].params)
    chex.assert_trees_all_close(found[0], found[1], rtol=1e-5, atol=1e-7)
    chex.assert_trees_all_close(found[2], found[3], rtol=1e-5, atol=1e-7)
    assert not np.allclose(found[0][1]["dense_0"]["kernel"], found[2][1]["dense_0"]["kernel"], atol=1e-4)


def test_embeddings_are_those_that_arrived_and_then_those_that_were_kept():
    data = helpers.table_data(active_party=0)
    replica, *_ = one_step(
        scenario_of(active_attack=KeepingActiveAttack(), defense=KeepingDefense()),
        data,
    )
    arrived = [seen(kind, "on_upload")[1] for kind in (KeepingParty, KeepingAttack)]
    kept = [arrived[0], arrived[1] + 1.0]  # the active party's own message crosses no channel
    for kind in (KeepingActiveAttack, KeepingDefense):
        for hook, expected in {"on_receive": arrived, "on_labels": kept, "on_send": kept}.items():
            view, _ = seen(kind, hook)
            helpers.assert_bitwise_equal(view.embeddings, tuple(expected))
            logits = replica.scenario.head.apply(replica.state.head_params, tuple(expected), C)
            np.testing.assert_array_equal(view.logits(view.embeddings), logits)
            (message,) = view.gradients(SOFT)
            np.testing.assert_allclose(message, messages_by_hand(replica, expected, SOFT)[1], rtol=1e-4, atol=1e-7)
    assert len(seen(KeepingDefense, "on_send")[1]) == 1


# At inference


class Shifted(ActiveAttack):
    """Test only: adds 1 to what arrives of test rows."""

    def infer_receive(self, key, state, view, embeddings):
        return tuple(e + 1.0 for e in embeddings)


def test_views_at_inference():
    data = helpers.table_data(active_party=0)
    scenario = scenario_of(active_attack=Shifted(), defense=KeepingDefense())
    replica, *_ = one_step(scenario, data)
    is_valid = jnp.arange(20) < 17
    replica_api.predict(replica.one, replica.state, data.test.features, jax.random.key(1), is_valid=is_valid)
    sent = []
    for k, kind in enumerate((KeepingParty, KeepingAttack)):
        view, embedding = seen(kind, "infer_upload")
        np.testing.assert_array_equal(view.features, data.test.features[k])
        np.testing.assert_array_equal(view.forward(view.features), embedding)
        np.testing.assert_allclose(embedding, mlp(replica.state.params[k], data.test.features[k]), rtol=1e-5, atol=1e-6)
        sent.append(embedding)
    for hook, expected in {"infer_receive": sent, "infer_logits": [sent[0], sent[1] + 1.0]}.items():
        view, value = seen(KeepingDefense, hook)
        np.testing.assert_array_equal(view.is_valid, is_valid)
        helpers.assert_bitwise_equal(view.embeddings, tuple(expected))
        logits = replica.scenario.head.apply(replica.state.head_params, tuple(expected), C)
        np.testing.assert_array_equal(view.logits(view.embeddings), logits)
    np.testing.assert_array_equal(value, logits)


class CountingRows(ActiveTransform):
    """Test only: answers with the number of valid rows that it sees together."""

    inference_batch = 3

    def infer_logits(self, key, state, view, logits):
        return jnp.zeros_like(logits) + jnp.sum(view.is_valid, dtype=jnp.float32)


def test_rows_that_fill_up_the_last_batch_are_not_valid():
    data = helpers.table_data()  # with 20 test rows
    replica = helpers.replica(scenario_of((PartyTransform(), Attack()), defense=CountingRows()), data)
    found = replica_api.predict(replica.one, replica.state, data.test.features, jax.random.key(1))
    assert found[:, 0].tolist() == [3.0] * 18 + [2.0] * 2


def equations(jaxpr):
    """The number of equations of a program, of those inside others, too."""
    inner = [leaf for eqn in jaxpr.eqns for leaf in jax.tree.leaves(eqn.params, is_leaf=lambda p: hasattr(p, "eqns"))]
    return len(jaxpr.eqns) + sum(equations(getattr(p, "jaxpr", p)) for p in inner if hasattr(p, "eqns"))


def test_functions_that_nobody_calls_cost_nothing(monkeypatch):
    """The program of a step is the same where views have no functions at all."""
    data = helpers.table_data()
    replica = helpers.replica(scenario_of((PartyTransform(), Attack()), defense=ActiveTransform()), data)

    def program():
        step = functools.partial(replica_api.step, replica.one)
        return jax.make_jaxpr(step)(replica.state, replica_api.batch(replica.one, IDS)).jaxpr

    whole = program()
    for name in ("forward_of", "pull_back_of", "own_rows", "own_stamp", "logits_of", "gradients_of"):
        monkeypatch.setattr(capabilities, name, lambda *arguments: None)
    assert equations(whole) == equations(program()) > 100


# Between epochs


class AnotherKeepingAttack(KeepingAttack):
    """Test only."""


def test_views_between_epochs():
    """The party's own model with the parameters that the epoch left, its table and trigger, its class; the head."""
    data = helpers.table_data()
    plan = {"trigger": FeatureTrigger(party=1, index=0, value=9.0), "party_targets": (2, 0)}
    attacks, ids = (AnotherKeepingAttack(), KeepingAttack()), jnp.arange(48)
    fields = {"plan": plan, "target_ids": (2, 6, 8), "defense": KeepingDefense()}
    replica, state, _ = one_step(scenario_of(attacks, **fields), data)
    replica_api.between_epochs(replica.one, state, 3, 7)
    predicted = replica_api.predict(replica.one, state, data.test.features, jax.random.key(0))
    for k, kind in enumerate((AnotherKeepingAttack, KeepingAttack)):
        view, params = seen(kind, "on_epoch")
        assert (int(view.epoch), int(view.num_epochs)) == (3, 7)
        np.testing.assert_array_equal(view.sample_ids, ids)
        expected = data.train.features[k].copy()
        if k == 1:
            expected[list(POISONED), 0] = 9.0
        np.testing.assert_array_equal(view.rows(ids), expected)
        np.testing.assert_allclose(view.forward(view.rows(ids)), mlp(state.params[k], expected), rtol=1e-5, atol=1e-6)
        halved = jax.tree.map(lambda leaf: 0.5 * leaf, params)
        found = view.forward(expected, params=halved)
        np.testing.assert_allclose(found, mlp(halved, expected), rtol=1e-5, atol=1e-6)
        marked = view.stamp(jnp.asarray(data.train.features[k]), ids < 48)
        assert (np.asarray(marked)[:, 0] == 9.0).all() == (k == 1)
        for hook in ("on_upload", "on_epoch", "infer_upload"):
            known = seen(kind, hook)[0].knowledge
            assert int(known.target_class) == plan["party_targets"][k], hook
            assert np.flatnonzero(known.is_target).tolist() == ([2, 8] if k == 0 else [6]), hook
    view, head = seen(KeepingDefense, "on_epoch")
    np.testing.assert_array_equal(view.labels, data.train.labels)
    sent = tuple(mlp(state.params[k], data.test.features[k]) for k in range(2))
    np.testing.assert_allclose(view.logits(sent), predicted, rtol=1e-4, atol=1e-5)
    doubled = jax.tree.map(lambda leaf: 2.0 * leaf, head)
    expected = replica.scenario.head.apply(doubled, sent, C)
    np.testing.assert_allclose(view.logits(sent, params=doubled), expected, rtol=1e-5)


# In programs


class Calling(Attack):
    """Test only: calls all that its view offers, and reports a number of each."""

    factor: float = 1.0

    def init(self, key, shapes, party):
        return dict.fromkeys(("forward", "rows", "stamp", "pull_back", "between"), jnp.float32(0))

    def on_upload(self, key, state, view, embedding):
        marked = view.stamp(self.factor * view.features, view.sample_ids % 2 == 0)
        halved = jax.tree.map(lambda leaf: 0.5 * leaf, view.params)
        found = {
            "forward": view.forward(marked, params=halved),
            "rows": view.rows(jnp.flip(view.sample_ids)),
            "stamp": marked,
            "pull_back": view.pull_back(self.factor * embedding),
        }
        return embedding, state | {name: value.mean() for name, value in found.items()}

    def on_epoch(self, key, state, view, params):
        return params, state | {
            "between": view.forward(view.stamp(view.rows(view.sample_ids[:4]), jnp.arange(4) < 2)).mean()
        }

    def report(self, state):
        return state


class CallingDefense(ActiveTransform):
    """Test only: the same at the active party."""

    factor: float = 1.0

    def init(self, key, shapes):
        return dict.fromkeys(("logits", "gradients", "head"), jnp.float32(0))

    def on_send(self, key, state, view, gradients):
        others = view.gradients(jnp.roll(jax.nn.one_hot(view.labels, C), 1, axis=1))
        logits = view.logits(tuple(self.factor * e for e in view.embeddings))
        return gradients, state | {"gradients": jnp.abs(others[-1]).mean(), "logits": logits[:, 0].mean()}

    def on_epoch(self, key, state, view, params):
        logits = view.logits((jnp.ones((2, C)),) * 2, params=jax.tree.map(lambda leaf: self.factor * leaf, params))
        return params, state | {"head": logits[:, 0].mean()}

    def report(self, state):
        return state


@pytest.mark.long
def test_functions_of_views_work_over_seeds_and_a_grid():
    """A point of the grid is the run of its scenario alone."""
    data, over = helpers.table_data(), {"attacks.1.factor": [1.0, -2.0], "defense.factor": [0.5, 3.0]}
    scenario = scenario_of((PartyTransform(), Calling()), defense=CallingDefense())
    found = sweep(scenario, data, over, 2, 2, progress=False).isel({"attacks.1.factor": 1, "defense.factor": 1})
    alone = scenario.replace(attacks=(PartyTransform(), Calling(factor=-2.0)), defense=CallingDefense(factor=3.0))
    expected, _ = run(alone, data, jax.random.key(1), 2)
    for name in ("forward", "rows", "stamp", "pull_back", "between", "logits", "gradients", "head"):
        assert np.abs(expected[name]).min() > 1e-5, name
        np.testing.assert_allclose(found[name].sel(seed=1), expected[name], rtol=1e-3, atol=1e-5, err_msg=name)


# What is withheld


def test_only_attacks_see_what_is_attackers():
    data = helpers.table_data()
    roles = np.array([0, 0, 0, 0, 0, 0, POISON, TARGET])
    scenario = scenario_of(active_attack=KeepingActiveAttack(), defense=KeepingDefense())
    replica, state, _ = one_step(scenario, data, roles=roles)
    replica_api.between_epochs(replica.one, state, 1, 3)
    attacked = jnp.arange(20) < 7
    replica_api.predict(replica.one, state, data.test.features, jax.random.key(1), is_attacked=attacked)
    for (kind, hook), (view, _) in Keeping.seen.items():
        is_attack = kind in ("KeepingAttack", "KeepingActiveAttack")
        assert (view.knowledge is not None) == is_attack, (kind, hook)
        if hasattr(view, "roles"):
            np.testing.assert_array_equal(view.roles, roles if is_attack else np.full(B, ORDINARY))
        if hasattr(view, "stamp"):
            assert (view.stamp is not None) == is_attack
        if hasattr(view, "is_attacked"):
            np.testing.assert_array_equal(view.is_attacked, attacked if is_attack else np.zeros(20, bool))
    assert len(Keeping.seen) == 2 * 5 + 2 * 6


def reachable(thing):
    """Yields everything that code can reach from a thing without frames, globals or classes."""
    waiting, known = [thing], {}
    while waiting:
        item = waiting.pop()
        if id(item) in known or isinstance(item, type | types.ModuleType | str | bytes | int | float | None):
            continue
        known[id(item)] = item  # kept, so that no other thing gets its id
        yield item
        if isinstance(item, jax.Array | np.ndarray):
            continue
        if isinstance(item, types.MethodType):
            waiting += [item.__self__, item.__func__]
        if isinstance(item, functools.partial):
            waiting += [item.func, *item.args, *item.keywords.values()]
        if isinstance(item, types.FunctionType):
            waiting += [cell.cell_contents for cell in item.__closure__ or ()]
            waiting += [*(item.__defaults__ or ()), *(item.__kwdefaults__ or {}).values()]
        if isinstance(item, dict):
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, list | tuple | set | frozenset):
            waiting += list(item)
        waiting += list(getattr(item, "__dict__", {}).values())
        waiting += [getattr(item, name) for name in getattr(type(item), "__slots__", ()) if hasattr(item, name)]


def holds(thing, secrets):
    """The names of the secrets, arrays, that are among what can be reached; their one-hot rows count, too."""
    found = set()
    for item in reachable(thing):
        if not isinstance(item, jax.Array | np.ndarray):
            continue
        item = jax.random.key_data(item) if jnp.issubdtype(item.dtype, jax.dtypes.prng_key) else item
        for name, secret in secrets.items():
            forms = [secret, np.eye(C)[secret]] if name.endswith("labels") else [secret]
            if any(item.shape == form.shape and np.array_equal(item, form) for form in forms):
                found.add(name)
    return found


def test_the_walk_finds_what_is_planted():
    secret = np.arange(5, dtype=np.int32) % C
    one_hot = jnp.asarray(np.eye(C)[secret], jnp.float32)

    class Holder:
        def __init__(self):
            self.held = [{"deep": (secret,)}]

        def method(self):
            return self.held

    planted = [
        lambda: secret,
        lambda x=secret: x,
        functools.partial(max, key=lambda: one_hot),
        Holder().method,
        PoisonPlan().replace,
    ]
    found = [holds(plant, {"the labels": secret}) for plant in planted]
    assert found == [{"the labels"}] * 4 + [set()]


WHOLES = (Scenario, Inputs, Batch, TrainState, Draws, Streams)


def secrets_of(data, replica, scenario, party=None):
    """What no view of this party may lead to, with another party's things; None is the active party's defense."""
    leaves = {}
    for k in range(2):
        if k != party:
            leaves[f"features of {k}"] = data.train.features[k]
            leaves[f"rows of {k}"] = np.asarray(seen((KeepingParty, KeepingAttack)[k], "on_features")[0].features)
            for path, leaf in jax.tree_util.tree_leaves_with_path(replica.state.params[k]):
                leaves[f"parameter of {k}, {jax.tree_util.keystr(path)}"] = np.asarray(leaf)
    if party is not None:
        head = jax.tree_util.tree_leaves_with_path(replica.state.head_params)
        leaves |= {f"parameter of the head, {jax.tree_util.keystr(path)}": np.asarray(leaf) for path, leaf in head}
        leaves |= {"all labels": data.train.labels, "the batch's labels": data.train.labels[IDS]}
    else:
        known, streams = replica.knowledge, Streams.of(replica.draws.key)
        leaves |= {"poison rows": np.asarray(known.is_poison), "known labels?": np.asarray(known.known_labels)}
        leaves |= {"target class": np.asarray(known.target_class)}
        step, epoch = (jax.random.fold_in(streams.active_attack, number) for number in (11, np.uint32(2**32 - 3)))
        for name, key in {"stream": streams.active_attack, "step": step, "epoch": epoch}.items():
            leaves[f"attack's key, {name}"] = np.asarray(jax.random.key_data(key))
    return leaves


class KeepingInside(KeepingActiveAttack):
    """Test only: acts inside the loss by what it knows, so that its own view's functions do."""

    def on_embed(self, params, key, view, embeddings):
        if not view.is_training:
            return embeddings, jnp.float32(0.0)
        is_poison, _ = view.knowledge.find(view)
        return tuple(jnp.where(is_poison[:, None], 2.0 * h, h) for h in embeddings), jnp.float32(0.0)


@pytest.mark.parametrize("active_attack", [KeepingActiveAttack(), KeepingInside()], ids=["beside", "inside"])
@pytest.mark.parametrize("squeezed", [False, True])
def test_no_function_of_a_view_leads_to_what_is_anothers(squeezed, active_attack):
    """Closures, defaults, partials, records: the values themselves, because nothing is jitted here."""
    data = helpers.table_data()
    defense = SqueezedKeeping() if squeezed else KeepingDefense()
    scenario = scenario_of(
        active_attack=active_attack, defense=defense, plan=PLAN | {"target_class": 2}, target_ids=(2,)
    )
    replica, *_ = one_step(scenario, data)
    replica_api.between_epochs(replica.one, replica.state, 1, 3)
    replica_api.predict(replica.one, replica.state, data.test.features, jax.random.key(1))
    checked = 0
    for (name, hook), (view, _) in Keeping.seen.items():
        party = {"KeepingParty": 0, "KeepingAttack": 1}.get(name)
        if name == type(active_attack).__name__:
            if isinstance(active_attack, KeepingInside) and hook == "on_send":  # so the walk would have found it
                assert "poison rows" in holds(view, secrets_of(data, replica, scenario))
            continue
        secrets = secrets_of(data, replica, scenario, party)
        assert holds(view, secrets) == set(), (name, hook)
        wholes = [type(item).__name__ for item in reachable(view) if isinstance(item, WHOLES)]
        assert wholes == [], (name, hook)
        checked += 1
    assert checked == 2 * 5 + 6
    leaked = holds(replica.one, secrets_of(data, replica, scenario, 0))
    assert {"all labels", "features of 1"} <= leaked  # so the walk would have found them

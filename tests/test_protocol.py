"""One step against the joint model, differentiated as a whole; and who sees and touches what."""

import functools

import chex
import helpers
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import everyone, joint_gradient, loss_by_hand

from vfl_jax.attacks import ActivationBlurring, ActiveBackdoor, GradientReplacement, LabelReplacement, PairedReplacement
from vfl_jax.core.record import static
from vfl_jax.data import FeatureTrigger
from vfl_jax.defenses import Clipping, GaussianNoise, LaplaceNoise, Sparsification
from vfl_jax.models import CNN, MLP, DenseHead, Linear, SumHead
from vfl_jax.models.losses import Loss, MulticlassHinge, Regularizer, SoftmaxCrossEntropy
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.chains import ActiveChain, PartyChain
from vfl_jax.protocol.transforms import ActiveTransform, Attack, PartyTransform
from vfl_jax.replica import inference

C = helpers.NUM_CLASSES
IDS = np.array([5, 0, 41, 17, 30, 2, 11, 26])

HEADS = [SumHead(), DenseHead(hidden=()), DenseHead(hidden=(32,)), DenseHead(hidden=(16, 16))]
BOTTOMS = [
    Linear,
    functools.partial(MLP, hidden=(4,)),
    functools.partial(MLP, hidden=(4,), output_relu=True),
    functools.partial(CNN, channels=(2,)),
]
LOSSES = [SoftmaxCrossEntropy(), SoftmaxCrossEntropy(probability_clip=0.25), MulticlassHinge(margin=0.5)]
PENALTIES = [Regularizer(), Regularizer(penalty="l1", strength=0.05), Regularizer(penalty="l2", strength=0.5)]
# Two and four parties; a label holder without features, and one at either end.
ACTIVE_PARTIES = {2: (None, 1), 4: (0, None)}


def honest_scenario(i, num_parties):
    """Case i of 12: every head with every loss, both reductions; every loss with every penalty."""
    head, loss = HEADS[i % 4], LOSSES[i % 3].replace(reduction="sum" if i // 4 == 1 else "mean")
    # Parties differ in bottom, in width where the head allows it, and in learning rate.
    widths = [C if i % 4 == 0 else 2 + k for k in range(num_parties)]
    return helpers.scenario_of(
        [BOTTOMS[(i // 3 + k) % 4](width=width) for k, width in enumerate(widths)],
        [Optimizer(learning_rate=1.0 + k) for k in range(num_parties)],
        head=head,
        loss=loss,
        head_optimizer=Optimizer(learning_rate=0.5),
        regularizer=PENALTIES[(i + i // 3) % 3],
    )


@pytest.mark.parametrize("i", helpers.long_but(range(6), range(12)))
@pytest.mark.parametrize("num_parties", [2, 4])
def test_an_honest_step_equals_gradient_descent_on_the_joint_model(num_parties, i):
    """Rates of the order 1 make the updates as large as the parameters, so that rtol sees the gradient."""
    active_party = ACTIVE_PARTIES[num_parties][(i + i // 4) % 2]
    data = helpers.image_data(num_parties, active_party)
    replica = helpers.replica(honest_scenario(i, num_parties), data, seed=i)
    rows = helpers.at(data.train, IDS)
    (gradient, loss), (state, info) = (
        joint_gradient(replica.scenario, everyone(replica.state), rows.features, rows.labels),
        replica.step(IDS),
    )
    rates = [*(1.0 + k for k in range(num_parties)), 0.5]
    expected = tuple(
        jax.tree.map(lambda p, g, rate=rate: p - rate * g, params, slope)
        for params, slope, rate in zip(everyone(replica.state), gradient, rates, strict=True)
    )
    chex.assert_trees_all_close(everyone(state), expected, rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(info.loss, loss, rtol=1e-5)
    assert bool(info.is_finite)
    assert helpers.differs(state.params, replica.state.params)


def test_every_party_steps_its_own_optimizer(two_parties):
    """Momentum, Adam with a falling rate, SGD with weight decay, against optax by hand over two epochs."""
    optimizers = [
        Optimizer(kind="momentum", learning_rate=0.3, momentum=0.8),
        Optimizer(kind="adam", learning_rate=0.05, epoch_decay=0.5),
    ]
    scenario = helpers.scenario_of(
        [Linear(width=4), MLP(width=3)],
        optimizers,
        head_optimizer=Optimizer(learning_rate=0.2, weight_decay=0.4, epoch_decay=0.1),
        regularizer=PENALTIES[2],
    )

    @helpers.quick_jit
    def by_hand(params, states, gradient, epoch):
        epoch = epoch.astype(jnp.float32)
        transformations = (
            optax.sgd(0.3, momentum=0.8),
            optax.adam(0.05 * 0.5**epoch),
            optax.chain(optax.add_decayed_weights(0.4), optax.sgd(0.2 * 0.1**epoch)),
        )
        if states is None:
            states = [o.init(p) for o, p in zip(transformations, params, strict=True)]
        pairs = [o.update(*rest) for o, *rest in zip(transformations, gradient, states, params, strict=True)]
        updates, states = zip(*pairs, strict=True)
        return optax.apply_updates(params, updates), states

    replica = helpers.replica(scenario, two_parties)
    params, states = everyone(replica.state), None
    for t in range(4):
        epoch, ids = t // 2, (IDS + t) % 48
        rows = helpers.at(two_parties.train, ids)
        gradient, _ = joint_gradient(replica.scenario, params, rows.features, rows.labels)
        # optax's Adam mixes dtypes in its bias correction, which the suite's strict promotion forbids.
        with jax.numpy_dtype_promotion("standard"):
            params, states = by_hand(params, states, gradient, jnp.int32(epoch))
            replica = replica._replace(state=replica.step(ids, epoch=epoch, number=t)[0])
        chex.assert_trees_all_close(everyone(replica.state), params, rtol=1e-4, atol=2e-6)


class Mute(ActiveTransform):
    """Test only: nothing crosses, in either direction, in training or at inference."""

    def _mute(self, messages):
        return tuple(jnp.zeros_like(m) for m in messages)

    def on_receive(self, key, state, view, embeddings):
        return self._mute(embeddings), state

    def on_send(self, key, state, view, gradients):
        return self._mute(gradients), state

    def infer_receive(self, key, state, view, embeddings):
        return self._mute(embeddings)


def small(data, attacks=None, **fields):
    """Linear bottoms that sum up to the logits."""
    parties = range(data.num_parties)
    fields.setdefault("head", SumHead())
    return helpers.scenario_of(
        [Linear(width=C) for _ in parties], [Optimizer(learning_rate=1.0)] * len(parties), attacks, **fields
    )


def forward(params, features):
    """A linear bottom in NumPy."""
    flat = np.reshape(features, (len(features), -1))
    return flat @ np.asarray(params["dense_0"]["kernel"]) + np.asarray(params["dense_0"]["bias"])


def stepped(params, features, message):
    """Its parameters after a step of rate 1 down the gradient that a message pulls back."""
    flat = np.reshape(features, (len(features), -1))
    gradient = {"dense_0": {"kernel": flat.T @ message, "bias": message.sum(axis=0)}}
    return jax.tree.map(np.subtract, jax.device_get(params), gradient)


def message_of(logits, labels):
    """Under a mean softmax cross-entropy and a sum head, the gradient that every party receives."""
    odds = np.exp(logits)
    return (odds / odds.sum(axis=1, keepdims=True) - np.eye(C)[labels]) / len(labels)


@pytest.mark.parametrize("active_party", [None, 1])
def test_the_active_party_changes_only_what_crosses(active_party):
    """With every crossing message muted the label holder trains alone, on its own features."""
    data = helpers.image_data(4, active_party)
    replica = helpers.replica(small(data, defense=Mute()), data)
    state, info = replica.step(IDS)
    rows, params = helpers.at(data.train, IDS), replica.state.params
    own = np.zeros((8, C)) if active_party is None else forward(params[active_party], rows.features[active_party])
    np.testing.assert_allclose(info.loss, loss_by_hand(SoftmaxCrossEntropy(), own, rows.labels), rtol=1e-5)
    for k in range(4):
        mine = stepped(params[k], rows.features[k], message_of(own, rows.labels)) if k == active_party else params[k]
        chex.assert_trees_all_close(state.params[k], mine, rtol=1e-5, atol=1e-6 if k == active_party else 0)
    logits = inference.predict(replica.shapes, replica.scenario, replica.state, rows.features, jax.random.key(0))
    np.testing.assert_allclose(logits, own, rtol=1e-5, atol=1e-6)


def test_a_blurring_party_pulls_back_through_its_true_embedding(two_parties):
    """The label holder learns from zeros; the attacker uses what it gets back on what it really computed."""
    attacks = (PartyTransform(), ActivationBlurring(kind="zero", wait_for_target=False))
    replica = helpers.replica(small(two_parties, attacks, poison_ids=IDS[2:], target_ids=(3,)), two_parties)
    state, info = replica.step(IDS)
    rows, params = helpers.at(two_parties.train, IDS), replica.state.params
    embeddings = [forward(p, x) for p, x in zip(params, rows.features, strict=True)]
    embeddings[1][2:] = 0.0
    logits = sum(embeddings)
    np.testing.assert_allclose(info.loss, loss_by_hand(SoftmaxCrossEntropy(), logits, rows.labels), rtol=1e-5)
    for k in range(2):
        expected = stepped(params[k], rows.features[k], message_of(logits, rows.labels))
        chex.assert_trees_all_close(state.params[k], expected, rtol=1e-5, atol=1e-6)


def test_gradient_replacement_moves_the_attacker_alone(two_parties):
    """Its own pull-back has γ·g_rec in the poisoned rows, g_rec after the defense; all others step honestly."""
    attacks, defense = (PartyTransform(), GradientReplacement(amplify=7.0)), Clipping(by="value", bound=0.05)
    grant = {"poison_ids": IDS[:2], "target_ids": (30,)}
    replica = helpers.replica(small(two_parties, attacks, defense=defense, **grant), two_parties)
    state, _ = replica.step(IDS)
    rows, params = helpers.at(two_parties.train, IDS), replica.state.params
    logits = sum(forward(p, x) for p, x in zip(params, rows.features, strict=True))
    honest = np.clip(message_of(logits, rows.labels), -0.05, 0.05)
    replaced = honest.copy()
    replaced[:2] = 7.0 * honest[list(IDS).index(30)]
    for k, message in enumerate([honest, replaced]):
        expected = stepped(params[k], rows.features[k], message)
        chex.assert_trees_all_close(state.params[k], expected, rtol=1e-5, atol=1e-6)


class Spy(Attack):
    """Test only: keeps what it is told and shown, and feeds its bottom other features."""

    num_features: int = static()

    def init(self, key, shapes, party):
        rows = shapes.batch_rows
        shown = jnp.zeros((rows, self.num_features)), jnp.zeros(rows, jnp.int32), jnp.int32(0)
        return jnp.zeros(shapes.num_samples, bool), *shown, jnp.zeros((rows, shapes.widths[party]))

    def on_features(self, key, state, view, features):
        return features + 1.0, state

    def on_upload(self, key, state, view, embedding):
        return embedding, (view.knowledge.is_poison, view.features, view.sample_ids, view.step, embedding)


@pytest.mark.parametrize("poison_ids", [(2, 17), None], ids=["explicit", "drawn"])
def test_a_party_sees_its_own_stamped_rows(table, poison_ids):
    """The data is poisoned whether or not anyone attacks; what ``on_features`` returns goes into the bottom."""
    attacks = (Spy(num_features=5), Spy(num_features=3))
    plan = {"trigger": FeatureTrigger(party=1, index=-1, value=9.0), "rate": 0.25}
    replica = helpers.replica(small(table, attacks, poison_ids=poison_ids, batch_size=48, plan=plan), table)
    ids_of_all = np.random.default_rng(0).permutation(48)
    state, _ = replica.step(ids_of_all, number=6)
    poisoned = np.isin(np.arange(48), replica.draws.poison_ids)
    assert poisoned.sum() == (12 if poison_ids is None else 2)
    expected = [leaf.copy() for leaf in helpers.at(table.train, ids_of_all).features]
    expected[1][poisoned[ids_of_all], -1] = 9.0
    for k, (told, features, ids, step, embedding) in enumerate(state.attack_states):
        np.testing.assert_array_equal(told, poisoned)
        np.testing.assert_array_equal(features, expected[k])
        np.testing.assert_array_equal(ids, ids_of_all)
        assert int(step) == 6
        fed = forward(replica.state.params[k], expected[k] + 1.0)
        np.testing.assert_allclose(embedding, fed, rtol=1e-5, atol=1e-5)


class LabelBlind(Loss):
    """Test only: a loss whose value and gradient do not depend on the labels."""

    def rows(self, logits, targets):
        return jnp.square(logits).sum(axis=-1) + logits[:, 0]


GRANT = {"poison_ids": (4, 10, 11, 22, 35, 36), "target_ids": (0, 9)}
MODES = ["in_place", "appended_pair"]


def plan_of(mode):
    return {"mode": mode, "trigger": FeatureTrigger(party=1, index=0)}


def everything(data, enabled, mode, loss):
    """Every attack at party 1, every defense; with ``enabled`` 0 all of it at neutral numbers."""
    parts = [ActivationBlurring(kind="gaussian"), GradientReplacement(), LabelReplacement()]
    parts += [PairedReplacement()] if mode == "appended_pair" else []
    defense = [Clipping(bound=0.1), GaussianNoise(stddev=0.01), LaplaceNoise(scale=0.01), Sparsification(drop_rate=0.5)]
    if not enabled:
        defense = [type(part)() for part in defense]
    return small(
        data,
        (PartyTransform(), PartyChain(parts=tuple(part.replace(enabled=enabled) for part in parts))),
        **GRANT,
        plan=plan_of(mode),
        defense=ActiveChain(parts=tuple(defense)),
        active_attack=ActiveBackdoor(enabled=enabled),
        loss=loss,
    )


@pytest.mark.parametrize("mode", MODES)
def test_neutral_numbers_are_bitwise_the_honest_epoch(table, mode):
    """The whole epoch on the same stamped data, in two different programs of the same batching."""
    neutral = helpers.replica(everything(table, 0.0, mode, SoftmaxCrossEntropy()), table)
    honest = helpers.replica(small(table, plan=plan_of(mode), **GRANT), table)
    (first, metrics, _), (second, honest_metrics, _) = neutral.epoch(), honest.epoch()
    helpers.assert_bitwise_equal((first.params, first.opt_states), (second.params, second.opt_states))
    helpers.assert_bitwise_equal(metrics["train_accuracy"], honest_metrics["train_accuracy"])
    # The logged loss is a sum that no parameter depends on; newer compilers order it by what surrounds it.
    chex.assert_trees_all_close(metrics["loss"], honest_metrics["loss"], rtol=1e-6)
    attacked = neutral._replace(
        one=neutral.one.replace(scenario=helpers.numbers_of(everything(table, 1.0, mode, SoftmaxCrossEntropy())))
    )
    assert helpers.differs(attacked.epoch()[0].params[1], second.params[1])


def permuted(data):
    """The same data with its labels in another order, but for the rows of the grant."""
    labels = np.array(data.train.labels)
    free = np.setdiff1d(np.arange(len(labels)), GRANT["target_ids"])
    labels[free] = np.random.default_rng(5).permutation(labels[free])
    return helpers.relabelled(data, labels)


@pytest.mark.parametrize("mode", MODES)
def test_attacks_learn_nothing_of_labels_that_the_gradients_do_not_tell(table, mode):
    """Permuted labels under label-independent gradients: everything is equal after an epoch, to the last bit."""
    replicas = [helpers.replica(everything(data, 1.0, mode, LabelBlind()), data) for data in (table, permuted(table))]
    assert helpers.differs(replicas[0].inputs.train.labels, replicas[1].inputs.train.labels)
    states = [replica.epoch(run=helpers.quick_epoch)[0] for replica in replicas]
    helpers.assert_bitwise_equal(*states)
    assert helpers.differs(states[0].params, replicas[0].state.params)


def test_permuted_labels_do_change_gradients_that_depend_on_them(table):
    """The control of the test above: under cross-entropy the same comparison fails."""
    replicas = [
        helpers.replica(everything(d, 1.0, "in_place", SoftmaxCrossEntropy()), d) for d in (table, permuted(table))
    ]
    first, second = (replica.epoch()[0].attack_states[1] for replica in replicas)
    assert helpers.differs(first, second)


@pytest.mark.parametrize("mode", MODES)
def test_building_from_permuted_labels_under_the_same_grant_gives_the_same_attacks(table, mode):
    """Every leaf and static field of every attack and of what it was told, and who is poisoned."""
    built = []
    for data in (table, permuted(table)):
        scenario = everything(data, 1.0, mode, SoftmaxCrossEntropy())
        replica = helpers.replica(scenario, data)
        built.append((scenario, replica.state.attack_states, replica.draws.poison_rank, replica.draws.target_ids))
    assert built[0][0] == built[1][0]
    assert jax.tree.structure(built[0]) == jax.tree.structure(built[1])
    helpers.assert_bitwise_equal(built[0][1:], built[1][1:])

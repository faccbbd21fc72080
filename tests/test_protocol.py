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

from vfl_jax import protocol
from vfl_jax.attacks import (
    ActivationBlurring,
    ActiveBackdoor,
    GradientReplacement,
    LabelReplacement,
    PairedReplacement,
)
from vfl_jax.data import FeatureTrigger
from vfl_jax.defenses import Clipping, GaussianNoise, LaplaceNoise, Sparsification
from vfl_jax.losses import Loss, MulticlassHinge, Regularizer, SoftmaxCrossEntropy
from vfl_jax.models import CNN, MLP, DenseHead, Linear, SumHead
from vfl_jax.optimizers import Optimizer
from vfl_jax.transforms import ActiveChain, ActiveTransform, PartyChain, PartyTransform

C = helpers.NUM_CLASSES
IDS = np.array([5, 0, 41, 17, 30, 2, 11, 26])

HEADS = [SumHead(), DenseHead(hidden=()), DenseHead(hidden=(32,)), DenseHead(hidden=(16, 16))]
BOTTOMS = [Linear, functools.partial(MLP, hidden=(4,)), functools.partial(MLP, output_relu=True), CNN]
LOSSES = [SoftmaxCrossEntropy(), SoftmaxCrossEntropy(probability_clip=0.3), MulticlassHinge(margin=0.5)]
PENALTIES = [Regularizer(), Regularizer(penalty="l1", strength=0.05), Regularizer(penalty="l2", strength=0.5)]
# Two and four parties; a label holder without features, and one at either end.
PARTITIONS = [(2, None), (4, 0), (2, 1), (4, None)]


def honest_scenario(i, num_parties):
    """Case i of 12: every head with every loss, both reductions and all partitions; every loss with every penalty."""
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


@pytest.mark.parametrize("i", range(12))
def test_an_honest_step_equals_gradient_descent_on_the_joint_model(i):
    """Rates of the order 1 make the updates as large as the parameters, so that rtol sees the gradient."""
    num_parties, active_party = PARTITIONS[(i + i // 4) % 4]
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
    # optax's Adam mixes dtypes in its bias correction, which the suite's strict promotion forbids.
    with jax.numpy_dtype_promotion("standard"):
        replica = helpers.replica(scenario, two_parties)
        params, states = everyone(replica.state), None
        for t in range(4):
            epoch, ids = t // 2, (IDS + t) % 48
            by_hand = (
                optax.sgd(0.3, momentum=0.8),
                optax.adam(0.05 * 0.5**epoch),
                optax.chain(optax.add_decayed_weights(0.4), optax.sgd(0.2 * 0.1**epoch)),
            )
            states = states or [o.init(p) for o, p in zip(by_hand, params, strict=True)]
            rows = helpers.at(two_parties.train, ids)
            gradient, _ = joint_gradient(replica.scenario, params, rows.features, rows.labels)
            for k, optimizer in enumerate(by_hand):
                update, states[k] = optimizer.update(gradient[k], states[k], params[k])
                params = (*params[:k], optax.apply_updates(params[k], update), *params[k + 1 :])
            state, _ = replica.step(ids, epoch=epoch, number=t)
            replica = replica._replace(state=state)
            chex.assert_trees_all_close(everyone(state), params, rtol=1e-4, atol=2e-6)


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


@pytest.mark.parametrize("active_party", [None, 1])
def test_the_active_party_changes_only_what_crosses(active_party):
    """With every crossing message muted the label holder trains alone, on its own features."""
    data = helpers.image_data(4, active_party)
    replica = helpers.replica(small(data, defense=Mute()), data)
    state, info = replica.step(IDS)
    rows = helpers.at(data.train, IDS)
    embeddings = [
        b.apply(p, x) for b, p, x in zip(replica.scenario.bottoms, replica.state.params, rows.features, strict=True)
    ]
    own = jnp.zeros_like(embeddings[0]) if active_party is None else embeddings[active_party]
    np.testing.assert_allclose(info.loss, loss_by_hand(SoftmaxCrossEntropy(), own, rows.labels), rtol=1e-5)
    for k in range(4):
        assert helpers.differs(state.params[k], replica.state.params[k]) == (k == active_party)
    logits = protocol.predict(replica.shapes, replica.scenario, replica.state, rows.features, jax.random.key(0))
    np.testing.assert_allclose(logits, own, rtol=1e-6)


def test_a_blurring_party_pulls_back_through_its_true_embedding(two_parties):
    """The head learns from zeros; the attacker uses the gradient it gets back on what it really computed."""
    attack = ActivationBlurring(kind="zero", wait_for_target=False)
    attacks = (PartyTransform(), attack)
    replica = helpers.replica(small(two_parties, attacks, poison_ids=IDS[2:], target_ids=(3,)), two_parties)
    state, info = replica.step(IDS)
    rows, params = helpers.at(two_parties.train, IDS), replica.state.params
    embeddings, pullbacks = zip(
        *(jax.vjp(lambda p, k=k: replica.scenario.bottoms[k].apply(p, rows.features[k]), params[k]) for k in range(2)),
        strict=True,
    )
    received = embeddings[0] + embeddings[1].at[2:].set(0.0)
    loss, message = jax.value_and_grad(lambda s: loss_by_hand(SoftmaxCrossEntropy(), s, rows.labels))(received)
    np.testing.assert_allclose(info.loss, loss, rtol=1e-5)
    for k in range(2):
        (gradient,) = pullbacks[k](message)
        chex.assert_trees_all_close(
            state.params[k], jax.tree.map(jnp.subtract, params[k], gradient), rtol=1e-5, atol=1e-6
        )


def test_gradient_replacement_moves_the_attacker_alone(two_parties):
    """Its own pull-back has γ·g_rec in the poisoned rows; everyone else's step is the honest one."""
    attacks = (PartyTransform(), GradientReplacement(amplify=7.0))
    grant = {"poison_ids": IDS[:2], "target_ids": IDS[3:4]}
    data = helpers.relabelled(two_parties, np.where(np.arange(48) == IDS[3], 0, two_parties.train.labels))
    replica = helpers.replica(small(data, attacks, head=DenseHead(hidden=()), **grant), data)
    honest = replica._replace(scenario=replica.scenario.replace(attacks=(PartyTransform(),) * 2))
    honest = honest._replace(state=replica.state.replace(attack_states=((), ())))
    (state, _), (honest_state, _) = replica.step(IDS), honest.step(IDS)
    chex.assert_trees_all_close(
        (state.params[0], state.head_params), (honest_state.params[0], honest_state.head_params)
    )
    rows, params = helpers.at(data.train, IDS), replica.state.params

    def loss_of(embedding):
        both = (replica.scenario.bottoms[0].apply(params[0], rows.features[0]), embedding)
        logits = replica.scenario.head.apply(replica.state.head_params, both, C)
        return loss_by_hand(SoftmaxCrossEntropy(), logits, rows.labels)

    embedding, pullback = jax.vjp(lambda p: replica.scenario.bottoms[1].apply(p, rows.features[1]), params[1])
    message = jax.grad(loss_of)(embedding)
    (gradient,) = pullback(message.at[:2].set(7.0 * message[3]))
    chex.assert_trees_all_close(state.params[1], jax.tree.map(jnp.subtract, params[1], gradient), rtol=1e-5, atol=1e-6)


SEEN = []


class Spy(PartyTransform):
    """Test only: notes what it is shown, outside of any jit, and feeds its bottom other features."""

    def on_features(self, key, state, view, features):
        return features + 1.0, state

    def on_upload(self, key, state, view, embedding):
        SEEN.append((view, embedding))
        return embedding, state


def test_a_party_sees_its_own_stamped_rows(table):
    """The data is poisoned whether or not anyone attacks; what ``on_features`` returns goes into the bottom."""
    trigger = FeatureTrigger(party=1, index=-1, value=9.0)
    scenario = small(table, (Spy(), Spy()), poison_ids=(2, 17), plan={"trigger": trigger})
    replica = helpers.replica(scenario, table)
    SEEN.clear()
    clock = protocol.Clock(epoch=jnp.int32(0), step=jnp.int32(6))
    protocol.step(
        replica.shapes,
        replica.inputs.masks,
        replica.scenario,
        replica.state,
        replica.batch(IDS),
        clock,
        replica.streams,
    )
    expected = [leaf.copy() for leaf in helpers.at(table.train, IDS).features]
    expected[1][np.isin(IDS, (2, 17)), -1] = 9.0
    for k, (view, embedding) in enumerate(SEEN):
        np.testing.assert_array_equal(view.features, expected[k])
        np.testing.assert_array_equal(view.sample_ids, IDS)
        assert int(view.step) == 6
        chex.assert_trees_all_equal(view.params, replica.state.params[k])
        fed = replica.scenario.bottoms[k].apply(view.params, expected[k] + 1.0)
        np.testing.assert_allclose(embedding, fed, rtol=1e-5, atol=1e-6)
    assert len(SEEN) == 2


class LabelBlind(Loss):
    """Test only: a loss whose value and gradient do not depend on the labels."""

    def rows(self, logits, targets):
        return jnp.square(logits).sum(axis=-1) + logits[:, 0]


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
        poison_ids=(4, 10, 11, 22, 35, 36),
        target_ids=(0, 9),
        plan={"mode": mode, "trigger": FeatureTrigger(party=1, index=0)},
        defense=ActiveChain(parts=tuple(defense)),
        active_attack=ActiveBackdoor(enabled=enabled),
        loss=loss,
    )


MODES = ["in_place", "appended_pair"]


@pytest.mark.parametrize("mode", MODES)
def test_neutral_numbers_are_bitwise_the_honest_epoch(table, mode):
    """The whole epoch on the same stamped data, in two different programs of the same batching."""
    neutral = helpers.replica(everything(table, 0.0, mode, SoftmaxCrossEntropy()), table)
    plan = {"mode": mode, "trigger": FeatureTrigger(party=1, index=0)}
    ids = {"poison_ids": (4, 10, 11, 22, 35, 36), "target_ids": (0, 9)}
    honest = helpers.replica(small(table, plan=plan, **ids), table)
    (first, metrics, _), (second, honest_metrics, _) = neutral.epoch(), honest.epoch()
    helpers.assert_bitwise_equal((first.params, first.opt_states), (second.params, second.opt_states))
    helpers.assert_bitwise_equal(metrics, honest_metrics)
    attacked = neutral._replace(scenario=helpers.numbers_of(everything(table, 1.0, mode, SoftmaxCrossEntropy())))
    assert helpers.differs(attacked.epoch()[0].params[1], second.params[1])


@functools.cache
def permuted(data_labels):
    """The labels in another order, but for the rows of the grant."""
    labels = np.array(data_labels)
    free = np.setdiff1d(np.arange(len(labels)), [0, 9])
    labels[free] = np.random.default_rng(5).permutation(labels[free])
    return labels


@pytest.mark.parametrize("mode", MODES)
def test_attacks_learn_nothing_of_labels_that_the_gradients_do_not_tell(table, mode):
    """Permuted labels under label-independent gradients: everything is equal after an epoch, to the last bit."""
    other = helpers.relabelled(table, permuted(tuple(table.train.labels)))
    replicas = [helpers.replica(everything(data, 1.0, mode, LabelBlind()), data) for data in (table, other)]
    assert helpers.differs(replicas[0].inputs.train.labels, replicas[1].inputs.train.labels)
    states = [replica.epoch()[0] for replica in replicas]
    helpers.assert_bitwise_equal(*states)
    assert helpers.differs(states[0].params, replicas[0].state.params)


def test_permuted_labels_do_change_gradients_that_depend_on_them(table):
    """The control of the test above: under cross-entropy the same comparison fails."""
    other = helpers.relabelled(table, permuted(tuple(table.train.labels)))
    replicas = [helpers.replica(everything(d, 1.0, "in_place", SoftmaxCrossEntropy()), d) for d in (table, other)]
    first, second = (replica.epoch()[0].attack_states[1] for replica in replicas)
    assert helpers.differs(first, second)


@pytest.mark.parametrize("mode", MODES)
def test_building_from_permuted_labels_under_the_same_grant_gives_the_same_attacks(table, mode):
    """Every leaf and static field of every attack and of what it was told, and who is poisoned."""
    built = []
    for labels in (table.train.labels, permuted(tuple(table.train.labels))):
        data = helpers.relabelled(table, labels)
        scenario = everything(data, 1.0, mode, SoftmaxCrossEntropy())
        replica = helpers.replica(scenario, data)
        built.append((scenario, replica.state.attack_states, replica.draws.poison_rank, replica.draws.target_ids))
    assert built[0][0] == built[1][0]
    assert jax.tree.structure(built[0]) == jax.tree.structure(built[1])
    helpers.assert_bitwise_equal(built[0][1:], built[1][1:])

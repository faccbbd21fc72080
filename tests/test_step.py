"""What a step counts, in which order its hooks run, which keys they get, and what a replica is told to have become."""

import dataclasses

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vfl_jax.attacks import ActiveBackdoor, LabelReplacement
from vfl_jax.data import FeatureTrigger
from vfl_jax.models import DenseHead, Linear, SumHead
from vfl_jax.models.losses import SoftmaxCrossEntropy
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.chains import ActiveChain, PartyChain
from vfl_jax.protocol.transforms import ActiveAttack, ActiveTransform, Attack, PartyTransform
from vfl_jax.replica import reports

C, B, NUM_STEPS = helpers.NUM_CLASSES, 8, 6
IDS = np.array([5, 0, 41, 17, 30, 2, 11, 26])
HONEST = PartyTransform()


@pytest.fixture(scope="module")
def data():
    """48 training rows of 5 and 3 columns; row i is of class i mod 3."""
    return helpers.table_data()


def scenario_of(attacks=(HONEST, HONEST), rates=(1.0, 1.0), **fields):
    fields = {"head": SumHead(), "batch_size": B} | fields
    bottoms, optimizers = [Linear(width=C)] * 2, [Optimizer(learning_rate=rate) for rate in rates]
    return helpers.scenario_of(bottoms, optimizers, attacks, **fields)


def logits_of(replica, data, ids=IDS):
    """What every party sends of some training rows, under the parameters that the replica has."""
    rows = helpers.at(data.train, ids)
    return [
        x @ np.asarray(p["dense_0"]["kernel"]) + np.asarray(p["dense_0"]["bias"])
        for p, x in zip(replica.state.params, rows.features, strict=True)
    ]


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


@pytest.mark.long
def test_accuracy_in_training_is_counted_against_the_true_labels(data):
    """Though the loss is told that poisoned rows are of the target class."""
    poisoned = IDS[:6]
    fields = {"poison_ids": poisoned, "target_ids": (45,), "plan": {"trigger": FeatureTrigger(party=1, index=0)}}
    replica = helpers.replica(scenario_of(active_attack=ActiveBackdoor(), **fields), data, seed=2)
    stamped = data.train.features[1].copy()
    stamped[poisoned, 0] = 1.0
    rows = data.train.replace(features=(data.train.features[0], stamped))
    best = sum(logits_of(replica, dataclasses.replace(data, train=rows))).argmax(axis=1)
    labels = data.train.labels[IDS]
    changed = np.where(np.isin(IDS, poisoned), 0, labels)
    assert (best == labels).sum() != (best == changed).sum()
    assert int(replica.step(IDS)[1].num_correct) == (best == labels).sum()


class Broken(ActiveTransform):
    """Test only: one entry of one message is not finite."""

    value: float = 0.0

    def on_send(self, key, state, view, gradients):
        return (*gradients[:-1], gradients[-1].at[1, 2].set(self.value)), state


class Overdone(PartyTransform):
    """Test only: pulls back far more than it was sent."""

    factor: float = 1e38

    def on_download(self, key, state, view, gradient):
        return self.factor * gradient, state


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_message_that_is_not_finite_is_noticed_while_the_loss_is(data, value):
    replica = helpers.replica(scenario_of(defense=Broken()), data)
    _, fine = replica.step(IDS)
    assert bool(fine.is_finite)
    broken = replica.scenario.defense.replace(value=jnp.float32(value))
    _, info = replica._replace(one=replica.one.replace(scenario=replica.scenario.replace(defense=broken))).step(IDS)
    assert np.isfinite(info.loss)
    assert not bool(info.is_finite)


@pytest.mark.parametrize("where", ["party", "head"])
def test_parameters_that_overflow_in_the_last_step_alone_are_noticed(data, where):
    """All losses and messages of the epoch, which is that one step, were finite."""
    attacks = (HONEST, Overdone()) if where == "party" else (HONEST, HONEST)
    head_optimizer = Optimizer(learning_rate=1.0 if where == "party" else 3e38)
    fields = {"head": DenseHead(hidden=()), "head_optimizer": head_optimizer, "batch_size": 48}
    fast = scenario_of(attacks, (1.0, 100.0), **fields)
    large = dataclasses.replace(
        data, train=data.train.replace(features=tuple(np.float32(30) * x for x in data.train.features))
    )
    replica = helpers.replica(fast, large)
    state, metrics, is_finite = replica.epoch(run=helpers.quick_epoch)
    assert np.isfinite(metrics["loss"].sum)
    ends = {"party": state.params[1], "head": state.head_params}
    assert {name: all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(p)) for name, p in ends.items()} == {
        name: name != where for name in ends
    }
    assert not bool(is_finite)


class Add(ActiveAttack):
    """Test only: adds 1 to whatever passes."""

    def _plus(self, values):
        return jax.tree.map(lambda v: v + 1.0, values)

    def on_labels(self, key, state, view, targets):
        return self._plus(targets), state

    def on_receive(self, key, state, view, embeddings):
        return self._plus(embeddings), state

    def on_send(self, key, state, view, gradients):
        return self._plus(gradients), state


class Double(ActiveTransform):
    """Test only: doubles whatever passes, and keeps it."""

    def init(self, key, shapes):
        return {"labels": jnp.zeros((B, C)), "received": jnp.zeros((B, C)), "sent": jnp.zeros((B, C))}

    def on_labels(self, key, state, view, targets):
        return 2.0 * targets, state | {"labels": targets}

    def on_receive(self, key, state, view, embeddings):
        return tuple(2.0 * e for e in embeddings), state | {"received": embeddings[1]}

    def on_send(self, key, state, view, gradients):
        return tuple(2.0 * g for g in gradients), state | {"sent": gradients[1]}


def test_the_active_partys_attack_runs_before_its_defense(data):
    """Doubling after adding is not adding after doubling; by hand, under a loss of sums."""
    loss = SoftmaxCrossEntropy(reduction="sum")
    replica = helpers.replica(scenario_of(active_attack=Add(), defense=Double(), loss=loss), data)
    state, info = replica.step(IDS)
    own, labels = logits_of(replica, data), np.eye(C)[data.train.labels[IDS]]
    logits = sum(2 * (embedding + 1) for embedding in own)
    np.testing.assert_allclose(state.defense_state["labels"], labels + 1)
    np.testing.assert_allclose(state.defense_state["received"], own[1] + 1, rtol=1e-5, atol=1e-6)
    targets = 2 * (labels + 1)
    np.testing.assert_allclose(info.loss, -(targets * np.log(softmax(logits))).sum(), rtol=1e-5)
    gradient = targets.sum(axis=1, keepdims=True) * softmax(logits) - targets
    np.testing.assert_allclose(state.defense_state["sent"], gradient + 1, rtol=1e-4, atol=1e-5)
    moved = replica.state.params[1]["dense_0"]["bias"] - state.params[1]["dense_0"]["bias"]
    np.testing.assert_allclose(moved, (2 * (gradient + 1)).sum(axis=0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_label_is_swapped_by_the_weight_of_its_row(data, reduction):
    """Under a sum a row's gradient is S − e_y, and the attacker pulls back S − e_τ; under a mean 1/B of both."""
    scenario = scenario_of(
        (HONEST, LabelReplacement()),
        loss=SoftmaxCrossEntropy(reduction=reduction),
        poison_ids=IDS[:4],
        target_ids=(45,),
    )
    weight = {"mean": 1 / B, "sum": 1.0}[reduction]
    assert scenario.shapes(data).row_weight == weight
    paired = scenario.replace(poison=scenario.poison.replace(mode="appended_pair"))
    assert paired.shapes(data).row_weight == {"mean": 1 / (B + 2), "sum": 1.0}[reduction]
    replica = helpers.replica(scenario, data)
    state, _ = replica.step(IDS)
    wanted = np.where(np.isin(IDS, IDS[:4]), 0, data.train.labels[IDS])
    for k, labels in enumerate((data.train.labels[IDS], wanted)):
        moved = replica.state.params[k]["dense_0"]["bias"] - state.params[k]["dense_0"]["bias"]
        gradient = weight * (softmax(sum(logits_of(replica, data))) - np.eye(C)[labels])
        np.testing.assert_allclose(moved, gradient.sum(axis=0), rtol=1e-4, atol=1e-5)


def test_everyone_starts_from_a_key_of_its_own():
    """Kernels of one shape: two parties', and the head's, which both parties' embeddings go into."""
    data = helpers.table_data(by=((0, 1, 2, 3), (4, 5, 6, 7)))
    bottoms = [Linear(width=3), Linear(width=1)]
    scenario = helpers.scenario_of(bottoms, [Optimizer()] * 2, head=DenseHead(hidden=()), batch_size=B)
    replica = helpers.replica(scenario, data)
    state = helpers.jit_init(replica.shapes, replica.inputs, replica.scenario, replica.draws)
    kernels = [np.asarray(p["dense_0"]["kernel"]) for p in (state.params[0], state.head_params)]
    assert kernels[0].shape == kernels[1].shape == (4, 3)
    assert (np.abs(kernels[0] - kernels[1]) > 1e-6).all()


class Reporter(ActiveAttack):
    """Test only: the active party says that every row is of class 1."""

    def report(self, state):
        return {"label_guesses": jnp.ones(48, jnp.int32)}


def test_reports_of_chains_and_of_the_active_party_are_heard(data):
    listener = LabelReplacement(enabled=0.0)
    chain = PartyChain(parts=(HONEST, PartyChain(parts=(listener,))))

    def metrics(scenario):
        replica = helpers.replica(scenario, data)
        state, _ = replica.step(IDS)
        labels = jnp.asarray(data.train.labels)
        known = helpers.knowledge(len(labels))
        return reports.evaluate_reports(replica.scenario, state, labels, known, data.num_classes)

    alone, chained = metrics(scenario_of((HONEST, listener))), metrics(scenario_of((HONEST, chain)))
    assert float(alone["label_inference_accuracy"].count) == B
    helpers.assert_bitwise_equal(chained, alone)
    for active in (Reporter(), ActiveChain(parts=(Reporter(),))):
        found = metrics(scenario_of(active_attack=active))["label_inference_accuracy"]
        assert (float(found.sum), float(found.count)) == (16, 48)
    both = metrics(scenario_of((HONEST, chain), active_attack=Reporter()))["label_inference_accuracy"]
    assert (float(both.sum), float(both.count)) == (16 + B, 48 + B)
    assert metrics(scenario_of()) == {}


def rolled(place):
    """A training hook that notes what its key draws, in its row of the step."""

    def hook(self, key, state, view, value):
        return value, state | {"drawn": state["drawn"].at[view.step, place].set(jax.random.uniform(key))}

    return hook


class Dice(Attack):
    """Test only: a party's hooks, each of which draws."""

    def init(self, key, shapes, party):
        return {"start": jax.random.uniform(key), "drawn": jnp.zeros((2 * NUM_STEPS, 3))}

    on_features, on_upload, on_download = rolled(0), rolled(1), rolled(2)


class ActiveDice(ActiveTransform):
    """Test only: the active party's."""

    def init(self, key, shapes):
        return {"start": jax.random.uniform(key), "drawn": jnp.zeros((2 * NUM_STEPS, 3))}

    on_labels, on_receive, on_send = rolled(0), rolled(1), rolled(2)


def test_steps_parties_parts_and_hooks_draw_apart(data):
    """No number is drawn twice in two epochs: not by the parts of a chain, nor by two attackers, nor by both sides."""
    party = PartyChain(parts=(Dice(), PartyChain(parts=(Dice(), Dice()))))
    active = ActiveChain(parts=(ActiveDice(), ActiveChain(parts=(ActiveDice(), ActiveDice()))))
    attack = ActiveChain(parts=(*active.parts, ActiveAttack()))
    scenario = scenario_of((party, party), active_attack=attack, defense=active, order="file")
    replica = helpers.replica(scenario, data)
    for epoch in range(2):
        replica = replica._replace(state=replica.epoch(epoch, helpers.quick_epoch)[0])
    state = replica.state
    kept = jax.tree.leaves((state.attack_states, state.active_attack_state, state.defense_state))
    drawn = np.concatenate([np.ravel(leaf) for leaf in kept])
    assert len(drawn) == 4 * 3 * (2 * NUM_STEPS * 3 + 1)
    assert (drawn > 0).all()
    assert len(np.unique(drawn)) == len(drawn)

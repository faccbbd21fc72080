"""What acts inside the loss: its gradients by hand, its optimizers, its penalty, its place, its rows at inference."""

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import says, tiny_data, tiny_scenario

from vfl_jax import replica as replica_api
from vfl_jax.core.record import from_json, static
from vfl_jax.defenses import Clipping
from vfl_jax.models import DenseHead, Linear
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.chains import ActiveChain
from vfl_jax.protocol.transforms import ActiveAttack, ActiveTransform
from vfl_jax.replica.draws import Given
from vfl_jax.sweeps import training
from vfl_jax.sweeps.sweep import run, sweep

C, B = helpers.NUM_CLASSES, 8
IDS = np.array([5, 0, 41, 17, 30, 2, 11, 26])
FAST, SLOW = 0.5, 0.25
EVERY = {"head_optimizer": Optimizer(learning_rate=SLOW, epoch_decay=0.5)}


class Warped(ActiveTransform):
    """Test only: h → tanh(gain · h), with a penalty on what comes out; before that every embedding is doubled."""

    weight: float = 0.0
    factor: float = 1.0

    def init_params(self, key, shapes):
        keys = jax.random.split(key, len(shapes.crossing))
        return {"gain": [jax.random.normal(k, (shapes.widths[p],)) for k, p in zip(keys, shapes.crossing, strict=True)]}

    def on_receive(self, key, state, view, embeddings):
        return tuple(self.factor * e for e in embeddings), state

    def on_embed(self, params, key, view, embeddings):
        out = tuple(jnp.tanh(e * gain[None]) for e, gain in zip(embeddings, params["gain"], strict=True))
        return out, self.weight * sum((e**2).mean() for e in out)


class WarpedByItsOwn(Warped):
    """Test only: the same with an optimizer of its own."""

    optimizer: Optimizer = Optimizer(learning_rate=FAST)


class Idle(ActiveTransform):
    """Test only: inside the loss, and does nothing there."""

    def on_embed(self, params, key, view, embeddings):
        return embeddings, 0.0


class Raising(ActiveAttack):
    """Test only: the third root of h, whose slope is infinite where h is 0, plus a number that is learnt."""

    def init_params(self, key, shapes):
        return {"addend": jnp.ones((), jnp.float32)}

    def on_embed(self, params, key, view, embeddings):
        return tuple(jnp.cbrt(e) + params["addend"] for e in embeddings), params["addend"] / 0.0


class NoisyInside(ActiveTransform):
    """Test only: adds noise, in training and at inference; tells the two apart; counts the rows that it sees."""

    stddev: float = 1.0
    inference_batch: int = static(default=1)

    def on_embed(self, params, key, view, embeddings):
        noise = self.stddev * jax.random.normal(key, embeddings[0].shape)
        apart = 0.0 if view.is_training else 100.0
        assert (view.labels is None) == (view.sample_ids is None) == (not view.is_training)
        assert embeddings[0].shape[0] == (B if view.is_training else self.inference_batch)
        return (embeddings[0] + noise + apart, *embeddings[1:]), 0.0


def scenario_of(**fields):
    fields = EVERY | {"head": DenseHead(hidden=()), "batch_size": B} | fields
    return helpers.scenario_of([Linear(width=C)] * 2, [Optimizer(learning_rate=1.0)] * 2, **fields)


def replica_of(data=None, **fields):
    return helpers.replica(scenario_of(**fields), helpers.table_data() if data is None else data)


def linear(params, x):
    return x @ params["dense_0"]["kernel"] + params["dense_0"]["bias"][None]


def step_by_hand(replica, data, layers, epoch=0):
    """One step, from the whole loss as one function.

    ``layers``: (gains, weight of the penalty, its learning rate) one after another; the first factor of ``Warped``
    doubles what arrives, through which gradients go as if it were not there.
    """
    rows = helpers.at(data.train, IDS)
    params, head = replica.state.params, replica.state.head_params
    arrived = [jnp.asarray(linear(p, x)) for p, x in zip(params, rows.features, strict=True)]
    crossing = replica.shapes.crossing
    received = [2.0 * e if k in crossing else e for k, e in enumerate(arrived)]

    def whole_loss(head, gains, received):
        embeddings, penalty = list(received), 0.0
        for own, (_, weight, _) in zip(gains, layers, strict=True):
            for gain, k in zip(own, crossing, strict=True):
                embeddings[k] = jnp.tanh(embeddings[k] * gain[None])
                penalty = penalty + weight * (embeddings[k] ** 2).mean()
        logits = jnp.concatenate(embeddings, axis=-1) @ head["dense_0"]["kernel"] + head["dense_0"]["bias"][None]
        log_p = jax.nn.log_softmax(logits)
        return -log_p[jnp.arange(B), rows.labels].mean() + penalty, penalty

    gains = [gains for gains, _, _ in layers]
    (loss, penalty), found = jax.value_and_grad(whole_loss, (0, 1, 2), has_aux=True)(head, gains, received)
    head_rate = SLOW * 0.5**epoch
    new_head = jax.tree.map(lambda p, g: p - head_rate * g, head, found[0])
    new_gains = [
        [gain - rate * g for gain, g in zip(own, of_own, strict=True)]
        for (own, _, rate), of_own in zip(layers, found[1], strict=True)
    ]
    new_params = []
    for p, x, message in zip(params, rows.features, found[2], strict=True):
        kernel, bias = p["dense_0"]["kernel"] - x.T @ message, p["dense_0"]["bias"] - message.sum(axis=0)
        new_params.append({"dense_0": {"kernel": kernel, "bias": bias}})
    return {"loss": loss, "penalty": penalty, "head": new_head, "gains": new_gains, "params": tuple(new_params)}


def assert_is(found, info, expected, gains):
    close = {"rtol": 1e-4, "atol": 1e-6}
    np.testing.assert_allclose(info.loss, expected["loss"], **close)
    np.testing.assert_allclose(info.penalty, expected["penalty"], **close)
    trees = (found.head_params, expected["head"]), (found.params, expected["params"]), (gains, expected["gains"])
    for here, there in trees:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **close), here, there)


@pytest.mark.long
@pytest.mark.parametrize("active_party", [None, 0])
@pytest.mark.parametrize("kind", [Warped, WarpedByItsOwn])
def test_a_step_follows_the_gradient_of_the_whole_loss(kind, active_party):
    """Head, own parameters and messages; in the second epoch, when the head's rate has halved and its own has not."""
    data = helpers.table_data(active_party=active_party)
    replica = replica_of(data, defense=kind(weight=0.7, factor=2.0))
    gains = replica.state.method_params[1]["gain"]
    for epoch in (0, 1):
        found, info = replica.step(IDS, epoch=epoch)
        rate = SLOW * 0.5**epoch if kind is Warped else FAST
        expected = step_by_hand(replica, data, [(gains, 0.7, rate)], epoch)
        assert float(expected["penalty"]) > 0.01
        assert_is(found, info, expected, [found.method_params[1]["gain"]])


@pytest.mark.long
@pytest.mark.parametrize("nested", [False, True])
def test_parts_of_a_chain_act_in_order_each_with_its_optimizer(nested):
    data = helpers.table_data()
    parts = (WarpedByItsOwn(weight=0.7, factor=2.0), Warped(weight=0.2))
    if nested:
        parts = (Idle(), ActiveChain(parts=(parts[0], Clipping())), ActiveChain(parts=(parts[1],)))
    replica = replica_of(data, defense=ActiveChain(parts=parts))

    def own(state):
        params = state.method_params[1]
        first, second = (params[1][0], params[2][0]) if nested else params
        return [first["gain"], second["gain"]]

    assert helpers.differs(*own(replica.state))  # each draws its own
    found, info = replica.step(IDS)
    layers = [(own(replica.state)[0], 0.7, FAST), (own(replica.state)[1], 0.2, SLOW)]
    assert_is(found, info, step_by_hand(replica, data, layers), own(found))


def test_the_attack_acts_before_the_defense():
    class WarpedAttack(ActiveAttack):
        """Test only: the same by the active party's attack."""

        weight: float = 0.7
        factor: float = 2.0
        init_params, on_receive, on_embed = Warped.init_params, Warped.on_receive, Warped.on_embed

    data = helpers.table_data()
    replica = replica_of(data, active_attack=WarpedAttack(), defense=WarpedByItsOwn(weight=0.2))
    found, info = replica.step(IDS)
    before, after = ([own["gain"] for own in state.method_params] for state in (replica.state, found))
    layers = [(before[0], 0.7, SLOW), (before[1], 0.2, FAST)]
    assert_is(found, info, step_by_hand(replica, data, layers), after)


@pytest.mark.parametrize("defense", [Idle(), ActiveChain(parts=(Idle(), Clipping()))], ids=["alone", "chain"])
def test_a_hook_that_does_nothing_leaves_the_step_to_the_bit(defense):
    plain, idle = replica_of(), replica_of(defense=defense)
    (before, info), (after, also) = plain.step(IDS), idle.step(IDS)
    helpers.assert_bitwise_equal(helpers.everyone(after), helpers.everyone(before))
    helpers.assert_bitwise_equal(also.loss, info.loss)
    assert info.penalty is None
    assert float(also.penalty) == 0.0


@pytest.mark.parametrize("in_chain", [False, True])
def test_switched_off_an_attack_inside_the_loss_is_the_honest_step_to_the_bit(in_chain):
    """Whatever slopes its own part has: here one party sends zeros, and 0 · ∞ would be no number."""

    def found(attack):
        replica = replica_of(
            active_attack=ActiveChain(parts=(attack,)) if in_chain and isinstance(attack, Raising) else attack
        )
        silent = jax.tree.map(jnp.zeros_like, replica.state.params[0])
        replica = replica._replace(state=replica.state.replace(params=(silent, replica.state.params[1])))
        logits = replica_api.predict(replica.one, replica.state, data.test.features, jax.random.key(0))
        return replica.state, *replica.step(IDS), logits

    data = helpers.table_data()
    _, honest, info, logits = found(ActiveTransform())
    first, off, also, same = found(Raising(enabled=0.0))
    helpers.assert_bitwise_equal(same, logits)
    helpers.assert_bitwise_equal(helpers.everyone(off), helpers.everyone(honest))
    helpers.assert_bitwise_equal(also.loss, info.loss)
    helpers.assert_bitwise_equal(off.method_params, first.method_params)
    assert bool(also.is_finite)
    assert float(also.penalty) == 0.0
    assert not np.isfinite(found(Raising())[2].loss)


def test_the_penalty_is_a_metric_of_training_and_part_of_the_loss():
    replica = replica_of(defense=Warped(weight=0.7), order="file")
    _, metrics, _ = replica.epoch(run=helpers.quick_epoch)
    losses, penalties, state = [], [], replica.state
    for number in range(6):
        ids = np.arange(8 * number, 8 * number + 8)
        state, info = replica._replace(state=state).step(ids, number=number)
        losses.append(float(info.loss))
        penalties.append(float(info.penalty))
    assert np.ptp(penalties) > 0
    for name, steps in {"loss": losses, "penalty": penalties}.items():
        np.testing.assert_allclose(metrics[name].sum / metrics[name].count, np.mean(steps), rtol=1e-5)
    assert "penalty" not in replica_of().epoch(run=helpers.quick_epoch)[1]


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("in_chain", [False, pytest.param(True, marks=pytest.mark.long)])
def test_at_inference_it_sees_its_batches_with_keys_of_their_own(size, in_chain):
    """A key per batch, however many rows are evaluated together."""
    defense = NoisyInside(inference_batch=size)
    defense = ActiveChain(parts=(defense,)) if in_chain else defense
    data = helpers.table_data()
    replica = replica_of(data, defense=defense)
    plain = replica.one.replace(scenario=replica.scenario.replace(defense=ActiveTransform()))
    features, key = data.test.features, jax.random.key(4)
    whole = np.asarray(replica_api.predict(replica.one, replica.state, features, key))
    some = np.arange(2 * size, 5 * size)
    part = replica_api.predict(replica.one, replica.state, helpers.at(features, some), key, row_ids=jnp.asarray(some))
    np.testing.assert_allclose(part, whole[some], rtol=1e-6)
    # What was added, from the logits: 100 at every entry, and noise that no two rows share.
    kernel = np.asarray(replica.state.head_params["dense_0"]["kernel"])[:C]
    moved = whole - np.asarray(replica_api.predict(plain, replica.state, features, key))
    added = moved @ np.linalg.inv(kernel)
    np.testing.assert_allclose(added.mean(), 100.0, atol=1.0)
    noise = added - 100.0
    assert 0.5 < noise.std() < 1.5
    assert len(np.unique(np.round(noise[:, 0], 2))) > 12
    again = np.asarray(replica_api.predict(replica.one, replica.state, features, jax.random.key(5)))
    assert not np.allclose(again, whole)


OVER = {"defense.weight": [0.0, 0.5], "defense.optimizer.learning_rate": [0.0, 0.5]}
MOMENTUM = WarpedByItsOwn(optimizer=Optimizer(kind="momentum", learning_rate=0.1))
EPOCHS = 3


def swept(folder=None, **options):
    scenario = tiny_scenario(defense=MOMENTUM, head=DenseHead(hidden=()))
    return sweep(scenario, tiny_data(), OVER, 2, EPOCHS, folder=folder, progress=False, **options)


@pytest.fixture(scope="module")
def results():
    return swept()


@pytest.mark.long
def test_its_numbers_are_swept(results):
    """A point of the grid is the run of its scenario alone; the penalty falls where it counts and is learnt."""
    point = {"defense.weight": 1, "defense.optimizer.learning_rate": 1}
    defense = MOMENTUM.replace(weight=0.5, optimizer=MOMENTUM.optimizer.replace(learning_rate=0.5))
    alone, state = run(
        tiny_scenario(defense=defense, head=DenseHead(hidden=())), tiny_data(), jax.random.key(1), EPOCHS
    )
    here = results.isel(point).sel(seed=1)
    for name in ("loss", "penalty", "test_loss"):
        np.testing.assert_allclose(here[name], alone[name], rtol=1e-4, atol=1e-6)
    assert helpers.differs(state.method_opt_states[1], jax.tree.map(jnp.zeros_like, state.method_opt_states[1]))
    last = results.penalty.isel(epoch=-1)
    assert (last.isel({"defense.weight": 0}) == 0).all()
    counts = last.isel({"defense.weight": 1})
    assert (
        counts.isel({"defense.optimizer.learning_rate": 1}) < counts.isel({"defense.optimizer.learning_rate": 0})
    ).all()


@pytest.mark.long
def test_what_it_learns_goes_on_from_a_checkpoint(results, tmp_path, monkeypatch):
    class Stopped(Exception):
        pass

    epoch = training._Loop._epoch

    def stopping(self, state, number):
        if number == 1:
            raise Stopped
        return epoch(self, state, number)

    with monkeypatch.context() as patch:
        patch.setattr(training._Loop, "_epoch", stopping)
        with pytest.raises(Stopped):
            swept(tmp_path, checkpoint_every=1)
    found = swept(tmp_path, checkpoint_every=1)
    for name in results.data_vars:
        np.testing.assert_array_equal(found[name], results[name], err_msg=str(name))


def test_an_optimizer_of_its_own_survives_json():
    assert from_json(MOMENTUM.to_json()) == MOMENTUM
    assert MOMENTUM.replace(optimizer=Optimizer()) != MOMENTUM


class CountingInside(Idle):
    """Test only: would have a step train a counter."""

    def init_params(self, key, shapes):
        return {"gain": jnp.ones(3), "count": jnp.int32(0)}


def test_parameters_that_no_step_can_train_are_refused():
    scenario = scenario_of(defense=ActiveChain(parts=(Idle(), CountingInside())))
    one = replica_api.prepare(scenario, helpers.table_data(), jax.random.key(0))
    with pytest.raises(ValueError, match=says("CountingInside.init_params returns int32 at ['count']", "float32")):
        jax.eval_shape(replica_api.init, one)


class Lacking(Idle):
    """Test only: has what can be no parameter, or no optimizer."""

    what: str = static(default="")

    @property
    def optimizer(self):
        return "adam" if self.what == "optimizer" else None

    def init_params(self, key, shapes):
        return {"text": {"gain": "high"}, "nothing": None}.get(self.what, {"gain": jnp.ones(3)})


LACKING = {
    "optimizer": ("Lacking.optimizer is 'adam'", "vfl_jax.models.Optimizer"),
    "text": ("Lacking.init_params returns a str at ['gain']", "float32"),
    "nothing": ("Lacking.init_params returns None", "{}"),
}


@pytest.mark.parametrize("what", LACKING)
def test_what_cannot_learn_is_refused_by_name(what):
    one = replica_api.prepare(scenario_of(defense=Lacking(what=what)), helpers.table_data(), jax.random.key(0))
    with pytest.raises(ValueError, match=says(*LACKING[what])):
        jax.eval_shape(replica_api.init, one)


class Misformed(ActiveTransform):
    """Test only: returns what it is told to."""

    way: str = static(default="")

    def on_embed(self, params, key, view, embeddings):
        return {
            "embeddings alone": embeddings,
            "a penalty per row": (embeddings, (embeddings[0] ** 2).mean(axis=-1)),
            "a text as penalty": (embeddings, "much"),
            "one embedding": (embeddings[:1], 0.0),
            "other widths": (tuple(e[:, :2] for e in embeddings), 0.0),
            "whole numbers": (tuple(e.astype(jnp.int32) for e in embeddings), 0.0),
        }[self.way]


WAYS = {
    "embeddings alone": (
        "float32[8, 3] for embeddings",
        "a tuple of 2 × float32[8, 3]",
        "The hook returns (embeddings, penalty)",
    ),
    "a penalty per row": ("penalty of shape (8,)", "one number"),
    "a text as penalty": ("penalty that is a str", "one number"),
    "one embedding": ("a tuple of 1 × float32[8, 3] for embeddings", "a tuple of 2 × float32[8, 3]"),
    "other widths": ("float32[8, 2] at [0]", "float32[8, 3]"),
    "whole numbers": ("int32[8, 3] at [0]",),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("in_chain", [False, True])
def test_another_form_is_told_with_the_method_and_the_hook(way, in_chain):
    defense = ActiveChain(parts=(Idle(), Misformed(way=way))) if in_chain else Misformed(way=way)
    one = replica_api.prepare(scenario_of(defense=defense), helpers.table_data(), jax.random.key(0), Given())
    state = jax.eval_shape(replica_api.init, one)
    with pytest.raises(ValueError, match=says("Misformed.on_embed", *WAYS[way])):
        jax.eval_shape(replica_api.step, one, state, replica_api.batch(one, IDS))


class RolesInside(ActiveAttack):
    """Test only: the penalty says which row of an appended pair is the target row."""

    def on_embed(self, params, key, view, embeddings):
        is_poison, is_target = view.knowledge.find(view)
        return embeddings, (100 * jnp.argmax(is_poison) + jnp.argmax(is_target)).astype(jnp.float32)


class RolesUnseen(ActiveTransform):
    """Test only: the penalty says how many rows are no ordinary ones."""

    def on_embed(self, params, key, view, embeddings):
        return embeddings, jnp.sum(view.roles != 0).astype(jnp.float32)


@pytest.mark.parametrize(
    ("methods", "penalty"), [({"active_attack": RolesInside()}, 809.0), ({"defense": RolesUnseen()}, 0.0)]
)
def test_inside_the_loss_an_attack_sees_the_roles_of_a_pair_and_a_defense_does_not(methods, penalty):
    scenario = tiny_scenario(plan={"mode": "appended_pair"}, **methods)
    one = replica_api.prepare(scenario, tiny_data(), jax.random.key(0))
    roles = [0] * 8 + [1, 2]
    _, info = helpers.jit_step(one, helpers.jit_start(one), replica_api.batch(one, range(10), roles))
    assert float(info.penalty) == penalty

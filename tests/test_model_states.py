"""Bottoms whose modules hold running means and draw: a twin in Flax and optax, draws, views, checkpoints, messages."""

import contextlib

import flax.linen as nn
import flax.struct
import helpers
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from data_helpers import says
from sweep_helpers import content

from vfl_jax.core.record import static
from vfl_jax.models import MLP, Bottom, Linear, SumHead
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.transforms import ActiveTransform, Attack, PartyTransform
from vfl_jax.replica import batch, between_epochs, init, predict, prepare, step
from vfl_jax.sweeps import training
from vfl_jax.sweeps.sweep import run, sweep


class NormedNet(nn.Module):
    width: int
    rate: float = 0.0

    @nn.compact
    def __call__(self, x, train):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.8)(x)
        x = nn.Dense(self.width)(nn.Dropout(self.rate, deterministic=not train)(x))
        return nn.BatchNorm(use_running_average=not train)(x)


class NormedBottom(Bottom):
    rate: float = static(default=0.0)

    def module(self):
        return NormedNet(self.width, self.rate)


class ThinnedTrain(nn.Module):
    """Leaves out features and has no parameter: the embedding shows which."""

    width: int

    @nn.compact
    def __call__(self, x, train=False):
        return nn.Dropout(0.5, deterministic=not train)(x[:, : self.width])


class ThinnedTraining(nn.Module):
    width: int

    @nn.compact
    def __call__(self, x, *, training):
        return nn.Dropout(0.5, deterministic=not training)(x[:, : self.width])


class ThinnedIsTraining(nn.Module):
    width: int

    @nn.compact
    def __call__(self, x, is_training):
        return nn.Dropout(0.5)(x[:, : self.width], deterministic=not is_training)


class ThinnedDeterministic(nn.Module):
    width: int

    @nn.compact
    def __call__(self, x, deterministic):
        return nn.Dropout(0.5)(x[:, : self.width], deterministic=deterministic)


class ThinnedOwnStream(nn.Module):
    """Draws by a stream of Flax that has another name than that of Dropout."""

    width: int

    @nn.compact
    def __call__(self, x, train):
        x = x[:, : self.width]
        if not train:
            return x
        return jnp.where(jax.random.bernoulli(self.make_rng("noise"), 0.5, x.shape), 2.0 * x, 0.0)


THINNED = {
    "train": ThinnedTrain,
    "training": ThinnedTraining,
    "is_training": ThinnedIsTraining,
    "deterministic": ThinnedDeterministic,
    "own stream": ThinnedOwnStream,
}


class ThinnedBottom(Bottom):
    flag: str = static(default="train")

    def module(self):
        return THINNED[self.flag](self.width)


@flax.struct.dataclass
class Seen:
    now: jax.Array
    later: jax.Array


class ForwardWatcher(Attack):
    """Keeps what the party's own model says of the rows of a step, and of the first rows between epochs."""

    def init(self, key, shapes, party):
        empty = jnp.zeros((8, shapes.widths[party]))
        return Seen(empty, empty)

    def on_upload(self, key, state, view, embedding):
        return embedding, state.replace(now=view.forward(view.features))

    def on_epoch(self, key, state, view, params):
        return params, state.replace(later=view.forward(view.rows(jnp.arange(8))))


class MessageWatcher(ActiveTransform):
    """Keeps the messages of a step."""

    def init(self, key, shapes):
        return tuple(jnp.zeros((shapes.batch_rows, width)) for width in shapes.widths)

    def on_receive(self, key, state, view, embeddings):
        return embeddings, embeddings


MOMENTUM = Optimizer(kind="momentum", learning_rate=0.1, momentum=0.5)


def normed_scenario(rate=0.0, **fields):
    bottoms = NormedBottom(width=3, rate=rate), Linear(width=3)
    fields = {"head": SumHead(), "attacks": (ForwardWatcher(), PartyTransform())} | fields
    return helpers.scenario_of(bottoms, (MOMENTUM, MOMENTUM), **fields)


def thinned_scenario(flag="train"):
    bottoms = (ThinnedBottom(width=3, flag=flag),) * 2
    return helpers.scenario_of(bottoms, (Optimizer(),) * 2, head=SumHead(), defense=MessageWatcher())


def of_ones(data):
    """The same data with 1 for every feature."""
    ones = jax.tree.map(np.ones_like, data.train.features)
    return type(data)(**{**vars(data), "train": data.train.replace(features=ones)})


BATCHES = [np.arange(8) + 8 * t for t in range(4)]


@pytest.mark.long
def test_steps_are_those_of_flaxs_own_training_loop(table):
    """Parameters, running means and variances after every step: the loop that Flax's guide writes, with optax."""
    replica = prepare(normed_scenario(), table, jax.random.key(0))
    state, one_step = init(replica), helpers.quick_jit(step)
    module, optimizer = NormedNet(width=3), optax.sgd(0.1, momentum=0.5)
    params, stats = state.params, state.model_states[0]["batch_stats"]
    moments = optimizer.init(params)
    x = [np.asarray(features) for features in table.train.features]

    def loss(params, stats, ids):
        variables = {"params": params[0], "batch_stats": stats}
        first, new = module.apply(variables, x[0][ids], train=True, mutable=["batch_stats"])
        dense = params[1]["dense_0"]
        logits = first + x[1][ids] @ dense["kernel"] + dense["bias"][None]
        rows = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.asarray(table.train.labels)[ids])
        return rows.mean(), new["batch_stats"]

    for number, ids in enumerate(BATCHES):
        state, info = one_step(replica, state, batch(replica, ids), 0, number)
        (value, stats), gradient = jax.value_and_grad(loss, has_aux=True)(params, stats, jnp.asarray(ids))
        updates, moments = optimizer.update(gradient, moments, params)
        params = optax.apply_updates(params, updates)
        np.testing.assert_allclose(info.loss, value, rtol=1e-5)
        found = {"params": state.params, "stats": state.model_states[0]["batch_stats"]}
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
            found,
            {"params": params, "stats": stats},
        )
    mean = stats["BatchNorm_0"]["mean"]
    by_hand = np.zeros(5)
    for ids in BATCHES:
        by_hand = 0.8 * by_hand + 0.2 * x[0][ids].mean(axis=0)
    np.testing.assert_allclose(mean, by_hand, rtol=1e-4, atol=1e-6)  # what a running mean is

    # At inference and in views the model stands on its running means.
    module_now = module.apply({"params": params[0], "batch_stats": stats}, table.test.features[0], train=False)
    dense = params[1]["dense_0"]
    expected = module_now + table.test.features[1] @ dense["kernel"] + dense["bias"][None]
    found = predict(replica, state, table.test.features, jax.random.key(1))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.long
def test_views_see_the_running_means(table):
    replica = prepare(normed_scenario(rate=0.5), table, jax.random.key(0))
    state = init(replica)
    for number, ids in enumerate(BATCHES[:3]):
        before, (state, _) = state, helpers.jit_step(replica, state, batch(replica, ids), 0, number)
    module = NormedNet(width=3, rate=0.5)

    def says_now(of, ids):
        variables = {"params": of.params[0], **of.model_states[0]}
        return module.apply(variables, table.train.features[0][ids], train=False)

    np.testing.assert_allclose(state.attack_states[0].now, says_now(before, BATCHES[2]), rtol=1e-5, atol=1e-6)
    after = between_epochs(replica, state, 1, 2)
    np.testing.assert_allclose(after.attack_states[0].later, says_now(state, np.arange(8)), rtol=1e-5, atol=1e-6)
    assert np.abs(np.asarray(state.model_states[0]["batch_stats"]["BatchNorm_0"]["mean"])).max() > 0.01


@pytest.mark.long
@pytest.mark.parametrize("flag", THINNED)
def test_draws_differ_by_step_seed_and_party_and_are_off_at_inference(flag, table):
    """With a drop rate of a half, features of 1 arrive as 0 or 2."""
    data = of_ones(table)

    def masks(seed):
        replica = prepare(thinned_scenario(flag), data, jax.random.key(seed))
        state, found = init(replica), {}
        assert jax.tree.leaves(state.params) == []
        for number in (0, 1):
            state, _ = helpers.jit_step(replica, state, batch(replica, BATCHES[0]), 0, number)
            found |= {(seed, number, party): np.asarray(m) for party, m in enumerate(state.defense_state)}
        logits = predict(replica, state, table.test.features, jax.random.key(9))
        x = [features[:, :3] for features in table.test.features]
        np.testing.assert_allclose(logits, x[0] + x[1], rtol=1e-6)
        return found

    found = masks(0) | masks(1)
    for mask in found.values():
        assert set(np.unique(mask)) == {0.0, 2.0}
    places = list(found)
    for i, first in enumerate(places):
        for second in places[i + 1 :]:
            assert (found[first] != found[second]).any(), (first, second)
    again = masks(0)
    assert all((again[place] == found[place]).all() for place in again)


class HeldNet(nn.Module):
    """Standardises by running means that never move: it needs no flag."""

    width: int

    @nn.compact
    def __call__(self, x):
        return nn.Dense(self.width)(nn.BatchNorm(use_running_average=True)(x))


class HeldBottom(Bottom):
    def module(self):
        return HeldNet(self.width)


class FlaglessNet(nn.Module):
    width: int
    kind: str

    @nn.compact
    def __call__(self, x):
        normed = (
            nn.BatchNorm(use_running_average=False) if self.kind == "norm" else nn.Dropout(0.5, deterministic=False)
        )
        return nn.Dense(self.width)(normed(x))


class FlaglessBottom(Bottom):
    kind: str = static(default="norm")

    def module(self):
        return FlaglessNet(self.width, self.kind)


def test_a_module_without_a_flag_may_hold_what_never_moves(table):
    scenario = normed_scenario().replace(bottoms=(HeldBottom(width=3), Linear(width=3)))
    replica = prepare(scenario, table, jax.random.key(0))
    state = init(replica)
    after, _ = helpers.jit_step(replica, state, batch(replica, BATCHES[0]), 0, 0)
    helpers.assert_bitwise_equal(after.model_states, state.model_states)
    assert helpers.differs(after.params, state.params)


@pytest.mark.parametrize(("kind", "said"), [("norm", "batch_stats"), ("dropout", 'needs PRNG for "dropout"')])
def test_a_module_without_a_flag_that_needs_one_is_named(kind, said, table):
    scenario = normed_scenario().replace(bottoms=(FlaglessBottom(width=3, kind=kind), Linear(width=3)))
    with pytest.raises(ValueError, match=says("FlaglessBottom's module", said, "Let its __call__ take train")):
        run(scenario, table, jax.random.key(0), epochs=1)


class StartedBottom(NormedBottom):
    """Starts its parameters at given numbers; the running means are the module's."""

    def init(self, key, features):
        noise = jax.random.normal(key, ())
        return jax.tree.map(lambda leaf: jnp.zeros_like(leaf) + noise, super().init(key, features))


def test_own_first_parameters_leave_the_running_means(table):
    with jax.debug_key_reuse(False):  # the own code above uses its key twice
        params, state = StartedBottom(width=3).init_with_state(jax.random.key(0), table.train.features[0])
    assert np.unique(np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(params)])).size == 1
    assert set(state["batch_stats"]["BatchNorm_0"]) == {"mean", "var"}


def test_models_that_hold_nothing_have_no_state(table):
    for bottom in (Linear(width=3), MLP(width=3)):
        assert bottom.init_with_state(jax.random.key(0), table.train.features[0])[1] == {}
        assert not bottom.differs_in_training


OVER = {"attack.enabled": [0.0, 1.0], "optimizers.0.learning_rate": [0.05, 0.2]}


@pytest.fixture(scope="module")
def swept(table, tmp_path_factory):
    """(folder, results) of a sweep that is never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, sweep(normed_scenario(rate=0.5), table, OVER, seeds=2, epochs=3, progress=False, folder=folder)


@pytest.mark.long
def test_a_sweep_of_seeds_and_a_grid_is_its_single_runs(swept, table):
    _, results = swept
    for seed, rate in ((0, 0.05), (1, 0.2)):
        optimizers = MOMENTUM.replace(learning_rate=rate), MOMENTUM
        scenario = normed_scenario(rate=0.5).replace(optimizers=optimizers)
        alone, state = run(scenario, table, jax.random.key(seed), epochs=3)
        one = results.sel({"seed": seed, "attack.enabled": 1, "optimizers.0.learning_rate": rate})
        for name in ("loss", "test_loss"):
            np.testing.assert_allclose(one[name], alone[name], rtol=1e-4, err_msg=name)
        assert np.isfinite(alone["loss"]).all()
        assert jax.tree.leaves(state.model_states[0])
    assert (results["loss"].sel(seed=0) != results["loss"].sel(seed=1)).all()


@pytest.mark.long
def test_it_goes_on_from_a_checkpoint_bit_for_bit(swept, table, tmp_path, monkeypatch):
    """The second epoch's evaluation stops the first try; running means and draws go on as if nothing had happened."""
    whole, results = swept
    evaluations, loop = [], training._Loop._epoch

    def stopping(self, state, number):
        evaluations.append(number)
        if number == 2 and evaluations.count(2) == 1:
            raise KeyboardInterrupt
        return loop(self, state, number)

    monkeypatch.setattr(training._Loop, "_epoch", stopping)
    options = {"seeds": 2, "epochs": 3, "progress": False, "folder": tmp_path, "checkpoint_every": 1}
    with contextlib.suppress(KeyboardInterrupt):
        sweep(normed_scenario(rate=0.5), table, OVER, **options)
    assert evaluations == [0, 1, 2]
    assert sweep(normed_scenario(rate=0.5), table, OVER, **options).identical(results)
    assert evaluations == [0, 1, 2, 2]  # it went on, and did not begin anew
    assert content(tmp_path) == content(whole)

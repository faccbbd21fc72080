"""Row-wise updates: chosen only where they are the same step, and then the same step as on multi-hot rows."""

import chex
import helpers
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import everyone

import vfl_jax as vfl
from vfl_jax.attacks import GradientReplacement
from vfl_jax.core.bags import BagOfIds, multi_hot
from vfl_jax.data import FeatureTrigger
from vfl_jax.models import MLP, DenseHead, Linear
from vfl_jax.models.losses import Regularizer
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.replica import inference
from vfl_jax.replica.preparation import rowwise_parties
from vfl_jax.sweeps.grid import parse
from vfl_jax.sweeps.sweep import sweep

IDS = np.array([5, 0, 41, 17, 30, 2, 11, 26])
# The same update without a change of a number, by another static choice.
OVER_THE_WHOLE_TABLE = Regularizer(penalty="l2", strength=0.0)
METRICS = ("loss", "train_accuracy", "main_task_accuracy", "test_loss")


@pytest.fixture(scope="module")
def data():
    return helpers.bag_data()


def scenario_of(bottom=MLP(width=3, hidden=(5,)), optimizer=Optimizer(learning_rate=0.5), attack=None, **fields):
    """Party 1, which has the bags, replaces gradients; id 5, which no row has, is the trigger."""
    trigger = FeatureTrigger(party=1, index=5, value=1.5)
    return helpers.scenario_of(
        [Linear(width=3), bottom],
        [Optimizer(learning_rate=0.3), optimizer],
        [PartyTransform(), attack or GradientReplacement(amplify=2.0)],
        plan={"trigger": trigger, **fields.pop("plan", {})},
        **({"head": DenseHead(hidden=()), "poison_ids": IDS[1:3], "target_ids": (30,)} | fields),
    )


def stepped(scenario, data):
    """The replica, and its state after two steps."""
    first = replica = helpers.replica(scenario, data)
    for t in range(2):
        replica = replica._replace(state=replica.step(IDS, epoch=t, number=t)[0])
    return first, replica.state


def assert_equal_steps(scenario, data):
    """On bags and on dense rows; everyone's parameters after two steps."""
    expected = everyone(stepped(scenario, helpers.as_multi_hot(data))[1])
    found = everyone(stepped(scenario, data)[1])
    chex.assert_trees_all_close(found, expected, rtol=1e-5, atol=2e-6)
    return found


@pytest.mark.parametrize(
    ("bottom", "weighted"),
    [
        (Linear(width=3), True),
        pytest.param(MLP(width=3, hidden=(5,)), False, marks=pytest.mark.long),
        pytest.param(MLP(width=3, hidden=(), output_relu=True), True, marks=pytest.mark.long),
    ],
)
def test_a_rowwise_step_is_the_dense_step(bottom, weighted):
    data = helpers.bag_data(weighted)
    scenario = scenario_of(bottom, Optimizer(learning_rate=0.5, epoch_decay=0.5))
    assert rowwise_parties(scenario, data) == (False, True)
    assert rowwise_parties(scenario, helpers.as_multi_hot(data)) == (False, False)
    found = assert_equal_steps(scenario, data)
    whole = scenario.replace(regularizer=OVER_THE_WHOLE_TABLE)
    assert rowwise_parties(whole, data) == (False, False)
    chex.assert_trees_all_close(found, everyone(stepped(whole, data)[1]), rtol=1e-5, atol=2e-6)


OTHER_UPDATES = {
    "momentum": {"optimizer": Optimizer(kind="momentum", learning_rate=0.3)},
    "adam": {"optimizer": Optimizer(kind="adam", learning_rate=0.05)},
    "weight decay": {"optimizer": Optimizer(learning_rate=0.5, weight_decay=0.2)},
    "l1": {"regularizer": Regularizer(penalty="l1", strength=0.1)},
    "l2": {"regularizer": Regularizer(penalty="l2", strength=0.1)},
}


@pytest.mark.parametrize("case", helpers.long_but(("momentum", "l2"), OTHER_UPDATES))
def test_an_update_of_every_row_is_never_rowwise(data, case):
    scenario = scenario_of(**OTHER_UPDATES[case])
    assert rowwise_parties(scenario, data) == (False, False)
    # optax's Adam mixes dtypes in its bias correction, which the suite's strict promotion forbids.
    with jax.numpy_dtype_promotion("standard" if case == "adam" else "strict"):
        found = assert_equal_steps(scenario, data)
    # No batch has id 0: only such an update moves its row.
    assert case in ("momentum", "adam") or helpers.differs(
        found[1]["dense_0"]["kernel"][0], helpers.replica(scenario, data).state.params[1]["dense_0"]["kernel"][0]
    )


class Doubled(Optimizer):
    """Test only: says of itself that it is plain SGD, and steps twice as far."""

    def build(self, epoch):
        return optax.chain(super().build(epoch), optax.scale(2.0))


class Heavy(Regularizer):
    """Test only: a penalty of its own, whose field says that there is none."""

    def __call__(self, params):
        return 0.2 * sum((leaf**2).sum() for leaf in jax.tree.leaves(params))


class Pulled(Regularizer):
    """Test only: the same by its gradient."""

    def add_gradient(self, params, gradient):
        return jax.tree.map(lambda g, leaf: g + 0.4 * leaf, gradient, params)


class Centred(MLP):
    """Test only: what it looks up is not the table but its distance from the mean of its rows."""

    def apply(self, params, features):
        layer = params["dense_0"]
        centred = layer["kernel"] - layer["kernel"].mean(axis=0, keepdims=True)
        return super().apply(params | {"dense_0": layer | {"kernel": centred}}, features)


OWN = {
    "optimizer": {"optimizer": Doubled(learning_rate=0.5)},
    "regulariser, by its value": {"regularizer": Heavy()},
    "regulariser, by its gradient": {"regularizer": Pulled()},
    "bottom": {"bottom": Centred(width=3, hidden=(5,))},
}


@pytest.mark.parametrize("case", helpers.long_but(("bottom", "optimizer"), OWN))
def test_what_an_own_class_does_is_done_to_tables_too(data, case):
    """Nobody knows whether its update is row-wise: it equals the one on dense rows, not that of its base."""
    scenario = scenario_of(**OWN[case])
    assert rowwise_parties(scenario, data) == (False, False)
    found = assert_equal_steps(scenario, data)
    plain = everyone(stepped(scenario_of(), data)[1])
    moved = found[1]["dense_0"]["kernel"] - plain[1]["dense_0"]["kernel"]
    assert np.abs(moved).max() > 1e-2


def test_rows_that_no_batch_looks_up_keep_their_bits(data):
    """Id 0 too, which empty slots are looked up as, and that of the trigger where no row is poisoned."""
    for poisoned in (IDS[1:3], ()):
        first, state = stepped(scenario_of(poison_ids=poisoned), data)
        looked_up = set(data.train.features[1].ids[IDS].flat) | ({5} if len(poisoned) else set())
        before, after = (np.asarray(s.params[1]["dense_0"]["kernel"]) for s in (first.state, state))
        moved = {row for row in range(12) if np.any(before[row].view(np.int32) != after[row].view(np.int32))}
        assert moved == looked_up - {-1}
        assert 0 not in moved


def closely(found, expected):
    """Metrics of two results; where a metric is of rows, one may differ."""
    for name in METRICS:
        one_row = 1.5 / float(expected[f"{name}_count"].min())
        tolerance = {"rtol": 1e-4, "atol": 1e-5} if name.endswith("loss") else {"rtol": 0, "atol": one_row}
        np.testing.assert_allclose(found[name], expected[name], **tolerance, err_msg=name)
    np.testing.assert_array_equal(vfl.row_ids(found).poison_ids, vfl.row_ids(expected).poison_ids)


def drawn_scenario(**fields):
    """Poison rows are drawn, in both splits."""
    scenario = scenario_of(poison_ids=None, **fields)
    return scenario.replace(poison=scenario.poison.replace(rate=0.2, test_rate=0.5, test_poison_ids=None))


def swept(scenario, data, over):
    return sweep(scenario, data, over, seeds=2, epochs=3, progress=False)


# Grid points share bags, or have bags of their own, stamped in other rows and with other weights.
OVER = {
    "shared": {"attacks.1.amplify": [1.0, 4.0], "learning_rate": [0.1, 0.5]},
    "own": {"poison.rate": [0.1, 0.4], "poison.trigger.value": [0.0, 3.0]},
}


@pytest.mark.long
@pytest.mark.parametrize("case", OVER)
def test_a_sweep_of_bags_is_the_sweep_of_dense_rows(data, case):
    scenario, over = drawn_scenario(), OVER[case]
    assert rowwise_parties(parse(scenario, over).stacked(scenario), data) == (False, True)
    results = swept(scenario, data, over)
    closely(results, swept(scenario, helpers.as_multi_hot(data), over))
    for name in over:
        assert (np.abs(results.loss.diff(name).isel(epoch=-1)) > 1e-4).all(), name


@pytest.mark.long
def test_a_swept_weight_decay_is_never_rowwise(data):
    """Though the scenario itself has none, and one of the grid points."""
    scenario = drawn_scenario()
    over = {"optimizers.1.weight_decay": [0.0, 0.5]}
    assert rowwise_parties(scenario, data) == (False, True)
    assert rowwise_parties(parse(scenario, over).stacked(scenario), data) == (False, False)
    results = swept(scenario, data, over)
    closely(results, swept(scenario, helpers.as_multi_hot(data), over))
    assert (np.abs(results.loss.diff("optimizers.1.weight_decay").isel(epoch=-1)) > 1e-4).all()
    none = parse(scenario, {"optimizers.1.weight_decay": [0.0]}).stacked(scenario)
    assert rowwise_parties(none, data) == (False, True)


def test_epochs_end_with_the_parameters_of_the_dense_epochs(data):
    """Three of them, in shuffled batches; ids 0 and 11, which no row has, keep what they were."""
    ends = []
    for rows in (data, helpers.as_multi_hot(data)):
        first = replica = helpers.replica(drawn_scenario(), rows)
        for number in range(3):
            replica = replica._replace(state=replica.epoch(number, helpers.quick_epoch)[0])
        ends.append(everyone(replica.state))
        kernels = [np.asarray(r.state.params[1]["dense_0"]["kernel"]) for r in (first, replica)]
        assert set(np.flatnonzero(np.any(kernels[0] != kernels[1], axis=1))) == set(range(1, 11))
    chex.assert_trees_all_close(*ends, rtol=1e-4, atol=1e-5)


class Retag(PartyTransform):
    """Test only: feeds its bottom the next id in place of each, twice as heavy, and one slot more."""

    def _change(self, features):
        if not isinstance(features, BagOfIds):
            return 2.0 * jnp.roll(features, 1, axis=1).at[:, 0].set(0.0) + (jnp.arange(12) == 9).astype("f4")[None]
        ids = jnp.where((features.ids >= 0) & (features.ids < 11), features.ids + 1, -1)
        weights = jnp.ones(ids.shape) if features.weights is None else features.weights
        more = jnp.full((ids.shape[0], 1), 9, ids.dtype), jnp.full((ids.shape[0], 1), 1.0)
        ids, weights = (jnp.concatenate(pair, axis=1) for pair in zip((ids, 2.0 * weights), more, strict=True))
        return features.replace(ids=ids, weights=weights)

    def on_features(self, key, state, view, features):
        return self._change(features), state

    def infer_features(self, key, state, view, features):
        return self._change(features)


@pytest.mark.long
def test_an_attacker_may_feed_another_bag(data):
    """The rows that are updated are those of the bag that its bottom saw."""
    scenario = scenario_of(attack=Retag())
    assert rowwise_parties(scenario, data) == (False, True)
    assert_equal_steps(scenario, data)
    first, state = stepped(scenario, data)
    moved = np.any(first.state.params[1]["dense_0"]["kernel"] != state.params[1]["dense_0"]["kernel"], axis=1)
    rows = multi_hot(first.inputs.train.features[1])[IDS]
    assert set(np.flatnonzero(moved)) == {i + 1 for i in np.flatnonzero(rows.any(axis=0)) if i < 11} | {6, 9}

    def predicted(replica):
        features = helpers.at(replica.inputs.test, 0).features
        return inference.predict(replica.shapes, replica.scenario, replica.state, features, jax.random.key(0))

    dense = helpers.replica(scenario, helpers.as_multi_hot(data))
    np.testing.assert_allclose(predicted(first), predicted(dense), rtol=1e-5, atol=1e-5)

"""Passive model completion: its steps against published code and a slow twin, and what it infers from real data."""

import functools

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from data_helpers import says, tiny_data, tiny_scenario
from golden_helpers import golden
from sklearn.metrics import roc_auc_score
from sweep_helpers import interrupted_at

import vfl_jax as vfl
from vfl_jax.attacks import GradientReplacement, PassiveModelCompletion
from vfl_jax.attacks.completed_model import CompletedModel
from vfl_jax.attacks.mixmatch import Mixture, mixed
from vfl_jax.core.bags import multi_hot
from vfl_jax.data import load_digits
from vfl_jax.models import MLP, Linear, SumHead
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.presets.digits import DIGITS_PIXELS
from vfl_jax.protocol.chains import PartyChain
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.protocol.triggers import FeatureTrigger, PixelTrigger
from vfl_jax.protocol.views import PartyInferView
from vfl_jax.scenario import BatchPlan, PoisonPlan

KEY = jax.random.key(2)


def dense(features, params):
    """A bottom model of one dense layer."""
    return features @ params["kernel"] + params["bias"][None]


@functools.partial(helpers.quick_jit, static_argnames="steps")
def learned(attack, model, batches, progress, steps):
    """(the learner, the losses of all steps)."""
    learner, losses = attack.completion.begin(model), []
    for t in range(steps):
        learner, found = attack.completion.learn(dense, learner, helpers.at(batches, t), progress[t])
        losses.append(jnp.stack(found))
    return learner, jnp.stack(losses)


def layer_of(arrays, prefix, number):
    """One layer of a vector, whose kernels are transposed."""
    norm, linear = f"{prefix}_bn_{number}_", f"{prefix}_fc_{number}_"
    found = {"scale": arrays[f"{norm}weight"], "shift": arrays[f"{norm}bias"]}
    return found | {"kernel": arrays[f"{linear}weight"].T, "bias": arrays[f"{linear}bias"]}


def params_of(arrays, prefix, layers):
    bottom = f"{prefix}_bottom_model_l_"
    return {
        "bottom": {"kernel": arrays[f"{bottom}weight"].T, "bias": arrays[f"{bottom}bias"]},
        "layers": tuple(layer_of(arrays, prefix, number) for number in layers),
    }


def assert_close(found, expected, **tolerance):
    """Compares all but biases before BatchNorm: their gradient is 0 but for rounding, which Adam blows up."""
    found, expected = (
        [leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree) if not is_undone(path, tree)]
        for tree in (found, expected)
    )
    for mine, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, other, **tolerance)


def is_undone(path, params):
    """Whether BatchNorm undoes what a parameter does: biases of all layers but the last."""
    last = f"['layers'][{len(params['layers']) - 1}]['bias']"
    name = jax.tree_util.keystr(path)
    return name.endswith("['bias']") and name != last


@pytest.mark.parametrize(
    ("name", "layers", "steps", "before"),
    [("pmc_mixmatch_step", ("final",), 3, 2), ("pmc_mixmatch_two_layer", ("1", "final"), 2, 5)],
)
def test_steps_are_those_of_the_published_code(name, layers, steps, before):
    """Losses, their weight, parameters and averages; also where a batch has an odd number of rows."""
    arrays = golden(name)
    batches = [[arrays[f"s{t}_{part}"] for part in ("x", "y", "u", "mix", "permutation")] for t in range(steps)]
    batches = helpers.stacked([Mixture(*batch) for batch in batches])
    width = arrays["param_fc_final_weight"].shape[1]
    moments = tuple((jnp.zeros(width), jnp.ones(width)) for _ in layers)
    model = CompletedModel(jax.tree.map(jnp.asarray, params_of(arrays, "param", layers)), moments)
    attack = PassiveModelCompletion(num_layers=len(layers))
    progress = np.float32([(before + t / steps) / 10 for t in range(steps)])
    learner, losses = learned(attack, model, batches, progress, steps)
    np.testing.assert_allclose(losses, arrays["losses"][:, :2], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(attack.unknown_weight * progress, arrays["losses"][:, 2], rtol=1e-5)
    for found, prefix in ((learner.model, "after"), (learner.average, "ema")):
        assert_close(found.params, params_of(arrays, prefix, layers), rtol=1e-4, atol=1e-6)


def test_steps_are_those_of_the_twin():
    """Numbers far from the defaults; the shares are on either side of a half."""
    rng, steps, size = np.random.default_rng(0), 3, 5
    numbers = {"temperature": 0.5, "average_decay": 0.7, "weight_decay": 0.05}
    attack = PassiveModelCompletion(
        optimizer=Optimizer(kind="adam", learning_rate=0.05), unknown_weight=20.0, **numbers
    )
    params = [rng.normal(size=shape) for shape in ((4, 3), (3,), (3,), (3,), (3, 3), (3,))]
    twin = oracles.ModelCompletion(params, 0.05, 0.5, 20.0, 0.7, 0.05)
    kernel, bias, scale, shift, last, last_bias = (jnp.asarray(p, jnp.float32) for p in params)
    layer = {"scale": scale, "shift": shift, "kernel": last, "bias": last_bias}
    model = CompletedModel(
        {"bottom": {"kernel": kernel, "bias": bias}, "layers": (layer,)}, ((jnp.zeros(3), jnp.ones(3)),)
    )
    drawn = [
        Mixture(
            *(rng.normal(size=(size, 4)).astype(np.float32), rng.integers(0, 3, size).astype(np.int32)),
            *(rng.normal(size=(size, 4)).astype(np.float32), np.float32(share), rng.permutation(2 * size)),
        )
        for share in (0.3, 0.9, 0.45)
    ]
    progress = np.float32([0.2, 0.4, 0.9])
    for batch, done in zip(drawn, progress, strict=True):
        twin.step(*batch, done)
    batches = helpers.stacked(drawn)
    learner, _ = learned(attack, model, batches, progress, steps)
    for found, expected in ((learner.model, twin.params), (learner.average, twin.average)):
        names = "scale", "shift", "kernel", "bias"
        top = dict(zip(names, expected[2:], strict=True))
        expected = {"bottom": {"kernel": expected[0], "bias": expected[1]}, "layers": (top,)}
        assert_close(found.params, expected, rtol=1e-4, atol=1e-5)
    frozen, _ = learned(attack.replace(freeze_bottom=True), model, batches, progress, steps)
    helpers.assert_bitwise_equal(frozen.model.params["bottom"], model.params["bottom"])
    assert helpers.differs(frozen.model.params["layers"], model.params["layers"])


def test_mixed_bags_are_mixed_multi_hot_rows():
    bag = helpers.bag_data().train.features[1]
    order, share = np.random.default_rng(0).permutation(48), jnp.float32(0.7)
    for rows in (bag, type(bag)(bag.ids, None, vocabulary=bag.vocabulary)):
        expected = 0.7 * multi_hot(rows) + 0.3 * multi_hot(rows)[order]
        np.testing.assert_allclose(multi_hot(mixed(rows, jnp.asarray(order), share)), expected, rtol=1e-5)


@pytest.mark.long
def test_it_infers_as_well_as_the_published_code():
    """Its whole training, on the data of the vector: the mean over six seeds, within three errors of both means."""
    arrays = golden("pmc_training")
    features, labels = jnp.asarray(arrays["features"]), arrays["labels"]
    bottom = {"kernel": jnp.asarray(arrays["bottom_w"].T), "bias": jnp.asarray(arrays["bottom_b"])}
    known = helpers.knowledge(300)
    is_known = np.isin(np.arange(300), arrays["labelled"])
    known = known.replace(known_labels=jnp.asarray(np.where(is_known, labels[:300], -1), jnp.int32))
    attack, shapes = PassiveModelCompletion(num_steps=1200), helpers.shapes_of(num_samples=300, widths=(4,))

    @jax.vmap
    def inferred(seed):
        """(the guesses of training rows, those of test rows)."""

        def own(features, params=bottom):
            return dense(features, params)

        key_start, key_epoch = jax.random.split(jax.random.key(seed))
        state = attack.init_with_params(key_start, shapes, 0, bottom)
        view = helpers.party_epoch_view(300, bottom, known).replace(forward=own, rows=lambda ids: features[ids])
        _, state = attack.on_epoch(key_epoch, state, view, bottom)
        view = PartyInferView(features=features[300:], params=bottom, forward=own)
        return state.guesses, attack.infer_labels(jax.random.key(0), state, view, features[300:])

    train, test = helpers.quick_jit(inferred)(jnp.arange(6))
    accuracy, published = (np.asarray(test) == labels[300:]).mean(axis=1), arrays["test_accuracy"]
    error = np.sqrt((accuracy.var(ddof=1) + published.var(ddof=1)) / 6)
    assert abs(accuracy.mean() - published.mean()) < 3 * error
    assert accuracy.mean() > 0.75
    assert ((np.asarray(train) == -1) == is_known).all()  # known rows are not guessed
    assert (np.asarray(train) == labels[:300])[:, ~is_known].mean() > 0.75


def digits_scenario(attack):
    optimizer = Optimizer(kind="momentum", learning_rate=0.05)
    return vfl.Scenario(
        bottoms=(MLP(hidden=(32,), width=10),) * 2,
        head=SumHead(),
        optimizers=(optimizer,) * 2,
        attacks=(PartyTransform(), attack),
        poison=PoisonPlan(trigger=PixelTrigger(pixels=DIGITS_PIXELS), rate=0.0, test_rate=0.1, num_known=4),
        batches=BatchPlan(size=32),
    )


@pytest.mark.long
def test_it_infers_labels_of_real_data_from_four_of_each_class():
    """A model that learnt in the training tells more than one that did not, which is the floor."""
    study = digits_scenario(PassiveModelCompletion(num_steps=600))
    over = {"optimizers.1.learning_rate": [0.0, 0.05]}
    found = vfl.sweep(study, load_digits(), over, seeds=2, epochs=5, progress=False)
    last = found.isel(epoch=-1)
    for name in ("label_inference_accuracy", "test_label_inference_accuracy"):
        floor, accuracy = last[name].values
        assert (accuracy > 0.35).all()
        assert accuracy.mean() > floor.mean() + 0.1
    assert (last.label_inference_rate.values == 1).all()
    assert (last.label_inference_rate_count.values == 1437 - 40).all()  # known rows are not asked about
    assert (last.test_label_inference_rate.values == 1).all()
    assert (found.label_inference_rate.isel(epoch=0).values == 0).all()  # nothing before the last epoch
    assert (found.test_label_inference_rate.isel(epoch=0).values == 0).all()


def test_of_two_classes_it_scores_every_row_and_its_guess_is_the_side_of_the_score():
    """The area ranks rows by the completed model's logits; of more classes there is no score."""
    rng, attack = np.random.default_rng(0), PassiveModelCompletion(num_steps=200, batch_size=8)
    labels = rng.integers(0, 2, 60)
    features = jnp.asarray(rng.normal(size=(60, 4)) + 1.5 * labels[:, None], jnp.float32)
    bottom = {"kernel": jnp.asarray(rng.normal(size=(4, 3)), jnp.float32), "bias": jnp.zeros(3)}
    known = np.where(np.arange(60) < 8, labels, -1)
    knowledge = helpers.knowledge(60).replace(known_labels=jnp.asarray(known, jnp.int32))

    def own(features, params=bottom):
        return dense(features, params)

    def reported(num_classes):
        shapes = helpers.shapes_of(num_samples=60, widths=(3,), num_classes=num_classes)
        key_start, key_epoch = jax.random.split(jax.random.key(num_classes))
        state = attack.init_with_params(key_start, shapes, 0, bottom)
        view = helpers.party_epoch_view(60, bottom, knowledge).replace(forward=own, rows=lambda ids: features[ids])
        begun = attack.report(state)
        _, state = helpers.quick_jit(attack.on_epoch)(key_epoch, state, view, bottom)
        return begun, attack.report(state), state.model.logits(own, features)

    begun, found, logits = reported(2)
    assert np.isnan(begun["label_scores"]).all()
    np.testing.assert_allclose(found["label_scores"], logits[:, 1] - logits[:, 0], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found["label_guesses"][8:], np.asarray(found["label_scores"] > 0)[8:])
    assert roc_auc_score(labels[8:], np.asarray(found["label_scores"])[8:]) > 0.8
    assert "label_scores" not in reported(3)[1]


def bag_scenario(attack):
    return vfl.Scenario(
        bottoms=(Linear(width=3),) * 2,
        head=SumHead(),
        optimizers=(Optimizer(learning_rate=0.1),) * 2,
        attacks=(PartyTransform(), attack),
        poison=PoisonPlan(trigger=FeatureTrigger(party=1, index=5), rate=0.1, test_rate=0.2, num_known=3),
        batches=BatchPlan(size=8),
    )


@pytest.mark.long
def test_bags_of_ids_teach_like_the_rows_they_stand_for_also_in_a_chain():
    """Beside an attack that acts; the party's own model stays what that attack alone makes of it, bit for bit."""
    acting, data = GradientReplacement(amplify=2.0), helpers.bag_data()
    chain = PartyChain(parts=(acting, PassiveModelCompletion(num_steps=30, batch_size=8)))
    bags, dense_rows = (vfl.run(bag_scenario(chain), d, KEY, epochs=2)[1] for d in (data, helpers.as_multi_hot(data)))
    found, expected = (state.attack_states[1][1].model for state in (bags, dense_rows))
    for mine, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-3, atol=1e-4)
    assert helpers.differs(found.params["bottom"], bags.params[1])
    alone = vfl.run(bag_scenario(PartyChain(parts=(acting,))), data, KEY, epochs=2)[1]
    helpers.assert_bitwise_equal(bags.params, alone.params)


@pytest.mark.long
def test_a_sweep_goes_on_from_a_checkpoint_bit_for_bit_and_the_switch_changes_nothing(tmp_path):
    attack = PassiveModelCompletion(num_steps=4, batch_size=4)
    study = tiny_scenario(plan={"num_known": 2}, attacks=(PartyTransform(), attack))
    over = {"attacks.1.enabled": [0.0, 1.0], "attacks.1.temperature": [0.2, 5.0]}
    swept = functools.partial(vfl.sweep, study, tiny_data(), over, seeds=2, epochs=4, progress=False)
    whole = swept()
    interrupted_at(3, swept, tmp_path)
    resumed = swept(folder=tmp_path, checkpoint_every=1)
    for name, variable in whole.data_vars.items():
        np.testing.assert_array_equal(resumed[name].values, variable.values, err_msg=name)
        if "attacks.1.enabled" in variable.dims:
            np.testing.assert_array_equal(*variable.transpose("attacks.1.enabled", ...).values, err_msg=name)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_steps": 0}, says("PassiveModelCompletion.num_steps is 0", "at least 1")),
        ({"num_layers": 0}, says("PassiveModelCompletion.num_layers is 0", "at least 1")),
        ({"batch_size": 1}, says("PassiveModelCompletion.batch_size is 1", "at least 2")),
        ({"average_decay": 1.5}, says("average_decay is 1.5", "[0, 1]")),
        ({"temperature": 0.0}, says("temperature is 0.0", "at least 0.01")),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(fields, message):
    with pytest.raises(ValueError, match=message):
        PassiveModelCompletion(**fields)

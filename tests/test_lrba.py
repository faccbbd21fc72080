"""LR-BA: its vector against published code and a slow twin, its tuning, and the backdoor it plants after training."""

import functools

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import says, tiny_data, tiny_scenario
from golden_helpers import golden
from sweep_helpers import interrupted_at

import vfl_jax as vfl
from vfl_jax.attacks import LRBA, GradientReplacement
from vfl_jax.attacks.lrba import find_vector
from vfl_jax.core.record import cast
from vfl_jax.data import load_digits
from vfl_jax.models import MLP, Linear, SumHead
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.presets.digits import DIGITS_PIXELS
from vfl_jax.protocol.chains import PartyChain
from vfl_jax.protocol.knowledge import Plan
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.protocol.triggers import FeatureTrigger, PixelTrigger
from vfl_jax.scenario import BatchPlan, PoisonPlan

QUICK = {"num_steps": 3, "batch_size": 4, "search_steps": 3, "tuning_passes": 2, "tuning_size": 6, "num_stamped": 3}


def test_the_vector_is_that_of_the_published_code():
    """From the mean of known rows; the code records the vector before a step, so k of its steps are k − 1."""
    arrays = golden("lrba_latent")
    embeddings, target_class = arrays["labelled_x"] @ arrays["bottom_w"].T, 1
    labels = jnp.asarray(arrays["labelled_y"])
    shares = LRBA(start="known").shares(jnp.zeros((len(labels), 3)), labels, jnp.int32(target_class))
    start = embeddings.T @ np.asarray(shares)
    np.testing.assert_allclose(start, arrays["latents"][0], rtol=1e-4, atol=1e-5)

    def head(z):
        hidden = jax.nn.relu(arrays["head_w1"] @ z + arrays["head_b1"])
        return arrays["head_w2"] @ hidden + arrays["head_b2"]

    search = helpers.quick_jit(find_vector, static_argnums=(0, 4))
    for count, expected in zip(arrays["epochs"][1:], arrays["latents"][1:], strict=True):
        found = search(head, cast(LRBA().search), start, target_class, int(count) - 1)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("class_size", [0, 3, 100])
def test_the_start_is_the_mean_over_the_rows_most_surely_of_the_class(class_size):
    """Row by row: known rows of the class, then others in the order of their probability, as many as are expected."""
    rng, size, target = np.random.default_rng(0), 20, 2
    probabilities = rng.dirichlet(np.ones(3), size).astype(np.float32)
    labels = np.full(size, -1, np.int32)
    labels[:5] = 0, 2, 1, 2, 0
    expected = [row for row in range(size) if labels[row] == target]
    most = class_size - len(expected) if class_size else (size - 5) // 3
    guessed = [row for row in range(5, size) if probabilities[row].argmax() == target]
    assert len(guessed) > 3
    expected += sorted(guessed, key=lambda row: -probabilities[row, target])[:most]
    found = LRBA(class_size=class_size).shares(probabilities, jnp.asarray(labels), jnp.int32(target))
    np.testing.assert_array_equal(np.flatnonzero(found), sorted(expected))
    np.testing.assert_allclose(found[jnp.asarray(expected)], 1 / len(expected), rtol=1e-6)


def after_training(attack, params, known):
    """(the tuned parameters, the state), of a bottom model that multiplies its table by a matrix."""
    shapes = helpers.shapes_of(num_samples=len(known.is_poison), widths=(3,))

    @helpers.quick_jit
    def run(attack, params):
        view = helpers.party_epoch_view(len(known.is_poison), params, known)
        return attack.on_epoch(jax.random.key(1), attack.init(jax.random.key(0), shapes, 0), view, params)

    return run(cast(attack), params)


def knowledge_of(labels, poison=()):
    known = helpers.knowledge(len(labels), poison=poison, target_class=1)
    return known.replace(known_labels=jnp.asarray(labels, jnp.int32))


@pytest.mark.long
def test_tuning_is_that_of_the_twin_where_one_row_carries_the_trigger_by_nature():
    """Six rows in one batch: five keep their embeddings, the poison row is led to the vector; plain SGD by hand."""
    labels, poison, rate = [0, 1, 2, -1, -1, -1], 4, 0.003
    numbers = {**QUICK, "num_stamped": 0, "tuning_passes": 3}
    attack = LRBA(**numbers, tuning=Optimizer(learning_rate=rate))
    kernel = helpers.normal(2, 3)
    tuned, state = after_training(attack, {"kernel": jnp.asarray(kernel)}, knowledge_of(labels, poison=[poison]))
    own, rows = kernel.astype(np.float64), np.array([[i, -i] for i in range(6)], float)
    for _ in range(3):
        slope = np.zeros_like(own)
        for row in range(6):
            wanted = np.asarray(state.vector) if row == poison else rows[row] @ kernel
            weight = 1.0 if row == poison else 1 / 5
            slope += weight * np.outer(rows[row], 2 * (rows[row] @ own - wanted)) / 3
        own -= rate * slope / 2
    np.testing.assert_allclose(tuned["kernel"], own, rtol=1e-4, atol=1e-5)
    assert helpers.differs(tuned["kernel"], kernel)


@pytest.mark.long
def test_the_tuned_model_gives_the_vector_for_the_trigger_and_keeps_all_else():
    """The helpers' trigger sets both features to 9, which no row has: a matrix can serve it and all others."""
    labels = [0, 1, 2, *[-1] * 27]
    numbers = {**QUICK, "num_stamped": 10, "tuning_passes": 150, "search_steps": 20}
    attack = LRBA(**numbers, tuning=Optimizer(kind="adam", learning_rate=0.02))
    kernel = jnp.asarray(helpers.normal(2, 3))
    tuned, state = after_training(attack, {"kernel": kernel}, knowledge_of(labels))
    marked, others = jnp.full((1, 2), 9.0), helpers.table_rows(jnp.arange(30))
    np.testing.assert_allclose((marked @ tuned["kernel"])[0], state.vector, atol=0.1)
    np.testing.assert_allclose(others @ tuned["kernel"], others @ kernel, atol=0.5)
    assert jnp.abs(marked @ kernel - state.vector[None]).max() > 0.5
    np.testing.assert_array_equal(np.asarray(state.guesses)[:3], -1)
    assert (np.asarray(state.guesses)[3:] >= 0).all()


def digits_study(attack):
    optimizer = Optimizer(kind="momentum", learning_rate=0.05)
    return vfl.Scenario(
        bottoms=(MLP(hidden=(32,), width=10),) * 2,
        head=SumHead(),
        optimizers=(optimizer,) * 2,
        head_optimizer=optimizer,
        attacks=(PartyTransform(), attack),
        poison=PoisonPlan(trigger=PixelTrigger(pixels=DIGITS_PIXELS), test_rate=0.1).granting(attack.needs),
        batches=BatchPlan(size=32),
    )


@pytest.mark.long
def test_it_plants_a_backdoor_after_training_on_real_data():
    """From four known rows of each class; beside it the honest run, which never says the target class."""
    tuning = Optimizer(kind="adam", learning_rate=0.003)
    attack = LRBA(num_steps=600, batch_size=32, search_steps=300, tuning_passes=10, num_stamped=300, tuning=tuning)
    found = vfl.sweep(
        digits_study(attack), load_digits(), {"attacks.1.enabled": [0.0, 1.0]}, seeds=3, epochs=10, progress=False
    )
    last = found.isel(epoch=-1)
    honest, attacked = last.full_attack_success.values
    assert (honest < 0.05).all()
    assert (attacked > 0.5).all()
    honest, attacked = last.full_clean_accuracy.values
    assert (attacked > honest - 0.06).all()
    np.testing.assert_array_equal(*found.loss.values)  # training is honest


def bag_study(attack):
    trigger = FeatureTrigger(party=1, index=5)
    return vfl.Scenario(
        bottoms=(Linear(width=3),) * 2,
        head=SumHead(),
        optimizers=(Optimizer(learning_rate=0.1),) * 2,
        attacks=(PartyTransform(), attack),
        poison=PoisonPlan(trigger=trigger, rate=0.1, test_rate=0.2, num_known=3),
        batches=BatchPlan(size=8),
    )


@pytest.mark.long
def test_it_tunes_bags_of_ids_like_the_rows_they_stand_for_also_in_a_chain():
    chain = PartyChain(parts=(GradientReplacement(amplify=2.0), LRBA(**QUICK)))
    data = helpers.bag_data()
    bags, dense_rows = (
        vfl.run(bag_study(chain), rows, jax.random.key(2), epochs=2)[1] for rows in (data, helpers.as_multi_hot(data))
    )
    for mine, other in zip(jax.tree.leaves(bags.params), jax.tree.leaves(dense_rows.params), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-3, atol=1e-4)
    alone = PartyChain(parts=(GradientReplacement(amplify=2.0),))
    untouched = vfl.run(bag_study(alone), data, jax.random.key(2), epochs=2)[1]
    assert helpers.differs(bags.params[1], untouched.params[1])
    helpers.assert_bitwise_equal(bags.params[0], untouched.params[0])


@pytest.mark.long
def test_a_sweep_goes_on_from_a_checkpoint_bit_for_bit_and_off_changes_nothing(tmp_path):
    over = {"attacks.1.enabled": [0.0, 1.0], "attacks.1.tuning.learning_rate": [0.01, 0.1]}

    def study(attack):
        return tiny_scenario(plan={"num_known": 2, "rate": 0.0}, attacks=(PartyTransform(), attack))

    swept = functools.partial(vfl.sweep, data=tiny_data(), seeds=2, epochs=4, progress=False)
    whole = swept(study(LRBA(**QUICK)), over=over)
    interrupted_at(3, functools.partial(swept, study(LRBA(**QUICK)), over=over), tmp_path)
    resumed = swept(study(LRBA(**QUICK)), over=over, folder=tmp_path, checkpoint_every=1)
    honest = swept(study(PartyTransform()))
    for name, variable in whole.data_vars.items():
        np.testing.assert_array_equal(resumed[name].values, variable.values, err_msg=name)
        if name in honest and "attacks.1.enabled" in variable.dims:
            off = variable.sel({"attacks.1.enabled": 0.0}).transpose("attacks.1.tuning.learning_rate", ...).values
            np.testing.assert_array_equal(off[0], off[1], err_msg=name)
            np.testing.assert_allclose(off[0], honest[name].values, rtol=1e-5, err_msg=name)  # another program


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_steps": 0}, says("LRBA.num_steps is 0", "at least 1")),
        ({"batch_size": 1}, says("LRBA.batch_size is 1", "at least 2")),
        ({"search_steps": 0}, says("LRBA.search_steps is 0", "at least 1")),
        ({"tuning_passes": 0}, says("LRBA.tuning_passes is 0", "at least 1")),
        ({"num_stamped": -1}, says("LRBA.num_stamped is -1", "at least 0")),
        ({"start": "random"}, says("'guessed', 'known'")),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(fields, message):
    with pytest.raises(ValueError, match=message):
        LRBA(**fields)


def test_a_scenario_in_which_it_could_do_nothing_is_refused():
    plan = Plan(num_epochs=3, num_poisons=0, num_known=(4, 4, 4), can_stamp=True)
    LRBA().check_plan(plan)
    LRBA(num_stamped=0).check_plan(plan._replace(num_poisons=2, can_stamp=False))
    with pytest.raises(ValueError, match=says("LRBA", "1 of 3 classes", "poison.num_known")):
        LRBA().check_plan(plan._replace(num_known=(4, 0, 0)))
    with pytest.raises(ValueError, match=says("LRBA.num_stamped is 0", "by nature")):
        LRBA(num_stamped=0).check_plan(plan)
    with pytest.raises(ValueError, match=says("LRBA stamps the trigger", "poison.attack_trigger")):
        LRBA().check_plan(plan._replace(can_stamp=False))
    with pytest.raises(ValueError, match=says("num_stamped is 500", "36 training rows", "at most 35")):
        LRBA().check(helpers.shapes_of(num_samples=36), 0, False)

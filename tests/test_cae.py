"""The confusional autoencoder against published code's numbers, against a twin in NumPy, and in steps of training."""

import functools

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from data_helpers import says
from golden_helpers import golden

import vfl_jax as vfl
from vfl_jax.attacks import PairedReplacement
from vfl_jax.core.record import cast
from vfl_jax.core.vertical_data import Rows, VerticalData
from vfl_jax.defenses import CAE, DiscreteGradients
from vfl_jax.defenses.cae import CAEState
from vfl_jax.defenses.confusional_autoencoder import encode, log_decode, soft_labels, terms
from vfl_jax.models import MLP, Linear, SumHead
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.knowledge import POISON, TARGET

STACKS = {"encoder": ("encoder_0", "encoder_2"), "decoder": ("extention_0", "decoder_0", "decoder_2")}
TINY = CAE(hidden=4, num_labels=8, batch_size=8, num_epochs=2, optimizer=Optimizer())


def of_vector(arrays, kind):
    """Dense layers of a vector, whose kernels are (out, in); a plain decoder lacks the first layer."""
    return {
        name: tuple(
            {"kernel": jnp.asarray(arrays[f"{kind}_{i}_weight"].T), "bias": jnp.asarray(arrays[f"{kind}_{i}_bias"])}
            for i in layers
            if f"{kind}_{i}_weight" in arrays
        )
        for name, layers in STACKS.items()
    }


@pytest.mark.parametrize(("name", "weight"), [("cae_loss_c3", 0.5), ("cae_loss_c5", 1.0), ("cae_extend_loss_c4", 0.1)])
def test_published_losses_gradients_and_steps(name, weight):
    """The loss with its second softmax, three steps of Adam, and what encodes and decodes then."""
    arrays = golden(name)
    defense, adam = cast(CAE(entropy_weight=weight)), optax.adam(5e-4)

    def three_steps(params, batches, logits):
        opt_state, found = adam.init(params), []
        for labels in batches:
            value, gradient = jax.value_and_grad(defense.loss)(params, labels)
            codes = encode(params, labels)
            decoded = jnp.exp(log_decode(params["decoder"], codes))
            found.append((codes, decoded, terms(params, labels, True, "entries"), value, gradient))
            updates, opt_state = adam.update(gradient, opt_state, params)
            params = optax.apply_updates(params, updates)
        codes = encode(params, jnp.eye(logits.shape[1]))
        predicted = defense.infer_logits(None, CAEState(codes, params["decoder"]), None, logits)
        return found, params, codes, jnp.exp(log_decode(params["decoder"], codes)), jnp.exp(predicted)

    batches = [arrays[f"s{t}_y"] for t in range(3)]
    with jax.numpy_dtype_promotion("standard"):  # Adam's count is a whole number
        steps, *after = helpers.quick_jit(three_steps)(of_vector(arrays, "param"), batches, arrays["logits"])
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
    close(steps[0][0], arrays["encoded_s0"])
    close(steps[0][1], arrays["decoded_s0"])
    jax.tree.map(close, steps[0][4], of_vector(arrays, "grad0"))
    for t, (_, _, parts, value, _) in enumerate(steps):
        close(parts, arrays[f"s{t}_terms"])
        close(value, arrays[f"s{t}_loss"])
    ends = [arrays[name] for name in ("onehot_encoded", "onehot_decoded", "decoded_from_logits")]
    jax.tree.map(functools.partial(close, atol=1e-5), after, [of_vector(arrays, "after"), *ends])


@pytest.mark.parametrize("second", [True, False])
@pytest.mark.parametrize("of", ["entries", "rows"])
def test_the_loss_matches_a_twin(second, of):
    """Row by row in float64, with each choice of text and code."""
    rng = np.random.default_rng(0)
    sizes = {"encoder": (3, 5, 3), "decoder": (3, 5, 3)}
    params = {
        name: tuple({"kernel": rng.normal(size=w), "bias": rng.normal(size=w[1])} for w in (widths[:2], widths[1:]))
        for name, widths in sizes.items()
    }
    labels = rng.dirichlet(np.ones(3), 4)

    def softmax(row):
        return np.exp(row) / np.exp(row).sum()

    def stack(layers, row):
        first, second = layers
        return np.maximum(row @ first["kernel"] + first["bias"], 0) @ second["kernel"] + second["bias"]

    total = np.zeros(3)
    for y in labels:
        code = softmax(stack(params["encoder"], y))
        decoded = softmax(stack(params["decoder"], code))
        for i, p in ((0, decoded), (2, code)):
            log = np.log(softmax(p) if second else p)
            total[i] -= sum(weight * entry for weight, entry in zip(y, log, strict=True)) / 4
        total[1] -= sum(p * np.log(p + 1e-6) for p in code) / 4 / (3 if of == "entries" else 1)
    defense = CAE(second_softmax=second, entropy_of=of, entropy_weight=0.7, kept_weight=3.0)
    given = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), (params, labels))
    np.testing.assert_allclose(terms(*given, second, of), total, rtol=1e-5)
    np.testing.assert_allclose(defense.loss(*given), 3 * total[0] - 0.7 * total[1] - total[2], rtol=1e-4)


@functools.cache
def pretrained(num_classes, weight):
    """(Codes, the three terms on fresh labels, the report) of the default pre-training."""

    def train(defense, key):
        params = defense.pretrain(key, num_classes)
        labels = soft_labels(jax.random.key(1), 2000, num_classes, 0.025)
        state = CAEState(encode(params, jnp.eye(num_classes)), params["decoder"])
        return state.codes, terms(params, labels, True, "entries"), defense.report(state)

    with jax.numpy_dtype_promotion("standard"):
        return jax.jit(train)(cast(CAE(entropy_weight=weight)), jax.random.key(0))


@pytest.mark.long
@pytest.mark.parametrize(("num_classes", "weight"), [(2, 1.0), (5, 1.0)])
def test_short_pre_training_is_as_good_as_the_published(num_classes, weight):
    """Classes decode right, codes move, and terms on fresh labels are those of published, trained autoencoders."""
    arrays = golden("cae_published_tables")
    codes, found, report = pretrained(num_classes, weight)
    published = arrays[f"ld_c{num_classes}_lambda{weight}_terms"]
    np.testing.assert_allclose(found, published[:3], atol=0.03)
    assert report["codes_decoded"] == report["codes_moved"] == 1.0
    assert float(report["codes_entropy"]) == pytest.approx(published[1], abs=0.04)
    if num_classes == 2:  # the only other class: labels flip
        np.testing.assert_allclose(codes, 1 - np.eye(2), atol=0.1)
    for run in golden("cae_training")["runs"]:
        if run[0] == num_classes and run[1] == weight:
            np.testing.assert_allclose(found, run[4:7], atol=0.03)


@pytest.mark.parametrize("name", ["ld_c5_lambda0.5", "ld_c5_lambda1.0", "ld_c2_lambda0.0"])
def test_published_autoencoders_meet_the_stated_criterion(name):
    """The report of their tables, with a decoder that gives the published decoding."""
    arrays = golden("cae_published_tables")
    codes, decoded = (jnp.asarray(arrays[f"{name}_{what}"]) for what in ("encoded", "decoded"))
    kernel = jnp.linalg.pinv(codes) @ jnp.log(jnp.maximum(decoded, 1e-6))
    report = CAE().report(CAEState(codes, ({"kernel": kernel, "bias": jnp.zeros(len(codes))},)))
    assert report["codes_decoded"] == report["codes_moved"] == 1.0
    assert float(report["codes_entropy"]) == pytest.approx(float(arrays[f"{name}_terms"][1]), abs=0.03)


def test_grid_points_share_an_autoencoder_unless_one_of_its_numbers_is_swept():
    """No array of the loop over batches has the grid axis where λ has none."""

    def axes_in_loops(swept):
        def init(number):
            return TINY.replace(**{swept: number}).init(jax.random.key(0), helpers.shapes_of(num_classes=3))

        jaxpr = jax.make_jaxpr(jax.vmap(init, axis_size=7, in_axes=0))(jnp.ones(7))
        loops = [eqn for eqn in jaxpr.eqns if eqn.primitive.name == "scan"]
        assert loops
        return any(7 in var.aval.shape for eqn in loops for var in eqn.outvars)

    assert not axes_in_loops("encoded")
    assert axes_in_loops("entropy_weight")


def paired_replica(arrays, defense):
    """The rows of both steps, bottoms with the vector's weights, an attacker who knows the pair by role."""
    both = {name: np.concatenate([arrays[f"s{t}_{name}"] for t in range(2)]) for name in ("x_up", "x_down", "y")}
    rows = Rows(features=(both["x_up"], both["x_down"]), labels=both["y"], has_trigger=np.arange(14) % 7 == 5)
    names = {"parties": ("up", "down"), "classes": tuple("0123")}
    data = VerticalData(name="pair", train=rows, test=rows, active_party=None, **names)
    scenario = helpers.scenario_of(
        [MLP(hidden=(32,), width=4, output_relu=True)] * 2,
        [Optimizer(learning_rate=0.01, weight_decay=3e-5)] * 2,
        attacks=(vfl.PartyTransform(), PairedReplacement(amplify=10.0)),
        batch_size=5,
        poison_ids=(5, 12),
        target_ids=(6, 13),
        plan={"mode": "appended_pair", "target_class": 1},
        head=SumHead(),
        defense=defense,
    )
    replica = helpers.replica(scenario, data)
    return replica._replace(state=replica.state.replace(params=weights(arrays, "init", replica.state.params)))


def weights(arrays, when, like):
    """The parameters of both bottoms, in the form of ``like``."""
    leaves = [arrays[f"{when}_{k}_{name}"] for k in ("up", "down") for name in ("b1", "w1", "b2", "w2")]
    return jax.tree.unflatten(jax.tree.structure(like), [jnp.asarray(leaf.T) for leaf in leaves])


@pytest.mark.long
@pytest.mark.parametrize("discrete", [False, True])
def test_published_steps_of_paired_replacement(discrete):
    """CAE, and DCAE: the chain with discrete gradients, here with the vector's bound."""
    arrays = golden("ld_dcae_paired_step" if discrete else "ld_cae_paired_step")
    rounded = DiscreteGradients(width="fixed", bins=12.0 if discrete else 0.0, bound=0.02)
    replica = paired_replica(arrays, vfl.ActiveChain(parts=(TINY, rounded)))
    params = of_vector(arrays, "ae")
    state = CAEState(encode(params, jnp.eye(4)), params["decoder"])
    replica = replica._replace(state=replica.state.replace(defense_state=(state, *replica.state.defense_state[1:])))
    for t in range(2):
        after, info = replica.step(range(7 * t, 7 * t + 7), [0] * 5 + [POISON, TARGET], number=t)
        np.testing.assert_allclose(info.loss, arrays[f"s{t}_loss"], rtol=1e-5)
        expected = weights(arrays, f"s{t}_after", replica.state.params)
        jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), after.params, expected)
        targets, _ = TINY.on_labels(None, state, None, jax.nn.one_hot(arrays[f"s{t}_y"], 4))
        np.testing.assert_allclose(targets, arrays[f"s{t}_targets"], rtol=1e-5, atol=1e-6)
        replica = replica._replace(state=after)
    decoded = TINY.infer_logits(None, state, None, jnp.asarray(arrays["s1_logits"]))
    np.testing.assert_allclose(jnp.exp(decoded), arrays["last_prediction"], rtol=1e-4, atol=1e-5)


@pytest.mark.long
def test_switched_off_it_trains_as_without(table):
    """Bit for bit, though the autoencoder is there."""
    after = {}
    for name, defense in {"none": vfl.ActiveTransform(), "off": TINY.replace(encoded=0.0), "on": TINY}.items():
        bottoms, optimizers = [Linear(width=helpers.NUM_CLASSES)] * 2, [Optimizer(learning_rate=0.1)] * 2
        replica = helpers.replica(helpers.scenario_of(bottoms, optimizers, head=SumHead(), defense=defense), table)
        state, info = replica.step(range(8))
        after[name] = helpers.everyone(state), info.loss
    helpers.assert_bitwise_equal(after["off"], after["none"])
    assert helpers.differs(after["on"], after["none"])


@pytest.mark.parametrize("field", [{"hidden": 0}, {"num_labels": 0}, {"temperature": 0.0}, {"encoded": 2.0}])
def test_bad_fields_are_named(field):
    name, value = next(iter(field.items()))
    with pytest.raises(ValueError, match=says(f"CAE.{name} is {value}")):
        CAE(**field)


@pytest.mark.parametrize(("hidden", "width"), [(None, 400), (4, 4)])
def test_the_hidden_layer_is_as_wide_as_its_source_has_it_or_as_it_is_said(hidden, width):
    """(6 · 3 + 2)² for three classes."""
    layers = jax.eval_shape(lambda key: TINY.replace(hidden=hidden).pretrain(key, 3), jax.random.key(0))["encoder"]
    assert layers[0]["kernel"].shape == (3, width)

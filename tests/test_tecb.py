"""TECB and UAB: against published code's numbers, against a slow twin, and at work on digits."""

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import says, tiny_data, tiny_scenario
from golden_helpers import golden

import vfl_jax as vfl
from vfl_jax.attacks import TECB, GradientReplacement
from vfl_jax.data import load_digits
from vfl_jax.models import Linear
from vfl_jax.protocol.chains import PartyChain
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.protocol.triggers import EmbeddingTrigger
from vfl_jax.protocol.views import PartyInferView
from vfl_jax.scenario import PoisonPlan

LR = 0.1


@helpers.quick_jit
def fed(attack, key, state, ids, known, epoch, features):
    """The features of a batch behind the attack, and its state."""
    return attack.on_features(key, state, helpers.party_view(ids, knowledge=known, epoch=epoch), features)


@helpers.quick_jit
def sent_by(attack, key, state, ids, known, epoch, embedding):
    return attack.on_upload(key, state, helpers.party_view(ids, knowledge=known, epoch=epoch), embedding)


@helpers.quick_jit
def used_by(attack, state, ids, known, epoch, gradient, slope):
    """The gradient with which the party trains; ``slope`` is what the message says to the features."""
    view = helpers.party_view(ids, knowledge=known, epoch=epoch).replace(pull_back=lambda _: slope)
    return attack.on_download(jax.random.key(0), state, view, gradient)


class PeerTraining:
    """Two bottoms, relu(w x + b), and a linear head over both, in NumPy; party b is the attacker's."""

    def __init__(self, arrays):
        self.own = {key[5:]: value.astype(np.float64) for key, value in arrays.items() if key.startswith("init_")}
        self.loss = None

    def gradient_for_b(self, xa, xb, y, swap=None):
        """One forward pass; the gradient message for b. ``swap`` is (places, embeddings sent for them)."""
        own = self.own
        self.xa, self.xb = xa, xb
        self.ha, self.hb = (
            np.maximum(x @ own[f"{party}_w"].T + own[f"{party}_b"], 0) for party, x in (("a", xa), ("b", xb))
        )
        sent = self.hb.copy()
        if swap is not None:
            sent[swap[0]] = swap[1]
        self.joined = np.concatenate([self.ha, sent], axis=1)
        logits = self.joined @ own["t_w"].T + own["t_b"]
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        self.loss = -np.log(shares[np.arange(len(y)), y]).mean()
        self.error = (shares - np.eye(shares.shape[1])[y]) / len(y)
        self.message = self.error @ own["t_w"]
        return self.message[:, self.ha.shape[1] :]

    def pull_back(self, gradient):
        return ((gradient * (self.hb > 0)) @ self.own["b_w"]).astype(np.float32)

    def update(self, gradient_b):
        steps = {"t_w": self.error.T @ self.joined, "t_b": self.error.sum(axis=0)}
        both = ("a", self.xa, self.ha, self.message[:, : self.ha.shape[1]]), ("b", self.xb, self.hb, gradient_b)
        for party, x, h, gradient in both:
            slope = np.asarray(gradient, np.float64) * (h > 0)
            steps |= {f"{party}_w": slope.T @ x, f"{party}_b": slope.sum(axis=0)}
        for name, step in steps.items():
            self.own[name] = self.own[name] - LR * step


def begin(attack, arrays):
    """(training, state with the vector's δ, knowledge of its target rows)."""
    rows, width = arrays["s0_xb"].shape
    shapes = helpers.shapes_of(batch_rows=rows)._replace(row_shapes=((5,), (width,)))
    state = attack.init(jax.random.key(0), shapes, 1).replace(trigger=jnp.asarray(arrays["delta_before"]))
    every_id = np.concatenate([arrays[f"s{t}_indices"] for t in range(3) if f"s{t}_indices" in arrays])
    target = arrays["poisoned_indices"]
    known = helpers.knowledge(int(max(every_id.max(), target.max())) + 1, target=target)
    return PeerTraining(arrays), state, known


def assert_ends_as(training, arrays):
    np.testing.assert_allclose(training.loss, arrays["loss"], rtol=1e-5, atol=1e-6)
    for name, value in training.own.items():
        np.testing.assert_allclose(value, arrays[f"after_{name}"], rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    ("name", "step_size", "bound"), [("tecb_phase1", 0.05, 1.0), ("tecb_phase1_clamped", 0.4, 0.5)]
)
def test_it_learns_like_published_code(name, step_size, bound):
    """δ, and both models, whose target rows carry it."""
    arrays, attack = golden(name), TECB(step_size=step_size, bound=bound)
    training, state, known = begin(attack, arrays)
    for t in range(3):
        ids = arrays[f"s{t}_indices"]
        x, state = fed(attack, jax.random.key(t), state, ids, known, 3, arrays[f"s{t}_xb"])
        message = training.gradient_for_b(arrays[f"s{t}_xa"], np.asarray(x), arrays[f"s{t}_y"])
        used, state = used_by(attack, state, ids, known, 3, message.astype(np.float32), training.pull_back(message))
        training.update(used)
    np.testing.assert_allclose(state.trigger, arrays["delta_after"], rtol=1e-5, atol=1e-6)
    assert np.abs(arrays["delta_after"] - arrays["delta_before"]).max() > 0.04
    assert_ends_as(training, arrays)


def test_it_aligns_like_published_code():
    """With the rows that were drawn there: a seed is sought that draws them in the same order."""
    arrays, attack = golden("tecb_phase3"), TECB(learn_until=2, align_from=3, amplify=5.0)
    training, state, known = begin(attack, arrays)
    for t in range(2):
        ids, features = arrays[f"s{t}_indices"], arrays[f"s{t}_xb"]
        is_target = np.isin(ids, arrays["poisoned_indices"])
        noise = arrays[f"s{t}_random_embedding"]
        places = np.flatnonzero(~is_target)[arrays[f"s{t}_order"][: is_target.sum()]]
        expected = np.full(len(ids), -1)
        expected[places] = np.flatnonzero(is_target)
        for seed in range(500):
            x, found = fed(attack, jax.random.key(seed), state, ids, known, 3, features)
            if (np.asarray(found.copied) == expected).all():
                break
        np.testing.assert_array_equal(found.copied, expected)
        message = training.gradient_for_b(arrays[f"s{t}_xa"], np.asarray(x), arrays[f"s{t}_y"], (places, noise))
        used, state = used_by(attack, found, ids, known, 3, message.astype(np.float32), training.pull_back(message))
        training.update(used)
    np.testing.assert_array_equal(state.trigger, arrays["delta_before"])
    assert_ends_as(training, arrays)


@pytest.mark.parametrize("row_shape", [(3,), (2, 4)])
def test_it_acts_like_its_twin_over_epochs(row_shape):
    """Batches have no, some and mostly target rows; features are a table's or an image's."""
    rng, rows, target = np.random.default_rng(len(row_shape)), 20, [0, 1, 2, 3, 4, 5]
    attack = TECB(learn_until=3, align_from=5, step_size=0.3, bound=0.5, amplify=-2.0)
    shapes = helpers.shapes_of(batch_rows=8)._replace(row_shapes=(row_shape,))
    state, delta = attack.init(jax.random.key(0), shapes, 0), np.zeros(row_shape)
    known = helpers.knowledge(rows, target=target)
    batches = [range(12, 20), [9, 0, 1, 15, 2, 17, 3, 4], range(7, 15)] + [rng.permutation(rows)[:8] for _ in range(13)]
    num_aligned, drawn = 0, set()
    for t, ids in enumerate(np.array([list(batch) for batch in batches], np.int32)):
        epoch, features = t // 2, rng.normal(size=(8, *row_shape)).astype(np.float32)
        message, gradient = (rng.normal(size=(8, 4)).astype(np.float32) for _ in range(2))
        slopes = rng.normal(size=(8, *row_shape)).astype(np.float32)
        x, state = fed(attack, jax.random.key(t), state, ids, known, epoch, features)
        sent, state = sent_by(attack, jax.random.key(t), state, ids, known, epoch, message)
        used, after = used_by(attack, state, ids, known, epoch, gradient, slopes)

        targets = [i for i in range(8) if ids[i] in target]
        partners = {i: int(j) for i, j in enumerate(state.copied) if j >= 0}
        expected = min(len(targets), 8 - len(targets)) if epoch >= 5 else 0
        assert sorted(partners.values()) == targets[:expected]
        assert not set(partners) & set(targets)
        num_aligned, drawn = num_aligned + expected, drawn | {(t, i) for i in partners}
        slope = np.zeros(row_shape)
        for i in range(8):
            is_learnt, is_aligned = i in targets and epoch < 3, i in partners
            np.testing.assert_allclose(x[i], features[i] + (delta if is_learnt or is_aligned else 0), rtol=1e-5)
            np.testing.assert_allclose(used[i], -2.0 * gradient[partners[i]] if is_aligned else gradient[i], rtol=1e-6)
            assert (np.asarray(sent[i]) == message[i]).all() != is_aligned
            if is_learnt:
                slope += slopes[i]
        delta = np.clip(delta - 0.3 * np.sign(slope), -0.5, 0.5)
        np.testing.assert_allclose(after.trigger, delta, atol=1e-6)
        state = after
    assert num_aligned >= 6
    np.testing.assert_allclose(np.abs(delta).max(), 0.5)


def test_rows_are_drawn_anew_and_what_is_sent_is_standard_normal():
    attack, known = TECB(align_from=0), helpers.knowledge(400, target=range(200))
    shapes = helpers.shapes_of(batch_rows=400)
    ids, state = np.arange(400), attack.init(jax.random.key(0), shapes, 0)
    chosen = []
    for seed in range(3):
        _, found = fed(attack, jax.random.key(seed), state, ids[150:], known, 1, jnp.zeros((250, 2)))
        chosen.append(np.flatnonzero(np.asarray(found.copied) >= 0))
        assert len(chosen[-1]) == 50
    assert len({tuple(rows) for rows in chosen}) == 3
    _, found = fed(attack, jax.random.key(3), state, ids, known, 1, jnp.zeros((400, 2)))
    sent, _ = sent_by(attack, jax.random.key(4), found, ids, known, 1, jnp.full((400, 3), 9.0))
    drawn = np.asarray(sent)[200:]
    np.testing.assert_allclose([drawn.mean(), drawn.std()], [0.0, 1.0], atol=0.1)


def test_attacked_test_rows_alone_get_the_trigger():
    attack = TECB()
    state = attack.init(jax.random.key(0), helpers.shapes_of(), 0).replace(trigger=jnp.array([0.5, -1.0]))
    view = PartyInferView(features=jnp.ones((2, 2)), params={}, is_attacked=jnp.array([True, False]))
    found = attack.infer_features(jax.random.key(0), state, view, view.features)
    np.testing.assert_array_equal(found, [[1.5, 0.0], [1.0, 1.0]])
    np.testing.assert_allclose(attack.report(state)["trigger_norm"], 1.25**0.5, rtol=1e-6)


def test_uab_aligns_nothing_and_waits_like_tecb():
    ids, known = np.arange(5), helpers.knowledge(12, target=[1, 2])
    for attack in (TECB(aligns=False, learn_until=9), TECB(learn_until=9, align_from=20)):
        state = attack.init(jax.random.key(0), helpers.shapes_of(), 0).replace(trigger=jnp.array([0.5, -1.0]))
        for epoch in (8, 9, 19):
            x, after = fed(attack, jax.random.key(0), state, ids, known, epoch, jnp.ones((5, 2)))
            expected = np.ones((5, 2)) + ([0.5, -1.0] * np.isin(ids, [1, 2])[:, None] if epoch == 8 else 0)
            np.testing.assert_array_equal(x, expected)
            np.testing.assert_array_equal(after.copied, -1)


@pytest.mark.long
def test_it_plants_a_backdoor_in_real_data_and_numbers_are_swept():
    """With 4 of 1,437 rows known, beside honest runs; with an alignment of one epoch, too, but never with δ = 0."""
    study = vfl.presets.digits_demo(head="sum").replace(
        attacks=(PartyTransform(), TECB(learn_until=14)),
        poison=PoisonPlan(trigger=EmbeddingTrigger(), rate=0.0, test_rate=0.2).granting(TECB.needs),
    )
    numbers = {"attacks.1.step_size": [0.0, 0.05], "attacks.1.align_from": [17, 24]}
    over = {"attack.enabled": [0, 1]} | numbers
    last = vfl.sweep(study, load_digits(), over, seeds=2, epochs=25, progress=False).isel(epoch=-1)
    honest, attacked = last.full_attack_success.values
    assert (honest < 0.02).all()
    assert (attacked[0] < 0.02).all()
    assert (attacked[1] > 0.6).all()
    assert (last.trigger_norm.values[:, 1] > 2.0).all()
    assert (last.main_clean.values > 0.8).all()


def tiny_study(attack):
    """Images, of which each party holds rows."""
    plan = {"trigger": EmbeddingTrigger(), "rate": 0.2, "num_targets": 6}
    return tiny_scenario(plan=plan, attacks=(PartyTransform(), attack))


@pytest.mark.long
def test_switched_off_it_is_the_honest_run_bit_for_bit_also_in_a_chain():
    attack = PartyChain(parts=(TECB(enabled=0.0, learn_until=2, align_from=1), GradientReplacement(amplify=1.0)))
    studies = tiny_study(attack), tiny_study(GradientReplacement(amplify=1.0))
    finals = [vfl.run(study, tiny_data(), jax.random.key(1), epochs=3)[1] for study in studies]
    helpers.assert_bitwise_equal(finals[0].params, finals[1].params)
    trigger = finals[0].attack_states[1][0].trigger  # it listened
    assert trigger.shape == tiny_data().train.features[1].shape[1:]
    assert len(trigger.shape) == 2
    assert np.abs(trigger).max() > 0.04


def test_it_refuses_bags_of_ids():
    study = tiny_study(TECB())
    with pytest.raises(ValueError, match=says("attacks.1 is TECB", "bags of ids", "another attack, such as LFBA")):
        study.replace(bottoms=(Linear(width=3),) * 2).check(helpers.bag_data())


def test_it_refuses_a_training_without_alignment():
    for attack in (TECB(align_from=3), TECB(align_from=0).replace(align_from=9)):
        with pytest.raises(ValueError, match=says("TECB.align_from is", "3 epochs", "at most 2", "aligns=False")):
            vfl.run(tiny_study(attack), tiny_data(), jax.random.key(0), epochs=3)
    TECB(aligns=False).check_plan(vfl.Plan(num_epochs=3, num_poisons=0, num_known=(4, 0, 0), can_stamp=False))


@pytest.mark.parametrize(
    ("field", "value"),
    [("learn_until", 0), ("align_from", -1), ("step_size", -0.1), ("bound", -1.0), ("amplify", float("nan"))],
)
def test_numbers_outside_their_range_are_refused(field, value):
    with pytest.raises(ValueError, match=says(f"TECB.{field} is {value}")):
        TECB(**{field: value})

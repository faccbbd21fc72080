"""Whole steps of the protocol against those of two papers' code: presets, attacks and defenses together."""

import functools

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_helpers import golden

import vfl_jax as vfl
from vfl_jax.attacks.gradient_replacement import GradientReplacementState
from vfl_jax.core.vertical_data import Rows, VerticalData
from vfl_jax.defenses import Clipping, Sparsification
from vfl_jax.models import SumHead
from vfl_jax.presets import liu2020_code, zou2022
from vfl_jax.protocol.knowledge import POISON, TARGET
from vfl_jax.protocol.triggers import NaturalTrigger

PARTIES = ("up", "down")  # the second one attacks
NOISE, BOUND = 0.05, 0.2 + 1e-6  # those of Zou et al.'s code


class PublishedNoise(vfl.ActiveTransform):
    """Adds the draws of a vector, its state: float32[step, B, E] of each party, times the published level."""

    def on_send(self, key, state, view, gradients):
        return tuple(g + NOISE * draws[view.step] for g, draws in zip(gradients, state, strict=True)), state


def replica_of(scenario, up, down, labels, is_poison, is_target, batch_size, num_classes):
    """A replica whose rows are those of all steps in turn."""
    rows = Rows(features=(up, down), labels=labels, has_trigger=is_poison)
    names = {"parties": PARTIES, "classes": tuple(str(c) for c in range(num_classes))}
    ids = {"poison_ids": is_poison, "target_ids": is_target}
    plan = scenario.poison.replace(
        trigger=NaturalTrigger(),
        test_poison_ids=(),
        **{name: tuple(np.flatnonzero(mask).tolist()) for name, mask in ids.items()},
    )
    scenario = scenario.replace(poison=plan, batches=scenario.batches.replace(size=batch_size))
    return helpers.replica(scenario, VerticalData(name="steps", train=rows, test=rows, active_party=None, **names))


def with_params(replica, layers_of):
    """The replica with the layers (kernel, bias) that ``layers_of`` has for each party and for the head."""
    both = replica.state.params, replica.state.head_params
    names = (*PARTIES, "head") if replica.state.head_params else PARTIES
    leaves = [jnp.asarray(leaf) for name in names for kernel, bias in layers_of(name) for leaf in (bias, kernel)]
    params, head_params = jax.tree.unflatten(jax.tree.structure(both), leaves)
    return replica._replace(state=replica.state.replace(params=params, head_params=head_params))


def assert_models_are(replica, layers_of, **tolerances):
    found, expected = replica.state, with_params(replica, layers_of).state
    close = functools.partial(np.testing.assert_allclose, **tolerances)
    jax.tree.map(close, (found.params, found.head_params), (expected.params, expected.head_params))


@pytest.mark.parametrize(
    ("name", "enabled", "bound", "drop_rate"),
    [
        ("ld_honest_sum", 0.0, np.inf, 0.0),
        ("ld_paired_replacement_sum", 1.0, np.inf, 0.0),
        ("ld_paired_replacement_sum_gaussian", 1.0, BOUND, 0.0),
        ("ld_paired_replacement_sum_sparsify", 1.0, np.inf, 0.75),
        ("ld_paired_replacement_trainable", 1.0, np.inf, 0.0),
    ],
)
def test_steps_of_zou_2022(name, enabled, bound, drop_rate):
    """Six ordinary rows, the poison row, the target row. The code leaves that row out where a 0 stands here."""
    arrays = golden(name)
    num_steps = 1 + max(t for t in range(3) if f"s{t}_y" in arrays)
    # One program serves all vectors with a sum head: those of two steps have rows for three.
    steps = [min(t, num_steps - 1) for t in range(3)]
    up, down, labels = (np.concatenate([arrays[f"s{t}_{what}"] for t in steps]) for what in ("x_up", "x_down", "y"))
    defense = vfl.ActiveChain(
        parts=(Clipping(by="largest_row_l2", bound=float(bound)), PublishedNoise(), Sparsification(drop_rate=drop_rate))
    )
    scenario = zou2022(num_classes=4).replace(defense=defense)
    scenario = scenario.replace(poison=scenario.poison.replace(target_class=1))
    attack = scenario.attacks[1].replace(enabled=enabled)
    scenario = scenario.replace(attacks=(scenario.attacks[0], attack))
    if "init_head_w" not in arrays:
        scenario = scenario.replace(head=SumHead())
    place = np.arange(24) % 8
    replica = replica_of(scenario, up, down, labels, place == 6, place == 7, batch_size=6, num_classes=4)

    def layers(when):
        """The head has one layer, without a number."""
        return lambda name: [
            (arrays[f"{when}_{name}_w{i}"].T, arrays[f"{when}_{name}_b{i}"]) for i in ([""] if name == "head" else "12")
        ]

    replica = with_params(replica, layers("init"))
    none = np.zeros((8, 4), np.float32)
    noise = tuple(
        jnp.asarray(np.stack([arrays.get(f"s{t}_unit_noise_{party}", none) for t in steps])) for party in PARTIES
    )
    first, _, last = replica.state.defense_state
    replica = replica._replace(state=replica.state.replace(defense_state=(first, noise, last)))
    for t in range(num_steps):
        state, info = replica.step(range(8 * t, 8 * t + 8), [0] * 6 + [POISON, TARGET], number=t)
        replica = replica._replace(state=state)
        np.testing.assert_allclose(info.loss, arrays[f"s{t}_loss"], rtol=1e-5)
        assert_models_are(replica, layers(f"s{t}_after"), rtol=1e-5, atol=1e-6)
        if drop_rate:
            for waiting, party in zip(state.defense_state[2], PARTIES, strict=True):
                np.testing.assert_allclose(waiting, arrays[f"s{t}_residual_{party}"], rtol=1e-5, atol=1e-6)


TARGET_PLACE = 3  # in the batches that have a target row


@pytest.mark.parametrize(
    ("name", "target_batches", "drop_rate"),
    [
        ("liu2020_mnist_sum_gamma10", (1, 2), 0.0),
        ("liu2020_mnist_sum_sparsify", (0, 3), 0.9),
        ("liu2020_mnist_trainable_gamma10", (1, 2), 0.0),
    ],
)
def test_steps_of_liu_2020(name, target_batches, drop_rate):
    """Four batches; the target row comes in the second and the third, or in the first and the last.

    The code blurs from its second batch on, because it takes zeros, with which it begins, for a recorded gradient. The
    preset waits for a target row. Both are one where the first batch has it, as on MNIST; elsewhere the test says after
    the first batch that a target row was seen.
    """
    arrays = golden(name)
    width = arrays["s0_x"].shape[1] // 2
    rows = np.concatenate([arrays[f"s{t}_x"] for t in range(4)])
    labels, is_poison = (np.concatenate([arrays[f"s{t}_{what}"] for t in range(4)]) for what in ("y", "is_poison"))
    is_target = np.isin(np.arange(24), [6 * t + TARGET_PLACE for t in target_batches])
    scenario = liu2020_code(head="trainable" if "init_head_1_w" in arrays else "sum")
    scenario = scenario.replace(defense=Sparsification(drop_rate=drop_rate))
    sides, sizes = (rows[:, :width], rows[:, width:]), {"batch_size": 6, "num_classes": 10}
    replica = replica_of(scenario, *sides, labels, is_poison == 1, is_target, **sizes)

    def layers(when):
        return lambda name: [(arrays[f"{when}_{name}_{i}_w"], arrays[f"{when}_{name}_{i}_b"]) for i in "12"]

    replica = with_params(replica, layers("init"))
    for t in range(4):
        state, info = replica.step(range(6 * t, 6 * t + 6), number=t)
        blurring, recording = state.attack_states[1]
        np.testing.assert_allclose(info.loss, arrays[f"s{t}_loss"], rtol=1e-4)
        np.testing.assert_allclose(recording.recorded, arrays[f"s{t}_recorded"], rtol=1e-4, atol=1e-6)
        if drop_rate:
            for waiting, party in zip(state.defense_state, PARTIES, strict=True):
                np.testing.assert_allclose(waiting, arrays[f"s{t}_residual_{party}"], rtol=1e-4, atol=1e-6)
        seen = blurring.replace(target_seen=jnp.array(True)), recording
        replica = replica._replace(state=state.replace(attack_states=(state.attack_states[0], seen)))
        if f"s{t}_after_up_1_w" in arrays:
            assert_models_are(replica, layers(f"s{t}_after"), rtol=1e-4, atol=1e-6)


def test_replaced_gradients_of_secretflow():
    """A batch with both rows. The code draws one of its target rows, here the one that is known; it keeps no gradient.

    It also feeds features of poison rows in place of those of target rows, which no method here does.
    """
    arrays = golden("secretflow_grad_replace")
    attack = vfl.attacks.GradientReplacement(amplify=float(arrays["gamma"]))
    for t in range(2):
        ids = np.arange(8) + 8 * t
        target = ids[arrays[f"s{t}_target_choice"]]
        assert target in arrays["target_idx"]
        view = helpers.party_view(ids, knowledge=helpers.knowledge(16, arrays["poison_idx"], [target]))
        state = GradientReplacementState(recorded=jnp.full(4, 9.0))
        used, _ = attack.on_download(None, state, view, jnp.asarray(arrays[f"s{t}_gradient"]))
        np.testing.assert_array_equal(used, arrays[f"s{t}_gradient_used"])

"""Fresh replacement: against published code's numbers, against its NumPy twin, and at work."""

import dataclasses

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from data_helpers import needs_data
from golden_helpers import golden

import vfl_jax as vfl
from vfl_jax.attacks import ActivationBlurring, FreshReplacement
from vfl_jax.protocol.hooks import run_hook
from vfl_jax.protocol.knowledge import ORDINARY, POISON, TARGET

TAU = 2


def start(attack, num_rows, batch, width):
    return attack.init(jax.random.key(0), helpers.shapes_of(num_rows, 3, batch, 1.0, (width, width)), 1)


@helpers.quick_jit
def download(attack, state, ids, gradient, known, roles=None):
    view = helpers.party_view(ids, roles, knowledge=known)
    return run_hook(attack, "on_download", jax.random.key(1), state, view, jnp.asarray(gradient))


def unit(row):
    length = np.sqrt((row**2).sum())
    return row / length if length > 0 else row


class Twin:
    """The attack row by row, in float64; the known rows' directions are summed anew in every batch."""

    def __init__(self, attack, grant, width):
        self.attack, self.grant = attack, grant
        self.evidence, self.found, self.of_pairs = {}, {}, []
        self.recorded = np.zeros(width)

    def on_download(self, ids, roles, gradient):
        attack, rows = self.attack, gradient.astype(np.float64)
        says = [bool(np.isfinite(row).all() and (row != 0).any()) for row in rows]
        own = []
        for i, row, role, is_informative in zip(ids, rows, roles, says, strict=True):
            message = unit(row) if attack.evidence == "directions" else row
            if role != ORDINARY:
                own.append(message)
                if role == TARGET and is_informative:
                    self.of_pairs.append(unit(row))
            elif is_informative:
                is_sum = attack.evidence != "last" and i in self.evidence
                self.evidence[i] = self.evidence[i] + message if is_sum else message
                own.append(self.evidence[i])
            else:
                own.append(None)
        known = [unit(self.evidence[i]) for i in sorted(self.evidence) if self.grant.is_target(i, ORDINARY)]
        reference = unit(sum(known + self.of_pairs, np.zeros(rows.shape[1])))
        scores = {b: float(unit(own[b]) @ reference) for b in range(len(ids)) if says[b]}
        best = sorted(scores, key=lambda b: -scores[b])[: round(attack.largest_share * len(ids))]
        has_reference = bool(known or self.of_pairs)
        found = {b for b in best if scores[b] >= attack.least_score and has_reference}
        found |= {b for b in scores if self.grant.is_target(ids[b], roles[b])}
        for b in scores:
            if roles[b] == ORDINARY:
                self.found[int(ids[b])] = b in found
        is_poison = [self.grant.is_poison(i, role) for i, role in zip(ids, roles, strict=True)]
        sources = [rows[b] for b in sorted(found) if not is_poison[b]]
        if sources:
            self.recorded = np.mean(sources, axis=0)
        replacement = attack.amplify * self.recorded
        if attack.match_norm:
            mean_norm = np.mean([np.sqrt((row**2).sum()) for row in rows])
            replacement = attack.amplify * mean_norm * unit(self.recorded)
        return np.where(np.array(is_poison)[:, None], replacement, rows)


def messages(rng, ids, width):
    """Rows of one class, i mod 3, point about the same way; lengths differ by a factor of 100."""
    centers = np.eye(3, width)[ids % 3]
    length = 10.0 ** rng.uniform(-3, -1, (len(ids), 1))
    return (length * (centers + 0.35 * rng.normal(size=(len(ids), width)))).astype(np.float32)


@pytest.mark.parametrize(
    ("fields", "by_role"),
    [
        ({}, False),
        ({"evidence": "last", "least_score": 0.6}, False),
        ({"evidence": "sum", "match_norm": True, "amplify": -3.0}, False),
        ({"evidence": "directions", "least_score": 0.0, "largest_share": 0.25}, False),
        ({"evidence": "sum", "largest_share": 0.0}, False),
        ({"evidence": "last", "match_norm": True}, True),
        ({"evidence": "directions"}, True),
    ],
)
def test_fresh_replacement_matches_its_twin_over_several_epochs(fields, by_role):
    num_rows, batch, width = 24, 8, 4
    attack = FreshReplacement(**fields)
    grant = oracles.Grant(poison=frozenset({0, 2, 7, 13}), target=frozenset({5, 20}), target_class=TAU, by_role=by_role)
    known = helpers.knowledge(num_rows, grant.poison, grant.target, TAU, by_role=by_role)
    state, twin, rng = start(attack, num_rows, batch, width), Twin(attack, grant, width), np.random.default_rng(0)
    roles = np.array([ORDINARY] * (batch - 2) + ([POISON, TARGET] if by_role else [ORDINARY] * 2), np.int32)
    num_stale = 0
    for _ in range(5):
        for ids in rng.permutation(num_rows).reshape(-1, batch):
            if by_role:
                ids[-2:] = 0, 5
            gradient = messages(rng, ids, width)
            gradient[0] = 0.0  # nothing is heard of this row
            before = twin.recorded.copy()
            used, state = download(attack, state, ids, gradient, known, roles)
            np.testing.assert_allclose(used, twin.on_download(ids, roles, gradient), rtol=2e-4, atol=1e-7)
            np.testing.assert_allclose(state.recorded, twin.recorded, rtol=2e-4, atol=1e-7)
            num_stale += np.array_equal(before, twin.recorded)
    expected = [TAU if twin.found.get(i, False) else -1 for i in range(num_rows)]
    assert attack.report(state)["label_guesses"].tolist() == expected
    found = {i for i in twin.found if twin.found[i]}
    if attack.largest_share == 0.0:
        assert found <= grant.target
        assert num_stale > 0  # some batches have no known row
    elif not by_role:
        assert len(found - grant.target) >= 2
        assert np.mean([i % 3 == TAU for i in found]) > 0.8


def test_scores_and_guesses_are_those_of_published_direction_scoring():
    """VFLAIR takes one batch alone, one known row, and class 1 where the cosine exceeds 0."""
    arrays = golden("vflair_norm_direction_scoring")
    for case in ("c0", "c1", "c2"):
        gradient, labels = arrays[f"{case}_gradient"], arrays[f"{case}_labels"]
        rows, width = gradient.shape
        known = helpers.knowledge(rows, target=[int(arrays[f"{case}_pos_index"])], target_class=1)
        attack = FreshReplacement(evidence="last", least_score=0.0)
        _, state = download(attack, start(attack, rows, rows, width), np.arange(rows), gradient, known)
        is_one = np.asarray(attack.report(state)["label_guesses"]) == 1
        np.testing.assert_allclose((is_one == labels).mean(), arrays[f"{case}_direction_acc"], rtol=1e-6)
        score, cosine = arrays[f"{case}_direction_score"], np.array([unit(row) for row in gradient]) @ state.reference
        scaled = (cosine - cosine.min()) / (cosine.max() - cosine.min())
        np.testing.assert_allclose(scaled, score, rtol=1e-5, atol=1e-5)


def test_known_rows_alone_replace_as_published_code_does():
    """SecretFlow draws one of a batch's target rows; the second of the vector's batches has one alone."""
    arrays = golden("secretflow_grad_replace")
    size, target, poison = int(arrays["batch_size"]), set(arrays["target_idx"]), set(arrays["poison_idx"])
    num_rows = max(target | poison | {2 * size - 1}) + 1
    known = helpers.knowledge(num_rows, poison, target, TAU)
    attack = FreshReplacement(largest_share=0.0, amplify=float(arrays["gamma"]))
    ids, gradient = np.arange(size, 2 * size), arrays["s1_gradient"]
    assert len(target & set(ids)) == 1
    used, _ = download(attack, start(attack, num_rows, size, gradient.shape[1]), ids, gradient, known)
    np.testing.assert_allclose(used, arrays["s1_gradient_used"], rtol=1e-6)


def test_a_message_that_is_not_finite_does_not_stay():
    """The poison row still gets the mean of the other found rows, and later batches are as without it."""
    known = helpers.knowledge(4, poison=[0], target=[1], target_class=TAU)
    attack, ids = FreshReplacement(amplify=1.0), np.arange(4)
    gradient = np.array([[0, 1], [1, 0], [np.nan, 0], [1, 0.1]], np.float32)
    used, state = download(attack, start(attack, 4, 4, 2), ids, gradient, known)
    np.testing.assert_allclose(used[0], [1.0, 0.05])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))
    assert state.guesses.tolist() == [-1, TAU, -1, TAU]


def test_a_row_that_is_known_to_be_of_another_class_is_never_found():
    known = helpers.knowledge(4, poison=[0], target=[1], target_class=TAU)
    known = dataclasses.replace(known, known_labels=known.known_labels.at[2].set(0))
    gradient = np.array([[0, 1], [1, 0], [1, 0], [1, 0.1]], np.float32)
    _, state = download(FreshReplacement(), start(FreshReplacement(), 4, 4, 2), np.arange(4), gradient, known)
    assert state.guesses.tolist() == [-1, TAU, -1, TAU]


def test_without_a_known_row_so_far_nothing_is_found():
    """Then poison rows get 0, as Algorithm 2 gives them before the first record."""
    known = helpers.knowledge(6, poison=[0], target=[5], target_class=TAU)
    attack = FreshReplacement(least_score=-1.0)
    used, state = download(attack, start(attack, 6, 4, 3), np.arange(4), helpers.normal(4, 3), known)
    np.testing.assert_array_equal(used, np.where(np.arange(4)[:, None] == 0, 0.0, helpers.normal(4, 3)))
    assert state.guesses.tolist() == [-1] * 6


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"evidence": "mean"}, "FreshReplacement.evidence"),
        ({"largest_share": 1.5}, "FreshReplacement.largest_share is 1.5"),
        ({"amplify": float("nan")}, "FreshReplacement.amplify"),
        ({"least_score": float("nan")}, "FreshReplacement.least_score"),
    ],
)
def test_fields_outside_their_range_are_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        FreshReplacement(**fields)


@needs_data
@pytest.mark.long
def test_one_known_row_plants_a_backdoor_behind_a_trainable_head():
    """Beside honest runs, and beside γ times a stale gradient, which is what Algorithm 2 does with one known row."""
    study = vfl.presets.liu2020_code(head="trainable")
    study = study.replace(
        attacks=(vfl.PartyTransform(), vfl.PartyChain(parts=(ActivationBlurring(), FreshReplacement()))),
        poison=study.poison.replace(draw="per_seed", target_ids=None),
    )
    switches = tuple(f"attacks.1.parts.{i}.enabled" for i in (0, 1))
    over = {(*switches, "attacks.1.parts.1.largest_share"): [(0, 0, 1.0), (1, 1, 0.0), (1, 1, 1.0)]}
    last = vfl.sweep(study, vfl.load_mnist(), over, seeds=2, epochs=5, progress=False, evaluate_every=5).isel(epoch=-1)
    honest, _, fresh = last.full_attack_success.values
    assert (honest < 0.02).all()
    assert (fresh > 0.05).all()
    honest, stale, fresh = last.full_clean_accuracy.values
    assert (fresh > honest - 0.01).all()
    assert stale.min() < fresh.min() - 0.02
    assert (last.label_inference_accuracy.values[2] > 0.7).all()
    assert (last.label_inference_rate.values[2] > 0.05).all()


@pytest.mark.long
def test_switched_off_it_is_the_honest_run_bit_for_bit_in_a_chain():
    demo = vfl.presets.digits_demo(head="trainable")
    parts = ActivationBlurring(enabled=0.0), FreshReplacement(enabled=0.0)
    off = demo.replace(attacks=(vfl.PartyTransform(), vfl.PartyChain(parts=parts)))
    honest = demo.replace(attacks=(vfl.PartyTransform(),) * 2)
    finals = [vfl.run(study, vfl.load_digits(), jax.random.key(1), epochs=3)[1] for study in (off, honest)]
    helpers.assert_bitwise_equal(finals[0].params, finals[1].params)
    assert (finals[0].attack_states[1][1].guesses == 0).sum() > 10  # it listened

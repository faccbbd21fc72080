"""GBD against published code's numbers, against a twin in plain loops, and on digits."""

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import says
from golden_helpers import golden
from training_helpers import small_digits

import vfl_jax as vfl
from vfl_jax.core.record import cast
from vfl_jax.defenses import GBD
from vfl_jax.defenses.gbd import contributions, kept_share, leading_ratio
from vfl_jax.protocol.hooks import run_answer, run_infer_hook
from vfl_jax.protocol.views import ActiveInferView

RULES = ("both", "cap", "cac")
NUMBERS = ("backdoor_accuracy", "detection_recall", "detection_auc", "detection_false_alarm_rate")


def head_of(w1, b1, w2, b2):
    """One hidden layer over all embeddings, for JAX or NumPy; kernels are (out, in)."""

    def logits(embeddings):
        x = embeddings[0] if len(embeddings) == 1 else jnp.concatenate(embeddings, axis=-1)
        return jax.nn.relu(x @ w1.T + b1[None]) @ w2.T + b2[None]

    return logits


@pytest.mark.parametrize(("name", "passive"), [("gbd_cap_cac", [0]), ("gbd_cap_cac_3party", [0, 2])])
def test_published_numbers(name, passive):
    arrays = golden(name)
    logits = head_of(*(jnp.asarray(arrays[key]) for key in ("w1", "b1", "w2", "b2")))
    embeddings = tuple(map(jnp.asarray, arrays["embeddings"]))
    np.testing.assert_allclose(logits(embeddings), arrays["logits"], rtol=1e-4, atol=1e-5)
    found = helpers.quick_jit(lambda *args: (kept_share(logits, *args), leading_ratio(logits, args[0])))
    cap, ratio = found(embeddings, jnp.asarray(arrays["permutations"]))
    np.testing.assert_allclose(cap, arrays["cap"], atol=1e-6)
    cac = helpers.quick_jit(lambda embeddings: contributions(logits, embeddings))(embeddings)
    np.testing.assert_allclose(cac, arrays["cac"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ratio, arrays["ratio"], rtol=1e-3)
    by_cap, by_ratio = (np.asarray(cap)[:, passive] == 1).any(axis=1), np.asarray(ratio) >= 2
    for flags, key in ((by_cap & by_ratio, "flag_both"), (by_cap, "flag_cap"), (by_ratio, "flag_cac")):
        np.testing.assert_array_equal(flags, arrays[key] == 1)


WEIGHTS = [helpers.normal(*shape, seed=i) for i, shape in enumerate([(7, 9), (7,), (3, 7), (3,)])]
SHAPES = helpers.shapes_of(num_classes=3, widths=(4, 2, 3), active_party=1)
NUM_ROWS, BATCH = 11, 4


def forward(x):
    """Logits of one row, and their slopes in the row, [C, F]."""
    w1, b1, w2, b2 = (w.astype(np.float64) for w in WEIGHTS)
    before = w1 @ x + b1
    return w2 @ np.maximum(before, 0) + b2, (w2 * (before > 0)) @ w1


def twin(embeddings, order, threshold, rule):
    """Rows of one batch, all of them valid: (score by crossing party, whether suspect), row by row."""
    num_rows, num_parties = len(embeddings[0]), len(embeddings)
    predicted = [int(forward(np.concatenate([h[i] for h in embeddings]))[0].argmax()) for i in range(num_rows)]
    kept = np.zeros((num_rows, num_parties))
    for numbers in order:
        given = [sorted(range(num_rows), key=lambda i, k=k: numbers[k][i]) for k in range(num_parties)]
        for place in range(num_rows):
            mixed = np.concatenate([h[given[k][place]] for k, h in enumerate(embeddings)])
            now = int(forward(mixed)[0].argmax())
            for k in range(num_parties):
                kept[given[k][place], k] += now == predicted[given[k][place]]
    scores, suspects = [], []
    for i in range(num_rows):
        slope, parts, start = forward(np.concatenate([h[i] for h in embeddings]))[1][predicted[i]], [], 0
        for h in embeddings:
            parts.append(max(0.0, float(h[i] @ slope[start : start + h.shape[1]])))
            start += h.shape[1]
        low, high = sorted(parts)[-2:]
        leads, taken = min(high / (low + 1e-8) / threshold, 1.0), kept[i, [0, 2]] / len(order)
        scores.append({"both": taken * leads, "cap": taken, "cac": [leads, leads]}[rule])
        suspects.append({"both": leads == 1 and max(taken) == 1, "cap": max(taken) == 1, "cac": leads == 1}[rule])
    return np.array(scores), np.array(suspects)


@pytest.mark.parametrize("rule", RULES)
def test_batches_match_the_twin_and_rows_that_fill_one_up_count_for_nothing(rule):
    """Eleven rows in batches of four; some of them have a large vector of party 0's."""
    defense = cast(GBD(rule=rule, repeats=4, rounded=False, inference_batch=BATCH, inference_order="file"))
    defense = defense.replace(threshold=1.5)
    state = defense.init(jax.random.key(3), SHAPES)
    logits = head_of(*map(jnp.asarray, WEIGHTS))
    embeddings = [helpers.normal(NUM_ROWS, width, seed=width) for width in SHAPES.widths]
    embeddings[0][::3] = 8 * helpers.normal(1, 4, seed=9)

    @helpers.quick_jit
    def answer(embeddings, keys, is_valid):
        view = ActiveInferView(is_valid=is_valid, embeddings=embeddings, logits=logits)
        return run_answer(defense, "infer_suspicion", keys, state, view, (embeddings[0], embeddings[2]))

    keys, is_valid = jax.random.split(jax.random.key(0), NUM_ROWS), np.arange(NUM_ROWS) < NUM_ROWS - 1
    found = answer(tuple(embeddings), keys, is_valid)
    order, start, num_suspects = np.asarray(state.order), 0, 0
    for stop in (4, 8, 10):  # the eleventh row is not valid, and a twelfth fills up the batch
        rows = [h[start:stop] for h in embeddings]
        score, suspect = twin(rows, order[:, :, : stop - start], 1.5, rule)
        np.testing.assert_allclose(found.score[start:stop], score, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(found.is_suspect[start:stop], suspect)
        start, num_suspects = stop, num_suspects + suspect.sum()
    assert 0 < num_suspects < 10
    embeddings[0][-1] = 100.0
    np.testing.assert_array_equal(
        answer(tuple(embeddings), jax.random.clone(keys), is_valid).score[:10], found.score[:10]
    )


def test_suspects_are_rejected_and_nobody_else_is():
    """The answer and the action of one seed agree, though hooks have keys of their own; another seed shuffles anew."""
    views = ActiveInferView(
        is_valid=jnp.ones(NUM_ROWS, bool),
        embeddings=tuple(4 * jnp.asarray(helpers.normal(NUM_ROWS, width, seed=width)) for width in SHAPES.widths),
        logits=head_of(*map(jnp.asarray, WEIGHTS)),
    )
    crossing, logits = (views.embeddings[0], views.embeddings[2]), views.logits(views.embeddings)

    @helpers.quick_jit
    def judged(state, keys):
        found = run_answer(defense, "infer_suspicion", keys[0], state, views, crossing)
        return found, run_infer_hook(defense, "infer_logits", keys[1], state, views, logits)

    keys, answers = jax.random.split(jax.random.key(0), (2, NUM_ROWS)), []
    for seed in range(2):
        defense = cast(GBD(action="reject", repeats=1, inference_batch=BATCH))
        found, after = judged(defense.init(jax.random.key(seed), SHAPES), jax.random.clone(keys))
        expected = np.where(np.asarray(found.is_suspect)[:, None], np.nan, logits)
        np.testing.assert_array_equal(after, expected)
        assert 0 < np.sum(found.is_suspect) < NUM_ROWS
        answers.append(found.score)
    assert helpers.differs(*answers)


def test_one_party_is_refused():
    with pytest.raises(ValueError, match=says("GBD compares the parties", "here is 1", "two or more")):
        GBD().check(helpers.shapes_of(widths=(3,)), by_role=False)


@pytest.mark.long
def test_it_finds_attacked_rows_on_digits():
    """Half the test rows carry the trigger, as in published tests; without the attack no clue tells them apart."""
    scenario = vfl.presets.digits_demo().replace(defense=vfl.ActiveChain(parts=(GBD(),)))
    scenario = scenario.replace(poison=scenario.poison.replace(test_rate=0.5))
    over = {"attack.enabled": [0, 1], "defense.parts.0.threshold": [2.0, 1e12]}
    results = vfl.sweep(scenario, small_digits(512, 200), over=over, seeds=2, epochs=20, progress=False)
    found = {name: results[name].isel(epoch=-1).mean("seed").values for name in NUMBERS}
    (honest, _), (attacked, patient) = found["detection_recall"]
    assert attacked > honest + 0.3
    assert patient < attacked  # who waits for a larger lead finds fewer
    (floor, _), (auc, _) = found["detection_auc"]
    assert auc > 0.7 > 0.6 > floor
    assert found["detection_false_alarm_rate"].max() < 0.35
    assert found["backdoor_accuracy"][1, 0] > 0.6  # there was something to find

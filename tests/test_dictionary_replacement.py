"""The attacker's dictionary of codes against a twin in plain loops, and on digits behind the defense that it is for."""

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import says
from training_helpers import small_digits

import vfl_jax as vfl
from vfl_jax.attacks import DictionaryReplacement, LabelReplacement
from vfl_jax.attacks.dictionary_replacement import read
from vfl_jax.core.record import cast
from vfl_jax.defenses import CAE
from vfl_jax.protocol.knowledge import UNKNOWN

N, C, TARGET_CLASS = 12, 3, 1
LABELS = np.arange(N) % C
POISON = (0, 2, 3, 5)
CODES = np.array([[0.0, 0.4, 0.6], [0.7, 0.0, 0.3], [0.5, 0.45, 0.05]])


@helpers.quick_jit
def jit_download(attack, state, ids, knowledge, gradient):
    return attack.on_download(None, state, helpers.party_view(ids, knowledge=knowledge), gradient)


def knowing(*known):
    """An attacker that knows the labels of these rows."""
    granted = helpers.knowledge(N, poison=POISON, target_class=TARGET_CLASS)
    labels = np.where(np.isin(np.arange(N), known), LABELS, UNKNOWN)
    return granted.replace(known_labels=jnp.asarray(labels, jnp.int32))


def steps(codes=CODES, num_steps=5, sharp=1.0):
    """(Ids, gradient rows) of a sum head that trains towards codes, the weight of a row 1/4."""
    rng = np.random.default_rng(3)
    for _ in range(num_steps):
        ids = rng.permutation(N)[:8]
        probabilities = rng.dirichlet(np.full(C, 0.5 / sharp), 8)
        yield ids, (probabilities - codes[LABELS[ids]]) / 4


def attack_over(attack, given, knowledge):
    """What the attack puts in the place of each message, and its last report."""
    shapes, out = helpers.shapes_of(num_samples=N, row_weight=0.25), []
    state = attack.init(None, shapes, 0)
    for ids, gradient in given:
        replaced, state = jit_download(
            cast(attack), state, jnp.asarray(ids), knowledge, jnp.asarray(gradient, jnp.float32)
        )
        out.append(replaced)
    return out, attack.report(state)["label_guesses"]


def test_it_matches_the_twin_over_steps():
    """Rows and classes by their largest numbers so far, swaps of codes, guesses by the nearest code."""
    known, rows, classes = (4, 6, 8), {}, {}
    found, guesses = attack_over(DictionaryReplacement(amplify=2.0), steps(), knowing(*known))

    def code(shown):
        return np.array(shown) / sum(shown)

    def guess(row):
        distances = {c: sum((code(rows[row]) - code(classes[c])) ** 2) for c in classes}
        return min(distances, key=distances.get)

    num_replaced = 0
    for (ids, gradient), mine in zip(steps(), found, strict=True):
        for row, message in zip(ids, gradient, strict=True):
            shown = [max(0.0, -4 * entry) for entry in message]
            places = [(rows, row)] + ([(classes, LABELS[row])] if row in known else [])
            for book, place in places:
                book[place] = [max(pair) for pair in zip(book.get(place, [0.0] * C), shown, strict=True)]
        for row, message, replaced in zip(ids, gradient, mine, strict=True):
            if row in POISON and TARGET_CLASS in classes:
                message = message + 2.0 / 4 * (code(rows[row]) - code(classes[TARGET_CLASS]))
                num_replaced += 1
            np.testing.assert_allclose(replaced, message, rtol=1e-4, atol=1e-6)
    assert num_replaced > 5
    assert guesses.tolist() == [guess(row) for row in range(N)]


def test_tight_messages_swap_the_true_codes():
    """Where a model gives each class little now and then, the poison rows get w·(S − code of τ), as by their labels."""
    given = list(steps(sharp=5.0, num_steps=40))
    found, guesses = attack_over(DictionaryReplacement(), given, knowing(4, 6, 8))
    np.testing.assert_array_equal(guesses, LABELS)
    for (ids, gradient), replaced in list(zip(given, found, strict=True))[20:]:
        is_poison = np.isin(ids, POISON)
        true = gradient + (CODES[LABELS[ids]] - CODES[TARGET_CLASS]) / 4
        np.testing.assert_allclose(replaced[is_poison], true[is_poison], atol=0.05)
        np.testing.assert_allclose(replaced[~is_poison], gradient[~is_poison], rtol=1e-6)


def test_without_codes_it_is_label_replacement():
    """One-hot labels, and a row of every class known in the first batch."""
    first = np.arange(4, 12)
    given = [(first, (np.full((8, C), 1 / 3) - np.eye(C)[LABELS[first]]) / 4), *steps(np.eye(C))]
    replaced = [attack_over(kind(), given, knowing(4, 6, 8))[0] for kind in (DictionaryReplacement, LabelReplacement)]
    for mine, theirs in zip(*replaced, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


def test_it_waits_for_a_row_of_its_class_and_says_what_it_lacks():
    found, guesses = attack_over(DictionaryReplacement(), steps(), knowing())
    for (_, gradient), mine in zip(steps(), found, strict=True):
        np.testing.assert_allclose(mine, gradient, rtol=1e-6)
    assert (guesses == UNKNOWN).all()
    with pytest.raises(ValueError, match=says("bottoms.1.width is 4")):
        DictionaryReplacement().check(helpers.shapes_of(widths=(3, 4)), 1, by_role=False)


@pytest.mark.long
def test_on_digits_it_reads_labels_behind_the_defense_and_brings_the_backdoor_back():
    """One known row of its class is enough for that; the attack that swaps classes reads and does nothing there."""
    shown = vfl.presets.digits_demo()
    scenario = shown.replace(poison=shown.poison.replace(num_known=1), defense=CAE())
    attacks = {"plain": LabelReplacement(), "adapted": DictionaryReplacement(amplify=3.0)}
    found = {}
    for name, attack in attacks.items():
        one = scenario.replace(attacks=(vfl.PartyTransform(), attack))
        with jax.numpy_dtype_promotion("standard"):  # Adam's count is a whole number
            results = vfl.sweep(
                one, small_digits(1000, 200), over={"attack.enabled": [0, 1]}, seeds=2, epochs=30, progress=False
            )
        found[name] = results.isel(epoch=-1)
    floor = float(found["plain"]["backdoor_accuracy"].sel({"attack.enabled": 0}).max())
    reached = {name: of_one["backdoor_accuracy"].sel({"attack.enabled": 1}) for name, of_one in found.items()}
    assert float(reached["plain"].max()) <= floor + 0.1
    assert float(reached["adapted"].mean()) > floor + 0.4
    assert float(found["plain"]["label_inference_accuracy"].max()) < 0.1
    assert float(found["adapted"]["label_inference_accuracy"].min()) > 0.9
    assert float(found["adapted"]["main_task_accuracy"].sel({"attack.enabled": 0}).min()) > 0.5


def test_of_equally_near_classes_the_first_is_named_whatever_rounding_says():
    codes = jnp.array([[0.5, 0.5, 0.0], [0.5, 0.5 - 1e-6, 1e-6], [0.0, 0.0, 1.0]])
    rows = jnp.array([[0.5, 0.5 - 1e-6, 1e-6], [0.5, 0.5, 0.0], [0.0, 0.1, 0.9], [0.0, 0.0, 0.0]])
    assert read(rows, codes).tolist() == [0, 0, 2, UNKNOWN]

"""What a defense says of test rows, and what two classes allow, in the first pass: against scikit-learn."""

import dataclasses

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import says, tiny_scenario
from evaluation_helpers import HONEST, Firing, Watch, best, inferred, scenario_of, trained, two_classes
from sklearn.metrics import balanced_accuracy_score, f1_score, precision_score, recall_score, roc_auc_score

import vfl_jax as vfl
from vfl_jax.core.record import static
from vfl_jax.protocol.chains import ActiveChain
from vfl_jax.protocol.triggers import EmbeddingTrigger
from vfl_jax.replica import preparation
from vfl_jax.replica.blocks import in_order
from vfl_jax.replica.draws import Given

ATTACKED = (0, 2, 5, 6, 11, 17, 18)


def watched(data, *defenses, block=1000, epochs=1, attacks=(HONEST, Firing(shift=1.0))):
    """(the results, the state) where some named rows are attacked in the first pass."""
    defense = defenses[0] if len(defenses) == 1 else ActiveChain(parts=defenses)
    scenario = scenario_of(attacks, plan={"trigger": EmbeddingTrigger()}, defense=defense)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparation, "TEST_BLOCK", block)
        found = trained(scenario, data, epochs, given=Given(test_poison_ids=np.array(ATTACKED)))
    return scenario, *found


def messages(data, scenario, state):
    """The crossing messages of all test rows, as they arrive in the first pass."""
    is_attacked = jnp.isin(jnp.arange(20), jnp.array(ATTACKED))
    found = inferred(scenario.replace(defense=vfl.ActiveTransform()), data, state, data.test.features, is_attacked)
    return [found.sent[k] for k in range(len(found.sent)) if k != data.active_party]


def assert_detected(results, scores, bound):
    """The results have the numbers of scikit-learn for these scores, float[rows, parties]."""
    truth, score = np.isin(np.arange(20), ATTACKED), scores.max(axis=1)
    said = score > bound
    assert 0 < said.sum() < 20
    expected = {
        "auc": roc_auc_score(truth, score),
        "recall": recall_score(truth, said),
        "false_alarm_rate": said[~truth].mean(),
        "precision": precision_score(truth, said),
        "f1": f1_score(truth, said),
    }
    found = {name: float(results[f"detection_{name}"]) for name in expected}
    assert found == pytest.approx(expected, abs=1e-6)
    assert int(results.detection_recall_count) == len(ATTACKED)


@pytest.mark.long
@pytest.mark.parametrize("block", [1000, 7])
@pytest.mark.parametrize("together", [1, None])
def test_a_row_is_as_suspicious_as_its_message(block, together):
    data = helpers.table_data()
    scenario, results, state = watched(data, Watch(bound=1.5, inference_batch=together), block=block)
    scores = np.stack([np.linalg.norm(e, axis=1) for e in messages(data, scenario, state)], axis=1)
    assert_detected(results, scores, 1.5)


@pytest.mark.parametrize("block", [8, pytest.param(1000, marks=pytest.mark.long)])
@pytest.mark.parametrize("together", [3, 6])
def test_rows_that_are_seen_together_are_compared_among_themselves(block, together):
    """Twenty rows make no whole batches: those that fill up the last one are not valid, and count nowhere."""
    data = helpers.table_data()
    scenario, results, state = watched(data, Watch(bound=0.2, inference_batch=together), block=block)
    scores = np.stack([np.linalg.norm(e, axis=1) for e in messages(data, scenario, state)], axis=1)
    batches = [scores[i : i + together] for i in range(0, 20, together)]
    assert_detected(results, np.concatenate([batch - batch.mean(axis=0) for batch in batches]), 0.2)


class ShuffledWatch(vfl.ActiveTransform):
    """Test only: sees four rows of any order, and judges each by itself."""

    inference_batch: int = static(default=4)
    inference_order: str = static(default="shuffled")

    def infer_suspicion(self, key, state, view, embeddings):
        score = jnp.stack([jnp.linalg.norm(e, axis=-1) for e in embeddings], axis=1)
        return vfl.Suspicion(score=score, is_suspect=score.max(axis=1) > 1.5)


@pytest.mark.long
@pytest.mark.parametrize("block", [1000, 8])
def test_the_order_of_rows_changes_nothing_of_rows_that_are_judged_alone(block):
    data = helpers.table_data()
    _, in_file, _ = watched(data, Watch(bound=1.5))
    _, shuffled, _ = watched(data, ShuffledWatch(), block=block)
    for name in in_file.data_vars:
        np.testing.assert_allclose(shuffled[name], in_file[name], rtol=1e-5, err_msg=name)


def test_a_row_is_as_suspicious_as_its_most_suspicious_party():
    """Three parties cross; the one that holds the labels sends nothing."""
    data = helpers.image_data(num_parties=4, active_party=1)
    scenario, results, state = watched(data, Watch(bound=1.2), attacks=(HONEST, HONEST, HONEST, Firing(shift=0.5)))
    scores = np.stack([np.linalg.norm(e, axis=1) for e in messages(data, scenario, state)], axis=1)
    assert scores.shape == (20, 3)
    assert len(set(scores.argmax(axis=1))) > 1
    assert_detected(results, scores, 1.2)


@pytest.mark.long
def test_a_part_of_a_chain_answers_and_without_one_there_is_no_answer():
    data = helpers.table_data()
    _, alone, _ = watched(data, Watch(bound=1.5))
    _, in_chain, _ = watched(data, vfl.defenses.GaussianNoise(stddev=0.0), Watch(bound=1.5))
    assert float(in_chain.detection_auc) == pytest.approx(float(alone.detection_auc))
    _, unwatched, _ = watched(data, vfl.ActiveTransform())
    assert not [name for name in unwatched.data_vars if "detection" in name]


def test_the_order_of_test_rows_is_the_one_that_results_stand_on():
    """A number is drawn once per evaluation, beside those of the parties."""
    scenario = tiny_scenario().replace(defense=ShuffledWatch())
    ids = np.arange(6, dtype=np.int32).reshape(2, 3)
    _, order = in_order(scenario, jax.random.key(7), jnp.zeros((2, 3)), ids, 5)
    assert order.ravel().tolist() == [0, 2, 1, 4, 3, 5]


def test_two_parts_of_a_chain_cannot_answer():
    with pytest.raises(ValueError, match=r"Parts of a chain, Watch and Watch, answer by infer_suspicion; keep one"):
        watched(helpers.table_data(), Watch(bound=1.5), Watch(bound=0.5))


class MisshapenAnswer(vfl.ActiveTransform):
    """Test only: its answer lacks the axis of parties, or counts suspects instead of naming them."""

    which: str = static(default="score")
    inference_batch: None = static(default=None)

    def infer_suspicion(self, key, state, view, embeddings):
        score = jnp.linalg.norm(embeddings[0], axis=-1)
        if self.which == "type":
            return score
        is_suspect = score > 1.0
        if self.which == "score":
            return vfl.Suspicion(score=score, is_suspect=is_suspect)
        scores = jnp.stack([score, score], axis=1)
        return vfl.Suspicion(score=scores, is_suspect=is_suspect.astype(jnp.int32))


SAID = {"score": "score, float32[20],", "suspects": "is_suspect, int32[20]", "type": "returns float32[20];"}


@pytest.mark.parametrize("which", SAID)
def test_an_answer_of_another_form_is_refused_by_the_name_of_the_method(which):
    said = says("MisshapenAnswer.infer_suspicion", SAID[which], "float32[20, 2]", "bool[20]")
    with pytest.raises(ValueError, match=said):
        watched(helpers.table_data(), vfl.defenses.GaussianNoise(stddev=0.0), MisshapenAnswer(which=which))


class Guessing(vfl.PartyTransform):
    """Test only: guesses that a row is of class 1 where its first number is above 0, and nothing of large ones."""

    as_text: bool = static(default=False)
    inference_batch: None = static(default=None)

    def infer_labels(self, key, state, view, features):
        guesses = jnp.where(features[:, 0] > 0, 1, 0).astype(jnp.int32)
        guesses = jnp.where(jnp.abs(features[:, 0]) > 1.0, -1, guesses)
        return guesses.astype(jnp.float32) if self.as_text else guesses


def test_labels_that_parties_guess_are_compared_with_those_of_the_rows():
    data = helpers.table_data()
    results, _ = trained(scenario_of((Guessing(), Guessing())), data)
    columns = np.stack([x[:, 0] for x in data.test.features])
    is_made, is_right = np.abs(columns) <= 1, (columns > 0) == data.test.labels[None]
    assert float(results.test_label_inference_rate) == pytest.approx(is_made.mean())
    assert float(results.test_label_inference_accuracy) == pytest.approx(is_right[is_made].mean())
    with pytest.raises(ValueError, match=says("Guessing.infer_labels returns float32[20]", "int32[20]")):
        trained(scenario_of((Guessing(as_text=True), HONEST)), data)


@pytest.mark.parametrize("block", [1000, 7])
def test_two_classes_have_an_area_and_a_balanced_accuracy_beside_the_majority(block):
    data = two_classes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparation, "TEST_BLOCK", block)
        results, state = trained(scenario_of(width=2), data, epochs=3)
    logits, labels = inferred(scenario_of(width=2), data, state, data.test.features).logits, data.test.labels
    assert float(results.test_auc) == pytest.approx(roc_auc_score(labels, logits[:, 1] - logits[:, 0]))
    assert float(results.balanced_accuracy) == pytest.approx(balanced_accuracy_score(labels, best(logits)))
    by_class = [np.mean(best(logits)[labels == c] == c) for c in range(2)]
    np.testing.assert_allclose(results.accuracy_by_class, by_class, rtol=1e-6)
    assert results.accuracy_by_class_count.values.tolist() == np.bincount(labels).tolist()
    assert f'"test_majority": {np.mean(labels == 0)}' in results.attrs["rows"]


def test_of_one_class_alone_an_area_is_undefined_and_the_other_class_does_not_count():
    data = two_classes()
    test = data.test.replace(labels=np.zeros_like(data.test.labels))
    results, _ = trained(scenario_of(width=2), dataclasses.replace(data, test=test))
    assert np.isnan(float(results.test_auc))
    assert float(results.balanced_accuracy) == float(results.accuracy_by_class[0]) == float(results.main_task_accuracy)
    assert np.isnan(float(results.accuracy_by_class[1]))


def test_more_classes_have_neither():
    results, _ = trained(scenario_of(), helpers.table_data())
    assert not {"test_auc", "accuracy_by_class", "balanced_accuracy"} & set(results.data_vars)


@pytest.mark.long
def test_the_grid_and_seeds_have_the_numbers_of_single_runs():
    data, over = two_classes(), {"defense.bound": [0.5, 1.5]}
    scenario = scenario_of((HONEST, Firing()), width=2, plan={"trigger": EmbeddingTrigger()}, defense=Watch())
    swept = vfl.sweep(scenario, data, over, seeds=2, epochs=1, progress=False)
    for bound in over["defense.bound"]:
        for seed in range(2):
            alone, _ = vfl.run(scenario.replace(defense=Watch(bound=bound)), data, jax.random.key(seed), 1)
            point = swept.sel({"defense.bound": bound, "seed": seed})
            for name in (name for name in alone.data_vars if name in point and alone[name].dims[:1] == ("epoch",)):
                np.testing.assert_allclose(point[name], alone[name], rtol=1e-5, atol=1e-6, err_msg=name)

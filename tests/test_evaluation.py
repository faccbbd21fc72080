"""Metrics at inference against a plain NumPy count, over several chunks, with ties and with undefined ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import tiny_data, tiny_scenario

from vfl_jax.core.record import static
from vfl_jax.models import Linear
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.replica import preparation
from vfl_jax.replica.draws import Given
from vfl_jax.sweeps.sweep import run

NUM_TEST, TAU = 23, 1


def parameters(scale, seed=0):
    """Weights of two linear bottoms; 0 makes every logit tie."""
    rng = np.random.default_rng(seed)
    return tuple(
        {"dense_0": {"kernel": scale * rng.normal(size=(8, 3)).astype(np.float32), "bias": np.zeros(3, np.float32)}}
        for _ in range(2)
    )


def evaluated(scale, test_ids, chunk=1000, **fields):
    """(results, data, parameters) after an epoch at learning rate 0, which leaves the given weights as they are."""
    data = tiny_data(num_test=NUM_TEST)
    still = [o.replace(learning_rate=0.0) for o in tiny_scenario().optimizers]
    scenario = tiny_scenario(plan={"target_class": TAU}, bottoms=(Linear(width=3),) * 2, optimizers=still, **fields)
    given = Given(params=parameters(scale), test_poison_ids=np.asarray(test_ids, int))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparation, "TEST_BLOCK", chunk)
        results, _ = run(scenario, data, jax.random.key(0), 1, given)
    return results.isel(epoch=0), data, given.params


def by_hand(data, params, test_ids):
    """Every metric by a loop over the test rows."""
    rows = {"main_task_accuracy": [], "main_clean": [], "class_score": [], "test_loss": []}
    rows |= {name: [] for name in ("backdoor_accuracy", "attack_success_rate", "backdoor_ties", "attack_ties")}
    for i, label in enumerate(data.test.labels):
        blocks = [features[i].copy() for features in data.test.features]
        is_triggered = i in test_ids
        if is_triggered:
            blocks[1][1, 3] = 1.0  # pixel (3, 3) of the image, in the lower half
        logits = sum(x.ravel() @ p["dense_0"]["kernel"] for x, p in zip(blocks, params, strict=True))
        scores = np.exp(logits) / np.exp(logits).sum()
        first = int(np.argmax(logits))
        is_alone = bool((logits[TAU] > np.delete(logits, TAU)).all())
        rows["main_task_accuracy"].append(first == label)
        rows["test_loss"].append(-np.log(scores[label]))
        if not is_triggered:
            rows["main_clean"].append(first == label)
            continue
        rows["class_score"].append(scores)
        rows["backdoor_accuracy"].append(is_alone)
        rows["backdoor_ties"].append(first == TAU and not is_alone)
        if label != TAU:
            rows["attack_success_rate"].append(is_alone)
            rows["attack_ties"].append(first == TAU and not is_alone)
    return rows


@pytest.mark.parametrize("chunk", [1000, 5])
@pytest.mark.parametrize(
    "test_ids", [(0, 1, 4, 7, 8, 9, 15, 22), (1, 4)]
)  # labels 0, 1, 2, 0, 1, …: the last are all τ
def test_metrics_equal_a_count_by_hand(chunk, test_ids):
    results, data, params = evaluated(2.0, test_ids, chunk)
    for name, rows in by_hand(data, params, test_ids).items():
        expected = np.mean(rows, axis=0) if rows else np.nan
        np.testing.assert_allclose(results[name], expected, rtol=1e-5, err_msg=name)
        assert int(results[f"{name}_count"]) == len(rows), name


class Undefined(ActiveTransform):
    """Test only: rows whose first logit is above 0 become undefined, all of a row or one class of it."""

    which: int | None = static(default=None)

    def infer_logits(self, key, state, view, logits):
        bad = jnp.ones(3, bool) if self.which is None else jnp.arange(3) == self.which
        return jnp.where((logits[:, :1] > 0) & bad[None], jnp.nan, logits)


@pytest.mark.parametrize("which", [None, 0, TAU])
def test_a_row_that_is_undefined_is_neither_right_nor_the_target_nor_a_tie(which):
    """As an argmax has it, it would be the first class that is undefined."""
    test_ids = (0, 1, 2, 4, 7, 8, 9, 15, 22)
    found, data, params = evaluated(2.0, test_ids, defense=Undefined(which=which))
    logits = sum(
        np.reshape(x, (NUM_TEST, -1)) @ p["dense_0"]["kernel"]
        for x, p in zip(stamped(data, test_ids), params, strict=True)
    )
    is_defined, best, labels = logits[:, 0] <= 0, logits.argmax(axis=1), data.test.labels
    is_triggered = np.isin(np.arange(NUM_TEST), test_ids)
    assert 5 < is_defined.sum() < 18
    assert (labels[~is_defined] == (which or 0)).any()
    hits = {
        "main_task_accuracy": (is_defined & (best == labels)).mean(),
        "main_clean": (is_defined & (best == labels))[~is_triggered].mean(),
        "backdoor_accuracy": (is_defined & (best == TAU))[is_triggered].mean(),
        "attack_success_rate": (is_defined & (best == TAU))[is_triggered & (labels != TAU)].mean(),
        "backdoor_ties": 0.0,
        "attack_ties": 0.0,
    }
    for name, expected in hits.items():
        assert float(found[name]) == pytest.approx(expected), name


def stamped(data, test_ids):
    """Both parties' test features, with the trigger on some rows."""
    blocks = [features.copy() for features in data.test.features]
    blocks[1][list(test_ids), 1, 3] = 1.0
    return blocks


def test_a_batch_that_is_undefined_has_no_right_row():
    """In training; labels of class 0 would be what an argmax says."""
    scenario = tiny_scenario(bottoms=(Linear(width=3),) * 2)
    weights = tuple(
        {"dense_0": {"kernel": p["dense_0"]["kernel"] * np.nan, "bias": np.zeros(3, "f4")}} for p in parameters(1.0)
    )
    results, _ = run(scenario, tiny_data(), jax.random.key(0), 1, Given(params=weights))
    assert float(results.train_accuracy[0]) == 0.0
    assert not results.is_finite.any()


def test_ties_do_not_count_for_the_target_class_and_are_told_apart():
    """All logits 0: a plain argmax says class 0 of every row."""
    data = tiny_data(num_test=NUM_TEST)
    at_zero, _, _ = evaluated(0.0, (0, 1, 2, 5))
    assert float(at_zero.backdoor_accuracy) == 0.0
    assert float(at_zero.backdoor_ties) == 0.0  # τ is 1 here, and 0 is the first of the tied classes
    assert float(at_zero.main_task_accuracy) == pytest.approx(np.mean(data.test.labels == 0))

    scenario = tiny_scenario(bottoms=(Linear(width=3),) * 2)
    still = scenario.replace(optimizers=[o.replace(learning_rate=0.0) for o in scenario.optimizers])
    given = Given(params=parameters(0.0), test_poison_ids=np.array([0, 1, 2, 5]))
    first, _ = run(still, data, jax.random.key(0), 1, given)
    assert (float(first.backdoor_accuracy[0]), float(first.backdoor_ties[0])) == (0.0, 1.0)
    assert (float(first.attack_success_rate[0]), float(first.attack_ties[0])) == (0.0, 1.0)

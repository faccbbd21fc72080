"""Areas, detection and means by class against scikit-learn and plain counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

from vfl_jax.replica.first_pass import strictly_predicts
from vfl_jax.replica.metrics import area, detection, mean_by_class, mean_over

jit_area, jit_detection = jax.jit(area), jax.jit(detection)


def value(metric):
    """A scalar metric as a number; NaN where it is a mean of nothing."""
    return float(metric.sum) / float(metric.count) if float(metric.count) else np.nan


def two_samples(kind, seed):
    """(values, is positive, counts) of 60 rows, some of which do not count."""
    rng = np.random.default_rng(seed)
    values = {
        "distinct": rng.permutation(60).astype(np.float32),
        "tied": rng.integers(0, 4, 60).astype(np.float32),
        "constant": np.full(60, 2.5, np.float32),
        "infinite": rng.choice(np.array([-np.inf, -1, -0.0, 0, 1, np.inf], np.float32), 60),
    }[kind]
    return values, rng.random(60) < 0.3, rng.random(60) < 0.7


@pytest.mark.parametrize("kind", ["distinct", "tied", "constant", "infinite"])
def test_an_area_is_that_of_scikit_learn(kind):
    for seed in range(20):
        values, is_positive, counts = two_samples(kind, seed)
        found = jit_area(values, is_positive & counts, values, ~is_positive & counts)
        ranks = np.unique(values, return_inverse=True)[1]  # scikit-learn takes no infinities, and only order counts
        assert value(found) == pytest.approx(roc_auc_score(is_positive[counts], ranks[counts]), abs=1e-6)


@pytest.mark.parametrize("side", ["positive", "negative"])
def test_values_that_are_undefined_do_not_count(side):
    values, is_positive, counts = two_samples("tied", 0)
    undefined = values.copy()
    undefined[np.flatnonzero(is_positive == (side == "positive"))[::2]] = np.nan
    found = jit_area(undefined, is_positive & counts, undefined, ~is_positive & counts)
    left = counts & ~np.isnan(undefined)
    assert value(found) == pytest.approx(roc_auc_score(is_positive[left], undefined[left]), abs=1e-6)


def test_an_area_with_an_empty_side_is_undefined():
    values, everyone, nobody = np.arange(4, dtype=np.float32), np.ones(4, bool), np.zeros(4, bool)
    undefined = np.full(4, np.nan, np.float32)
    for arguments in (
        (values, everyone, values, nobody),
        (values, nobody, values, everyone),
        (values, everyone, undefined, everyone),
        (undefined, everyone, values, everyone),
    ):
        found = jit_area(*arguments)
        assert (float(found.sum), float(found.count)) == (0.0, 0.0)


def test_the_samples_may_differ_in_size_and_be_mapped():
    rng = np.random.default_rng(0)
    positive, negative = rng.integers(0, 9, (3, 5)).astype("f4"), rng.integers(0, 9, (3, 17)).astype("f4")
    masks = rng.random((3, 5)) < 0.8, rng.random((3, 17)) < 0.8
    found = jax.jit(jax.vmap(area))(positive, masks[0], negative, masks[1])
    for i in range(3):
        pairs = [(p > n) + (p == n) / 2 for p in positive[i][masks[0][i]] for n in negative[i][masks[1][i]]]
        assert float(found.sum[i]) == pytest.approx(np.mean(pairs), abs=1e-6)


def test_detection_is_that_of_scikit_learn():
    for seed in range(10):
        scores, is_attacked, is_valid = two_samples("tied", seed)
        is_suspect = np.random.default_rng(100 + seed).random(60) < 0.4
        found = {name: value(m) for name, m in jit_detection(scores, is_suspect, is_attacked, is_valid).items()}
        truth, said = is_attacked[is_valid], is_suspect[is_valid]
        assert found == pytest.approx(
            {
                "auc": roc_auc_score(truth, scores[is_valid]),
                "recall": recall_score(truth, said),
                "false_alarm_rate": said[~truth].mean(),
                "precision": precision_score(truth, said),
                "f1": f1_score(truth, said),
            },
            abs=1e-6,
        )


@pytest.mark.parametrize(
    ("suspects", "attacked", "undefined"),
    [
        (0, 3, {"precision"}),  # no alarm: nothing to be precise about, but every attack is missed
        (2, 0, {"recall", "auc"}),
        (0, 0, {"recall", "auc", "precision", "f1"}),
        (2, 6, {"false_alarm_rate", "auc"}),
    ],
)
def test_a_rate_of_no_rows_is_undefined(suspects, attacked, undefined):
    order, everyone = np.arange(6), np.ones(6, bool)
    found = jit_detection(order.astype("f4"), order < suspects, order < attacked, everyone)
    assert {name for name, metric in found.items() if np.isnan(value(metric))} == undefined


def test_means_by_class_count_the_rows_of_each():
    rng = np.random.default_rng(0)
    mask, values, labels = rng.random(50) < 0.6, rng.random(50).astype("f4"), rng.integers(0, 3, 50).astype("i4")
    found = mean_by_class(jnp.asarray(mask), jnp.asarray(values), jnp.asarray(labels), 4)
    for c in range(4):
        rows = mask & (labels == c)
        assert float(found.count[c]) == rows.sum()
        assert float(found.sum[c]) == pytest.approx(values[rows].sum(), abs=1e-5)


def test_a_row_that_does_not_count_may_be_undefined():
    mask, values = jnp.array([True, False, True]), jnp.array([1.0, jnp.nan, 0.0])
    assert value(mean_over(mask, values)) == 0.5
    by_class = mean_by_class(mask, values, jnp.array([0, 0, 1], jnp.int32), 2)
    np.testing.assert_array_equal(by_class.sum, [1.0, 0.0])


def test_a_class_is_strictly_predicted_where_its_logit_alone_is_the_largest():
    logits = jnp.array([[1.0, 3.0, 2.0], [3.0, 3.0, 1.0], [4.0, 3.0, 5.0], [-2.0, -1.0, -3.0]])
    assert strictly_predicts(logits, 1).tolist() == [True, False, False, True]

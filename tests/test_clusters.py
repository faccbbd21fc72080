"""Means of classes and k-means, against plain loops."""

import helpers
import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.models.clusters import class_means, draw_centres, k_means, lloyd


def test_rounds_of_k_means_are_lloyds():
    points = helpers.normal(40, 3)
    centres = points[:4].astype(np.float64)
    for _ in range(6):
        groups = [[] for _ in centres]
        for point in points:
            groups[min(range(4), key=lambda c: ((point - centres[c]) ** 2).sum())].append(point)
        centres = np.array([np.mean(group, axis=0) if group else centres[c] for c, group in enumerate(groups)])
    np.testing.assert_allclose(lloyd(points, jnp.asarray(points[:4]), 6), centres, rtol=1e-4, atol=1e-5)
    assert np.isfinite(k_means(jax.random.key(0), jnp.ones((5, 2)), 3)).all()  # of equal points, too


def test_points_that_do_not_count_change_nothing_whatever_they_hold():
    points = np.concatenate([helpers.normal(6, 2), helpers.normal(6, 2) + np.float32([50, 0])])
    others = np.float32([[np.nan, 0], [np.inf, 1], [25, 900], [0, 0]])
    both, counts = np.concatenate([others, points]), np.arange(16) >= 4
    for seed in range(5):
        found = k_means(jax.random.key(seed), both, 2, counts=counts)
        found = np.asarray(found)[np.argsort(np.asarray(found)[:, 0])]
        np.testing.assert_allclose(found, [points[:6].mean(axis=0), points[6:].mean(axis=0)], rtol=1e-4, atol=1e-5)
    means, has_rows = class_means(both, jnp.array([-1] * 4 + [2] * 6 + [0] * 6), 3)
    expected = [points[6:].mean(axis=0), np.zeros(2), points[:6].mean(axis=0)]
    np.testing.assert_allclose(means, expected, rtol=1e-4, atol=1e-5)
    assert has_rows.tolist() == [True, False, True]


def test_missing_centres_are_drawn_by_their_squared_distance_to_the_nearest():
    """Beside a centre at 0 a point at 2 is drawn four times as often as one at 1, and points at 0 or apart never."""
    points, centres = jnp.array([[0.0], [1.0], [2.0], [9.0]]), jnp.array([[7.0], [0.0]])
    is_set, counts = jnp.array([False, True]), jnp.array([True, True, True, False])
    keys = jax.random.split(jax.random.key(0), 2000)
    found = np.asarray(jax.vmap(lambda key: draw_centres(key, points, centres, is_set, counts))(keys))[..., 0]
    assert (found[:, 1] == 0).all()
    assert set(found[:, 0]) == {1.0, 2.0}
    assert abs((found[:, 0] == 2).mean() - 0.8) < 0.04  # 4.5 standard deviations


def test_where_all_points_are_centres_any_that_counts_is_drawn():
    points, counts = jnp.array([[5.0], [3.0], [3.0]]), jnp.array([False, True, True])
    found = draw_centres(jax.random.key(0), points, jnp.zeros((3, 1)), jnp.zeros(3, bool), counts)
    assert found[:, 0].tolist() == [3.0, 3.0, 3.0]

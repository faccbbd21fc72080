"""Linear algebra of one matrix after another: equal to NumPy's, and no call of LAPACK has two matrices."""

import re

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vfl_jax.core.one_matrix import eigenvectors, solve

MATRICES = (lambda m: m @ np.swapaxes(m, -1, -2) + 2 * np.eye(4, dtype=np.float32))(helpers.normal(2, 3, 4, 4))


def twice_mapped(function):
    return jax.vmap(jax.vmap(function))


def test_systems_are_solved_as_numpy_does():
    right = helpers.normal(2, 3, 4, 5, seed=1)
    found = twice_mapped(solve)(MATRICES, right)
    np.testing.assert_allclose(found, np.linalg.solve(MATRICES, right), rtol=1e-3, atol=1e-4)


def test_eigenvectors_are_those_of_numpy_but_for_their_sign():
    found = np.abs(twice_mapped(eigenvectors)(MATRICES))
    np.testing.assert_allclose(found, np.abs(np.linalg.eigh(MATRICES)[1]), rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(
    ("mine", "shared"),
    [(lambda m: solve(m, m), lambda m: jnp.linalg.solve(m, m)), (eigenvectors, lambda m: jnp.linalg.eigh(m)[1])],
    ids=["solve", "eigenvectors"],
)
def test_no_call_shares_matrices_among_threads(mine, shared):
    def sizes(function):
        text = jax.jit(twice_mapped(function)).lower(MATRICES).as_text()
        calls = [line for line in text.splitlines() if "custom_call @lapack" in line]
        assert calls
        return {re.search(r"\(tensor<([0-9x]+)xf32>", line).group(1) for line in calls}

    assert sizes(mine) == {"4x4"}
    assert sizes(shared) != {"4x4"}  # as jaxlib has it

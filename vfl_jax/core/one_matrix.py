"""Linear algebra of one matrix after another, also where many are mapped.

jaxlib shares the matrices of one LAPACK call among the threads of a CPU, and waits for them inside one of these. Where
every device does so at the same time, all threads wait and none works: the program stands still, for good. It happened
on two cores with jaxlib 0.10.2, where two devices solved two systems each. One matrix is no call to share.
"""

import jax
import jax.numpy as jnp

solve = jax.custom_batching.sequential_vmap(jnp.linalg.solve)
"""``jnp.linalg.solve`` of float32[F, F] and float32[F, D]."""

_eigh = jax.custom_batching.sequential_vmap(lambda matrix: tuple(jnp.linalg.eigh(matrix)))


def eigenvectors(matrix: jax.Array) -> jax.Array:
    """Returns the eigenvectors of a symmetric matrix, float32[F, F], a column each, in the order of their eigenvalues.

    Args:
      matrix: float32[F, F].
    """
    return _eigh(matrix)[1]

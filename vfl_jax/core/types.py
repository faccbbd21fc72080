"""Array aliases and the legend of dimension letters used in every docstring.

=======  ==========================================================
letter   meaning
=======  ==========================================================
``N``    samples of the training set (``M``: of the test set)
``B``    rows of one batch (two more when a pair is appended)
``K``    parties that hold features
``F``    features of one party (any shape per sample)
``L``    ids of the longest row of a bag
``E``    width of a party's embedding
``C``    classes
``S``    seeds
``G``    grid points of a sweep
``T``    steps of an epoch
``P``    poison rows;  ``R`` known target rows
=======  ==========================================================
"""

from __future__ import annotations

from typing import Any, TypeAlias

import jax
import numpy as np

Array: TypeAlias = jax.Array | np.ndarray
"""An array on a device, or a NumPy array that JAX brings there when it is used."""
Key: TypeAlias = jax.Array
"""A typed key (``jax.random.key``), never a raw ``uint32`` pair."""
Features: TypeAlias = Any
"""One party's features: an array, or a pytree of arrays, samples first."""
Params: TypeAlias = Any
"""Parameters of one model, a pytree of float32 arrays."""
State: TypeAlias = Any
"""The numbers that a transform keeps from one step to the next, a pytree of arrays."""

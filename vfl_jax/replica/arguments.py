"""Checks of what a user gives to train a replica, before anything is made of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.core.checks import check_kind, shown
from vfl_jax.replica.draws import Given

SCENARIO = "for example one of vfl.presets"
"""The advice of a message where a scenario is none."""
GENERATOR = "threefry2x32"
"""The only generator of JAX that gives a replica its own random numbers under ``vmap``."""


def check_key(key: Any) -> None:
    """Checks that a key is one typed key of the generator that every replica has to itself.

    Raises:
      ValueError: on anything else, a raw key included.
    """
    if not (isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.shape == ()):
        raise ValueError(f"key is {key!r}; it must be one typed key, for example jax.random.key(0).")
    check_generator(str(jax.random.key_impl(key)), "The generator of key")


def check_generator(found: str, name: str) -> None:
    """Raises ``ValueError`` where the random numbers of a replica would depend on its neighbours under ``vmap``.

    Args:
      found: the generator's name.
      name: whose generator it is, for the message.
    """
    if found != GENERATOR:
        raise ValueError(
            f"{name} is {found!r}; it must be {GENERATOR!r}, because under vmap other generators may give a replica "
            f"other numbers than it draws alone. Call jax.config.update('jax_default_prng_impl', {GENERATOR!r}), or "
            f"make the key with jax.random.key(seed, impl={GENERATOR!r})."
        )


def check_given(given: Given) -> None:
    """Raises ``ValueError``, naming the field, where a given choice is not numeric. A later check asks if it fits."""
    check_kind(Given, "such as vfl.Given()", given=given)
    for field in dataclasses.fields(given):
        value = getattr(given, field.name)
        for leaf in jax.tree.leaves(value) if field.name in ("params", "head_params") else [value]:
            try:
                kind = np.asarray(leaf).dtype.kind
            except ValueError:  # lists of different lengths
                kind = "O"
            if leaf is not None and kind not in "biuf":
                raise ValueError(f"given.{field.name} has {shown(leaf)}; it must hold arrays of numbers.")

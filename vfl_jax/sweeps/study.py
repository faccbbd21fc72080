"""A study: all that determines the numbers of a sweep but its grid points and seeds."""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import json
import os
from typing import Any

import jax

from vfl_jax.core.digest import code
from vfl_jax.core.vertical_data import VerticalData, content_hash
from vfl_jax.replica import preparation
from vfl_jax.replica.draws import Draws, Given
from vfl_jax.scenario import Scenario

PACKAGES = ("vfl_jax", "jax", "jaxlib", "flax", "optax", "numpy")

GENERATOR = "threefry2x32"
"""The one implementation of random numbers in JAX of which every replica has its own under ``vmap``."""

SETTINGS = (
    *("jax_default_prng_impl", "jax_threefry_partitionable", "jax_threefry_gpu_kernel_lowering"),
    *("jax_random_seed_offset", "jax_high_dynamic_range_gumbel"),
    *("jax_enable_x64", "jax_explicit_x64_dtypes", "jax_default_dtype_bits", "jax_allow_f16_reductions"),
)
"""Settings of JAX that decide which numbers a seed stands for, and of what type numbers are."""

FLAGS = ("fast_math", "excess_precision", "denormal")
"""Parts of the names of flags of XLA that allow it other results than the arithmetic of a type."""


@dataclasses.dataclass(frozen=True)
class Study:
    """A scenario on data, trained for so many epochs, with what is given instead of drawn.

    Raises:
      ValueError: where JAX is set to random numbers that a replica would share with its neighbours.
    """

    scenario: Scenario
    data: VerticalData
    epochs: int
    given: Given

    def __post_init__(self) -> None:
        check_generator(str(jax.config.values["jax_default_prng_impl"]), "jax_default_prng_impl")

    @functools.cached_property
    def identity(self) -> dict[str, Any]:
        """What two sweeps must have in common to share results, as JSON has it."""
        return {
            "scenario": json.loads(self.scenario.to_json()),
            "data": {
                "name": self.data.name,
                "fingerprint": self.data.fingerprint(),
                "positions": content_hash(self.data.positions, self.data.image_shape),  # where triggers lie
            },
            "epochs": self.epochs,
            "given": self.given.fingerprint() or "nothing",
            "versions": versions(),
            "settings": settings(),
            "code": code.of_records(self.scenario),
        }

    def check_epochs(self, draws: Draws) -> None:
        """Raises ``ValueError`` where batches are given for fewer epochs than shall be trained."""
        if draws.batch_ids is not None and draws.batch_ids.shape[-3] < self.epochs:
            raise ValueError(f"given.batch_ids holds {draws.batch_ids.shape[-3]} epochs; epochs is {self.epochs}.")

    @functools.cached_property
    def inputs(self) -> preparation.Inputs:
        """The data on the device, checked."""
        return preparation.to_device(self.scenario, self.data, self.given)


def check_generator(found: str, name: str) -> None:
    """Raises ``ValueError`` on random numbers that depend on which replicas are trained together."""
    if found != GENERATOR:
        raise ValueError(
            f"{name} is {found!r}; it must be {GENERATOR!r}, because under vmap other generators may give a replica "
            f"other numbers than it draws alone. Call jax.config.update('jax_default_prng_impl', {GENERATOR!r}), or "
            f"make the key with jax.random.key(seed, impl={GENERATOR!r})."
        )


def settings() -> dict[str, Any]:
    """What is set, by hand or by the environment, and decides the numbers."""
    import flax

    flags = sorted(flag for flag in os.environ.get("XLA_FLAGS", "").split() if any(part in flag for part in FLAGS))
    found = {name: jax.config.values.get(name) for name in SETTINGS}
    plain = {name: v if v is None or isinstance(v, bool | int) else str(v) for name, v in found.items()}
    others = {
        "flax_fix_rng_separator": bool(flax.config.flax_fix_rng_separator),
        "numpy_promotion": os.environ.get("NPY_PROMOTION_STATE", "weak"),
        "xla_flags": flags,
    }
    return plain | others


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on, and the precision of matrix products."""
    return _installed() | {"matmul_precision": str(jax.config.values["jax_default_matmul_precision"] or "default")}


@functools.cache
def _installed() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def differences(there: Any, here: Any, path: str = "") -> list[str]:
    """One line for every place where two identities differ."""
    if isinstance(there, dict) and isinstance(here, dict):
        pairs = {key: (there.get(key), here.get(key)) for key in sorted(there.keys() | here.keys())}
    elif isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        pairs = {str(i): pair for i, pair in enumerate(zip(there, here, strict=True))}
    else:
        return [] if there == here else [f"{path} was {there!r} there, is {here!r} here"]
    return [line for key, (a, b) in pairs.items() for line in differences(a, b, f"{path}.{key}".lstrip("."))]

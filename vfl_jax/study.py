"""A study: all that determines the numbers of a sweep but its grid points and seeds."""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import json
from typing import Any

import jax

from vfl_jax import simulation
from vfl_jax.draws import Given
from vfl_jax.records import VerticalData, content_hash
from vfl_jax.scenario import Scenario

PACKAGES = ("vfl_jax", "jax", "jaxlib", "flax", "optax", "numpy")

RANDOM_NUMBERS = ("jax_default_prng_impl", "jax_threefry_partitionable")
"""Settings of JAX that decide which numbers a seed stands for."""


@dataclasses.dataclass(frozen=True)
class Study:
    """A scenario on data, trained for so many epochs, with what is given instead of drawn."""

    scenario: Scenario
    data: VerticalData
    epochs: int
    given: Given

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
            "random_numbers": {name: jax.config.values[name] for name in RANDOM_NUMBERS},
        }

    @functools.cached_property
    def inputs(self) -> simulation.Inputs:
        """The data on the device, checked."""
        return simulation.prepare(self.scenario, self.data, self.given)


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

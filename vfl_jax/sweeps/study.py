"""A study: everything that determines the numbers of a sweep but its grid points and seeds."""

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
from vfl_jax.replica.arguments import check_generator
from vfl_jax.replica.draws import Draws, Given
from vfl_jax.scenario import Scenario

PACKAGES = ("vfl_jax", "jax", "jaxlib", "flax", "optax", "numpy")

SETTINGS = (
    *("jax_default_prng_impl", "jax_threefry_partitionable", "jax_threefry_gpu_kernel_lowering"),
    *("jax_random_seed_offset", "jax_high_dynamic_range_gumbel"),
    *("jax_enable_x64", "jax_explicit_x64_dtypes", "jax_default_dtype_bits", "jax_allow_f16_reductions"),
)
"""Settings of JAX that decide what a seed draws, and the dtypes of numbers."""

FLAGS = ("fast_math", "excess_precision", "denormal")
"""Parts of the names of those XLA flags that allow results other than a dtype's own arithmetic."""


@dataclasses.dataclass(frozen=True)
class Study:
    """A scenario on data, with a number of epochs and the choices that are given instead of drawn.

    Args:
      scenario: the configuration.
      data: the data set.
      epochs: how many.
      given: choices that are given instead of drawn.
      evaluate_every: how many epochs lie between two evaluations, of both passes; None evaluates the first pass after
        every epoch, and the second after the last.

    Raises:
      ValueError: where JAX is set to another generator of random numbers than ``GENERATOR``.
    """

    scenario: Scenario
    data: VerticalData
    epochs: int
    given: Given
    evaluate_every: int | None = None

    def __post_init__(self) -> None:
        check_generator(str(jax.config.values["jax_default_prng_impl"]), "jax_default_prng_impl")

    def evaluates(self, epoch: int) -> bool:
        """Whether the first pass of evaluation is due after so many epochs."""
        return epoch == self.epochs or epoch % (self.evaluate_every or 1) == 0

    def attacks_all(self, epoch: int) -> bool:
        """Whether the second pass of evaluation is due after so many epochs."""
        return epoch == self.epochs or (self.evaluate_every is not None and epoch % self.evaluate_every == 0)

    @functools.cached_property
    def identity(self) -> dict[str, Any]:
        """The JSON content that two sweeps must have in common to share results."""
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
            **({} if self.evaluate_every is None else {"evaluate_every": self.evaluate_every}),
        }

    def check_epochs(self, draws: Draws) -> None:
        """Checks that the epochs suffice for given batches and for methods that act at some epochs.

        Args:
          draws: the draws of a seed.

        Raises:
          ValueError: where the batches are given, and for fewer epochs than are trained; where a method is to act at an
            epoch that the training has not.
        """
        self.scenario.check_epochs(self.epochs)
        if draws.batch_ids is not None and draws.batch_ids.shape[-3] < self.epochs:
            raise ValueError(f"given.batch_ids holds {draws.batch_ids.shape[-3]} epochs; epochs is {self.epochs}.")

    @functools.cached_property
    def inputs(self) -> preparation.Inputs:
        """The data on the device; ``ValueError`` where the data is bad, or where the scenario does not fit it."""
        return preparation.to_device(self.scenario, self.data, self.given)


def settings() -> dict[str, Any]:
    """The settings of JAX, Flax, NumPy and XLA that decide numbers, whether code or the environment made them."""
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
    """The versions of the packages that numbers depend on, and the precision of matrix products."""
    return _installed() | {"matmul_precision": str(jax.config.values["jax_default_matmul_precision"] or "default")}


@functools.cache
def _installed() -> dict[str, str]:
    """The versions of ``PACKAGES``."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def lines_that_differ(there: Any, here: Any, path: str = "") -> list[str]:
    """One line for every place where two identities differ.

    Args:
      there: the identity that a folder or a task has.
      here: the identity of this process.
      path: the place of both in the whole.

    Example:
      >>> lines_that_differ({"epochs": 50, "given": "nothing"}, {"epochs": 60, "given": "nothing"})
      ['epochs was 50 there, is 60 here']
    """
    if isinstance(there, dict) and isinstance(here, dict):
        pairs = {key: (there.get(key), here.get(key)) for key in sorted(there.keys() | here.keys())}
    elif isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        pairs = {str(i): pair for i, pair in enumerate(zip(there, here, strict=True))}
    else:
        return [] if there == here else [f"{path} was {there!r} there, is {here!r} here"]
    return [line for key, (a, b) in pairs.items() for line in lines_that_differ(a, b, f"{path}.{key}".lstrip("."))]

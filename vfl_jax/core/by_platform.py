"""One function in two ways: as a CPU computes it fast, and as an accelerator does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax


def on_cpu_or_accelerator(cpu: Callable[..., Any], accelerator: Callable[..., Any], *arguments: Any) -> Any:
    """Computes a function in the way of the platform that its program is compiled for.

    A CPU is bound by memory and has no cost per operation; an accelerator is bound by how many kernels it launches. No
    other place of the package chooses by platform within a program.

    Args:
      cpu: the function as a CPU computes it.
      accelerator: the same function, up to rounding, in few large kernels.
      *arguments: pytrees of arrays, or None.
    """
    return jax.lax.platform_dependent(*arguments, cpu=cpu, default=accelerator)

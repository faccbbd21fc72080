"""Whether an argument is labelled results, and what to type where it is something else."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from vfl_jax.core.checks import shown


def check_dataset(argument: str, given: Any) -> None:
    """Checks that an argument is labelled results, as far as its type tells.

    Args:
      argument: the name of the argument, for messages.
      given: what was given.

    Raises:
      ValueError: naming the argument, what it is, and for the common mistakes what to type.

    Example:
      >>> try:
      ...     check_dataset("results", "grid.nc")
      ... except ValueError as error:
      ...     print(str(error).partition("return it. ")[2])
      Read the file first: vfl.load('grid.nc').
    """
    import xarray as xr

    if not isinstance(given, xr.Dataset):
        raise ValueError(
            f"{argument} is {shown(given)}; it must be an xarray.Dataset, as vfl.sweep and vfl.load return it."
            f"{_advice(given)}"
        )


def check_path(argument: str, given: Any, what: str = "a file") -> None:
    """Checks that an argument is a path, whether or not something is there.

    Args:
      argument: the name of the argument, for messages.
      given: what was given.
      what: the words for what should lie there.

    Raises:
      ValueError: naming the argument, where it is no path.
    """
    if not isinstance(given, str | os.PathLike) or not os.fspath(given):
        raise ValueError(f"{argument} is {shown(given)}; it must be the path of {what}.")


def _advice(given: Any) -> str:
    """What to type for the common mistakes, after a space."""
    import xarray as xr

    if isinstance(given, str | os.PathLike):
        return f" Read the file first: vfl.load({os.fspath(given)!r})."
    if isinstance(given, xr.DataArray):
        return " This is one variable of results; give the whole."
    if isinstance(getattr(given, "results", None), xr.Dataset):
        return " Give its attribute results."
    parts = list(given) if isinstance(given, Iterable) else []
    if isinstance(given, tuple) and any(isinstance(part, xr.Dataset) for part in parts):
        return " vfl.run returns two things; give the first: results, state = vfl.run(...)."
    parts = list(given.values()) if isinstance(given, dict) else parts
    if any(isinstance(part, xr.Dataset) for part in parts):
        return " Give one at a time."
    return ""

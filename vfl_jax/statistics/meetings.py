"""The form of an arena's results: who met whom on which board, with the honest runs of every meeting beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr

DIMENSIONS = ("data", "attack", "defense", "seed")
"""The dimensions of an arena's results."""
STUDY = ("boards", "attacks", "defenses")
"""The attributes of an arena, JSON each."""
HONEST = "_honest"
"""The end of a variable's name that is of the honest runs of the same meeting."""


def is_arena(results: xr.Dataset) -> bool:
    """Whether results are those of an arena.

    Args:
      results: results of any kind.
    """
    return all(name in getattr(results, "attrs", {}) for name in STUDY) and "reason" in results


def is_audit(results: xr.Dataset) -> bool:
    """Whether results are those of an audit.

    Args:
      results: results of any kind.
    """
    return "facts" in getattr(results, "attrs", {}) and "reader" in results.sizes


def attacked_runs(results: xr.Dataset) -> xr.Dataset:
    """The attacked runs of an arena, without the honest ones.

    Args:
      results: as :func:`vfl_jax.arena` returns them.
    """
    return results.drop_vars([name for name in results.data_vars if str(name).endswith(HONEST)])


def honest_runs(results: xr.Dataset) -> xr.Dataset:
    """The honest runs of an arena, under the names that the attacked runs have.

    Args:
      results: as :func:`vfl_jax.arena` returns them.
    """
    ends = {name: str(name).removesuffix(HONEST) for name in results.data_vars if str(name).endswith(HONEST)}
    return results.drop_vars([name for name in ends.values() if name in results]).rename_vars(ends)

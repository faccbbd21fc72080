"""Arguments of what reads results: whether they hold what is asked for, and at which epoch and level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vfl_jax.core.checks import did_you_mean, is_number, is_whole, shown
from vfl_jax.core.labelled import check_dataset
from vfl_jax.statistics.meetings import is_arena, is_audit

if TYPE_CHECKING:
    import xarray as xr

TAKEN = ("outcome", "is_attacked", "is_success", "is_collapsed", "success", "collapsed")
"""The names of columns that tell what became of runs; no dimension of joined results may have one."""
OF_RUNS = ("main_task_accuracy", "backdoor_accuracy", "attack_success_rate", "is_finite")
"""The variables that tell what runs of a sweep came to."""


def check_results(argument: str, given: Any, needs: Sequence[str] = (), may_be_empty: bool = False) -> None:
    """Checks that an argument is results that hold some variables, and that no selection has left them without runs.

    Args:
      argument: the name of the argument, for messages.
      given: what was given.
      needs: the variables that it must hold.
      may_be_empty: whether no runs are as good as some: what is made of each run by itself is then made of none.

    Raises:
      ValueError: naming the argument, what it holds, and what reads it instead.
    """
    check_dataset(argument, given)
    if not may_be_empty and (
        empty := [str(dim) for dim, size in given.sizes.items() if size == 0 and dim not in ("class", "party")]
    ):
        raise ValueError(f"{argument} has no {empty[0]}: a selection has left none of its runs. Select others.")
    if taken := [str(name) for name in (*given.dims, *given.coords) if name in TAKEN]:
        raise ValueError(
            f"{argument} has a coordinate {taken[0]!r}, the name of a column of the outcome; call it something else: "
            f"{argument}.rename({taken[0]}='part')."
        )
    if not given.data_vars:
        raise ValueError(
            f"{argument} is an xarray.Dataset without a variable; give what vfl.sweep or vfl.load returns."
        )
    if lacking := [name for name in needs if name not in given.data_vars]:
        raise ValueError(f"{argument} has no {', '.join(lacking)}. {_instead(given)}")


def check_runs(argument: str, given: Any) -> None:
    """Checks that an argument is results whose attacked runs stand beside honest ones.

    Args:
      argument: the name of the argument, for messages.
      given: what was given.

    Raises:
      ValueError: as :func:`check_results` does; where they are those of an audit, whose variables are of either.
    """
    check_results(argument, given, may_be_empty=True)
    if is_audit(given):
        raise ValueError(f"{argument} has no attacked and honest runs side by side. {_instead(given)}")


def check_variable(argument: str, name: Any, results: xr.Dataset, of: str) -> None:
    """Checks that results hold the variable that an argument names.

    Args:
      argument: the name of the argument, for messages.
      name: the variable.
      results: the results.
      of: the name of the argument that holds them.

    Raises:
      ValueError: naming the argument, with the nearest variable, or with all that there are.
    """
    if isinstance(name, str) and name in results.data_vars:
        return
    known = [str(other) for other in results.data_vars if not str(other).endswith("_count")]
    near = did_you_mean(name, known)
    raise ValueError(
        f"{argument} is {shown(name)}, which {of} does not hold." + (near or f" It holds {', '.join(known)}.")
    )


def check_names(names: Any) -> None:
    """Checks that an argument ``names`` is a list of variables, and not one name alone.

    Args:
      names: the names.

    Raises:
      ValueError: where it is something else.
    """
    if isinstance(names, str):
        raise ValueError(f"names is {names!r}; it must be a list, such as [{names!r}].")
    if not isinstance(names, Sequence) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"names is {shown(names)}; it must be a list of variables, such as ['main_task_accuracy'].")


def check_epoch(epoch: Any, results: xr.Dataset) -> None:
    """Checks that an argument ``epoch`` is a place on the axis of epochs.

    Args:
      epoch: the place, from 0, or below 0 from the end.
      results: the results.

    Raises:
      ValueError: where there is no such place.
    """
    count = results.sizes.get("epoch", 1)
    if not is_whole(epoch) or not -count <= epoch < count:
        raise ValueError(
            f"epoch is {shown(epoch)}; it must be a place among the epochs of the results, from 0 to {count - 1}, or "
            f"from -1 (the last) to -{count}. An epoch by its number is results.sel(epoch=[...])."
        )


def check_seeds(argument: str, results: xr.Dataset) -> None:
    """Checks that no seed is there twice: an interval over seeds would take one replica for several, and be too narrow.

    Args:
      argument: the name of the argument, for messages.
      results: the results.

    Raises:
      ValueError: naming the argument and the seed.
    """
    seeds = results["seed"].values.tolist() if "seed" in results.coords and results["seed"].ndim else []
    if twice := [seed for place, seed in enumerate(seeds) if seed in seeds[:place]]:
        raise ValueError(
            f"{argument} has the seed {twice[0]!r} twice, as where joined parts share it: intervals would be too "
            f"narrow. Keep one of each: {argument}.drop_duplicates('seed')."
        )


def check_share(**named: Any) -> None:
    """Checks that every value is a share.

    Args:
      named: the values, by the names of the arguments; None stands for no value.

    Raises:
      ValueError: naming the first value that does not lie in [0, 1].
    """
    for name, value in named.items():
        if value is not None and not (is_number(value) and 0 <= value <= 1):
            raise ValueError(f"{name} is {shown(value)}; it must be a share, from 0 to 1: 90 % is 0.9.")


def check_level(level: Any) -> None:
    """Checks that an argument ``level`` is a confidence level.

    Args:
      level: the level.

    Raises:
      ValueError: where it does not lie between 0 and 1.
    """
    if not is_number(level) or not 0 < level < 1:
        raise ValueError(f"level is {shown(level)}; it must be a number between 0 and 1, such as 0.95.")


def _instead(given: xr.Dataset) -> str:
    """What other kinds of results are read by."""
    if is_arena(given):
        return "It is the result of an arena, which vfl.show, vfl.report and vfl.tidy read."
    if is_audit(given):
        return "It is the result of an audit, which vfl.show, vfl.report and vfl.tidy read."
    return "Give what sweep, sweep_cases or run returns, with all its variables."

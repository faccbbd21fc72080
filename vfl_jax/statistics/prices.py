"""The price of a defense: which honest runs have no defense, and what accuracy these reach."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vfl_jax.core.checks import shown
from vfl_jax.core.record import RECORD, kinds
from vfl_jax.statistics.references import NoHonestRuns, each_case, honest, is_attacked, is_of_an_attack, scenario_of

if TYPE_CHECKING:
    import xarray as xr


def undefended(dataset: xr.Dataset) -> xr.Dataset | None:
    """The honest runs without a defense.

    Where the scenario has no defense, these are all honest runs. A defense says at which numbers it changes nothing
    (``ActiveTransform.neutral``). Where all defenses are switched off so, these are again all honest runs; in a sweep
    over defenses they are the honest runs of the grid point that has all of them switched off.

    Args:
      dataset: labelled results of ``sweep`` or ``run``, of one scenario.

    Returns:
      These runs; None where there are none, or where nobody can be certain: with a defense that does not say its
      neutral numbers, or where a zipped axis changes another setting together with the defense.

    Raises:
      NoHonestRuns: where the results have no honest run.
    """
    clean, neutral = honest(dataset), _neutral(dataset)
    if neutral is None:
        return None
    for dimension, is_neutral in neutral.items():
        along = [str(name) for name, coordinate in dataset.coords.items() if coordinate.dims == (dimension,)]
        if any(not name.startswith("defense.") and not is_of_an_attack(name, dataset) for name in along):
            return None  # another setting on this axis may have its price, too
        is_honest = ~is_attacked(dataset)
        if dimension in is_honest.dims:  # shared with the attack
            is_neutral = is_neutral & is_honest.any([d for d in is_honest.dims if d != dimension])
        if not is_neutral.any():
            return None
        if dimension in clean.dims:
            clean = clean.isel({dimension: int(np.flatnonzero(is_neutral.values)[0])}, drop=True)
    return clean


def beside(dataset: xr.Dataset, part: xr.Dataset, main: str) -> xr.DataArray | None:
    """The main accuracy of the undefended honest runs of another case, for a case that has no such runs.

    The other case has the same scenario but for the defense.

    Args:
      dataset: results of several cases.
      part: the results of one of these cases.
      main: the variable of the main accuracy.

    Returns:
      The main accuracy; None where ``part`` has such runs itself, or where no other case or several fit.
    """
    if _found(part) is not None:
        return None
    others = (other for other in each_case(dataset) if _but_defense(other) == _but_defense(part) is not None)
    found = [clean for other in others if (clean := _found(other)) is not None]
    return found[0][main] if len(found) == 1 else None


def accuracy_of(given: xr.Dataset | xr.DataArray | None, dataset: xr.Dataset, main: str) -> xr.Variable | None:
    """The main accuracy of the undefended honest runs, laid out so that it can be compared with all runs of results.

    Args:
      given: results that hold the undefended runs, or their main accuracy. None stands for the undefended runs of
        ``dataset`` itself.
      dataset: the results to compare, of one scenario.
      main: the variable of the main accuracy.

    Returns:
      The main accuracy, NaN at seeds and epochs that the undefended runs lack; None where nothing is given and
      ``dataset`` has no such runs.

    Raises:
      ValueError: as :func:`vfl_jax.statistics.outcomes` does.
    """
    import xarray as xr

    if given is None:
        found = undefended(dataset)
        return None if found is None else found[main].variable.astype(float)
    if not isinstance(given, xr.Dataset | xr.DataArray):
        raise ValueError(
            f"undefended is {shown(given)}; it must be results, or the main accuracy of some (a DataArray)."
        )
    accuracy = _given(given)[main] if isinstance(given, xr.Dataset) else given
    if (most := float(accuracy.max())) > 2:  # a margin may be added to an accuracy, but per cents are no shares
        raise ValueError(f"undefended holds {most:g}; an accuracy lies between 0 and 1: 90 % is 0.9.")
    for name in ("seed", "epoch"):  # runs of a single seed or epoch are paired by its label, too
        if name in accuracy.coords and name not in accuracy.dims and name in dataset.dims:
            accuracy = accuracy.expand_dims(name)
    shared = [dim for dim in accuracy.dims if dim in dataset.coords and dim in accuracy.coords]
    wanted = {dim: np.atleast_1d(dataset[dim].values) for dim in shared}
    for dim, labels in wanted.items():
        if not np.isin(accuracy[dim].values, labels).any():
            raise ValueError(
                f"undefended has {dim} {shown(accuracy[dim].values.tolist())}, the results have "
                f"{shown(labels.tolist())}: no run could be compared. Give undefended runs of the same seeds, epochs "
                "and settings."
            )
    accuracy = accuracy.astype(float).reindex(wanted).isel({dim: 0 for dim in shared if dim not in dataset.dims})
    if unknown := [dim for dim in accuracy.dims if dim not in dataset.dims]:
        raise ValueError(
            f"undefended has the dimensions {list(accuracy.dims)}, and {unknown} are none of the results'; select the "
            "undefended runs."
        )
    return accuracy.variable


def _given(results: xr.Dataset) -> xr.Dataset:
    """The undefended honest runs of results that a caller gives as undefended."""
    try:
        found, scenario = undefended(results), scenario_of(results)
        clean = honest(results) if found is None else found
    except NoHonestRuns as error:
        raise ValueError("undefended has no honest runs; give results with 'attack.enabled' 0.") from error
    if found is None and scenario is not None:
        raise ValueError(
            f"undefended holds runs with the defense {_words(scenario.get('defense'))}, and none of which it is "
            "certain that they have none. Give the results of the scenario without a defense; where one of your own "
            "changes nothing at some numbers, let its class say so, for example neutral = {'stddev': 0.0}."
        )
    return clean


def _found(part: xr.Dataset) -> xr.Dataset | None:
    """The undefended honest runs of one case; None where it has none."""
    try:
        return undefended(part)
    except NoHonestRuns:
        return None


def _but_defense(part: xr.Dataset) -> dict[str, Any] | None:
    """The scenario of one case without its defense."""
    scenario = scenario_of(part)
    return None if scenario is None else {name: value for name, value in scenario.items() if name != "defense"}


def _neutral(dataset: xr.Dataset) -> dict[Any, xr.Variable] | None:
    """For every axis over numbers of the defense, at which of its points these numbers change nothing: bool.

    None where a number that no axis sweeps changes something, or where a defense does not say its neutral numbers.
    """
    scenario = scenario_of(dataset)
    numbers = None if scenario is None else _neutral_numbers(scenario.get("defense"), "defense")
    if numbers is None:
        return None
    values: dict[str, Any] = {path: number for path, (number, _) in numbers.items()}
    for name in (str(name) for name in dataset.coords if str(name).startswith("defense.")):
        fitting = _fitting(name, numbers)
        if len(fitting) > 1:
            return None
        values |= dict.fromkeys(fitting, dataset[name].variable)  # none: a number that switches nothing off
    found = dict[Any, Any]()
    for path, (_, changes_nothing) in numbers.items():
        is_neutral = values[path] == changes_nothing
        if np.ndim(is_neutral) == 0 and not is_neutral:
            return None
        if np.ndim(is_neutral):
            (dimension,) = is_neutral.dims
            found[dimension] = found.get(dimension, True) & is_neutral
    return found


def _words(record: Any) -> str:
    """The names of a defense's parts, from its JSON."""
    parts = record.get("parts") if isinstance(record, dict) else None
    return (
        ", ".join(map(_words, parts))
        if isinstance(parts, list)
        else str(record.get(RECORD) if isinstance(record, dict) else record)
    )


def _neutral_numbers(record: Any, path: str) -> dict[str, tuple[float, float]] | None:
    """The numbers that switch a defense off, by exact path: what each is, and at what it changes nothing.

    None where a part of the defense does not say.
    """
    from vfl_jax import defenses  # noqa: F401, which makes their records known
    from vfl_jax.protocol.chains import ActiveChain
    from vfl_jax.protocol.transforms import ActiveTransform

    kind = record.get(RECORD) if isinstance(record, dict) else None
    if kind == ActiveTransform.__name__:
        return {}
    if kind == ActiveChain.__name__:
        parts = [_neutral_numbers(part, f"{path}.parts.{i}") for i, part in enumerate(record["parts"])]
        return None if None in parts else {k: v for part in parts for k, v in part.items()}  # type: ignore[union-attr]
    known = kinds(ActiveTransform)
    if kind not in known or (neutral := known[kind].neutral) is None:
        return None
    return {f"{path}.{name}": (_number_at(record, name), float(n)) for name, n in neutral.items()}


def _number_at(record: Any, name: str) -> float:
    """The number at a path in a record's JSON; NaN where it has none, as in results of an earlier version."""
    for part in name.split("."):
        record = record.get(part, math.nan) if isinstance(record, dict) else math.nan
    return float(record)


def _fitting(name: str, known: Mapping[str, Any]) -> list[str]:
    """The exact paths that a name, which may be a short form, stands for."""
    return [name] if name in known else [p for p in known if p.rpartition(".")[2] == name.removeprefix("defense.")]

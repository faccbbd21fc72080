"""Which runs of a sweep are attacked, which are honest, and which of these have no defense: by its saved scenario.

Only an attack's switch makes an honest run. Records below ``attacks`` and ``active_attack`` that have a number
``enabled`` are attacks; a defense may have a switch of its own, and a party that defends itself is none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vfl_jax.registry import RECORD

if TYPE_CHECKING:
    import xarray as xr

ROOTS = ("attack", "attacks", "active_attack")
"""What paths of an attacker's numbers begin with; the first is the short form."""
SHORT = "attack.enabled"
CASE = "case"
"""The dimension of results of several scenarios, whose attributes are JSON objects by case."""


class NoHonestRuns(ValueError):
    """There is nothing to compare attacked runs with."""


def honest(dataset: xr.Dataset) -> xr.Dataset:
    """The runs in which no attack is enabled, selected from a sweep over attacks' switches; that dimension is gone.

    Where a defense's switch is swept, every setting of it keeps its own honest runs. Results of a scenario without an
    attack are all honest.

    A zipped axis may have several honest points that differ in more than attacks, a defense say. There every point
    gets the honest runs of its own settings, and the dimension stays whole; a single honest point is that of all.

    Raises:
      NoHonestRuns: when the sweep has none.
      ValueError: when it has several on a zipped axis and none of them fits a point.
    """
    import xarray as xr

    if is_by_case(dataset):
        parts = [honest(part).drop_vars(CASE) for part in each_case(dataset)]
        return xr.concat(
            parts,
            dataset[CASE],
            data_vars="all",
            coords="minimal",
            compat="override",
            join="exact",
            combine_attrs="override",
        )
    scenario, is_honest = scenario_of(dataset), dict[Any, np.ndarray]()
    switches = _switches(dataset, scenario)
    always = [path for path, value in switches.items() if not value.dims and value.values != 0]
    for value in switches.values():
        for dimension in value.dims:
            is_honest[dimension] = is_honest.get(dimension, True) & (value.values == 0)
    is_known = bool(switches) or scenario is not None
    if always or not is_known or not all(mask.any() for mask in is_honest.values()):
        why = f" {always[0]!r} is on in all of them." if always else ""
        raise NoHonestRuns(f"The results have no honest runs: sweep 'attack.enabled' over 0 and 1.{why}")
    for dimension, mask in is_honest.items():
        dataset = _honest_along(dataset, dimension, np.flatnonzero(mask), scenario)
    return dataset


def is_attacked(dataset: xr.Dataset) -> xr.Variable:
    """Where an attack is enabled: bool, over the dimensions of the switches that are swept.

    Results that do not say what their scenario is, and have no switch, are taken for attacked.
    """
    import xarray as xr

    scenario = scenario_of(dataset)
    switches = _switches(dataset, scenario)
    found = xr.Variable((), not switches and scenario is None)
    for value in switches.values():
        found = found | (value != 0)
    return found


def undefended(dataset: xr.Dataset) -> xr.Dataset | None:
    """The honest runs at the grid point without a defense, or None where there is none, or none that is certain.

    It is certain where defenses of this package alone are swept: they change nothing at their defaults.

    Raises:
      NoHonestRuns: when the sweep has none.
    """
    scenario, clean = scenario_of(dataset), honest(dataset)
    names = [str(name) for name in dataset.coords if str(name).startswith("defense.")]
    if any(name not in clean.coords for name in names):
        return None  # honest runs share an axis with defenses, and are of one setting
    swept = {name: clean[name].variable for name in names if clean[name].dims}
    neutral = None if scenario is None else _neutral_numbers(scenario.get("defense"), "defense")
    if not swept or neutral is None or any(clean[name].ndim > 1 for name in swept):
        return None
    exact = {name: _exact(name, neutral) for name in names}
    if None in exact.values():
        return None
    numbers = {path: number for path, (number, _) in neutral.items()} | {exact[n]: clean[n].values for n in exact}
    is_neutral = {path: numbers[path] == changes_nothing for path, (_, changes_nothing) in neutral.items()}
    if not all(found for found in is_neutral.values() if np.ndim(found) == 0):
        return None
    for dimension in dict.fromkeys(variable.dims[0] for variable in swept.values()):
        along = [str(name) for name, c in clean.coords.items() if c.dims == (dimension,)]
        if set(along) - set(swept):
            return None  # what else differs there may have its price, too
        found = np.flatnonzero(np.all([is_neutral[exact[name]] for name in along], axis=0))  # type: ignore[index]
        if not found.size:
            return None
        clean = clean.isel({dimension: int(found[0])}, drop=True)
    return clean


def is_by_case(dataset: xr.Dataset) -> bool:
    """Whether the results are of several scenarios, on a dimension of their own."""
    found = _attribute(dataset, "scenario")
    return CASE in dataset.dims and CASE in dataset.coords and found is not None and not _is_record(found)


def each_case(dataset: xr.Dataset) -> Iterator[xr.Dataset]:
    """The results of every case; of results of one scenario, these."""
    if not is_by_case(dataset):
        yield dataset
        return
    for i in range(dataset.sizes[CASE]):
        yield dataset.isel({CASE: i})


def of_case(other: Any, part: xr.Dataset) -> Any:
    """Of other results, those of the case that ``part`` is of."""
    is_of_cases = other is not None and CASE in other.dims and CASE in part.coords
    return other.sel({CASE: part[CASE].item()}) if is_of_cases else other


def scenario_of(dataset: xr.Dataset) -> dict[str, Any] | None:
    """The plain content of the scenario of results, or None where they do not say."""
    found = attribute(dataset, "scenario")
    return found if found is not None and _is_record(found) else None


def attribute(dataset: xr.Dataset, name: str) -> Any:
    """What an attribute says in JSON, of the case that the results are of; None where there is no such thing."""
    found, case = _attribute(dataset, name), dataset.coords.get(CASE)
    if (
        isinstance(found, dict)
        and case is not None
        and case.ndim == 0
        and isinstance(found.get(str(case.item())), dict)
    ):
        return found[str(case.item())]
    return found


def _attribute(dataset: xr.Dataset, name: str) -> Any:
    try:
        return json.loads(dataset.attrs[name])
    except (KeyError, TypeError, ValueError):
        return None


def _is_record(found: Any) -> bool:
    return isinstance(found, dict) and isinstance(found.get(RECORD), str)


def _switches(dataset: xr.Dataset, scenario: Mapping[str, Any] | None) -> dict[str, xr.Variable]:
    """Every attack's switch by its path: its value in all results, or along the dimension that sweeps it."""
    import xarray as xr

    found = {} if scenario is None else dict(_attack_numbers(scenario))
    named = [str(n) for n in dataset.coords if str(n).partition(".")[0] in ROOTS and str(n).endswith(".enabled")]
    if not found:  # of results that do not say what is an attack, the names do
        return {name: dataset[name].variable for name in named}
    values = {path: xr.Variable((), number) for path, number in found.items()}
    for path in found:
        for name in (SHORT, path):
            if name in named:
                values[path] = dataset[name].variable
    return values


def _attack_numbers(scenario: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for number, record in enumerate(scenario.get("attacks") or ()):
        yield from _enabled(record, f"attacks.{number}")
    yield from _enabled(scenario.get("active_attack"), "active_attack")


def _enabled(record: Any, path: str) -> Iterator[tuple[str, float]]:
    """The switch of a record, or else those of its parts."""
    if isinstance(record, dict) and "enabled" in record:
        yield f"{path}.enabled", float(record["enabled"])
        return
    below = record.items() if isinstance(record, dict) else enumerate(record) if isinstance(record, list) else ()
    for name, part in below:
        yield from _enabled(part, f"{path}.{name}")


def _honest_along(
    dataset: xr.Dataset, dimension: Any, found: np.ndarray, scenario: Mapping[str, Any] | None
) -> xr.Dataset:
    """Along one axis whose points at ``found`` are honest."""
    along = [name for name, coordinate in dataset.coords.items() if coordinate.dims == (dimension,)]
    of_attacks = [name for name in along if _is_of_an_attack(str(name), scenario)]
    others = [name for name in along if name not in of_attacks]
    settings = np.stack([dataset[name].values for name in others] or [np.zeros(dataset.sizes[dimension])], -1)
    if (settings[found] == settings[found[0]]).all():
        return dataset.isel({dimension: int(found[0])}, drop=True)
    fits = (settings[:, None] == settings[found]).all(-1)
    if not fits.any(-1).all():
        first = dict(zip(others, settings[np.argmin(fits.any(-1))].tolist(), strict=True))
        raise ValueError(f"No honest run on the zipped axis {dimension!r} has {first}, as an attacked one has.")
    return dataset.drop_vars(of_attacks).isel({dimension: found[fits.argmax(-1)]})


def _is_of_an_attack(path: str, scenario: Mapping[str, Any] | None) -> bool:
    """Whether a number is an attack's; those of a party that defends itself are settings like others."""
    root, _, rest = path.partition(".")
    if root not in ROOTS or scenario is None or root != "attacks":
        return root in ROOTS
    place = rest.partition(".")[0]
    return any(switch.startswith(f"attacks.{place}.") for switch, _ in _attack_numbers(scenario))


def _neutral_numbers(record: Any, path: str) -> dict[str, tuple[float, float]] | None:
    """By exact path every number of a defense and the one that changes nothing; None where one is not the package's."""
    from vfl_jax import defenses
    from vfl_jax.registry import numbers
    from vfl_jax.transforms import ActiveChain, ActiveTransform

    kind = record.get(RECORD) if isinstance(record, dict) else None
    if kind == ActiveTransform.__name__:
        return {}
    if kind == ActiveChain.__name__:
        parts = [_neutral_numbers(part, f"{path}.parts.{i}") for i, part in enumerate(record["parts"])]
        return None if None in parts else {k: v for part in parts for k, v in part.items()}  # type: ignore[union-attr]
    if kind not in defenses.__all__:
        return None
    return {f"{path}.{name}": (float(record[name]), float(n)) for name, n in numbers(getattr(defenses, kind)()).items()}


def _exact(name: str, known: Mapping[str, Any]) -> str | None:
    """The path that a short form stands for, where it is one."""
    found = [path for path in known if path == name or path.rpartition(".")[2] == name.removeprefix("defense.")]
    return name if name in known else found[0] if len(found) == 1 else None

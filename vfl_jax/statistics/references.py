"""Which runs of a sweep are attacked and which are honest, by what its results say of the attacks' switches.

Only an attack's switch makes an honest run; a defense may have a switch of its own, and a party that defends itself is
no attacker. Results say the paths of the switches. Of older ones, that say their scenario alone, every record below
``attacks`` and ``active_attack`` with a number ``enabled`` is taken for an attack.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vfl_jax.core.record import RECORD

if TYPE_CHECKING:
    import xarray as xr

ROOTS = ("attack", "attacks", "active_attack")
"""What paths of an attacker's numbers begin with; the first is the short form."""
SHORT = "attack.enabled"
SWITCHES = "switches"
"""The attribute that says the attacks' switches by exact path, with the scenario's values, as a JSON object."""
CASE = "case"
"""The dimension of results of several scenarios, whose attributes are JSON objects by case."""


class NoHonestRuns(ValueError):
    """There is nothing to compare attacked runs with."""


def honest(dataset: xr.Dataset) -> xr.Dataset:
    """The runs in which no attack is enabled, selected from a sweep over attacks' switches; that dimension is gone.

    Where a defense's switch is swept, every setting of it keeps its own honest runs. Results of a scenario without an
    attack are all honest.

    A zipped axis may have several honest points that differ in more than attacks, a learning rate say. There every
    point gets the honest runs of its own settings, and the dimension stays whole. A single honest point is that of all
    points with its defense. A point that no honest one fits has none: NaN, not finite, counts of 0; see
    :func:`has_reference`.

    Raises:
      NoHonestRuns: when the sweep has none.
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
    for dimension, pairing in _pairings(dataset).items():
        dataset = pairing.applied(dataset, dimension)
    return dataset


def has_reference(dataset: xr.Dataset) -> xr.Variable:
    """Where there is an honest run to compare with: bool, over the zipped axes on which that differs.

    Of results of one scenario.
    """
    import xarray as xr

    try:
        pairings = _pairings(dataset)
    except NoHonestRuns:
        return xr.Variable((), False)
    found = xr.Variable((), True)
    for dimension, pairing in pairings.items():
        if pairing.names:
            found = found & xr.Variable((dimension,), pairing.places >= 0)
    return found


def is_attacked(dataset: xr.Dataset) -> xr.Variable:
    """Where an attack is enabled: bool, over the dimensions of the switches that are swept.

    Results that do not say what their scenario is, and have no switch, are taken for attacked.
    """
    import xarray as xr

    switches = _switches(dataset)
    found = xr.Variable((), switches is None)
    for value in (switches or {}).values():
        found = found | (value != 0)
    return found


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
    """Of other results, those of the case that ``part`` is of; of one case alone, these."""
    if other is None or CASE not in other.dims or CASE not in part.coords:
        return other
    if other.sizes[CASE] == 1:
        return other.isel({CASE: 0})
    case = part[CASE].item()
    if case not in other[CASE].values:
        raise ValueError(f"What is given has the cases {other[CASE].values.tolist()}, the results have {case!r}, too.")
    return other.sel({CASE: case})


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


def _switches(dataset: xr.Dataset) -> dict[str, xr.Variable] | None:
    """Every attack's switch by its path: its value in all results, or along the dimension that sweeps it.

    None where the results say nothing of attacks.
    """
    import xarray as xr

    named = [str(n) for n in dataset.coords if str(n).partition(".")[0] in ROOTS and str(n).endswith(".enabled")]
    known = _known_switches(dataset)
    if known is None:  # of results that do not say what is an attack, the names do
        return {name: dataset[name].variable for name in named} or None
    values = {path: xr.Variable((), number) for path, number in known.items()}
    for path in known:
        for name in (SHORT, path):
            if name in named:
                values[path] = dataset[name].variable
    return values


def _known_switches(dataset: xr.Dataset) -> dict[str, float] | None:
    """The attacks' switches as the results say them, or as their scenario lets guess; None where they say neither."""
    said, scenario = attribute(dataset, SWITCHES), scenario_of(dataset)
    if isinstance(said, dict) and not any(isinstance(value, dict) for value in said.values()):
        return {path: float(value) for path, value in said.items()}
    return None if scenario is None else dict(_attack_numbers(scenario))


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


class _Pairing(NamedTuple):
    """Which point of an axis is whose honest run."""

    places: np.ndarray  # int[points], -1 where there is none
    names: list[str]  # the settings that an honest run shares with the point; none where one is that of all
    of_attacks: list[str]

    def applied(self, dataset: xr.Dataset, dimension: Any) -> xr.Dataset:
        """The honest runs along the axis; where one is that of all, the axis is gone."""
        import xarray as xr

        if not self.names:
            return dataset.isel({dimension: int(self.places[0])}, drop=True)
        clean = dataset.drop_vars(self.of_attacks).isel({dimension: self.places})
        is_there = xr.DataArray(self.places >= 0, dims=dimension)
        for name, variable in dict(clean.data_vars).items():
            if dimension in variable.dims:
                nothing = np.nan if variable.dtype.kind == "f" else np.zeros((), variable.dtype)
                clean[name] = variable.where(is_there, nothing)
        return clean.assign_coords({name: dataset[name] for name in self.names})


def _pairings(dataset: xr.Dataset) -> dict[Any, _Pairing]:
    """Of every axis that switches attacks.

    Raises:
      NoHonestRuns: when the sweep has none.
    """
    switches, is_honest = _switches(dataset), dict[Any, np.ndarray]()
    always = [path for path, value in (switches or {}).items() if not value.dims and value.values != 0]
    for value in (switches or {}).values():
        for dimension in value.dims:
            is_honest[dimension] = is_honest.get(dimension, True) & (value.values == 0)
    if always or switches is None or not all(mask.any() for mask in is_honest.values()):
        why = f" {always[0]!r} is on in all of them." if always else ""
        raise NoHonestRuns(f"The results have no honest runs: sweep 'attack.enabled' over 0 and 1.{why}")
    return {dimension: _paired(dataset, dimension, np.flatnonzero(mask)) for dimension, mask in is_honest.items()}


def _paired(dataset: xr.Dataset, dimension: Any, found: np.ndarray) -> _Pairing:
    """Along one axis whose points at ``found`` are honest."""
    along = [str(name) for name, coordinate in dataset.coords.items() if coordinate.dims == (dimension,)]
    of_attacks = [name for name in along if is_of_an_attack(name, dataset)]
    others = [name for name in along if name not in of_attacks]

    def settings(names: list[str]) -> np.ndarray:
        return np.stack([dataset[name].values for name in names] or [np.zeros(dataset.sizes[dimension])], -1)

    if (settings(others)[found] == settings(others)[found[0]]).all():
        # What else shares the axis changes with the attack on purpose, as an attacker's own learning rate does. A
        # defense does not: its price would be taken for the attack's.
        found, others = found[:1], [name for name in others if name.partition(".")[0] in (*ROOTS, "defense")]
    fits = (settings(others)[:, None] == settings(others)[found]).all(-1)
    places = np.where(fits.any(-1), found[fits.argmax(-1)], -1)
    return _Pairing(places, others if (places != places[0]).any() else [], of_attacks)


def is_of_an_attack(path: str, dataset: xr.Dataset) -> bool:
    """Whether a number is an attack's; those of a party that defends itself are settings like others."""
    root, known = path.partition(".")[0], _known_switches(dataset)
    if root not in ROOTS or root == "attack" or known is None:
        return root in ROOTS
    return any(path.startswith(switch.removesuffix("enabled")) for switch in known)

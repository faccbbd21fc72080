"""Which runs of a sweep are attacked and which are honest.

Only the switch of an attack makes an honest run. A defense may have a switch of its own, and a party that defends
itself is no attacker; so results list the paths of the attacks' switches. Older results hold their scenario alone:
there every record below ``attacks`` and ``active_attack`` with a number ``enabled`` counts as an attack.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vfl_jax.core.record import RECORD
from vfl_jax.statistics.checked import check_runs
from vfl_jax.statistics.meetings import honest_runs, is_arena

if TYPE_CHECKING:
    import xarray as xr

ROOTS = ("attack", "attacks", "active_attack")
"""The beginnings of the paths of an attacker's numbers; the first is that of a short form."""
SHORT = "attack.enabled"
"""The short form of all attacks' switches."""
SWITCHES = "switches"
"""The attribute of the attacks' switches: a JSON object of exact paths and the scenario's values."""
METRICS = "metrics"
"""The attribute of metrics that are not the package's: a JSON object of names and records; absent without any."""
CASE = "case"
"""The dimension of results of several scenarios. Their attributes are JSON objects by case."""


class NoHonestRuns(ValueError):
    """The results have no honest run to compare attacked runs with."""


def honest(dataset: xr.Dataset) -> xr.Dataset:
    """The honest runs of results, in which no attack is enabled.

    The dimensions of the attacks' switches are gone, and all others stay: every setting of a defense keeps its own
    honest runs. Results of a scenario without an attack are all honest. The attribute ``switches`` then says that every
    attack is off. Of an arena these are the variables with the end ``_honest``, without it.

    A zipped axis may have several honest points that differ in more than attacks, such as in a learning rate. There
    every point gets the honest runs of its own settings, and the dimension stays whole. Where a zipped axis has one
    honest point, this serves all points with the same defense. A point without a fitting honest run has NaN, False and
    counts of 0.

    Args:
      dataset: labelled results of ``sweep``, ``sweep_cases`` or ``arena``.

    Raises:
      NoHonestRuns: a ``ValueError``, where the results have no honest run.
      ValueError: where ``dataset`` is no results.

    Example:
      >>> import json
      >>> import vfl_jax as vfl
      >>> import xarray as xr
      >>> results = xr.Dataset(
      ...     {"backdoor_accuracy": ("attack.enabled", [0.1, 0.9])},
      ...     {"attack.enabled": [0, 1]},
      ...     {"switches": json.dumps({"attacks.1.enabled": 1.0})},
      ... )
      >>> vfl.honest(results)["backdoor_accuracy"].item()
      0.1
    """
    import xarray as xr

    check_runs("dataset", dataset)
    if is_arena(dataset):
        return honest_runs(dataset)
    stacked = [d for d in dataset.dims if d in dataset.indexes and dataset.indexes[d].nlevels > 1]
    dataset = dataset.reset_index(stacked) if stacked else dataset  # their levels are settings, as of a zipped axis
    if is_by_case(dataset):
        parts = [honest(part).drop_vars(CASE) for part in each_case(dataset)]
        joined = xr.concat(
            parts,
            dataset[CASE],
            data_vars="all",
            coords="minimal",
            compat="override",
            join="exact",
            combine_attrs="drop",
        )
        by_case = {str(part[CASE].item()): _all_off(part) for part in each_case(dataset)}
        joined = joined.assign_attrs(dataset.attrs | {SWITCHES: json.dumps(by_case, sort_keys=True)})
        joined.encoding = dict(dataset.encoding)
        return joined
    found = dataset
    for dimension, pairing in _pairings(dataset).items():
        found = pairing.applied(found, dimension)
    off = _all_off(dataset)
    return found.assign_attrs({SWITCHES: json.dumps(off, sort_keys=True)}) if off else found


def _all_off(dataset: xr.Dataset) -> dict[str, float]:
    """What the attribute of switches says of honest runs, of one scenario."""
    return dict.fromkeys(switches_of(dataset) or {}, 0.0)


def has_reference(dataset: xr.Dataset) -> xr.Variable:
    """Where the results have an honest run to compare with: bool, over the zipped axes on which this differs.

    Args:
      dataset: results of one scenario.
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
    """Where an attack is enabled: bool, over the dimensions of the swept switches.

    Args:
      dataset: labelled results of ``sweep`` or ``run``, of one scenario. Results without a scenario and without a
        switch count as attacked.
    """
    import xarray as xr

    switches = switches_of(dataset)
    found = xr.Variable((), switches is None)
    for value in (switches or {}).values():
        found = found | (value != 0)
    return found


def is_by_case(dataset: xr.Dataset) -> bool:
    """Whether results are those of several scenarios, along the dimension ``case``.

    Args:
      dataset: results of any kind.
    """
    found = _attribute(dataset, "scenario")
    return CASE in dataset.dims and CASE in dataset.coords and found is not None and not _is_record(found)


def each_case(dataset: xr.Dataset) -> Iterator[xr.Dataset]:
    """Yields the results of every case.

    Args:
      dataset: results of any kind; those of one scenario are yielded whole.
    """
    if not is_by_case(dataset):
        yield dataset
        return
    for i in range(dataset.sizes[CASE]):
        yield dataset.isel({CASE: i})


def of_case(other: Any, part: xr.Dataset) -> Any:
    """The part of other results that belongs to the same case.

    Args:
      other: results, an array or None. Those without cases, or of a single case, serve every case.
      part: the results of one case.

    Raises:
      ValueError: where ``other`` lacks the case.
    """
    if other is None or CASE not in other.dims or CASE not in part.coords:
        return other
    if other.sizes[CASE] == 1:
        return other.isel({CASE: 0})
    case = part[CASE].item()
    if case not in other[CASE].values:
        raise ValueError(f"What is given has the cases {other[CASE].values.tolist()}, the results have {case!r}, too.")
    return other.sel({CASE: case})


def scenario_of(dataset: xr.Dataset) -> dict[str, Any] | None:
    """The scenario of results as plain JSON content; None where they do not say it.

    Args:
      dataset: results of one scenario, or of one case.
    """
    found = attribute(dataset, "scenario")
    return found if found is not None and _is_record(found) else None


def own_metrics(dataset: xr.Dataset) -> list[str]:
    """The names of the metrics that are not the package's, in order; those of all cases.

    Args:
      dataset: results of any kind.
    """
    return list(dict.fromkeys(name for part in each_case(dataset) for name in attribute(part, METRICS) or ()))


def attribute(dataset: xr.Dataset, name: str) -> Any:
    """The JSON content of an attribute; None where the results lack it.

    Args:
      dataset: results. Where they are those of one case, the content is that of this case.
      name: the attribute, such as "rows".
    """
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
    """The JSON object of an attribute, of all cases; None where the results lack it, or hold something else there."""
    try:
        found = json.loads(dataset.attrs[name])
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _is_record(found: Any) -> bool:
    """Whether JSON content is that of a record, such as a scenario."""
    return isinstance(found, dict) and isinstance(found.get(RECORD), str)


def switches_of(dataset: xr.Dataset) -> dict[str, xr.Variable] | None:
    """Every attack's switch by its path: one value, or the values along the dimension that sweeps the switch.

    Args:
      dataset: results of one scenario.

    Returns:
      the values by path; None where the results say nothing of attacks.
    """
    import xarray as xr

    named = [str(n) for n in dataset.coords if str(n).partition(".")[0] in ROOTS and str(n).endswith(".enabled")]
    known = _known_switches(dataset)
    if known is None:  # the results list no attack, so the names of the coordinates must tell
        return {name: dataset[name].variable for name in named} or None
    values = {path: xr.Variable((), number) for path, number in known.items()}
    for path in known:
        for name in (SHORT, path):
            if name in named:
                values[path] = dataset[name].variable
    return values


def _known_switches(dataset: xr.Dataset) -> dict[str, float] | None:
    """The attacks' switches that the results list, or those that their scenario suggests; None without either."""
    said, scenario = attribute(dataset, SWITCHES), scenario_of(dataset)
    if isinstance(said, dict) and not any(isinstance(value, dict) for value in said.values()):
        return {path: float(value) for path, value in said.items()}
    return None if scenario is None else dict(_attack_numbers(scenario))


def _attack_numbers(scenario: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The path and value of every number ``enabled`` where a scenario may hold attacks."""
    for number, record in enumerate(scenario.get("attacks") or ()):
        yield from _enabled(record, f"attacks.{number}")
    yield from _enabled(scenario.get("active_attack"), "active_attack")


def _enabled(record: Any, path: str) -> Iterator[tuple[str, float]]:
    """The switch of a record; where it has none, the switches of its parts."""
    if isinstance(record, dict) and "enabled" in record:
        yield f"{path}.enabled", float(record["enabled"])
        return
    below = record.items() if isinstance(record, dict) else enumerate(record) if isinstance(record, list) else ()
    for name, part in below:
        yield from _enabled(part, f"{path}.{name}")


class _Pairing(NamedTuple):
    """The honest point of every point of one axis."""

    places: np.ndarray  # int[points]  the place of its honest point; -1 where it has none
    names: list[str]  # the settings that both share; empty where one honest point serves all
    of_attacks: list[str]  # the coordinates of the axis that belong to attacks

    def applied(self, dataset: xr.Dataset, dimension: Any) -> xr.Dataset:
        """The honest runs along the axis; where one honest point serves all, the axis is gone."""
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
    """The pairing of every axis that switches attacks.

    Raises:
      NoHonestRuns: where the results have no honest run.
    """
    switches, is_honest = switches_of(dataset), dict[Any, np.ndarray]()
    always = [path for path, value in (switches or {}).items() if not value.dims and value.values != 0]
    for value in (switches or {}).values():
        for dimension in value.dims:
            is_honest[dimension] = is_honest.get(dimension, True) & (value.values == 0)
    if always or switches is None or not all(mask.any() for mask in is_honest.values()):
        why = f" {always[0]!r} is on in all of them." if always else ""
        raise NoHonestRuns(f"The results have no honest runs: sweep 'attack.enabled' over 0 and 1.{why}")
    return {dimension: _paired(dataset, dimension, np.flatnonzero(mask)) for dimension, mask in is_honest.items()}


def _paired(dataset: xr.Dataset, dimension: Any, found: np.ndarray) -> _Pairing:
    """The pairing of one axis, whose honest points have the places ``found``."""
    along = [str(name) for name, coordinate in dataset.coords.items() if coordinate.dims == (dimension,)]
    of_attacks = [name for name in along if is_of_an_attack(name, dataset)]
    others = [name for name in along if name not in of_attacks]

    def settings(names: list[str]) -> np.ndarray:
        return np.stack([dataset[name].values for name in names] or [np.zeros(dataset.sizes[dimension])], -1)

    if (settings(others)[found] == settings(others)[found[0]]).all():
        # Another setting on this axis changes with the attack on purpose, as an attacker's own learning rate does. A
        # defense must be the same: its price would otherwise look like the attack's.
        found, others = found[:1], [name for name in others if name.partition(".")[0] in (*ROOTS, "defense")]
    fits = (settings(others)[:, None] == settings(others)[found]).all(-1)
    places = np.where(fits.any(-1), found[fits.argmax(-1)], -1)
    return _Pairing(places, others if (places != places[0]).any() else [], of_attacks)


def is_of_an_attack(path: str, dataset: xr.Dataset) -> bool:
    """Whether a number belongs to an attack; the numbers of a party that defends itself are settings like others.

    Args:
      path: the name of a coordinate, an exact path or a short form.
      dataset: the results that have it.
    """
    root, known = path.partition(".")[0], _known_switches(dataset)
    if root not in ROOTS or root == "attack" or known is None:
        return root in ROOTS
    return any(path.startswith(switch.removesuffix("enabled")) for switch in known)

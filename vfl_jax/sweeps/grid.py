"""Grids: the swept numbers of a scenario, by their paths, and the points that they make."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

import jax
import numpy as np

from vfl_jax.core.checks import is_number, is_whole, shown
from vfl_jax.core.plain import shortest
from vfl_jax.core.record import Record, cast, numbers, with_numbers
from vfl_jax.scenario import Scenario
from vfl_jax.sweeps.advice import advice

Over = Mapping[Any, Sequence[Any]]
"""The numbers to sweep: the values of a path (str), or tuples of values that go together by a tuple of paths."""


@dataclasses.dataclass(frozen=True)
class Axis:
    """One dimension of a grid."""

    names: tuple[str, ...]  # the paths as the caller wrote them
    paths: tuple[tuple[str, ...], ...]  # the exact paths of every name
    values: tuple[tuple[Any, ...], ...]  # one entry per point, one value per name

    @property
    def dimension(self) -> str:
        """The name of the dimension in results: the paths, joined by "+"."""
        return "+".join(self.names)


@dataclasses.dataclass(frozen=True)
class Grid:
    """The product of all axes: G points, of which the last axis changes fastest."""

    axes: tuple[Axis, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of points along every axis."""
        return tuple(len(axis.values) for axis in self.axes)

    @property
    def size(self) -> int:
        """G, the number of points."""
        return int(np.prod(self.shape, dtype=np.int64))

    def points(self) -> list[dict[str, Any]]:
        """The changes of every point: exact path to value."""
        points = []
        for combination in itertools.product(*(axis.values for axis in self.axes)):
            changes: dict[str, Any] = {}
            for axis, values in zip(self.axes, combination, strict=True):
                for paths, value in zip(axis.paths, values, strict=True):
                    changes |= dict.fromkeys(paths, value)
            points.append(changes)
        return points

    def coordinates(self) -> dict[str, tuple[str, np.ndarray]]:
        """The (dimension, values) of every name, which label results."""
        return {
            name: (axis.dimension, np.asarray([values[i] for values in axis.values]))
            for axis in self.axes
            for i, name in enumerate(axis.names)
        }

    def scenarios(self, scenario: Scenario) -> list[Scenario]:
        """Every point as a scenario of its own, whose numbers are checked as it is built.

        Args:
          scenario: the scenario that the points change.

        Raises:
          ValueError: where a number of a point is out of its range.
        """
        return [with_numbers(scenario, changes) for changes in self.points()]

    def stacked(self, scenario: Scenario) -> Scenario:
        """All points as one scenario: swept numbers are arrays [G], and all others stay scalars.

        Args:
          scenario: the scenario that the points change.
        """
        return stack(scenario, self.points())


def stack(scenario: Scenario, points: Sequence[Mapping[str, Any]]) -> Scenario:
    """One scenario for several points: the numbers that they change are arrays [G].

    Args:
      scenario: the scenario that the points change. All its numbers are cast to their dtypes.
      points: the changes of every point, exact path to value; all have the same paths.
    """
    return cast(with_numbers(scenario, {path: np.asarray([p[path] for p in points]) for path in points[0]}))


def parse(scenario: Scenario, over: Over, argument: str = "over") -> Grid:
    """The grid that a caller asks for, checked.

    Args:
      scenario: the scenario whose numbers are swept.
      over: the values of every path, or tuples of values of a tuple of paths.
      argument: the name of ``over`` in messages.

    Raises:
      ValueError: where a path is unknown or ambiguous; where two paths sweep one number; where an axis is empty; where
        a value is no number or is there twice; or where a swept number has no effect.

    Example:
      >>> import vfl_jax as vfl
      >>> grid = parse(vfl.presets.liu2020_paper(), {"attack.amplify": [1, 10], "poison.rate": [0.01, 0.1, 0.5]})
      >>> grid.shape
      (2, 3)
      >>> grid.points()[0]
      {'attacks.1.amplify': 1, 'poison.rate': 0.01}
    """
    if not isinstance(over, Mapping):
        raise ValueError(f"{argument} is {shown(over)}; it must be a dict of paths and their values.")
    axes, seen = [], dict[str, str]()
    dtypes = {path: number.dtype for path, number in numbers(cast(scenario)).items()}
    for key, values in over.items():
        names = key if isinstance(key, tuple) else (key,)
        if not names or not all(isinstance(name, str) for name in names):
            raise ValueError(f"{argument} names {shown(key)}; it must be a path, a text, or a tuple of paths.")
        paths = tuple(resolve(scenario, name, argument) for name in names)
        for name, path in ((name, path) for name, exact in zip(names, paths, strict=True) for path in exact):
            if path in seen:
                raise ValueError(f"{argument} sweeps {path!r} twice, as {seen[path]!r} and as {name!r}.")
            seen[path] = name
        where = f"{argument}[{key!r}]"
        are_floats = [all(dtypes[path].kind == "f" for path in exact) for exact in paths]
        axes.append(Axis(names=names, paths=paths, values=_entries(where, key, names, are_floats, values)))
    _check_effect(scenario, seen, argument)
    grid = Grid(tuple(axes))
    try:
        for point in grid.scenarios(scenario):
            point.to_json()  # raises where a number is none
    except ValueError as error:
        raise ValueError(f"{argument} has a point that cannot be: {error}") from error
    return grid


def _entries(
    where: str, key: str | tuple[str, ...], names: tuple[str, ...], are_floats: Sequence[bool], values: Any
) -> tuple[tuple[int | float, ...], ...]:
    """The checked values of one axis, as Python numbers: one entry per point, one value per name."""
    if isinstance(values, str | bytes | Mapping | Set | Iterator) or not np.iterable(values):
        raise ValueError(f"{where} is {shown(values)}; give a list of values, such as [0, 1].")
    entries: list[tuple[int | float, ...]] = []
    for value in values:
        entry = tuple(value) if isinstance(key, tuple) and np.iterable(value) else (value,)
        if len(entry) != len(names):
            raise ValueError(f"{where} has an entry of {len(entry)} values; it names {len(names)} paths.")
        numbers_of_entry = tuple(map(functools.partial(_number, where), entry, are_floats))
        if numbers_of_entry in entries:
            raise ValueError(f"{where} has {shown(value)} twice; numbers are told apart as float32.")
        entries.append(numbers_of_entry)
    if not entries:
        raise ValueError(f"{where} is empty; give at least one value.")
    return tuple(entries)


def _number(where: str, value: Any, is_float: bool) -> int | float:
    """The number that labels results: the shortest decimal of its float32. A whole number stays whole.

    Args:
      where: the beginning of a message.
      value: the number, as the caller gave it.
      is_float: whether all numbers of its paths are float32; if not, a whole number keeps its value.
    """
    if isinstance(value, np.ndarray | jax.Array) and value.ndim == 0:
        value = value[()] if isinstance(value, np.ndarray) else np.asarray(value)[()]
    if not is_number(value):
        raise ValueError(f"{where} has {shown(value)}; every value must be a number.")
    if is_whole(value) and not (is_float and abs(int(value)) < 2**63):
        return int(value)
    if is_whole(value):
        return int(shortest(value))
    number = float(value)
    short = shortest(number)
    return short if np.isfinite(short) else number


def _check_effect(scenario: Scenario, swept: Mapping[str, str], argument: str) -> None:
    """Raises ``ValueError`` where a swept rate does not choose the rows."""
    plan = scenario.poison
    for rate, ids in (("rate", "poison_ids"), ("test_rate", "test_poison_ids")):
        if f"poison.{rate}" not in swept:
            continue
        if getattr(plan, ids) is not None:
            raise ValueError(
                f"{argument} sweeps 'poison.{rate}', but poison.{ids} names the rows: the rate has no effect."
            )
        if not plan.trigger.is_stamped:
            raise ValueError(
                f"{argument} sweeps 'poison.{rate}', but rows carry a {type(plan.trigger).__name__} by nature: the "
                "rate has no effect."
            )


def resolve(scenario: Scenario, name: str, argument: str = "over") -> tuple[str, ...]:
    """The exact paths of a name.

    * An exact path is its own.
    * ``"attack.X"`` is the number X of every attack that has one. ``"attack.enabled"`` is every attack's own switch.
    * ``"defense.X"`` is the number X of the one part of the defense that has it.
    * ``"learning_rate"``, or another number of an optimizer, is that of every party and of the head.

    Args:
      scenario: the scenario that has the numbers.
      name: an exact path or a short form.
      argument: the argument that names it, for messages.

    Raises:
      ValueError: where the scenario has no such number (with the nearest names that it has), or where the name is
        ambiguous.

    Example:
      >>> import vfl_jax as vfl
      >>> resolve(vfl.presets.liu2020_paper(), "learning_rate")
      ('optimizers.0.learning_rate', 'optimizers.1.learning_rate', 'head_optimizer.learning_rate')
    """
    known = numbers(scenario)
    if name in known:
        return (name,)
    group, _, number = name.rpartition(".")
    attacks = tuple(switch.removesuffix("enabled") for switch in scenario.switches)
    roots = {"attack": attacks, "defense": ("defense.",), "": ("optimizers.", "head_optimizer.")}
    found = [p for p in known if p.startswith(roots.get(group, ())) and p.rpartition(".")[2] == number]
    if name == "attack.enabled":
        found = [p for p in found if p.removesuffix(number) in attacks]
    if not found and _is_structure(scenario, name):
        raise ValueError(
            f"{argument} names {name!r}, which is structure, not a number that can be set or swept by its path; "
            "change the scenario, and run one sweep for each of its values."
        )
    if not found and name == "attack.enabled":
        raise ValueError(
            f"{argument} names {name!r}, but nobody attacks in the scenario: an attack derives from vfl_jax.Attack, "
            "one by the active party from vfl_jax.ActiveAttack. The switch of anything else is named by its exact path."
        )
    if not found:
        raise ValueError(f"{argument} names {name!r}, which the scenario does not have. {advice(scenario, name)}")
    if group == "defense" and len(found) > 1:
        raise ValueError(f"{argument} names {name!r}, which may mean any of {', '.join(found)}; give one of these.")
    if group == "attack" and number != "enabled":
        owners = [p.partition(".parts.")[0] for p in found]
        if any(owners.count(owner) > 1 for owner in owners):
            raise ValueError(
                f"{argument} names {name!r}, which one attacker has in several parts: {', '.join(found)}; give exact "
                "paths."
            )
    return tuple(found)


def _is_structure(value: Any, name: str) -> bool:
    """Whether a path leads to a part of the scenario, of whatever kind."""
    for part in name.split("."):
        if isinstance(value, tuple) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, Record) and part in (f.name for f in dataclasses.fields(value)):  # type: ignore[arg-type]
            value = getattr(value, part)
        else:
            return False
    return True

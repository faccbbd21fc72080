"""Grids: which numbers of a scenario are swept, by their paths, and how a grid is mapped."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Any

import jax
import numpy as np

from vfl_jax.core.checks import is_number, is_whole, shown
from vfl_jax.core.record import Record, cast, numbers, shortest, with_numbers
from vfl_jax.replica.state import TrainState
from vfl_jax.scenario import Scenario

Over = Mapping[Any, Sequence[Any]]
"""What to sweep: a path (str) to its values, or a tuple of paths to tuples of values that go together."""


@dataclasses.dataclass(frozen=True)
class Axis:
    """One dimension of a grid."""

    names: tuple[str, ...]  # the paths as they were asked for
    paths: tuple[tuple[str, ...], ...]  # the exact paths each of them stands for
    values: tuple[tuple[Any, ...], ...]  # one entry per point, one value per name

    @property
    def dimension(self) -> str:
        return "+".join(self.names)


@dataclasses.dataclass(frozen=True)
class Grid:
    """The product of the axes; G points, the last axis fastest."""

    axes: tuple[Axis, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(axis.values) for axis in self.axes)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    def points(self) -> list[dict[str, Any]]:
        """The changes of every point, exact path to value."""
        points = []
        for combination in itertools.product(*(axis.values for axis in self.axes)):
            changes: dict[str, Any] = {}
            for axis, values in zip(self.axes, combination, strict=True):
                for paths, value in zip(axis.paths, values, strict=True):
                    changes |= dict.fromkeys(paths, value)
            points.append(changes)
        return points

    def coordinates(self) -> dict[str, tuple[str, np.ndarray]]:
        """Name to (dimension, values), for labelled results."""
        return {
            name: (axis.dimension, np.asarray([values[i] for values in axis.values]))
            for axis in self.axes
            for i, name in enumerate(axis.names)
        }

    def scenarios(self, scenario: Scenario) -> list[Scenario]:
        """Every point as a scenario of its own; building it checks its numbers."""
        return [with_numbers(scenario, changes) for changes in self.points()]

    def stacked(self, scenario: Scenario) -> Scenario:
        """The scenario whose swept numbers are arrays [G]; numbers that are not swept stay scalars."""
        return stack(scenario, self.points())


def stack(scenario: Scenario, points: Sequence[Mapping[str, Any]]) -> Scenario:
    """One scenario for several points: numbers that they change are arrays [G], cast as all others."""
    return cast(with_numbers(scenario, {path: np.asarray([p[path] for p in points]) for path in points[0]}))


def parse(scenario: Scenario, over: Over, argument: str = "over") -> Grid:
    """Resolves what to sweep.

    Args:
      argument: what messages call ``over``.

    Raises:
      ValueError: on an unknown or ambiguous path, a number swept twice, an empty axis, a value that is
        not a number, that is there twice, or that has no effect.
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
    for point in grid.scenarios(scenario):
        point.to_json()  # raises where a number is none
    return grid


def _entries(
    where: str, key: str | tuple[str, ...], names: tuple[str, ...], are_floats: Sequence[bool], values: Any
) -> tuple[tuple[int | float, ...], ...]:
    """The checked values of one axis, as Python numbers: one entry per point, one value per name."""
    if isinstance(values, str | bytes | Mapping | Set | Iterator) or not np.iterable(values):
        raise ValueError(f"{where} is {shown(values)}; give a list of values.")
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
    """A number at the shortest decimal of its float32, by which results are labelled; a whole one stays whole.

    Args:
      is_float: whether all that it is set as are float32; otherwise a whole number stays as it is.
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
    """Raises where a rate is swept that does not choose the rows."""
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
    """The exact paths a name stands for.

    An exact path stands for itself. Short forms: ``"attack.X"``, every attack that has a number X, and for
    ``"attack.enabled"`` its own switch, which the package applies; ``"defense.X"``, the one part of the defense that
    has it; ``"learning_rate"`` (or another number of an optimizer), every party and the head.

    Args:
      argument: where the name was given, for messages.

    Raises:
      ValueError: on an unknown name (with the nearest known ones), or an ambiguous one.
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
        near = difflib.get_close_matches(name, known, n=4, cutoff=0.5) or sorted(known)
        raise ValueError(f"{argument} names {name!r}, which the scenario does not have. It has {', '.join(near)}.")
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
    """Whether a path leads to something in the scenario, be it no number."""
    for part in name.split("."):
        if isinstance(value, tuple) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, Record) and part in (f.name for f in dataclasses.fields(value)):  # type: ignore[arg-type]
            value = getattr(value, part)
        else:
            return False
    return True


def state_axes(state: TrainState, with_grid: bool) -> TrainState:
    """Where the grid axis lies in every leaf of a state.

    Parameters, and moments of their shape, have it beside the output features, [F, G, E], so that one
    batch meets the weights of all grid points in one matrix product. All other state has it in front.

    Args:
      state: arrays or their shapes; ``with_grid`` says whether they have the grid axis already.
    """
    extra = 1 if with_grid else 0

    def beside_outputs(leaf: Any) -> int:
        return max(np.ndim(leaf) - extra - 1, 0)

    axes = jax.tree.map(lambda _: 0, state)
    return axes.replace(
        params=jax.tree.map(beside_outputs, state.params),
        head_params=jax.tree.map(beside_outputs, state.head_params),
        opt_states=jax.tree.map(beside_outputs, state.opt_states),
        head_opt_state=jax.tree.map(beside_outputs, state.head_opt_state),
    )


def map_over_grid(scenario: Scenario, axes: TrainState, size: int) -> Callable[..., Any]:
    """A mapper for ``simulation``: f(scenario, state, *shared) over the grid points.

    ``scenario`` has [G] arrays where it is swept; they are taken apart as plain leaves, so that
    no record is ever built from axis numbers.
    """
    leaves, structure = jax.tree.flatten(scenario)
    scenario_axes = [0 if np.ndim(leaf) else None for leaf in leaves]

    def over_grid(function: Callable[..., Any], returns_state: bool) -> Callable[..., Any]:
        def at_point(point: list[Any], state: TrainState, *shared: Any) -> Any:
            return function(jax.tree.unflatten(structure, point), state, *shared)

        def mapped(scenario: Scenario, state: TrainState, *shared: Any) -> Any:
            in_axes = (scenario_axes, axes, *(None for _ in shared))
            out_axes = (axes, 0) if returns_state else 0
            return jax.vmap(at_point, in_axes, out_axes, axis_size=size)(jax.tree.leaves(scenario), state, *shared)

        return mapped

    return over_grid

"""Chunks: grid points × seeds that are trained together and kept in one file."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any, Self, TypeVar

import numpy as np

from vfl_jax.core.record import numbers, with_numbers
from vfl_jax.core.vertical_data import content_hash
from vfl_jax.scenario import Scenario
from vfl_jax.sweeps.grid import Grid

Item = TypeVar("Item")


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Some points of a grid, each with the same seeds."""

    points: tuple[dict[str, Any], ...]  # the changes of every point: exact path to value
    seeds: tuple[int, ...]

    def __str__(self) -> str:
        return f"{len(self.points)} points from {self.points[0]}, seeds {', '.join(map(str, self.seeds))}"

    @property
    def num_replicas(self) -> int:
        """The number of points times the number of seeds."""
        return len(self.points) * len(self.seeds)

    def attacked(self, scenario: Scenario) -> np.ndarray:
        """Which points an attack is on at, bool[G].

        Args:
          scenario: the study's, which the points change.
        """
        known = numbers(scenario)
        return np.array([any(point.get(path, known[path]) != 0 for path in scenario.switches) for point in self.points])

    def name(self, identity: dict[str, Any]) -> str:
        """The hash of everything that determines the chunk's numbers, 16 hexadecimal digits.

        Args:
          identity: that of the study. The points and seeds count with it, in their order.
        """
        return content_hash((), json.dumps([identity, *self.plain()], sort_keys=True, allow_nan=False))[:16]

    def label(self, identity: dict[str, Any]) -> str:
        """The JSON text by which a chunk's file says which chunk it is.

        Args:
          identity: that of the study, which the name in the text stands for.
        """
        points, seeds = self.plain()
        return json.dumps({"name": self.name(identity), "points": points, "seeds": seeds}, sort_keys=True)

    def plain(self) -> tuple[list[Any], list[int]]:
        """The points and seeds as JSON content. Infinite values are text, as in a scenario's JSON."""
        points = [{path: _to_plain(value) for path, value in point.items()} for point in self.points]
        return points, list(self.seeds)

    @classmethod
    def from_plain(cls, points: list[Any], seeds: list[int]) -> Self:
        """The chunk of these ``points`` and ``seeds``, in the form that :meth:`plain` returns."""
        return cls(
            tuple({path: float(v) if isinstance(v, str) else v for path, v in p.items()} for p in points), tuple(seeds)
        )

    def replicas(self, scenario: Scenario) -> Iterator[tuple[str, int]]:
        """Yields the JSON of every replica's scenario, and its seed, point by point. Both tell it from all others.

        Args:
          scenario: the study's, which the points change.
        """
        for point in self.points:
            text = with_numbers(scenario, point).to_json()
            yield from ((text, seed) for seed in self.seeds)


def cut(
    scenario: Scenario, grid: Grid, seeds: Sequence[int], done: Sequence[Chunk], most: int, devices: int = 1
) -> list[Chunk]:
    """Cuts the lacking replicas of a grid × seeds into chunks of nearly equal sizes.

    A chunk has all grid points of its seeds where it can: these share everything that does not depend on the point.
    Where it cannot, it has as many points as leave one seed for every device.

    Args:
      scenario: the study's, which the grid changes.
      grid: all points.
      seeds: the seeds of every point.
      done: the chunks that need not be cut again.
      most: the largest number of replicas of a chunk.
      devices: how many devices train a chunk.
    """
    have = {replica for chunk in done for replica in chunk.replicas(scenario)}
    points = grid.points()
    texts = [text for text, _ in Chunk(tuple(points), (0,)).replicas(scenario)]
    lacking: dict[tuple[int, ...], list[int]] = {}
    for seed in seeds:
        missing = tuple(i for i, text in enumerate(texts) if (text, seed) not in have)
        lacking.setdefault(missing, []).append(seed)
    chunks = []
    for missing, of_seeds in lacking.items():
        width = max(1, most // min(devices, len(of_seeds)))
        for block in _even(missing, width):
            for some in _even(of_seeds, max(1, most // len(block))):
                chunks.append(Chunk(tuple(points[i] for i in block), tuple(some)))
    return chunks


def _even(items: Sequence[Item], most: int) -> list[list[Item]]:
    """The items in runs of at most ``most``, whose lengths differ by at most one."""
    if not items:
        return []
    edges = np.linspace(0, len(items), -(-len(items) // most) + 1).round().astype(int)
    return [list(items[start:end]) for start, end in itertools.pairwise(edges)]


def _to_plain(value: Any) -> Any:
    """A number as JSON has it, and text where JSON has no such number."""
    return value if np.isfinite(value) else str(value)

"""The results of an arena: one labelled data set over boards, attacks, defenses and seeds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vfl_jax.arenas.boards import Board
from vfl_jax.arenas.cells import Entrant, Group
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.statistics.meetings import DIMENSIONS, HONEST
from vfl_jax.statistics.summaries import LABELS as READ

if TYPE_CHECKING:
    import xarray as xr

UNDEFENDED = "none"
"""The name of the defense that is none; every arena has it, because what a defense costs is held against it."""

BOTH = {
    "attack_success": ("full_attack_success", "attack_success_rate"),
    "attack_success_macro": ("full_attack_success_macro",),
    "main_accuracy": ("full_clean_accuracy", "main_clean"),
    "recovered_utility": ("full_recovered_utility",),
    "stealth_linf": ("full_stealth_linf",),
    "stealth_l2": ("full_stealth_l2",),
    "stealth_class_mean": ("full_stealth_class_mean",),
    "detection_auc": ("full_detection_auc",),
    "detection_recall": ("full_detection_recall",),
    "detection_false_alarm_rate": ("full_detection_false_alarm_rate",),
    "detection_auc_mixed": ("detection_auc",),
    "test_label_inference_accuracy": ("test_label_inference_accuracy",),
    "is_finite": ("is_finite",),
}
"""Variables of the attacked runs and, with the end ``_honest``, of the honest ones: where results have them. The second
name serves boards whose trigger cannot be stamped. What readers tell is kept beside, way by way."""


def read(group: Group, results: xr.Dataset) -> dict[tuple[str, str], dict[str, np.ndarray]]:
    """Returns the variables of every meeting of a group at the last epoch, float32[seed] each.

    Args:
      group: the group.
      results: its results, as ``sweep`` returns them.
    """
    last, dimensions = results.isel(epoch=-1), ["+".join(key) for key in group.over]
    found = {}
    for a, attack in enumerate(group.attacks):
        for d, defense in enumerate(group.defenses):
            points = [{dimensions[0]: place} for place in (a, len(group.attacks))]
            for point in points if len(dimensions) > 1 else ():
                point[dimensions[1]] = d
            attacked, honest = (last.isel(point) for point in points)
            found[attack, defense] = _values(attacked, "") | _values(honest, HONEST)
    return found


def _values(replicas: xr.Dataset, end: str) -> dict[str, np.ndarray]:
    """What is kept of the attacked or of the honest replicas."""
    found = {}
    for name, sources in BOTH.items():
        source = next((source for source in sources if source in replicas), None)
        if source is not None:
            found[name + end] = replicas[source].values.astype(np.float32)
    told = (name for name in map(str, replicas) if name.startswith(READ) and not name.endswith("_count"))
    return found | {name + end: replicas[name].values.astype(np.float32) for name in told}


def table(
    boards: Mapping[str, Board],
    attacks: Mapping[str, Mapping[str, Entrant]],
    defenses: Mapping[str, Any],
    seeds: Iterable[int],
    meetings: Mapping[tuple[str, str, str], Mapping[str, np.ndarray]],
    reasons: Mapping[tuple[str, str, str], str],
) -> xr.Dataset:
    """Returns all meetings as one data set.

    Args:
      boards: the boards by name.
      attacks: by board, the attacks by name, each with what it is granted.
      defenses: the defenses by name.
      seeds: the seeds of every meeting.
      meetings: the variables of every meeting that took place, by board, attack and defense.
      reasons: why a meeting could not take place.
    """
    import xarray as xr

    seeds, names = list(seeds), list(dict.fromkeys(name for of_board in attacks.values() for name in of_board))
    places = {key: _place(key, boards, names, defenses) for key in (*meetings, *reasons)}
    shape = (len(boards), len(names), len(defenses))
    variables: dict[str, Any] = {}
    for name in dict.fromkeys(name for values in meetings.values() for name in values):
        whole = np.full((*shape, len(seeds)), np.nan, np.float32)
        for key, values in meetings.items():
            if name in values:
                whole[places[key]] = values[name]
        variables[name] = (DIMENSIONS, whole)
    why = np.full(shape, "", object)
    for key, reason in reasons.items():
        why[places[key]] = reason
    variables["reason"] = (DIMENSIONS[:3], why.astype(str))
    of_board = {
        "target_class": [board.data.classes[board.scenario.poison.target_class] for board in boards.values()],
        "majority": [_share_of_majority(board.data) for board in boards.values()],
        "attacker_share": [board.share for board in boards.values()],
        "num_parties": [board.data.num_parties for board in boards.values()],
        "num_classes": [board.data.num_classes for board in boards.values()],
        "num_test": [board.data.test.num_samples for board in boards.values()],
    }
    said = {
        "boards": {name: _plain(board.scenario) | {"epochs": board.epochs} for name, board in boards.items()},
        "attacks": {
            board: {name: _plain(attack) | {"needs": vars(needs)} for name, (attack, needs) in of_board.items()}
            for board, of_board in attacks.items()
        },
        "defenses": {name: _plain(defense) for name, defense in defenses.items()},
    }
    return xr.Dataset(
        variables | {name: ("data", np.asarray(values)) for name, values in of_board.items()},
        {"data": list(boards), "attack": names, "defense": list(defenses), "seed": seeds},
        {name: json.dumps(content) for name, content in said.items()},
    )


def ways(results: xr.Dataset) -> list[str]:
    """The ways of reading labels that results tell of, in order; "" is that of a reader without a name for it.

    Args:
      results: as :func:`vfl_jax.arena` returns them.
    """
    start = f"{READ}accuracy"
    names = [name for name in map(str, results) if name.startswith(start) and not name.endswith(HONEST)]
    found = {name.removeprefix(start).removeprefix("_") for name in names}
    return sorted(found | ({""} if f"test_{READ}accuracy" in results else set()))


def _place(key: tuple[str, str, str], *named: Iterable[str]) -> tuple[int, ...]:
    """The place of a meeting: the numbers of its board, attack and defense."""
    return tuple(list(of).index(name) for of, name in zip(named, key, strict=True))


def _plain(record: Any) -> dict[str, Any]:
    """A record as JSON content."""
    return json.loads(record.to_json())


def _share_of_majority(data: VerticalData) -> float:
    """The share of test rows of the most frequent class."""
    counts = np.bincount(np.asarray(data.test.labels), minlength=data.num_classes)
    return float(counts.max() / counts.sum())

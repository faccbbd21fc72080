"""What an audit has measured so far, by defense, reader, attack and seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vfl_jax.audits.battery import Level
from vfl_jax.audits.result import Audit

if TYPE_CHECKING:
    import xarray as xr

_OF_ATTACKS = {"attack_success": "full_attack_success", "accuracy_attacked": "full_clean_accuracy"}


class Measured:
    """The numbers of an audit. Every round adds the same readers and attacks behind further defenses.

    Args:
      readers: the names of the readers.
    """

    def __init__(self, readers: Sequence[str]) -> None:
        self.levels: list[Level] = []
        self.readers, self.attacks = list(readers), list[str]()
        self._rounds: list[dict[str, list[np.ndarray]]] = []

    def begin(self, levels: Sequence[Level]) -> None:
        """Begins a round.

        Args:
          levels: its defenses.
        """
        self.levels.extend(levels)
        self._rounds.append({})

    def add_readings(self, last: xr.Dataset) -> None:
        """Adds what readers read, and what honest models know.

        Args:
          last: the results of the last epoch, whose grid is the defenses of the round.
        """
        num_levels = last.sizes[next(dim for dim in last["main_task_accuracy"].dims if dim != "seed")]
        self._add("main_accuracy", last["main_task_accuracy"].values.reshape(num_levels, -1))
        self._add("is_finite", last["is_finite"].values.reshape(num_levels, -1))
        if "test_auc" in last:
            self._add("test_auc", last["test_auc"].values.reshape(num_levels, -1))
        of_readers = {
            what: np.stack(
                [last[f"label_inference_{what}_{name}"].values.reshape(num_levels, -1) for name in self.readers], axis=1
            )
            for what in ("accuracy", "rate", "auc")
            if f"label_inference_{what}_{self.readers[0]}" in last
        }
        self._add("read", np.nan_to_num(of_readers["accuracy"]) * of_readers["rate"])
        if "auc" in of_readers:
            self._add("read_auc", of_readers["auc"])

    def add_attacks(self, last: xr.Dataset, names: Sequence[str]) -> None:
        """Adds what attacks of one chain did.

        Args:
          last: the results of the last epoch, whose grid is the attacks, an honest point last, and the defenses.
          names: the names of the attacks.
        """
        self.attacks.extend(name for name in names if name not in self.attacks)
        for name, source in _OF_ATTACKS.items():
            values = last[source].values.reshape(len(names) + 1, -1, last.sizes["seed"]).swapaxes(0, 1)
            self._add(name, values[:, :-1])
            if name == "attack_success":
                self._add("attack_success_honest", np.repeat(values[:, -1:], len(names), axis=1))

    def _add(self, name: str, values: np.ndarray) -> None:
        self._rounds[-1].setdefault(name, []).append(np.asarray(values, float))

    def to_dataset(self, alone: tuple[np.ndarray, np.ndarray], facts: dict[str, Any]) -> xr.Dataset:
        """Returns all of it as one labelled data set.

        Args:
          alone: the shares of labels that the partner names by itself, and the areas under the curve, float[S] each.
          facts: the facts of the audit.
        """
        import xarray as xr

        variables: dict[str, Any] = {"alone": ("seed", alone[0])}
        if "read_auc" in self._rounds[0]:
            variables["alone_auc"] = ("seed", alone[1])
        for name in self._rounds[0]:
            values = np.concatenate(
                [np.concatenate(of[name], axis=1) if name in _BY_ATTACK else of[name][0] for of in self._rounds]
            )
            middle = {3: ("attack" if name in _BY_ATTACK else "reader",), 2: ()}[values.ndim]
            variables[name] = (("defense", *middle, "seed"), values)
        for name in _BY_ATTACK:
            empty = np.zeros((len(self.levels), 0, len(alone[0])))
            variables.setdefault(name, (("defense", "attack", "seed"), empty))
        coords = {
            "defense": [level.name for level in self.levels],
            "words": ("defense", [level.words for level in self.levels]),
            "reader": self.readers,
            "attack": np.array(self.attacks, dtype=str),
            "seed": list(range(len(alone[0]))),
        }
        return xr.Dataset(variables, coords, Audit.attributes(facts))


_BY_ATTACK = ("attack_success", "attack_success_honest", "accuracy_attacked")

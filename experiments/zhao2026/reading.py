"""What results say of an attack: its success beside the floor, its utility, its separability, by names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.zhao2026.cases import HONEST, HONEST_POISONED, KINDS, UNDEFENDED, Meeting
from experiments.zhao2026.verdicts import Success, Utility
from vfl_jax.core.files import load

if TYPE_CHECKING:
    import xarray as xr

SUCCESS = "full_attack_success"


def read(folder: Path, cases: Sequence[Meeting]) -> dict[str, Found]:
    """The results of every case that has been trained, by its name.

    Raises:
      FileNotFoundError: when there are none.
    """
    paths = {case.name: folder / f"{case.name}.nc" for case in cases}
    found = {case.name: Found(case, load(paths[case.name])) for case in cases if paths[case.name].is_file()}
    if not found:
        raise FileNotFoundError(f"{folder} has no results; run the experiment first.")
    return found


@dataclasses.dataclass(frozen=True)
class Found:
    """The results of one case."""

    case: Meeting
    dataset: xr.Dataset

    @property
    def names(self) -> tuple[str, ...]:
        """The attacks, and how many attackers there are, without the honest runs."""
        return tuple(name for name in self.case.attacks if name not in (HONEST, HONEST_POISONED))

    def values(self, metric: str, attack: str = HONEST, defense: str | None = None) -> np.ndarray:
        """A metric over seeds and epochs, float[S, epochs, …]; of the first defense by default."""
        array = self.dataset[metric]
        axes = [dim for dim in array.dims if str(dim) not in ("seed", "epoch", "class", "party")]
        place = {axes[0]: self.case.attacks.index(attack)}
        if len(axes) > 1:
            place[axes[1]] = 0 if defense is None else self.case.defenses.index(defense)
        return array.isel(place).transpose("seed", "epoch", ...).values.astype(float)

    def last(self, metric: str, attack: str = HONEST, defense: str | None = None) -> np.ndarray:
        """The same at the last epoch, float[S, …]."""
        return self.values(metric, attack, defense)[:, -1]

    def success(self, attack: str, defense: str | None = None) -> Success:
        """The success of an attack, beside that of the honest runs with the same rows."""
        needs_poison = attack == "GradientReplacement"
        floor = self.last(SUCCESS, HONEST_POISONED if needs_poison else HONEST, defense)
        return Success(self.last(SUCCESS, attack, defense), floor)

    def successes(self) -> dict[str, Success]:
        """Those of all attacks, without a defense."""
        return {name: self.success(name) for name in self.names}

    def utility(self, attack: str = HONEST, defense: str | None = None) -> Utility:
        """The accuracy on attacked rows, and on all rows without an attack."""
        return Utility(
            self.last("full_recovered_utility", attack, defense), self.last("full_clean_accuracy", attack, defense)
        )

    def by_attacker(self, attack: str, word: str) -> Success:
        """The mean success of the attackers that act, each by its own class, beside the honest runs'; see ``cases``."""
        places = {"alone": [-1], "other alone": [-2], "both": [-2, -1]}[word]
        own, floor = (
            self.last(f"{SUCCESS}_by_party", name)[:, places].mean(axis=1) for name in (f"{attack}, {word}", HONEST)
        )
        return Success(own, floor)


@dataclasses.dataclass(frozen=True)
class OfData:
    """The results on one data set, by what they are for; a role that has not been trained is not there."""

    title: str
    base: int
    by_role: Mapping[tuple[int, str], Found]

    def base_of(self, role: str) -> Found | None:
        """The results of a role with the usual number of parties."""
        return self.by_role.get((self.base, role))

    def of_kind(self, names: Sequence[str]) -> dict[int, dict[str, Success]]:
        """By the number of parties, the successes of the attacks with these names."""
        found: dict[int, dict[str, Success]] = {}
        for (parties, role), results in sorted(self.by_role.items()):
            if role in KINDS:
                found.setdefault(parties, {}).update({k: v for k, v in results.successes().items() if k in names})
        return found

    def undefended(self) -> list[Found]:
        """The results of attacks alone, without a defense, over all numbers of parties."""
        return [found for (_, role), found in sorted(self.by_role.items()) if role in KINDS]

    def defended(self) -> list[Found]:
        """The results with a defense."""
        return [found for found in self.by_role.values() if UNDEFENDED not in found.case.defenses]

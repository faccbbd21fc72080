"""The attackers of a replica, each with its backdoor by the class that it wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vfl_jax.statistics.references import is_attacked, switches_of

if TYPE_CHECKING:
    import xarray as xr

ATTACKER = "attacker"
"""The dimension of attackers: every party and then the active party, where results hold a class per attacker
(``poison.party_targets``); else one entry for all of them, who want one class."""


def of_attackers(dataset: xr.Dataset, name: str) -> xr.Variable:
    """A metric of every attacker, by the class that it wants.

    Args:
      dataset: results of one scenario.
      name: "backdoor_accuracy" or "attack_success_rate".

    Returns:
      floats over the dimensions of the metric and ``ATTACKER``; NaN for a party that never attacks.
    """
    import xarray as xr

    columns = [dataset[name].variable.astype(float)]
    if _is_by_party(dataset):
        by_party = dataset[f"{name}_by_party"].variable.astype(float)
        columns = [by_party.isel(party=k) for k in range(by_party.sizes["party"])] + columns
    return xr.Variable.concat(columns, ATTACKER)


def is_on(dataset: xr.Dataset, party: int | str | None = None) -> xr.Variable:
    """Which attackers are enabled.

    Args:
      dataset: results of one scenario.
      party: the number or name of the only party that counts; None for all attackers.

    Returns:
      bool over the dimensions of the swept switches and ``ATTACKER``. Results without switches count as attacked by
      every party.

    Raises:
      ValueError: where ``party`` is given, and the results have no class per attacker or no such party.
    """
    import xarray as xr

    if not _is_by_party(dataset):
        if party is not None:
            raise ValueError(
                f"party is {party!r}, but in these results all attackers want one class, so that no number is one's "
                "own. Leave party out, or train with poison.party_targets."
            )
        return xr.Variable.concat([is_attacked(dataset)], ATTACKER)
    num_parties, found = dataset.sizes["party"], xr.Variable((), False)
    places = np.arange(num_parties + 1)
    switches = switches_of(dataset)
    if switches is None:
        found = xr.Variable((ATTACKER,), places < num_parties)
    for path, value in (switches or {}).items():
        root, number = path.split(".")[:2]
        place = int(number) if root == "attacks" else num_parties
        found = found | ((value != 0) & xr.Variable((ATTACKER,), places == place))
    return found if party is None else found & xr.Variable((ATTACKER,), places == _number(dataset, party))


def _is_by_party(dataset: xr.Dataset) -> bool:
    """Whether results hold a class per attacker; beside other cases that do, those of one class have NaN alone."""
    name = "backdoor_accuracy_by_party"
    return name in dataset and not np.isnan(dataset[name].values).all()


def _number(dataset: xr.Dataset, party: int | str) -> int:
    """The number of a party that is given by number or name."""
    names = [str(name) for name in dataset["party"].values] if "party" in dataset.coords else []
    number = names.index(party) if party in names else party
    if not isinstance(number, int | np.integer) or not 0 <= number < dataset.sizes["party"]:
        raise ValueError(f"party is {party!r}; the results have parties 0 to {dataset.sizes['party'] - 1}: {names}.")
    return int(number)

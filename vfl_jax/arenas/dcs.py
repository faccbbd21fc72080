"""The defense capability score (DCS) of VFLAIR, the benchmark of the paper's group, and its means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vfl_jax.arenas.standings import MAIN, SUCCESS, at_common_seeds, compared
from vfl_jax.arenas.table import READ, UNDEFENDED, ways
from vfl_jax.statistics.meetings import HONEST

if TYPE_CHECKING:
    import xarray as xr


def score(main: Any, attack: Any, main_clean: Any, attack_ideal: Any = 0.0, beta: float = 0.5) -> Any:
    """The DCS: how near a defense comes to a model that is as accurate as without it, and an attack that has nothing.

    DCS = 1/(1 + √(β d² + (1 − β) a²)), where d is the main accuracy that is lost, and a the attack's success above the
    ideal; neither is below 0. Source: VFLAIR's code (``FLAIR-THU/VFLAIR``, ``src/metrics/data_process.py``); its
    documentation has signed differences. The ideal is 0 there, not the floor of an honest run.

    Args:
      main: the main accuracy under attack and defense; numbers or arrays.
      attack: the attack's success, of the same shape.
      main_clean: the main accuracy without attack and defense.
      attack_ideal: the success of an attack that has nothing.
      beta: β, the weight of the main accuracy, in [0, 1].

    Example:
      >>> round(float(score(0.9, 0.0, 0.9)), 3), round(float(score(0.9, 1.0, 0.9)), 3)
      (1.0, 0.586)
    """
    lost = np.maximum(np.asarray(main_clean) - main, 0.0)
    gained = np.maximum(np.asarray(attack) - attack_ideal, 0.0)
    return 1.0 / (1.0 + np.sqrt(beta * lost**2 + (1.0 - beta) * gained**2))


def means(scores: Any, kinds: Any, num_kinds: int = 4) -> tuple[np.ndarray, float]:
    """T-DCS, the mean over the attacks of a kind, and C-DCS, the mean of these over the kinds that were tried.

    Args:
      scores: float[A], the DCS of every attack.
      kinds: int[A], the kind of each, from 0.
      num_kinds: how many kinds there are.

    Returns:
      (float[num_kinds], NaN for a kind without an attack; a number).
    """
    scores, kinds = np.asarray(scores, float), np.asarray(kinds)
    of_kinds = np.array(
        [scores[kinds == kind].mean() if (kinds == kind).any() else np.nan for kind in range(num_kinds)]
    )
    return of_kinds, float(np.nanmean(of_kinds))


def by_defense(results: xr.Dataset) -> xr.DataArray:
    """The DCS of every defense by backdoors: T-DCS, the mean over seeds, boards and attacks.

    Label inference is :func:`by_readers`. An attack that met few of a board's defenses does not count.

    Args:
      results: as :func:`vfl_jax.arena` returns them.
    """
    import xarray as xr

    results = compared(results)
    clean = results[MAIN + HONEST].sel(defense=UNDEFENDED, drop=True)
    return xr.apply_ufunc(score, results[MAIN], results[SUCCESS], clean).mean(("data", "attack", "seed"))


def by_readers(results: xr.Dataset) -> xr.DataArray:
    """The DCS of every defense by label inference: T-DCS, the mean over ways of reading, attacks, boards and seeds.

    The means are taken in this order, at common seeds, so that every board weighs the same. An attack's success is the
    share of rows whose labels it names correctly; a row without a guess is a wrong one.

    Args:
      results: as :func:`vfl_jax.arena` returns them, of attacks that read labels.
    """
    import xarray as xr

    results = at_common_seeds(results)
    ends = [f"_{way}" if way else "" for way in ways(results)]
    right = [
        results[f"{READ}accuracy{end}"].fillna(0.0) * results[f"{READ}rate{end}"]
        for end in ends
        if f"{READ}accuracy{end}" in results
    ]
    if not right:
        return xr.full_like(results["defense"], np.nan, float)
    clean = results[MAIN + HONEST].sel(defense=UNDEFENDED, drop=True)
    scores = xr.apply_ufunc(score, results[MAIN], xr.concat(right, "way", join="outer"), clean)
    return scores.mean("way").mean("attack").mean("data").mean("seed")

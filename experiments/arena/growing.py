"""A board's file grows: what was trained since is added to what it holds, and nothing is trained again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vfl_jax.arenas.table import UNDEFENDED
from vfl_jax.core.files import load, save
from vfl_jax.statistics.meetings import DIMENSIONS, HONEST, STUDY

if TYPE_CHECKING:
    import xarray as xr


def add(found: xr.Dataset, path: Path) -> None:
    """Saves results of a board, beside those that its file has.

    Args:
      found: the results, as ``vfl.arena`` returns them for one board.
      path: the board's file; it is made where there is none.

    Raises:
      ValueError: where the file has the board, or an attack or defense of the same name, with other numbers.
    """
    save(grown(load(path), found, str(path)) if path.is_file() else found, path)


def lacking(
    path: Path, attacks: Sequence[str], defenses: Iterable[str], num_seeds: int
) -> Iterator[tuple[list[str], list[str], list[int]]]:
    """Yields what a board's file lacks: attacks, defenses, and the seeds at which each of these meetings is missing.

    Attacks that lack the same stand together, because they may share a program. "none" is among the defenses where the
    file lacks it; an arena trains it in any case.

    Args:
      path: the board's file; where there is none, everything is lacking.
      attacks: the attacks that are to be in the file.
      defenses: the defenses that each of them is to meet, beside no defense.
      num_seeds: how many seeds every meeting is to have, from 0.
    """
    saved = load(path) if path.is_file() else None
    alike: dict[tuple[tuple[tuple[int, ...], tuple[str, ...]], ...], list[str]] = {}
    for attack in attacks:
        by_seeds: dict[tuple[int, ...], list[str]] = {}
        for defense in (UNDEFENDED, *defenses):
            by_seeds.setdefault(_lacking_seeds(saved, attack, defense, num_seeds), []).append(defense)
        wanted = tuple((seeds, tuple(of_them)) for seeds, of_them in by_seeds.items() if seeds)
        alike.setdefault(wanted, []).append(attack)
    for wanted, of_alike in alike.items():
        for seeds, of_them in wanted:
            yield of_alike, list(of_them), list(seeds)


def _lacking_seeds(saved: xr.Dataset | None, attack: str, defense: str, num_seeds: int) -> tuple[int, ...]:
    """The seeds that a meeting lacks; none, where it cannot be."""
    if saved is None or attack not in saved["attack"] or defense not in saved["defense"]:
        return tuple(range(num_seeds))
    meeting = saved.isel(data=0).sel(attack=attack, defense=defense)
    if meeting["reason"].item():
        return ()
    trained = meeting["seed"].values[meeting[f"is_finite{HONEST}"].notnull().values]
    return tuple(np.setdiff1d(np.arange(num_seeds), trained).tolist())


def grown(saved: xr.Dataset, found: xr.Dataset, name: str = "saved") -> xr.Dataset:
    """Returns all meetings of two results of one board; of a meeting that both have at one seed, what was found last.

    Args:
      saved: the results so far.
      found: the results to add.
      name: what messages call the first.

    Raises:
      ValueError: as :func:`add`.
    """
    said = {
        part: json.dumps(_united(json.loads(saved.attrs[part]), json.loads(found.attrs[part]), f"{name}: {part}"))
        for part in STUDY
    }
    order = {dim: list(dict.fromkeys([*saved[dim].values, *found[dim].values])) for dim in DIMENSIONS}
    old, new = saved.reindex(order), found.reindex(order)
    is_new = new["reason"].notnull() & (new[f"is_finite{HONEST}"].notnull() | (new["reason"] != ""))
    of_seeds = [name for name, variable in old.items() if "seed" in variable.dims]
    kept = old[of_seeds].where(~is_new).assign(reason=old["reason"])
    whole = new.combine_first(kept)
    whole["reason"] = whole["reason"].fillna("").astype(str)
    whole.attrs = said
    runs = [part.encoding["run"] for part in (saved, found) if "run" in part.encoding]
    if len(runs) == 2:
        seconds = sum(run["wall_seconds"] for run in runs)
        whole.encoding["run"] = runs[-1] | {"started": runs[0]["started"], "wall_seconds": seconds}
    return whole


def _united(saved: dict[str, Any], found: dict[str, Any], where: str) -> dict[str, Any]:
    """What two results say of their study, where they do not say different things."""
    for name in saved.keys() & found.keys():
        if isinstance(saved[name], dict) and "record" not in saved[name]:
            found = found | {name: _united(saved[name], found[name], f"{where}.{name}")}
        elif saved[name] != found[name]:
            raise ValueError(f"{where} has {name!r} with other numbers; name another folder with --out, or remove it.")
    return saved | found

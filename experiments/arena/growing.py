"""A board's file grows: what was trained since is added to what it holds, and nothing is trained again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vfl_jax.core.files import load, save
from vfl_jax.statistics.meetings import DIMENSIONS, STUDY

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


def grown(saved: xr.Dataset, found: xr.Dataset, name: str = "saved") -> xr.Dataset:
    """Returns all meetings of two results of one board; of an attack and a defense that met in both, those found last.

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
    has_met = new["reason"].notnull()
    kept = old[[of for of, variable in old.items() if "attack" in variable.dims]].where(~has_met)
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

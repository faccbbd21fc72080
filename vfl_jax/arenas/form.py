"""Results of an arena as tables and figures take them: whole, from parts that were selected or joined."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from vfl_jax.arenas.table import UNDEFENDED
from vfl_jax.statistics.checked import check_results, check_seeds
from vfl_jax.statistics.meetings import DIMENSIONS, HONEST, STUDY

if TYPE_CHECKING:
    import xarray as xr

OF_BOARDS = ("target_class", "majority", "attacker_share", "num_parties", "num_classes", "num_test")
"""The variables that say something of a board alone."""
OF_MEETINGS = ("attack_success", "main_accuracy", "is_finite")
"""The variables that rankings need, of attacked and of honest runs."""


def in_form(results: xr.Dataset, name: str = "results") -> xr.Dataset:
    """Returns results of an arena with all their dimensions, and boards that are described once.

    A selection, such as one board or one seed, loses a dimension. Where parts are joined, xarray repeats the
    description of boards, and the reasons, along the new dimension.

    Args:
      results: as :func:`vfl_jax.arena` returns them, or parts of them, also joined ones.
      name: what messages call them.

    Raises:
      ValueError: where they lack a variable, a dimension, or the runs without a defense; where joined parts say
        different things of a board.
    """
    check_results(name, results)
    check_seeds(name, results)
    results = results.compute()  # of lazy arrays, as xr.open_mfdataset gives them, rankings could take no order
    needed = (*OF_BOARDS, "reason", *(of + end for of in OF_MEETINGS for end in ("", HONEST)))
    if lacking := [of for of in needed if of not in results]:
        raise ValueError(
            f"{name} has no {', '.join(lacking)}; give what vfl.arena returns, attacked and honest runs together."
        )
    for part in STUDY:
        try:
            is_whole = isinstance(json.loads(results.attrs[part]), dict)
        except (TypeError, ValueError):
            is_whole = False
        if not is_whole:
            raise ValueError(f"{name}.attrs[{part!r}] is not as vfl.arena wrote it; load the file again.")
    for dim in (dim for dim in DIMENSIONS if dim not in results.dims):
        if dim not in results.coords:
            raise ValueError(f"{name} has no {dim!r}: a selection dropped it. Select without drop=True.")
        along = [of for of, variable in results.data_vars.items() if dim in _dims(str(of))]
        results = results.assign({of: results[of].expand_dims(dim) for of in along})
    if UNDEFENDED not in results["defense"].values:
        raise ValueError(
            f"{name} has no defense {UNDEFENDED!r}, beside which the others are held; keep it in the selection, such "
            f"as results.sel(defense=[{UNDEFENDED!r}, ...])."
        )
    return results.assign({of: _once(results[of], name) for of in (*OF_BOARDS, "reason")})


def _dims(variable: str) -> tuple[str, ...]:
    """The dimensions that a variable has."""
    return DIMENSIONS[:1] if variable in OF_BOARDS else DIMENSIONS[:3] if variable == "reason" else DIMENSIONS


def _once(variable: xr.DataArray, name: str) -> xr.DataArray:
    """A variable without the dimensions along which it only says the same again; nothing there is no reason."""
    of = str(variable.name)
    if of == "reason":
        texts = [text if isinstance(text, str) else "" for text in variable.values.ravel()]
        variable = variable.copy(data=np.reshape(np.array(texts, object), variable.shape))
    for dim in [str(dim) for dim in variable.dims if dim not in _dims(of)]:
        said = [part for part in variable.transpose(dim, ...) if not _is_missing(part)]
        first = said[0] if said else variable.isel({dim: 0})
        if any(not part.drop_vars(dim).equals(first.drop_vars(dim)) for part in said[1:]):
            raise ValueError(
                f"{name} has several {of} along {dim!r}: its parts are of different arenas. Report each, by name."
            )
        variable = first.drop_vars(dim)
    return variable.astype(str) if of == "reason" else variable


def _is_missing(part: xr.DataArray) -> bool:
    """Whether a joined part says nothing at all, as where its labels are filled up."""
    return part.dtype.kind in "fO" and bool(part.isnull().all())

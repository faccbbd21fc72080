"""Two results side by side, seed by seed: how far apart they are, and where their studies differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vfl_jax.core.checks import did_you_mean
from vfl_jax.reports.comparison import Comparison
from vfl_jax.reports.readings import differing_rows, flat, study_of
from vfl_jax.reports.tables import setting_text
from vfl_jax.statistics.checked import check_epoch, check_level, check_names, check_results, check_seeds
from vfl_jax.statistics.meetings import STUDY, is_arena
from vfl_jax.statistics.references import attribute, each_case
from vfl_jax.statistics.summaries import spread

if TYPE_CHECKING:
    import xarray as xr

COMPARED = ("main_task_accuracy", "attack_success_rate", "full_attack_success", "full_recovered_utility")
COMPARED_OF_ARENA = ("main_accuracy", "attack_success", "recovered_utility")


def compare(
    a: xr.Dataset, b: xr.Dataset, names: Sequence[str] | None = None, epoch: int = -1, *, level: float = 0.95
) -> Comparison:
    """Compares two results seed by seed: b minus a, with bootstrap intervals over seeds.

    Equal seeds draw equal batches and poison rows, so that their difference says more than two medians do. The table
    has a row per setting and variable, with the columns ``a_median``, ``b_median``, ``difference_median``,
    ``difference_low``, ``difference_high``, ``b_is_higher`` and ``b_is_lower`` (numbers of seeds), ``sign_test_p`` (of
    the exact two-sided sign test, in which seeds without a difference do not count) and ``seeds``. Seeds and settings
    that one of the two lacks are left out, and named. Fewer than 6 seeds cannot tell whether b is higher, and the
    answer says so. The comparison also says where scenarios, data, seeds, epochs and versions differ.

    Args:
      a, b: labelled results of ``sweep`` or ``sweep_cases``, or parts of them, or both of an ``arena``.
      names: the variables to compare; by default main accuracy, attack success and recovered utility, where both have
        them.
      epoch: the place of the epoch, -1 for the last.
      level: the confidence level of the intervals, between 0 and 1.

    Raises:
      ValueError: where the two cannot be paired: they have no seed or no setting in common, one has a dimension that
        the other lacks, or they are of different data sets. The message says what to do.

    Example:
      >>> import vfl_jax as vfl
      >>> over = {"attack.enabled": [0, 1]}
      >>> results = vfl.sweep(vfl.presets.digits_demo(), vfl.load_digits(), over, 2, 1, progress=False)
      >>> found = vfl.compare(vfl.honest(results), vfl.attacked(results), ["main_task_accuracy"])
      >>> found.table["seeds"].tolist()
      [2]
    """
    import pandas as pd

    _check(a, b)
    check_level(level)
    names = _names(a, b, names)
    differs = differing_rows({"a": _study(a), "b": _study(b)})
    both, left_out = _aligned(a, b)
    check_epoch(epoch, both[0])
    last = [part.isel(epoch=epoch) if "epoch" in part.dims else part for part in both]
    settings, rows = list[dict[str, Any]](), list[dict[str, float]]()
    for name in names:
        first, second = (part[name].transpose(..., "seed") for part in last)
        second = second.transpose(*first.dims)
        for place in np.ndindex(*first.shape[:-1]):
            pair = first.values[place].astype(float), second.values[place].astype(float)
            is_both = ~(np.isnan(pair[0]) | np.isnan(pair[1]))
            values = [found[is_both] for found in pair]
            numbers = spread(values[1] - values[0], "difference", level)
            medians = {f"{which}_median": _median(found) for which, found in zip("ab", values, strict=True)}
            rows.append(medians | numbers | _signs(values[1] - values[0]))
            settings.append(_settings(first, place) | {"variable": name})
    columns = list(dict.fromkeys(name for setting in settings for name in setting))
    index = pd.MultiIndex.from_frame(pd.DataFrame(settings, columns=columns))
    return Comparison(pd.DataFrame(rows, index=index), differs, left_out)


def _signs(differences: np.ndarray) -> dict[str, float]:
    """How many seeds differ to either side, and the p of the two-sided sign test; NaN without a seed."""
    from scipy.stats import binomtest

    higher, lower = int((differences > 0).sum()), int((differences < 0).sum())
    p = binomtest(higher, higher + lower).pvalue if higher + lower else 1.0 if differences.size else np.nan
    return {"b_is_higher": higher, "b_is_lower": lower, "sign_test_p": float(p), "seeds": int(differences.size)}


def _check(a: Any, b: Any) -> None:
    """Raises ``ValueError`` where two results are of different kinds or of different data sets, or have no seeds."""
    for name, results in (("a", a), ("b", b)):
        check_results(name, results)
        check_seeds(name, results)
        if "seed" not in results.dims:
            raise ValueError(
                f"{name} has no dimension 'seed', and compare pairs seeds. Of one run alone take "
                "vfl.sweep(..., seeds=[0]); of a part keep the seeds."
            )
    if is_arena(a) != is_arena(b):
        raise ValueError(f"{'a' if is_arena(a) else 'b'} is of an arena, and the other is not; compare two of a kind.")
    data = [next(attribute(part, "data") or {} for part in each_case(of)) for of in (a, b)]
    rows = [next(attribute(part, "rows") or {} for part in each_case(of)) for of in (a, b)]
    if len(found := {of["name"] for of in data if "name" in of}) > 1:
        raise ValueError(
            f"a and b are of different data sets, {' and '.join(map(repr, sorted(found)))}: equal seeds draw other "
            "rows there, so that nothing can be paired. Compare their summaries, or vfl.report both."
        )
    for kind in ("train", "test"):
        if len(sizes := {of[kind] for of in rows if kind in of}) > 1:
            raise ValueError(
                f"a and b have {' and '.join(f'{size:,}' for size in sorted(sizes))} {kind} rows: equal seeds draw "
                "other rows there, so that nothing can be paired. Train both on the same split."
            )


def _names(a: xr.Dataset, b: xr.Dataset, names: Sequence[str] | None) -> list[str]:
    """The variables to compare."""
    if names is None:
        found = [name for name in (COMPARED_OF_ARENA if is_arena(a) else COMPARED) if name in a and name in b]
        if not found:
            raise ValueError(f"a and b share none of {', '.join(COMPARED)}; say which variables to compare (names).")
        return found
    check_names(names)
    for name in names:
        for which, results in (("a", a), ("b", b)):
            if name not in results.data_vars or "seed" not in results[name].dims:
                by_seed = [str(n) for n, v in results.data_vars.items() if "seed" in v.dims]
                known = [other for other in by_seed if not other.endswith("_count")]
                near = did_you_mean(name, known) or f" It holds {', '.join(known)}."
                raise ValueError(f"names has {name!r}, which {which} does not hold by seed.{near}")
    return list(names)


def _study(results: xr.Dataset) -> dict[str, str]:
    """What settles the numbers of results, text by path; settings that were selected, and the seeds, too."""
    if is_arena(results):
        found: dict[str, str] = {}
        for part in STUDY:
            found |= flat(attribute(results, part) or {}, part)
    else:
        found = study_of(results) if "main_task_accuracy" in results else flat(attribute(results, "scenario") or {})
    found["seeds"] = _listed(results["seed"].values)
    scalar = {f"at {name}": setting_text(c.item()) for name, c in results.coords.items() if c.ndim == 0}
    return found | scalar


def _aligned(a: xr.Dataset, b: xr.Dataset) -> tuple[list[xr.Dataset], list[str]]:
    """Both results at the seeds and settings that they share, and sentences on those that are left out."""
    dims = [{dim for dim in of.sizes if dim not in ("epoch", "class", "party")} for of in (a, b)]
    for which, other, results, more in (("a", "b", a, dims[0] - dims[1]), ("b", "a", b, dims[1] - dims[0])):
        if more:
            lacking = min(map(str, more))
            select = f".isel({{{lacking!r}: -1}})"
            if lacking in results.coords:
                select = f".sel({{{lacking!r}: {results[lacking][-1].item()!r}}})"
            raise ValueError(
                f"{which} has the dimension {lacking!r}, which {other} lacks, so that no run of {other} belongs to one "
                f"of {which}. Select one value, for example {which}{select}; or of switches "
                f"vfl.attacked({which}) or vfl.honest({which})."
            )
    left_out = list[str]()
    chosen: tuple[dict[Any, list[int]], ...] = ({}, {})
    for dim in [dim for dim in a.sizes if dim in dims[0]]:
        labels = [_labels(of, dim) for of in (a, b)]
        shared = [label for label in labels[0] if label in labels[1]]
        if not shared:
            raise ValueError(
                f"a and b have no {dim} in common: a has {_listed(labels[0])}, b has {_listed(labels[1])}. Train both "
                f"with the same ones."
            )
        for places, own in zip(chosen, labels, strict=True):
            places[dim] = [own.index(label) for label in shared]
        for which, other, own in (("a", "b", labels[0]), ("b", "a", labels[1])):
            if rest := [label for label in own if label not in shared]:
                left_out.append(f"Left out: {dim} {_listed(rest)} of {which}, which {other} lacks.")
    return [of.isel(places) for of, places in zip((a, b), chosen, strict=True)], left_out


def _labels(results: xr.Dataset, dim: Any) -> list[tuple[Any, ...]]:
    """What tells the places of a dimension apart: the values of all coordinates along it."""
    along = sorted((str(name), c.values.tolist()) for name, c in results.coords.items() if c.dims == (dim,))
    if not along:
        return [(place,) for place in range(results.sizes[dim])]
    return list(zip(*(values for _, values in along), strict=True))


def _settings(variable: xr.DataArray, place: Sequence[int]) -> dict[str, Any]:
    """The settings at a place of the grid: the values of all coordinates along its dimensions."""
    found: dict[str, Any] = {}
    for dim, number in zip(variable.dims, place, strict=False):  # the last one is the seeds'
        along = {str(name): c[number].item() for name, c in variable.coords.items() if c.dims == (dim,)}
        found |= along or {str(dim): number}
    return found


def _listed(labels: Any) -> str:
    """Labels in words; whole numbers without a gap as their ends."""
    values = [label[0] if isinstance(label, tuple) and len(label) == 1 else label for label in labels]
    values = [value.item() if isinstance(value, np.generic) else value for value in values]
    is_range = len(values) > 2 and all(isinstance(value, int) for value in values)
    if is_range and values == list(range(values[0], values[0] + len(values))):
        return f"{values[0]} to {values[-1]}"
    texts = [str(value) for value in values]
    return ", ".join(texts if len(texts) <= 6 else [*texts[:3], "…", texts[-1]])


def _median(values: np.ndarray) -> float:
    """The median; NaN of nothing."""
    return float(np.median(values)) if values.size else float("nan")

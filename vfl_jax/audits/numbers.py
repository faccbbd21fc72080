"""The numbers of an audit's findings, out of its results. Nothing is trained here."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vfl_jax.audits.battery import NONE
from vfl_jax.audits.findings import COST_AT_MOST, Defended, Findings, Range
from vfl_jax.statistics import interval
from vfl_jax.statistics.checked import check_seeds

if TYPE_CHECKING:
    import xarray as xr


def findings(results: xr.Dataset) -> Findings:
    """Returns what results of an audit say.

    Args:
      results: as an audit holds them, with the dimensions ``defense``, ``reader``, ``attack`` and ``seed``; parts of
        them, where the runs without a defense are among them.

    Raises:
      ValueError: where a dimension, or the runs without a defense, are gone.
    """
    results = _in_form(results)
    facts = results.attrs
    return Findings(
        partner=facts["partner"],
        wanted=facts["wanted"],
        defended=tuple(_defended(results, place) for place in range(results.sizes["defense"])),
        num_seeds=results.sizes["seed"],
        majority=float(facts["majority"]),
        majority_read=float(facts["majority_read"]),
        alone=_median(results["alone"].values),
        alone_auc=_median(results["alone_auc"].values) if "alone_auc" in results else None,
        num_test=int(facts["num_test"]),
        num_read=int(facts["num_read"]),
        num_rarest=int(facts["num_rarest"]),
        num_attacked=int(facts["num_attacked"]),
        alone_top=float(np.max(results["alone"].values)),
        alone_auc_top=float(np.max(results["alone_auc"].values)) if "alone_auc" in results else 1.0,
    )


def _in_form(results: xr.Dataset) -> xr.Dataset:
    """The results with all their dimensions, the runs without a defense first."""
    for dim in ("defense", "reader", "attack", "seed"):
        if dim not in results.dims or (dim != "attack" and not results.sizes[dim]):
            raise ValueError(
                f"results has no {dim}: a selection has dropped it. Select with a list, such as "
                f"results.isel({dim}=[0]), and some of its places."
            )
    check_seeds("results", results)
    names = [str(name) for name in results["defense"].values]
    if NONE not in names:
        raise ValueError(
            f"results has no defense {NONE!r}, beside which the others are held; keep it in the selection, such as "
            f"results.sel(defense=[{NONE!r}, ...])."
        )
    first = names.index(NONE)
    return results.isel(defense=[first, *(place for place in range(len(names)) if place != first)])


def _defended(results: xr.Dataset, place: int) -> Defended:
    """What became of the runs behind one defense."""
    here, plain = results.isel(defense=place), results.sel(defense=NONE)
    reads = [_median(values) for values in here["read"].transpose("reader", "seed").values]
    best = int(np.argmax([-np.inf if np.isnan(read.value) else read.value for read in reads]))
    found = Defended(
        name=str(here["defense"].item()),
        words=str(here["words"].item()),
        accuracy=_median(here["main_accuracy"].values),
        cost=_median((plain["main_accuracy"] - here["main_accuracy"]).values),
        auc=_median(here["test_auc"].values) if "test_auc" in results else None,
        read=reads[best],
        reader=str(here["reader"].values[best]),
        most_read=_most([read.high for read in reads]),
        top_read=float(here["read"].max(skipna=False)),
        num_diverged=_num_diverged(here),
    )
    if "read_auc" in results:
        by_reader = here["read_auc"].transpose("reader", "seed").values
        known = [_oriented(values) for values in by_reader if np.isfinite(values).any()]
        areas = [_median(values) for values in known]
        found = dataclasses.replace(
            found,
            read_auc=max(areas, key=lambda area: area.value) if areas else None,
            most_read_auc=max((area.high for area in areas), default=0.0),
            # At a single seed the careful end: known rows may tell there which way round the reader ranks.
            top_read_auc=_most([float(np.max(np.maximum(values, 1.0 - values))) for values in known]),
        )
    if not results.sizes["attack"]:
        return found
    success = here["attack_success"].transpose("attack", "seed").values
    honest = here["attack_success_honest"].transpose("attack", "seed").values
    lifts = [_mean(values) for values in success - honest]
    attacked = here["accuracy_attacked"].transpose("attack", "seed").values
    losses = [_median(values) for values in here["main_accuracy"].values - attacked]
    strongest = max(
        range(len(lifts)),
        key=lambda place: (losses[place].value <= COST_AT_MOST, np.nan_to_num(lifts[place].value, nan=-np.inf)),
    )
    return dataclasses.replace(
        found,
        planted=_mean(success[strongest]),
        lift=lifts[strongest],
        most_lift=_most([lift.high for lift, loss in zip(lifts, losses, strict=True) if not loss.low > COST_AT_MOST]),
        attack=str(here["attack"].values[strongest]),
        loss=losses[strongest],
        floor=float(honest[strongest].mean()),
    )


def _num_diverged(here: xr.Dataset) -> int:
    """The number of seeds whose honest training did not end with finite numbers; a model that is NaN ranks nothing."""
    diverged = here["is_finite"].values < 1 if "is_finite" in here else np.zeros(here.sizes["seed"], bool)
    return int((diverged | np.isnan(here["test_auc"].values)).sum() if "test_auc" in here else diverged.sum())


def _oriented(areas: np.ndarray) -> np.ndarray:
    """The areas of a reader over seeds, turned round where it ranks upside down in most: a partner would see it by and
    by, from rows whose labels it learns otherwise."""
    return 1.0 - areas if np.nanmedian(areas) < 0.5 else areas


def _median(values: np.ndarray) -> Range:
    return Range(float(np.nanmedian(values)) if np.isfinite(values).any() else float("nan"), *interval(values))


def _mean(values: np.ndarray) -> Range:
    return Range(float(np.nanmean(values)) if np.isfinite(values).any() else float("nan"), *interval(values, np.mean))


def _most(ends: Sequence[float]) -> float:
    """The largest of some ends of intervals, 0 without any; NaN where one is: what is not known stops nothing."""
    return float(np.max(ends)) if ends else 0.0

"""What became of every attacked replica: exactly one outcome each, so that the counts add up to the seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vfl_jax.statistics.prices import accuracy_of, beside
from vfl_jax.statistics.references import (
    NoHonestRuns,
    attribute,
    each_case,
    has_reference,
    honest,
    is_attacked,
    is_by_case,
    of_case,
)

if TYPE_CHECKING:
    import xarray as xr

NO_REFERENCE = "no reference"
NOTHING_TO_ATTACK = "nothing to attack"
FLOOR_TOO_HIGH = "floor too high"
COLLAPSED = "collapsed"
SUCCESS = "success"
NONE = "none"
OUTCOMES = (NO_REFERENCE, NOTHING_TO_ATTACK, FLOOR_TOO_HIGH, COLLAPSED, SUCCESS, NONE)
"""In the order in which they are asked for: the first that holds is the outcome."""
NOT_JUDGED = OUTCOMES[:3]
"""Those that say nothing of the attack."""
HONEST = ""
"""Stands for honest runs, which have no outcome."""

BACKDOOR_ABOVE = 0.5
ABOVE_FLOOR = 0.25
MAIN_LOSS_AT_MOST = 0.02
DEFENSE_LOSS_AT_MOST = 0.1
STANDARD_ERRORS = 2.0
_ROUNDING = 1e-7
"""Accuracies are float32."""


def outcomes(
    dataset: xr.Dataset,
    main: str = "main_task_accuracy",
    *,
    undefended: xr.Dataset | xr.DataArray | None = None,
    test_majority: float | None = None,
    backdoor_above: float = BACKDOOR_ABOVE,
    above_floor: float = ABOVE_FLOOR,
    main_loss_at_most: float = MAIN_LOSS_AT_MOST,
    defense_loss_at_most: float = DEFENSE_LOSS_AT_MOST,
    standard_errors: float = STANDARD_ERRORS,
) -> xr.Dataset:
    """What every replica counts as, at every epoch.

    ``outcome``, a string, is the first of these that holds; honest runs have none, the empty string:

    * "no reference": the results have no honest run of these settings.
    * "nothing to attack": the honest run of the same seed and settings is not finite, is not above the test set's
      majority share by two standard errors, or is more than 0.1 below the undefended honest run of its seed; or no
      triggered test row of another class than τ measures a backdoor.
    * "floor too high": the honest run has a backdoor accuracy above 0.5 by itself.
    * "collapsed": not finite, or main accuracy more than 0.02 below the honest run.
    * "success": backdoor accuracy above 0.5, and at least 0.25 above the honest run's.
    * "none": the attack failed.

    ``is_success``, bool: the outcome is "success". ``is_collapsed``, bool: it is "collapsed"; or there is nothing to
    judge the attack by, and the attacked model is ruined in itself: not finite, no better than the majority share, or
    more than 0.02 below the honest run.

    Args:
      main: names the main accuracy; take "main_clean" where so many test rows carry the trigger that a backdoor alone
        costs 0.02 of the accuracy over all rows.
      undefended: results that hold the undefended honest runs of the same seeds and epochs, or their main accuracy.
        By default those of the grid, where it sweeps defenses of this package and has a point with all of them at
        their defaults, which change nothing; of other defenses that is not known. Of results of several cases
        otherwise those of the one case that has no defense, or the package's at their defaults, and whose scenario is
        the same but for that.
      test_majority: the share of test rows that are of the most frequent class. By default the results say it; of
        older ones that do not, one over the number of classes is taken, the least that it can be.
      backdoor_above: a success has a backdoor accuracy above this, and an honest run with as much has too high a floor.
      above_floor: a success has a backdoor accuracy so far above the honest run's.
      main_loss_at_most: a run that loses more main accuracy than this has collapsed.
      defense_loss_at_most: honest runs that a defense costs more than this are not worth an attack.
      standard_errors: so many standard errors of the majority share an honest run must be above it.

    Raises:
      ValueError: when ``undefended`` has no honest runs, none without a defense (or with one of your own, of which
        that is not known: then give their accuracy), no seed or epoch of the results, or dimensions that these lack.
    """
    import xarray as xr

    if is_by_case(dataset):
        parts = [
            outcomes(
                part,
                main,
                undefended=beside(dataset, part, main) if undefended is None else of_case(undefended, part),
                test_majority=test_majority,
                backdoor_above=backdoor_above,
                above_floor=above_floor,
                main_loss_at_most=main_loss_at_most,
                defense_loss_at_most=defense_loss_at_most,
                standard_errors=standard_errors,
            ).drop_vars("case")
            for part in each_case(dataset)
        ]
        joined = xr.concat(parts, dataset["case"], data_vars="all", coords="minimal", compat="override", join="exact")
        return joined.transpose(*dataset[main].dims)

    own, backdoor, is_finite = (
        dataset[main].variable.astype(float),
        dataset["backdoor_accuracy"].variable.astype(float),
        dataset["is_finite"].variable.astype(bool),
    )
    share = majority_share(dataset) if test_majority is None else float(test_majority)
    num_rows = dataset[f"{main}_count"].variable if f"{main}_count" in dataset else test_rows(dataset)
    guessing = share + standard_errors * np.sqrt(share * (1 - share) / np.maximum(num_rows, 1))
    try:
        clean = honest(dataset)
    except NoHonestRuns:
        reference, floor, is_worth = own * np.nan, backdoor * np.nan, is_finite & False
    else:
        reference, floor = (clean[name].variable.astype(float) for name in (main, "backdoor_accuracy"))
        is_worth = clean["is_finite"].variable.astype(bool) & (reference > guessing) & is_measured(clean)
        undamaged = accuracy_of(undefended, dataset, main)
        if undamaged is not None:
            is_worth = is_worth & ~(undamaged - reference > defense_loss_at_most + _ROUNDING)
    is_worth = is_worth & is_measured(dataset) & ~(np.isnan(backdoor) & is_finite)
    there = has_reference(dataset)
    has_lost = ~(reference - own <= main_loss_at_most + _ROUNDING)
    conditions = {
        NO_REFERENCE: ~there,
        NOTHING_TO_ATTACK: ~is_worth,
        FLOOR_TOO_HIGH: floor > backdoor_above,
        COLLAPSED: ~is_finite | has_lost,
        SUCCESS: (backdoor > backdoor_above) & (backdoor - floor >= above_floor - _ROUNDING),
    }
    dims, shape = dataset[main].dims, dataset[main].shape
    whole = {
        name: np.broadcast_to(found.set_dims(dict(zip(dims, shape, strict=True))).transpose(*dims).values, shape)
        for name, found in (conditions | {HONEST: ~is_attacked(dataset)}).items()
    }
    is_honest = whole.pop(HONEST)
    outcome = np.select([is_honest, *whole.values()], [HONEST, *whole], NONE)
    is_ruined = ~is_finite | ~(own > guessing) | (has_lost & there)
    is_ruined = np.isin(outcome, NOT_JUDGED) & is_ruined.transpose(*dims).values
    found = {
        "outcome": outcome,
        "is_success": outcome == SUCCESS,
        "is_collapsed": (outcome == COLLAPSED) | is_ruined,
    }
    return xr.Dataset({name: (dims, values) for name, values in found.items()}, dataset[main].coords)


def is_measured(dataset: xr.Dataset) -> Any:
    """Whether any triggered test row of another class than τ measures a backdoor."""
    if "attack_success_rate" not in dataset:
        return True
    return ~np.isnan(dataset["attack_success_rate"].variable.astype(float)) | ~dataset["is_finite"].variable.astype(
        bool
    )


def majority_share(dataset: xr.Dataset) -> float:
    """The share of test rows that are of the most frequent class; where the results do not say, the least it can be."""
    said = (attribute(dataset, "rows") or {}).get("test_majority")
    if said is not None:
        return float(said)
    return 1 / dataset.sizes["class"] if dataset.sizes.get("class") else 0.0


def test_rows(dataset: xr.Dataset) -> float:
    """How many test rows there are; without end where the results do not say."""
    return float((attribute(dataset, "rows") or {}).get("test") or np.inf)

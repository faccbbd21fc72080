"""The outcome of every attacked replica. Each has exactly one, so that the counts add up to the seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vfl_jax.core.checks import check_range
from vfl_jax.statistics.attackers import ATTACKER, is_on, of_attackers
from vfl_jax.statistics.checked import check_results, check_share, check_variable
from vfl_jax.statistics.main_accuracy import MAIN_LOSS_AT_MOST, main_of
from vfl_jax.statistics.prices import accuracy_of, beside
from vfl_jax.statistics.references import (
    NoHonestRuns,
    attribute,
    each_case,
    has_reference,
    honest,
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
"""All outcomes, in their order: the first that holds is the outcome of a replica."""
NOT_JUDGED = OUTCOMES[:3]
"""The outcomes that say nothing of the attack."""
HONEST = ""
"""The text that stands for an honest run, which has no outcome, and for an epoch that was not evaluated."""

BACKDOOR = "backdoor_accuracy"
BACKDOOR_ABOVE = 0.5
"""A success has a backdoor accuracy above this."""
ABOVE_FLOOR = 0.25
"""A success has a backdoor accuracy at least this far above the honest run's."""
DEFENSE_LOSS_AT_MOST = 0.1
"""An honest run that loses more main accuracy than this to a defense is not worth an attack."""
KEEPS = 0.5
"""A defense spares a model that keeps this share of what it knows beyond guessing the most frequent class."""
STANDARD_ERRORS = 2.0
"""An honest run is better than guessing when it is this many standard errors above the majority share."""
_ROUNDING = 1e-7
"""A difference of two accuracies, which are float32, may be off by this much."""


def outcomes(
    dataset: xr.Dataset,
    main: str | None = None,
    *,
    undefended: xr.Dataset | xr.DataArray | None = None,
    test_majority: float | None = None,
    backdoor_above: float = BACKDOOR_ABOVE,
    above_floor: float = ABOVE_FLOOR,
    main_loss_at_most: float = MAIN_LOSS_AT_MOST,
    defense_loss_at_most: float = DEFENSE_LOSS_AT_MOST,
    standard_errors: float = STANDARD_ERRORS,
    party: int | str | None = None,
) -> xr.Dataset:
    """The outcome of every replica at every epoch.

    ``outcome``, a string, is the first of these that holds. An honest run has the empty string, and so has every run at
    an epoch that was not evaluated:

    * "no reference": the results have no honest run of these settings.
    * "nothing to attack": the honest run of the same seed and settings is not finite, is not above the test set's
      majority share by two standard errors, or is more than 0.1 below the undefended honest run of its seed; or no
      triggered test row of another class than τ measures a backdoor.
    * "floor too high": the honest run has a backdoor accuracy above 0.5 by itself.
    * "collapsed": not finite, or main accuracy more than 0.02 below the honest run.
    * "success": backdoor accuracy above 0.5, and at least 0.25 above the honest run's.
    * "none": the attack failed.

    Where attackers want different classes (``poison.party_targets``), each is judged by its own. The replica is a
    success where one of those that are on is one; it has nothing to attack, or too high a floor, where that is so for
    all of them. ``party`` judges one of them alone, and gives a run in which this one is off the empty string.

    ``is_success``, bool: the outcome is "success".

    ``is_collapsed``, bool: the outcome is "collapsed". It is True as well where nothing can judge the attack and the
    attacked model is ruined by itself: it is not finite, no better than the majority share, or more than 0.02 below the
    honest run.

    Args:
      dataset: labelled results of ``sweep``, ``sweep_cases`` or ``run``.
      main: the variable of the main accuracy. By default it is "main_task_accuracy", over all test rows; or, where so
        many carry the trigger that a backdoor alone costs 0.02 of it, "main_clean", over the others
        (:func:`vfl_jax.statistics.main_of`).
      undefended: results that hold the undefended honest runs of the same seeds and epochs, or the main accuracy of
        these runs. By default they are those of the grid, where it sweeps defenses and has a point with all of them at
        the numbers at which they change nothing. A defense says these numbers (``ActiveTransform.neutral``). Results of
        several cases may lack such a point; then the runs are those of the one case whose scenario is the same but for
        the defense, and which has no defense, or all of them at these numbers.
      test_majority: the share of test rows of the most frequent class, from 0 to 1. By default the results say it. For
        older results without it, one over the number of classes stands in, the least that it can be.
      backdoor_above: a success has a backdoor accuracy above this. An honest run above this has too high a floor.
      above_floor: a success has a backdoor accuracy at least this far above the honest run's.
      main_loss_at_most: a run that loses more main accuracy than this has collapsed.
      defense_loss_at_most: an honest run that loses more main accuracy than this to a defense is not worth an attack.
      standard_errors: an honest run must be this many standard errors above the majority share.
      party: the number or name of the party whose attack alone is judged, where attackers want different classes.

    Returns:
      The variables ``outcome``, ``is_success`` and ``is_collapsed``, with the dimensions of the main accuracy.

    Raises:
      ValueError: where ``dataset`` is no results, or lacks ``main``; where ``undefended`` has no honest run; where none
        of its runs certainly lacks a defense; where it shares no seed or no epoch with the results; where it has a
        dimension that they lack; where ``party`` is no party of theirs, or all their attackers want one class.
    """
    import xarray as xr

    check_results("dataset", dataset, ("main_task_accuracy", BACKDOOR, "is_finite"), may_be_empty=True)
    main = main_of(dataset) if main is None else main
    check_variable("main", main, dataset, "dataset")
    check_share(
        test_majority=test_majority,
        backdoor_above=backdoor_above,
        above_floor=above_floor,
        main_loss_at_most=main_loss_at_most,
        defense_loss_at_most=defense_loss_at_most,
    )
    check_range("", 0.0, standard_errors=standard_errors)
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
                party=party,
            ).drop_vars("case")
            for part in each_case(dataset)
        ]
        joined = xr.concat(parts, dataset["case"], data_vars="all", coords="minimal", compat="override", join="exact")
        return joined.transpose(*dataset[main].dims)

    own, is_finite = dataset[main].variable.astype(float), dataset["is_finite"].variable.astype(bool)
    backdoor, is_acting = of_attackers(dataset, BACKDOOR), is_on(dataset, party)
    share = majority_share(dataset) if test_majority is None else float(test_majority)
    num_rows = dataset[f"{main}_count"].variable if f"{main}_count" in dataset else test_rows(dataset)
    guessing = share + standard_errors * np.sqrt(share * (1 - share) / np.maximum(num_rows, 1))
    is_judged = is_acting & is_measured(dataset) & ~(np.isnan(backdoor) & is_finite)
    try:
        clean = honest(dataset)
    except NoHonestRuns:
        reference, floor, is_worth = own * np.nan, backdoor * np.nan, is_finite & False
    else:
        reference, floor = clean[main].variable.astype(float), of_attackers(clean, BACKDOOR)
        is_worth = clean["is_finite"].variable.astype(bool) & (reference > guessing)
        is_judged = is_judged & is_measured(clean)
        undamaged = accuracy_of(undefended, dataset, main)
        if undamaged is not None:
            is_worth = is_worth & ~(undamaged - reference > defense_loss_at_most + _ROUNDING)
    has_low_floor = is_judged & ~(floor > backdoor_above)
    has_backdoor = (backdoor > backdoor_above) & (backdoor - floor >= above_floor - _ROUNDING)
    there = has_reference(dataset)
    has_lost = ~(reference - own <= main_loss_at_most + _ROUNDING)
    conditions = {
        NO_REFERENCE: ~there,
        NOTHING_TO_ATTACK: ~(is_worth & is_judged.any(ATTACKER)),
        FLOOR_TOO_HIGH: ~has_low_floor.any(ATTACKER),
        COLLAPSED: ~is_finite | has_lost,
        SUCCESS: (has_low_floor & has_backdoor).any(ATTACKER),
    }
    dims, shape = dataset[main].dims, dataset[main].shape
    has_outcome = is_acting.any(ATTACKER) & is_evaluated(dataset) & is_there(dataset)
    whole = {
        name: np.broadcast_to(found.set_dims(dict(zip(dims, shape, strict=True))).transpose(*dims).values, shape)
        for name, found in (conditions | {HONEST: ~has_outcome}).items()
    }
    has_no_outcome = whole.pop(HONEST)
    outcome = np.select([has_no_outcome, *whole.values()], [HONEST, *whole], NONE)
    is_ruined = ~is_finite | ~(own > guessing) | (has_lost & there)
    is_ruined = np.isin(outcome, NOT_JUDGED) & is_ruined.transpose(*dims).values
    found = {
        "outcome": outcome,
        "is_success": outcome == SUCCESS,
        "is_collapsed": (outcome == COLLAPSED) | is_ruined,
    }
    return xr.Dataset({name: (dims, values) for name, values in found.items()}, dataset[main].coords)


def is_there(dataset: xr.Dataset) -> xr.Variable:
    """Where there is a replica at all: joined parts of different seeds or settings leave places without one.

    Args:
      dataset: results of one scenario.

    Returns:
      bool over the dimensions of ``is_finite``.
    """
    return dataset["is_finite"].variable.notnull()


def is_evaluated(dataset: xr.Dataset) -> xr.Variable:
    """Where the test rows were evaluated: not at every epoch, with ``evaluate_every``.

    Args:
      dataset: results of one scenario.

    Returns:
      bool over the dimensions of the main accuracy; True alone where the results do not say. A run that is not finite
      is evaluated like any other.
    """
    import xarray as xr

    count = "main_task_accuracy_count"
    return dataset[count].variable > 0 if count in dataset else xr.Variable((), True)


def is_measured(dataset: xr.Dataset) -> Any:
    """Whether any triggered test row of another class than an attacker wants measures its backdoor.

    Args:
      dataset: results of one scenario.

    Returns:
      bool over the dimensions of ``attack_success_rate`` and ``ATTACKER``; True where the results lack this variable.
      A run that is not finite says nothing of its rows and counts as measured.
    """
    if "attack_success_rate" not in dataset:
        return True
    return ~np.isnan(of_attackers(dataset, "attack_success_rate")) | ~dataset["is_finite"].variable.astype(bool)


def majority_share(dataset: xr.Dataset) -> float:
    """The share of test rows of the most frequent class, from 0 to 1.

    Args:
      dataset: results of one scenario. Where they do not say the share, it is the least possible one.
    """
    said = (attribute(dataset, "rows") or {}).get("test_majority")
    if said is not None:
        return float(said)
    return 1 / dataset.sizes["class"] if dataset.sizes.get("class") else 0.0


def test_rows(dataset: xr.Dataset) -> float:
    """How many test rows there are; infinity where the results do not say.

    Args:
      dataset: results of one scenario.
    """
    return float((attribute(dataset, "rows") or {}).get("test") or np.inf)

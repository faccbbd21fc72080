"""Tables of labelled results: a row per grid point, every cell as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vfl_jax.core.words import setting_text
from vfl_jax.statistics.checked import OF_RUNS, check_results
from vfl_jax.statistics.judging import (
    ABOVE_FLOOR,
    BACKDOOR_ABOVE,
    COLLAPSED,
    MAIN_LOSS_AT_MOST,
    NO_REFERENCE,
    NOT_JUDGED,
    OUTCOMES,
    SUCCESS,
)
from vfl_jax.statistics.main_accuracy import ALL_TEST_ROWS, WITHOUT_TRIGGER, main_of
from vfl_jax.statistics.references import own_metrics
from vfl_jax.statistics.summaries import spread, summary

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "NOTE",
    "UNDEFINED",
    "Row",
    "count_text",
    "interval_text",
    "median_with_interval",
    "not_judged_text",
    "note",
    "rows",
    "rows_text",
    "setting_text",
]

Row = dict[str, str]
"""One row of a table: the text of every cell by the name of its column."""
UNDEFINED = "–"
"""The text of a cell without a value."""
MAIN, SUCCESS_RATE, FLOOR, MEASURED = "main accuracy", "attack success", "clean floor", "rows measured"
NO_FLOOR = "no honest run"
NOT_COUNTED = "not judged"
COUNTED = (SUCCESS, COLLAPSED, NOT_COUNTED)
"""The columns that count seeds."""
ALL_ROWS = {"attack success, all rows": "success", "clean floor, all rows": "floor", "recovered utility": "utility"}
"""The columns of the second pass, each with its word where they share one column."""
TOGETHER = "all rows attacked"
"""The column of a terminal that holds the medians of the second pass."""
DETECTION, BALANCED, MAJORITY = "detection AUC", "balanced accuracy", "majority"
NOTE = (
    "Medians over seeds with their 95 % bootstrap interval, at the last epoch. The clean floor is the attack success "
    f"of the honest run of the same seeds. A seed is a success when its backdoor accuracy is above {BACKDOOR_ABOVE} "
    f"and at least {ABOVE_FLOOR} above its honest run's, and its main accuracy no more than {MAIN_LOSS_AT_MOST} below "
    "it; it has collapsed when its main accuracy is lower than that, or not finite. Not judged are seeds without an "
    "honest run (no reference), with an honest run that is no better than guessing, or ruined by the defense (nothing "
    "to attack), or that has the backdoor by itself (floor too high). Rows measured: triggered test rows of another "
    "class than the target class."
)
NOTE_WITHOUT_TRIGGER = (
    "Main accuracy is here of test rows without the trigger, because so many carry it that a backdoor alone would look "
    "like a broken model."
)
NOTE_ALL_ROWS = (
    "All rows: the second pass, in which every test row of a class that no attacker wants is attacked. Utility is the "
    "accuracy on these rows behind the defense."
)
NOTE_DETECTION = "Detection AUC: how often an attacked row is more suspicious than a clean one."
NOTE_TWO_CLASSES = (
    "Balanced accuracy is the mean over both classes: guessing reaches 0.5 of it, and the majority in main accuracy."
)


def rows(
    dataset: xr.Dataset,
    main: str | None = None,
    epoch: int = -1,
    *,
    undefended: xr.Dataset | xr.DataArray | None = None,
    test_majority: float | None = None,
) -> list[Row]:
    """One row per grid point: its settings, accuracy, attack success, the clean floor, outcomes, own metrics.

    Where the results have a second pass, its attack success, clean floor and recovered utility follow; where a defense
    says which rows are suspicious, the detection AUC of the second pass, or else of the first; of two classes, the
    balanced accuracy and the share of the majority.

    The numbers are those of :func:`vfl_jax.summary`. A count over seeds is a dash in an honest row, which has no
    outcome, and where no seed can be judged. Without honest runs the clean floor is "no honest run".

    Args:
      dataset: labelled results of ``sweep``, ``sweep_cases`` or ``run``.
      main: the variable of the main accuracy; by default as in :func:`vfl_jax.statistics.outcomes`.
      epoch: the place of the epoch, -1 for the last.
      undefended, test_majority: as in :func:`vfl_jax.statistics.outcomes`.

    Raises:
      ValueError: as :func:`vfl_jax.statistics.outcomes` does.
    """
    check_results("dataset", dataset, OF_RUNS)
    main = main_of(dataset) if main is None else main
    table = summary(dataset, main, epoch, undefended=undefended, test_majority=test_majority)
    names = [name for name in table.index.names if name is not None]
    keys = [key if len(names) > 1 else (key,) for key in table.index] if names else [()] * len(table)
    found = [
        {name: setting_text(value) for name, value in zip(names, key, strict=True)}
        | _cells(numbers, main)
        | {name: interval_text(numbers, name) for name in own_metrics(dataset)}
        for key, numbers in zip(keys, table.to_dict("records"), strict=True)
    ]
    for name in (NOT_COUNTED, *ALL_ROWS, DETECTION, BALANCED, MAJORITY):
        if all(row[name] == UNDEFINED for row in found):
            for row in found:
                del row[name]
    return found


def note(table: list[Row], main: str = ALL_TEST_ROWS) -> str:
    """The sentences that say what the columns of a table are.

    Args:
      table: its rows, at least one, as :func:`rows` makes them.
      main: the variable of its main accuracy, as :func:`vfl_jax.statistics.main_of` tells it.

    Raises:
      ValueError: where it has no row.
    """
    if not table:
        raise ValueError("table is empty; it must have at least one row.")
    of_main = NOTE_WITHOUT_TRIGGER if main == WITHOUT_TRIGGER else ""
    further = {next(iter(ALL_ROWS)): NOTE_ALL_ROWS, DETECTION: NOTE_DETECTION, BALANCED: NOTE_TWO_CLASSES}
    return " ".join(filter(None, [NOTE, of_main, *(said for name, said in further.items() if name in table[0])]))


def median_with_interval(values: Any) -> str:
    """The median of values over seeds with its 95 % interval, or a dash where no value is defined.

    Args:
      values: float[S], one value per seed.

    Example:
      >>> import vfl_jax as vfl
      >>> vfl.reports.median_with_interval([0.95, 0.95, 0.95])
      '0.950 [0.950, 0.950]'
    """
    return interval_text(spread(values, "value"), "value")


def interval_text(numbers: Mapping[str, float], name: str) -> str:
    """The median of a variable with its interval, or a dash where it has no value; of one seed its value alone.

    Args:
      numbers: one row of :func:`vfl_jax.summary`.
      name: the variable, such as "main_task_accuracy" or "attack_success_rate_honest".
    """
    median, low, high = (numbers[f"{name}_{end}"] for end in ("median", "low", "high"))
    if np.isnan(median):
        return UNDEFINED
    return f"{median:z.3f}" if numbers.get("seeds") == 1 else f"{median:z.3f} [{low:z.3f}, {high:z.3f}]"


def count_text(numbers: Mapping[str, float], outcome: str) -> str:
    """The seeds of one outcome, such as ``3/20``; a dash in honest rows, and where no seed can be judged.

    Args:
      numbers: one row of :func:`vfl_jax.summary`.
      outcome: one of ``vfl_jax.statistics.OUTCOMES``.
    """
    judged = sum(numbers[name] for name in OUTCOMES if name not in NOT_JUDGED)
    return f"{int(numbers[outcome])}/{int(numbers['seeds'])}" if judged else UNDEFINED


def not_judged_text(numbers: Mapping[str, float]) -> str:
    """The seeds that say nothing of the attack, such as ``3/20 nothing to attack``; a dash where there are none.

    Args:
      numbers: one row of :func:`vfl_jax.summary`.
    """
    there = {name: int(numbers[name]) for name in NOT_JUDGED if numbers[name]}
    return ", ".join(f"{count}/{int(numbers['seeds'])} {name}" for name, count in there.items()) or UNDEFINED


def rows_text(numbers: Mapping[str, float]) -> str:
    """The number of test rows that measure the backdoor; a dash where the results do not say it.

    Args:
      numbers: one row of :func:`vfl_jax.summary`.
    """
    return UNDEFINED if np.isnan(numbers["rows_measured"]) else f"{int(numbers['rows_measured']):,}"


def _cells(numbers: Mapping[str, float], main: str) -> Row:
    """The cells of one row of :func:`vfl_jax.summary`, without its settings."""
    is_attacked = any(numbers[name] for name in OUTCOMES)
    has_floor = not is_attacked or numbers[NO_REFERENCE] < numbers["seeds"]

    def floor(name: str) -> str:
        return interval_text(numbers, f"{name}_honest") if has_floor else NO_FLOOR

    def where_there(*names: str) -> str:
        texts = (interval_text(numbers, name) for name in names if f"{name}_median" in numbers)
        return next((text for text in texts if text != UNDEFINED), UNDEFINED)

    all_rows = where_there("full_attack_success")
    floor_of_all = UNDEFINED if all_rows == UNDEFINED else floor("full_attack_success")
    of_pass = all_rows, floor_of_all, where_there("full_recovered_utility")
    majority = numbers.get("test_majority", np.nan)
    return {
        MAIN: interval_text(numbers, main),
        SUCCESS_RATE: interval_text(numbers, "attack_success_rate"),
        FLOOR: floor("attack_success_rate"),
        **dict(zip(ALL_ROWS, of_pass, strict=True)),
        DETECTION: where_there("full_detection_auc", "detection_auc"),
        BALANCED: where_there("balanced_accuracy"),
        MAJORITY: UNDEFINED if np.isnan(majority) else f"{majority:z.3f}",
        SUCCESS: count_text(numbers, SUCCESS),
        COLLAPSED: count_text(numbers, COLLAPSED),
        NOT_COUNTED: not_judged_text(numbers),
        MEASURED: rows_text(numbers),
    }

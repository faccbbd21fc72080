"""What results say, in two plain sentences: did the attack get through, and how far above what honest runs show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vfl_jax.reports.tables import interval_text, setting_text
from vfl_jax.statistics.judging import (
    COLLAPSED,
    FLOOR_TOO_HIGH,
    MAIN_LOSS_AT_MOST,
    NO_REFERENCE,
    NOT_JUDGED,
    NOTHING_TO_ATTACK,
    OUTCOMES,
    SUCCESS,
)
from vfl_jax.statistics.main_accuracy import main_of
from vfl_jax.statistics.summaries import summary
from vfl_jax.sweeps.cautions import FEW_ROWS

if TYPE_CHECKING:
    import xarray as xr

WHY = {
    NO_REFERENCE: "there are no honest runs of the same settings to hold them against",
    NOTHING_TO_ATTACK: "their honest runs are no better than guessing, or ruined by the defense, or no row measures",
    FLOOR_TOO_HIGH: "honest runs show the backdoor by themselves",
}
"""Why runs cannot be judged, by their outcome."""
MOST_NAMED = 3
"""So many settings without a backdoor are named; where there are more, the table tells them."""
Numbers = Mapping[str, Any]
"""The numbers of a grid point, one row of :func:`vfl_jax.summary`."""


def answer(dataset: xr.Dataset) -> list[str]:
    """Did the attack get through? Two or three sentences, in which every number has its denominator.

    The attack got through at a setting where more than half of the seeds that can be judged are successes. A setting
    with fewer than 30 rows that measure says nothing, and so does one of which no seed can be judged.

    Args:
      dataset: labelled results of ``sweep``, ``sweep_cases`` or ``run``.

    Raises:
      ValueError: as :func:`vfl_jax.summary` does.
    """
    main = main_of(dataset)
    table = summary(dataset, main)
    names = [str(name) for name in table.index.names if name is not None]
    keys = [key if isinstance(key, tuple) else (key,) for key in table.index] if names else [()] * len(table)
    points = list(zip(table.to_dict("records"), (dict(zip(names, key, strict=True)) for key in keys), strict=True))
    attacked = [(numbers, setting) for numbers, setting in points if any(numbers[name] for name in OUTCOMES)]
    reading = _labels_read([numbers for numbers, _ in attacked or points])
    if not attacked:
        level = interval_text(points[0][0], main) + ("" if len(points) == 1 else " at the first setting")
        return [f"No attack is on in these results. Main accuracy is {level}, {_seeds(points[0][0])}.", *reading]
    measured = [point for point in attacked if not _rows(point[0]) < FEW_ROWS]  # older results do not say how many
    if not measured:
        most = int(max(_rows(numbers) for numbers, _ in attacked))
        found = f"at most {most} test rows measure it, and it takes {FEW_ROWS}"
        return [*reading, f"Not enough to say whether a backdoor gets through: {found}."]
    judged = [point for point in measured if _judged(point[0])]
    if not judged:
        reason = max(NOT_JUDGED, key=lambda name: sum(numbers[name] for numbers, _ in measured))
        return [*reading, f"Not enough to say whether a backdoor gets through: no run can be judged, as {WHY[reason]}."]
    return [_verdict(judged, main), _levels(judged), *_left_out(len(attacked) - len(judged)), *reading]


def _verdict(judged: Sequence[tuple[Numbers, Numbers]], main: str) -> str:
    """The first sentence: yes or no, or at how many settings, and where not."""
    through, collapsed = (
        [numbers for numbers, _ in judged if numbers[outcome] > _judged(numbers) / 2]
        for outcome in (SUCCESS, COLLAPSED)
    )
    points = f"{100 * MAIN_LOSS_AT_MOST:g} percentage points of main accuracy"
    lost = f"most seeds collapsed: the attack took more than {points}."
    if len(judged) > 1:
        how_many = {0: "none", len(judged): "all"}.get(len(through), str(len(through)))
        told = f"The attack got through at {how_many} of {len(judged)} settings"
        told += "; it does where more than half of the seeds that can be judged are successes."
        stopped = [point for point in judged if point[0][SUCCESS] <= _judged(point[0]) / 2]
        if through and 0 < len(stopped) <= MOST_NAMED:
            names = _differing(judged)
            each = [f"{_where(names, at)} (main accuracy {found[f'{main}_median']:z.3f})" for found, at in stopped]
            told += f" It did not at {', nor at '.join(each)}."
        return told + (f" At {len(collapsed)} of them {lost}" if collapsed else "")
    (numbers, _) = judged[0]
    of_seeds = f"in {int(numbers[SUCCESS])} of {_judged(numbers)} seeds that can be judged"
    if through:
        return f"Yes, the attack got through {of_seeds}."
    return f"No, the attack did not get through: it succeeded {of_seeds}." + (f" But {lost}" if collapsed else "")


def _differing(judged: Sequence[tuple[Numbers, Numbers]]) -> list[str]:
    """The numbers in which settings differ."""
    return [name for name in judged[0][1] if len({setting.get(name) for _, setting in judged}) > 1]


def _where(names: Sequence[str], setting: Numbers) -> str:
    """A setting in words."""
    return ", ".join(f"{name} {setting_text(setting[name])}" for name in names)


def _levels(judged: Sequence[tuple[Numbers, Numbers]]) -> str:
    """The second sentence: how strong the attack is at its strongest and its weakest, and against what."""
    level = "attack_success_rate"
    strongest, weakest = (pick(judged, key=lambda point: point[0][f"{level}_median"]) for pick in (max, min))
    differing = _differing(judged)

    def told(point: tuple[Numbers, Numbers]) -> str:
        numbers, setting = point
        where = _where(differing, setting)
        is_known = not np.isnan(_rows(numbers))
        rows = f"{int(_rows(numbers)):,} test rows each" if is_known else "rows that these results do not count"
        floor = interval_text(numbers, f"{level}_honest").split(" [")[0]
        return (
            f"{interval_text(numbers, level)}{f' ({where})' * bool(where)} against a floor of {floor} in honest runs, "
            f"{_seeds(numbers)} and {rows}"
        )

    if strongest is weakest:
        return f"Attack success is {told(strongest)}."
    return f"Attack success is at most {told(strongest)}; at the least {told(weakest)}."


def _left_out(count: int) -> list[str]:
    """The sentence on settings that say nothing."""
    if not count:
        return []
    verb = "setting says" if count == 1 else "settings say"
    return [f"{count} more {verb} nothing: too few rows measure, or no run can be judged."]


def _labels_read(points: Sequence[Numbers]) -> list[str]:
    """The sentence on labels that an attacker read, where one tried."""
    rate, right = "label_inference_rate_median", "label_inference_accuracy_median"
    tried = [
        numbers for numbers in points if numbers.get(rate, np.nan) > 0 and not np.isnan(numbers.get(right, np.nan))
    ]
    if not tried:
        return []
    best = max(tried, key=lambda numbers: numbers[right] * numbers[rate])
    most = " at its best" * (len(tried) > 1)
    return [
        f"The attacker named the labels of {best[rate]:.0%} of the training rows that it was not given{most}, "
        f"{best[right]:.1%} of these rightly."
    ]


def _rows(numbers: Numbers) -> float:
    """The number of test rows that measure the backdoor; NaN where results do not say it."""
    return float(numbers["rows_measured"])


def _judged(numbers: Numbers) -> int:
    """The number of seeds that can be judged."""
    return int(sum(numbers[name] for name in OUTCOMES if name not in NOT_JUDGED))


def _seeds(numbers: Numbers) -> str:
    """Over how many seeds a number goes."""
    count = int(numbers["seeds"])
    return f"over {count} seed{'s' * (count != 1)}"

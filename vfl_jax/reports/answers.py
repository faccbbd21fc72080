"""What results say, in a few plain sentences: did the attack get through, and how far above what honest runs show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vfl_jax.core.words import counted, share
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
from vfl_jax.statistics.references import CASE, attribute, each_case
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
THROUGH = 0.5
"""The attack got through where at least this share of the seeds that can be judged are successes."""
FEW_SEEDS = 5
"""Of fewer seeds the interval of a median is far too narrow; see :func:`vfl_jax.statistics.interval`."""
SHARE = "success_share_of_judged"
"""The column of :func:`vfl_jax.summary` by which a setting is judged."""
MOST_NAMED = 3
"""So many settings without a backdoor are named; where there are more, the table tells them."""
Numbers = Mapping[str, Any]
"""The numbers of a grid point, one row of :func:`vfl_jax.summary`."""
Point = tuple[Numbers, Numbers]
"""The numbers of a grid point and its settings."""


def answer(dataset: xr.Dataset) -> list[str]:
    """Did the attack get through? A few sentences, in which every number has its denominator.

    Of the seeds that can be judged, it got through where at least half are successes, got through in some trainings
    where fewer are, and did not where none is. Shares have their 95 % Wilson interval, and "no" the share that it rules
    out. A setting with fewer than 30 rows that measure says nothing, and so does one of which no seed can be judged.
    Where most seeds of a setting cannot be judged, the first sentence says so.

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
    attacked = [(numbers, setting) for numbers, setting in points if _attacked(numbers)]
    reading, few = _labels_read(dataset, attacked or points), _few_seeds(attacked or points)
    if not attacked:
        level = interval_text(points[0][0], main) + ("" if len(points) == 1 else " at the first setting")
        return [f"No attack is on in these results. Main accuracy is {level}, {_seeds(points[0][0])}.", *reading, *few]
    measured = [point for point in attacked if not _rows(point[0]) < FEW_ROWS]  # older results do not say how many
    if not measured:
        most = int(max(_rows(numbers) for numbers, _ in attacked))
        found = f"at most {most} test rows measure it, and it takes {FEW_ROWS}"
        return [*reading, f"Not enough to say whether a backdoor gets through: {found}.", *few]
    judged = [point for point in measured if _judged(point[0])]
    if not judged:
        found = f"no run can be judged, {_why([numbers for numbers, _ in measured])}"
        return [*reading, f"Not enough to say whether a backdoor gets through: {found}.", *few]
    differing = _differing(attacked)  # also where one setting alone can be judged: which one it is
    verdict = _verdict(judged[0], differing) if len(judged) == 1 else _verdicts(judged, differing, main)
    left_out = _left_out(len(attacked) - len(judged))
    return [*_hardly_judged(measured), verdict, _levels(judged, differing), *left_out, *reading, *few]


def _hardly_judged(measured: Sequence[Point]) -> list[str]:
    """The sentence on settings of which most seeds cannot be judged: what follows is of the few others."""
    few = [numbers for numbers, _ in measured if _judged(numbers) < _attacked(numbers) / 2]
    if not few:
        return []
    if len(measured) == 1:
        seeds = _attacked(few[0])
        return [f"{seeds - _judged(few[0])} of {counted(seeds, 'seed')} cannot be judged, {_why(few)}."]
    return [f"At {len(few)} of {len(measured)} settings most seeds cannot be judged, {_why(few)}."]


def _why(points: Sequence[Numbers]) -> str:
    """The reason why most of the runs that cannot be judged cannot."""
    counts = {name: sum(numbers[name] for numbers in points) for name in NOT_JUDGED}
    is_mixed = sum(count > 0 for count in counts.values()) > 1
    return f"{'mostly ' * is_mixed}as {WHY[max(counts, key=lambda name: counts[name])]}"


def _verdict(point: Point, names: Sequence[str]) -> str:
    """The first sentence of a single setting: yes, in some trainings, or no."""
    numbers, setting = point
    at = f" at {where}" if (where := _where(names, setting)) else ""
    told = {
        "through": f"Yes, the attack got through{at} in {_successes(numbers)}.",
        "some": f"In some trainings the attack got through{at}: in {_successes(numbers)}.",
        "none": f"No, the attack did not get through{at}: it succeeded in {_no_success(numbers)}.",
    }[_kind(numbers)]
    return told + (f" But {_lost()}" if _has_collapsed(numbers) else "")


def _verdicts(judged: Sequence[Point], names: Sequence[str], main: str) -> str:
    """The first sentences of several settings: at how many, where most often, and where not."""
    of_kind = {kind: [point for point in judged if _kind(point[0]) == kind] for kind in ("through", "some", "none")}
    told = (
        f"The attack got through in at least half of the seeds that can be judged at {len(of_kind['through'])} of "
        f"{len(judged)} settings, in fewer at {len(of_kind['some'])}, and in none at {len(of_kind['none'])}."
    )
    stopped = of_kind["none"]
    if len(stopped) == len(judged):
        least = max(numbers[f"{SHARE}_high"] for numbers, _ in judged)
        told += f" More than {_percent(least)} of trainings is ruled out at every one (95 % interval)."
    else:
        most, at = max(judged, key=lambda point: _rank(point[0]))
        alike = sum(_rank(numbers) == _rank(most) for numbers, _ in judged)
        where = f"{f'{alike} settings, such as ' * (alike > 1)}{_where(names, at)}"
        told += f" It did so most often at {where}: in {_successes(most)}."
        if 0 < len(stopped) <= MOST_NAMED:
            each = [
                f"{_where(names, at)} ({_no_success(found)}; main accuracy {found[f'{main}_median']:z.3f})"
                for found, at in stopped
            ]
            told += f" It did not at {', nor at '.join(each)}."
    collapsed = sum(_has_collapsed(numbers) for numbers, _ in judged)
    return told + (f" At {collapsed} of the {len(judged)} settings {_lost()}" if collapsed else "")


def _kind(numbers: Numbers) -> str:
    """Whether the attack got "through", in "some" trainings, or in "none"."""
    if not numbers[SUCCESS]:
        return "none"
    return "through" if numbers[SHARE] >= THROUGH else "some"


def _rank(numbers: Numbers) -> tuple[float, float]:
    """By what the setting with most successes is found: the least share that they speak for, then their number.

    Neither 1 of 1 nor 10 of 20 comes before 6 of 6.
    """
    return numbers[f"{SHARE}_low"], numbers[SUCCESS]


def _successes(numbers: Numbers) -> str:
    """How many seeds are successes, and the share of trainings that this speaks for."""
    ends = " to ".join(f"{100 * numbers[f'{SHARE}_{end}']:z.0f}" for end in ("low", "high"))
    return f"{int(numbers[SUCCESS])} of {_of_judged(numbers)}, {_percent(numbers[SHARE])} (95 % interval {ends} %)"


def _no_success(numbers: Numbers) -> str:
    """That no seed is a success, and the share of trainings that this rules out."""
    high = _percent(numbers[f"{SHARE}_high"])
    return f"none of {_of_judged(numbers)}; more than {high} of trainings is ruled out (95 % interval)"


def _of_judged(numbers: Numbers) -> str:
    """The seeds that can be judged, and of how many where others cannot."""
    judged, seeds = _judged(numbers), _attacked(numbers)
    return f"{counted(judged, 'seed')} that can be judged{f' (of {seeds})' * (judged < seeds)}"


def _has_collapsed(numbers: Numbers) -> bool:
    """Whether the attack broke the model in more than half of the seeds that can be judged."""
    return bool(numbers[COLLAPSED] > _judged(numbers) / 2)


def _lost() -> str:
    """That most models are broken."""
    points = f"{100 * MAIN_LOSS_AT_MOST:g} percentage points of main accuracy"
    return f"most seeds collapsed: the attack took more than {points}."


def _differing(judged: Sequence[Point]) -> list[str]:
    """The numbers in which settings differ."""
    return [name for name in judged[0][1] if len({setting.get(name) for _, setting in judged}) > 1]


def _where(names: Sequence[str], setting: Numbers) -> str:
    """A setting in words."""
    return ", ".join(f"{name} {setting_text(setting[name])}" for name in names)


def _levels(judged: Sequence[Point], names: Sequence[str]) -> str:
    """The second sentence: how strong the attack is at its strongest and its weakest, and against what."""
    level = "attack_success_rate"
    strongest, weakest = (pick(judged, key=lambda point: point[0][f"{level}_median"]) for pick in (max, min))

    def told(point: Point) -> str:
        numbers, setting = point
        where = _where(names, setting)
        is_known = not np.isnan(_rows(numbers))
        rows = f"{int(_rows(numbers)):,} test rows each" if is_known else "rows that these results do not count"
        floor = interval_text(numbers, f"{level}_honest").split(" [")[0]
        return (
            f"{interval_text(numbers, level)}{f' ({where})' * bool(where)} against a floor of {floor} in honest runs, "
            f"{_seeds(numbers)} and {rows}"
        )

    if strongest is weakest:
        return f"The median of attack success is {told(strongest)}."
    return f"The largest median of attack success is {told(strongest)}; the smallest is {told(weakest)}."


def _left_out(count: int) -> list[str]:
    """The sentence on settings that say nothing."""
    if not count:
        return []
    verb = "setting says" if count == 1 else "settings say"
    return [f"{count} more {verb} nothing: too few rows measure, or no run can be judged."]


def _few_seeds(points: Sequence[Point]) -> list[str]:
    """The sentence on intervals over few seeds; one seed has none."""
    seeds = min((int(numbers["seeds"]) for numbers, _ in points if numbers["seeds"] > 1), default=FEW_SEEDS)
    if seeds >= FEW_SEEDS:
        return []
    # So few resamples lie between the extremes that the interval ends there, and both extremes lie on one side of the
    # true median with a probability of 2 · 2⁻ⁿ.
    held = 100 * (1 - 2.0 ** (1 - seeds))
    return [f"Intervals of {seeds} seeds are too narrow: they hold the true median {held:z.0f} times of 100, not 95."]


def _labels_read(dataset: xr.Dataset, points: Sequence[Point]) -> list[str]:
    """The sentences on labels that an attacker read, where one tried, and on what the largest class would give."""
    rate, right = "label_inference_rate_median", "label_inference_accuracy"
    tried = [
        (numbers, setting)
        for numbers, setting in points
        if numbers.get(rate, np.nan) > 0 and not np.isnan(numbers.get(f"{right}_median", np.nan))
    ]
    if not tried:
        return []
    best, setting = max(tried, key=lambda point: point[0][f"{right}_median"] * point[0][rate])
    median, low, high = (100 * best[f"{right}_{end}"] for end in ("median", "low", "high"))
    spread = f"95 % interval {low:z.1f} to {high:z.1f} %, " * (best["seeds"] > 1 and low < high)
    most = f" That is its best of {len(tried)} settings, {_where(_differing(tried), setting)}." * (len(tried) > 1)
    return [
        f"The attacker named the labels of {_percent(best[rate])} of the training rows that it was not given, "
        f"{median:z.1f} % of these rightly ({spread}{_seeds(best)}). {_largest_class(dataset, setting)}{most}"
    ]


def _largest_class(dataset: xr.Dataset, setting: Numbers) -> str:
    """What naming the most frequent class for every row would give, as far as the results say it."""
    sizes = {part[CASE].item() if CASE in part.coords else None: attribute(part, "rows") for part in each_case(dataset)}
    said = sizes.get(setting.get(CASE)) or {}
    for split, words in (("train", "training"), ("test", "test")):  # older results say it of test rows alone
        if (majority := said.get(f"{split}_majority")) is not None:
            right = f"{100 * majority:z.1f} % of the {words} rows"
            return f"Naming the most frequent class for all would be right for {right}."
    return "Compare it with the share of the most frequent class, which these results do not say."


def _rows(numbers: Numbers) -> float:
    """The number of test rows that measure the backdoor; NaN where results do not say it."""
    return float(numbers["rows_measured"])


def _judged(numbers: Numbers) -> int:
    """The number of seeds that can be judged."""
    return int(sum(numbers[name] for name in OUTCOMES if name not in NOT_JUDGED))


def _attacked(numbers: Numbers) -> int:
    """The number of seeds with an outcome; 0 of an honest setting."""
    return int(sum(numbers[name] for name in OUTCOMES))


def _percent(value: float) -> str:
    """A share in per cent, as reports write it."""
    return share(value, " %")


def _seeds(numbers: Numbers) -> str:
    """Over how many seeds a number goes."""
    count = int(numbers["seeds"])
    return f"over {count} seed{'s' * (count != 1)}"

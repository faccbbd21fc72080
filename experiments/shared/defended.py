"""What a defense blocks, and what it costs the main task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from experiments.shared.outcomes import Point, row, share
from vfl_jax.reports import Row, median_with_interval
from vfl_jax.statistics import ABOVE_FLOOR, BACKDOOR_ABOVE

if TYPE_CHECKING:
    import xarray as xr

FEW = 0.1
"""A defense may leave so large a share of seeds with a backdoor and still block it."""
NEAR_FLOOR = 0.05
"""And the median attack success may be so far above its floor."""
ENOUGH = 0.5
"""A setting leaves something to attack where so large a share of its seeds can be judged."""
SPARED = 0.01
"""A defense spares the main task where it costs the honest runs no more accuracy than this, in the median."""
CHANGE = "honest main accuracy, defended − undefended"
WITH_BACKDOOR = "with a backdoor"
BLOCKS = f"""\
A setting *blocks* the backdoor where no more than {FEW:.0%} of the seeds are left with one and the median attack
success is no more than {NEAR_FLOOR} above its floor. Only seeds that are judged count, for a defense or against it: one
whose honest run the defense has ruined does neither, and where fewer than half are judged a setting blocks nothing.
*{WITH_BACKDOOR}*, of the seeds that are judged: backdoor accuracy is above {BACKDOOR_ABOVE} and at least {ABOVE_FLOOR}
above the honest run's, also where the seed collapses. A model that is ruined by the attack without a backdoor counts as
blocked; such seeds are among the *collapsed*.
*{CHANGE}*: what the defense changes for the honest runs, paired by seed, of 1: −0.010 is a cost of one
percentage point.
"""


BLOCKS_FROM = "*blocks from*: the smallest setting that does, as do all above it that leave something to attack.\n"


def backdoors(point: Point) -> xr.DataArray:
    """Which of the seeds that are judged end with a backdoor that their honest run has not, whatever it has cost them.

    Bool by seed, of those alone: a seed whose honest run the defense has ruined counts neither for nor against it.
    """
    attacked, floor = (_judged(point, part)["backdoor_accuracy"] for part in (point.attacked, point.honest))
    return (attacked > BACKDOOR_ABOVE) & (attacked - floor >= ABOVE_FLOOR - 1e-7)


def _judged(point: Point, part: xr.Dataset) -> xr.Dataset:
    """The last epoch of the seeds that are judged."""
    return part[["backdoor_accuracy", "attack_success_rate"]].isel(epoch=-1, seed=point.judged().values).astype(float)


def attack_success(point: Point) -> float:
    """The median of the seeds that are judged."""
    return float(_judged(point, point.attacked)["attack_success_rate"].median())


def _floor(point: Point) -> float:
    return float(_judged(point, point.honest)["attack_success_rate"].median())


def leaves_something(point: Point) -> bool:
    """Whether enough seeds have honest runs that are worth an attack."""
    return float(point.judged().mean()) >= ENOUGH


def has_nothing_to_stop(undefended: Point) -> bool:
    """Whether there is no backdoor that a defense could stop: hardly a seed has one, whatever the attack has moved."""
    return not leaves_something(undefended) or float(backdoors(undefended).mean()) <= FEW


def blocks(point: Point) -> bool:
    """Whether there is something to attack, hardly a seed has a backdoor, and the median attack success is near its
    floor; of the seeds that are judged."""
    if not leaves_something(point):
        return False
    return float(backdoors(point).mean()) <= FEW and attack_success(point) - _floor(point) <= NEAR_FLOOR


def mitigates(point: Point, undefended: Point) -> bool:
    """Whether there is something to attack, at most half the share of seeds has a backdoor, and the median attack
    success is at most half; of the seeds that are judged."""
    if not (leaves_something(point) and leaves_something(undefended)):
        return False
    left, before = (float(backdoors(p).mean()) for p in (point, undefended))
    return left <= before / 2 and attack_success(point) <= attack_success(undefended) / 2


def change_of_main(point: Point, undefended: Point) -> xr.DataArray:
    """What a defense changes of the honest runs' main accuracy, by seed; a loss is below 0."""
    defended, plain = (p.honest["main_task_accuracy"].isel(epoch=-1) for p in (point, undefended))
    return defended - plain


def spares(point: Point, undefended: Point) -> bool:
    """Whether the honest runs keep their main accuracy, in the median of paired differences."""
    rounding = 1e-6
    return float(change_of_main(point, undefended).median()) >= -SPARED - rounding


def defended_row(point: Point, undefended: Point | None, settings: Mapping[str, str]) -> Row:
    """As :func:`experiments.shared.outcomes.row`, with all backdoors, and the change of the honest runs."""
    change = "–" if undefended is None else median_with_interval(change_of_main(point, undefended))
    return row(point, settings) | {WITH_BACKDOOR: share(backdoors(point)), CHANGE: change}


def blocking_row(found: Mapping[float, Point], settings: Mapping[str, str]) -> Row:
    """From which level on a defense blocks the backdoor, and what that level costs.

    Args:
      found: points by their level; at level 0 there is no defense.
    """
    undefended = found.get(0)
    level = 0 if undefended is not None and has_nothing_to_stop(undefended) else blocking_level(found)
    said = {
        f"undefended: {WITH_BACKDOOR}": "–" if undefended is None else share(backdoors(undefended)),
        "blocks from": "nothing to block" if level == 0 else "at none" if level is None else f"{level:g}",
    }
    seen = (
        *(WITH_BACKDOOR, "successes", "collapsed", "not judged"),
        *("attack success", "its floor", "main, honest", CHANGE),
    )
    cells = defended_row(found[level], undefended, {}) if level else dict.fromkeys(seen, "–")
    return dict(settings) | said | {f"there: {name}": cells[name] for name in seen}


def blocking_level(found: Mapping[float, Point]) -> float | None:
    """The smallest level that blocks the backdoor, as do all above it that leave something to attack."""
    level = None
    for candidate in sorted(filter(lambda each: leaves_something(found[each]), found), reverse=True):
        if not blocks(found[candidate]):
            break
        level = candidate
    return level

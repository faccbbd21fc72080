"""What a defense blocks, and what it costs the main task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from experiments.outcomes import Point, row, share
from vfl_jax.report import Row, median_with_interval
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
CHANGE = "honest, defended − undefended"
WITH_BACKDOOR = "with a backdoor"
BLOCKS = f"""\
A setting *blocks* the backdoor where no more than {FEW:.0%} of the seeds are left with one and the median attack
success is no more than {NEAR_FLOOR} above its floor. *with a backdoor*: seeds whose backdoor accuracy is above
{BACKDOOR_ABOVE} and at least {ABOVE_FLOOR} above the honest run's, also those that collapse. A model that is ruined
without a backdoor counts as blocked; such seeds are among the *collapsed*. A setting that ruins honest runs, so that
fewer than half of the seeds have something to attack, blocks nothing: those are among the *not judged*.
*{CHANGE}*: what the defense changes of the honest runs' main accuracy, paired by seed.
"""


BLOCKS_FROM = "*blocks from*: the smallest setting that does, as do all above it that leave something to attack.\n"


def backdoors(point: Point) -> xr.DataArray:
    """Which seeds end with a backdoor that their honest run has not, whatever it has cost them; bool by seed."""
    attacked, floor = (part.backdoor_accuracy.isel(epoch=-1).astype(float) for part in (point.attacked, point.honest))
    return (attacked > BACKDOOR_ABOVE) & (attacked - floor >= ABOVE_FLOOR - 1e-7)


def leaves_something(point: Point) -> bool:
    """Whether enough seeds have honest runs that are worth an attack."""
    return float(point.judged().mean()) >= ENOUGH


def blocks(point: Point) -> bool:
    """Whether there is something to attack, hardly a seed has a backdoor, and the median attack success is near its
    floor."""
    if not leaves_something(point):
        return False
    attack, floor = (part.attack_success_rate.isel(epoch=-1).median() for part in (point.attacked, point.honest))
    return float(backdoors(point).mean()) <= FEW and float(attack - floor) <= NEAR_FLOOR


def mitigates(point: Point, undefended: Point) -> bool:
    """Whether there is something to attack, at most half as many seeds have a backdoor, and the median attack success
    is at most half."""
    if not leaves_something(point):
        return False
    left, before = (backdoors(p).sum() for p in (point, undefended))
    attack, attack_before = (p.attacked.attack_success_rate.isel(epoch=-1).median() for p in (point, undefended))
    return bool(left <= before / 2) and bool(attack <= attack_before / 2)


def change_of_main(point: Point, undefended: Point) -> xr.DataArray:
    """What a defense changes of the honest runs' main accuracy, by seed; a loss is below 0."""
    defended, plain = (p.honest["main_task_accuracy"].isel(epoch=-1) for p in (point, undefended))
    return defended - plain


def spares(point: Point, undefended: Point) -> bool:
    """Whether the honest runs keep their main accuracy, in the median of paired differences."""
    rounding = 1e-6
    return float(change_of_main(point, undefended).median()) >= -SPARED - rounding


def defended_row(point: Point, undefended: Point | None, settings: Mapping[str, str]) -> Row:
    """As :func:`experiments.outcomes.row`, with all backdoors, and the change of the honest runs."""
    change = "–" if undefended is None else median_with_interval(change_of_main(point, undefended))
    return row(point, settings) | {WITH_BACKDOOR: share(backdoors(point)), CHANGE: change}


def blocking_row(found: Mapping[float, Point], settings: Mapping[str, str]) -> Row:
    """From which level on a defense blocks the backdoor, and what that level costs.

    Args:
      found: points by their level; at level 0 there is no defense.
    """
    undefended, level = found.get(0), blocking_level(found)
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

"""What a defense blocks, and what it costs the main task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from experiments.outcomes import Point, row, share
from vfl_jax.report import Row, median_with_interval

if TYPE_CHECKING:
    import xarray as xr

FEW = 0.1
"""A defense may leave so large a share of seeds successful and still block the backdoor."""
NEAR_FLOOR = 0.05
"""And the median attack success may be so far above its floor: runs that always say τ do not count as blocked."""
SPARED = 0.01
"""A defense spares the main task where it costs the honest runs no more accuracy than this, in the median."""
CHANGE = "honest, defended − undefended"
BLOCKS = f"""\
A setting *blocks* the backdoor where no more than {FEW:.0%} of the seeds succeed and the median attack success is no
more than {NEAR_FLOOR} above its floor. *blocks from*: the smallest setting that does, as do all above it.
*{CHANGE}*: what the defense changes of the honest runs' main accuracy, paired by seed.
"""


def blocks(point: Point, few: float = FEW) -> bool:
    """Whether hardly a seed succeeds, and the median attack success is near its floor."""
    attacked, clean, counted = (part.isel(epoch=-1) for part in point)
    above_floor = attacked.attack_success_rate.median() - clean.attack_success_rate.median()
    return float(counted.is_success.mean()) <= few and float(above_floor) <= NEAR_FLOOR


def mitigates(point: Point, undefended: Point) -> bool:
    """Whether at most half as many seeds succeed, with at most half of the attack success in the median."""
    successes, before = (p.counted.is_success.isel(epoch=-1).sum() for p in (point, undefended))
    attack, attack_before = (p.attacked.attack_success_rate.isel(epoch=-1).median() for p in (point, undefended))
    return bool(successes <= before / 2) and bool(attack <= attack_before / 2)


def change_of_main(point: Point, undefended: Point) -> xr.DataArray:
    """What a defense changes of the honest runs' main accuracy, by seed; a loss is below 0."""
    defended, plain = (p.honest["main_task_accuracy"].isel(epoch=-1) for p in (point, undefended))
    return defended - plain


def spares(point: Point, undefended: Point) -> bool:
    """Whether the honest runs keep their main accuracy, in the median of paired differences."""
    rounding = 1e-6
    return float(change_of_main(point, undefended).median()) >= -SPARED - rounding


def defended_row(point: Point, undefended: Point | None, settings: Mapping[str, str]) -> Row:
    """As :func:`experiments.outcomes.row`, and the change of the honest runs, where there are undefended ones."""
    change = "–" if undefended is None else median_with_interval(change_of_main(point, undefended))
    return row(point, settings) | {CHANGE: change}


def blocking_row(found: Mapping[float, Point], settings: Mapping[str, str]) -> Row:
    """From which level on a defense blocks the backdoor, and what that level costs.

    Args:
      found: points by their level; at level 0 there is no defense.
    """
    undefended, level = found.get(0), blocking_level(found)
    said = {
        "undefended: successes": "–" if undefended is None else share(undefended.counted.is_success.isel(epoch=-1)),
        "blocks from": "nothing to block" if level == 0 else "at none" if level is None else f"{level:g}",
    }
    seen = ("successes", "collapsed", "attack success", "its floor", "main, honest", CHANGE)
    cells = defended_row(found[level], undefended, {}) if level else dict.fromkeys(seen, "–")
    return dict(settings) | said | {f"there: {name}": cells[name] for name in seen}


def blocking_level(found: Mapping[float, Point]) -> float | None:
    """The smallest level that blocks the backdoor, as do all above it."""
    level = None
    for candidate in sorted(found, reverse=True):
        if not blocks(found[candidate]):
            break
        level = candidate
    return level

"""What a report must tell beside numbers: the setting, what was assumed, and what was not tried."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from typing import Any

import numpy as np

from vfl_jax.audits.battery import Level
from vfl_jax.audits.clock import Clock
from vfl_jax.audits.measured import Measured
from vfl_jax.audits.partner import ATTACKS, NUM_TARGETS, known
from vfl_jax.audits.setting import Setting
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.models import DenseHead
from vfl_jax.protocol.triggers import FeatureTrigger
from vfl_jax.sweeps.study import versions


def facts_of(
    whole: VerticalData, setting: Setting, levels: Sequence[Level], measured: Measured, epochs: int, clock: Clock
) -> dict[str, Any]:
    """Returns what a report tells beside numbers, as JSON content.

    Args:
      whole: the data set before rows were left out.
      setting: the setting.
      levels: all levels of defenses, also those that were not tried.
      measured: what was measured.
      epochs: the number of epochs.
      clock: the time of the audit.
    """
    board, data = setting.board, setting.board.data
    plan, who = board.scenario.poison, board.attackers[0]
    train, test = (np.bincount(np.asarray(rows.labels), minlength=data.num_classes) for rows in (data.train, data.test))
    num_known = known(board)
    asked = train - num_known
    targets = min(NUM_TARGETS, board.most_known[plan.target_class])
    return {
        "partner": data.parties[who],
        "wanted": data.classes[plan.target_class],
        "majority": float(test.max() / test.sum()),
        "majority_read": float(asked.max() / asked.sum()),
        "num_test": int(test.sum()),
        "num_read": int(asked.sum()),
        "num_rarest": int(asked.min()),
        "num_attacked": int(test.sum() - test[plan.target_class]),
        "data": whole.name,
        "fingerprint": whole.fingerprint(),
        "parties": list(data.parties),
        "active_party": None if data.active_party is None else data.parties[data.active_party],
        "rows": [whole.train.num_samples, whole.test.num_samples],
        "rows_used": [data.train.num_samples, data.test.num_samples],
        "classes": dict(zip(data.classes, train.tolist(), strict=True)),
        "share": board.share,
        "num_known": num_known,
        "num_targets": int(targets),
        "head": "trainable" if isinstance(board.scenario.head, DenseHead) else "sum",
        "epochs": epochs,
        "batch": board.scenario.batches.size,
        "learning_rate": float(board.scenario.head_optimizer.learning_rate),
        "sizes": setting.sizes._asdict(),
        "trigger": _trigger(setting),
        "not_tried": _not_tried(levels, measured),
        "minutes": clock.minutes,
        "seconds": round(clock.seconds, 1),
        "versions": {"vfl_jax": importlib.metadata.version("vfl_jax"), **versions()},
    }


def _trigger(setting: Setting) -> str:
    """What marks an attacked row, in words."""
    trigger = setting.board.scenario.poison.trigger
    if not setting.has_stamp:
        return "none on features: honest models obeyed every mark that was tried, so attacks send other messages alone"
    if isinstance(trigger, FeatureTrigger):
        index = trigger.index if isinstance(trigger.index, tuple) else (trigger.index,)
        return f"{len(index)} features of the partner, set to {trigger.value:.3g}"
    return f"a mark on the partner's own features ({type(trigger).__name__})"


def _not_tried(levels: Sequence[Level], measured: Measured) -> list[str]:
    """What was left out for time."""
    tried = {level.name for level in measured.levels}
    left = [level.name for level in levels if level.name not in tried]
    attacks = [name for name in ATTACKS if name not in measured.attacks]
    found = [f"for lack of time, the defenses {', '.join(left)}"] if left else []
    return [
        *found,
        *([f"the attacks {', '.join(attacks)}: for lack of time, or because they do not fit"] if attacks else []),
    ]

"""Warnings before training: some studies give numbers that say little, whatever comes out."""

from __future__ import annotations

import warnings

import numpy as np

from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.protocol.methods import changes, methods
from vfl_jax.protocol.switched import Switched
from vfl_jax.protocol.triggers import EmbeddingTrigger
from vfl_jax.replica.draws import Draws
from vfl_jax.scenario import Scenario
from vfl_jax.sweeps import processes

FEW_ROWS = 30
"""Fewer test rows than this measure a backdoor badly: at 30, the 95 % interval of a half is from 0.33 to 0.67."""


class EvidenceWarning(UserWarning):
    """The numbers of the study that is about to be trained can say little."""


def warn_of_little_evidence(scenario: Scenario, data: VerticalData, draws: Draws, stacklevel: int = 1) -> None:
    """Warns before training where the outcome of an attack would say little. Of several processes the first warns.

    Args:
      scenario: the scenario, whose swept numbers are arrays [G].
      data: the data set.
      draws: the draws of one seed.
      stacklevel: how many calls above this one the reader of the warning stands.
    """
    if not _has_attack(scenario) or not processes.is_first_process():
        return
    labels = np.asarray(data.train.labels)
    name = "party_targets" if scenario.own_targets else "target_class"
    counts = np.bincount(labels, minlength=data.num_classes)
    for target in scenario.target_classes:
        if counts[target] > np.delete(counts, target).max(initial=0):
            _warn(
                f"poison.{name} is {target} ({data.classes[target]}), the most frequent class of the training rows "
                f"({counts[target] / labels.size:.0%}): a model that has learnt nothing says it too. Choose another "
                "class.",
                stacklevel,
            )
    if _never_fires(scenario):
        _warn(
            "poison.trigger is EmbeddingTrigger, which changes no feature, and no attack changes what it feeds or "
            "sends at inference (infer_features, infer_upload), so attacked test rows are like clean ones. Give a "
            "trigger that changes features, or an attack that looks at view.is_attacked.",
            stacklevel,
        )
    by_class = {target: min(measuring_rows(scenario, data, draws, target)) for target in scenario.target_classes}
    target = min(by_class, key=by_class.__getitem__)
    if (few := by_class[target]) < FEW_ROWS:
        _warn(
            f"{few} test row{'s' if few != 1 else ''} of data {data.name!r} measure{'s' if few == 1 else ''} the "
            f"backdoor (triggered, and of another class than {target}, which an attacker wants); below {FEW_ROWS} a "
            "share of them says little. Raise poison.test_rate, or let more test rows carry the trigger.",
            stacklevel,
        )


def measuring_rows(scenario: Scenario, data: VerticalData, draws: Draws, target: int | None = None) -> list[int]:
    """How many triggered test rows are of another class than an attacker wants, at every swept ``poison.test_rate``.

    Args:
      scenario, data, draws: as in :func:`warn_of_little_evidence`.
      target: the class that the attacker wants; None is τ, ``poison.target_class``.
    """
    ranks = np.asarray(draws.test_poison_rank)
    counts = np.round(np.float32(scenario.poison.test_rate) * np.float32(ranks.size)).reshape(-1)
    is_other = np.asarray(data.test.labels) != (scenario.poison.target_class if target is None else target)
    return [int(((ranks < count) & is_other).sum()) for count in counts]


def _never_fires(scenario: Scenario) -> bool:
    """Whether the trigger lives in the message, and no attack puts it there."""
    acting = [m for transform in scenario.attacks for m in methods(transform) if isinstance(m, Switched)]
    acts_at_inference = any(changes(m, hook) for m in acting for hook in ("infer_features", "infer_upload"))
    return isinstance(scenario.poison.trigger, EmbeddingTrigger) and bool(acting) and not acts_at_inference


def _has_attack(scenario: Scenario) -> bool:
    """Whether an attack is on at some grid point."""
    found = (method for transform in (*scenario.attacks, scenario.active_attack) for method in methods(transform))
    return any(np.any(np.asarray(method.enabled) != 0) for method in found if isinstance(method, Switched))


def _warn(message: str, stacklevel: int) -> None:
    """Warns of little evidence, with the place in the caller's code."""
    warnings.warn(f"Little evidence: {message}", EvidenceWarning, stacklevel=stacklevel + 2)

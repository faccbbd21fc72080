"""Measures: metrics of a user's own, computed at every evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.struct
import jax

from vfl_jax.core.functions import record_of
from vfl_jax.core.record import Record

PACKAGE_NAMES = frozenset(
    {
        *("main_task_accuracy", "main_clean", "backdoor_accuracy", "attack_success_rate", "backdoor_ties"),
        *("attack_ties", "class_score", "test_loss", "test_auc", "accuracy_by_class", "balanced_accuracy"),
        *("poisoned_rate", "poisoned_purity"),
        *("loss", "train_accuracy", "penalty", "rows_left_out", "is_finite", "target_ids", "poison_ids"),
        *("outcome", "is_attacked", "is_success", "is_collapsed", "success", "collapsed", "main", "seeds"),
        *("case", "point", "seed", "epoch", "class", "party", "target_row", "poison_row"),
    }
)
"""The names of the package's own metrics, and of what else results hold."""

PACKAGE_PREFIXES = ("full_", "detection_", "train_detection_", "label_inference_", "test_label_inference_")
"""The beginnings of further names of the package's own metrics."""


def check_free(said: str, name: str) -> None:
    """Checks that a metric of a user's own, or a number in a report, has a name that results do not hold already.

    Args:
      said: the beginning of the message: who has the name.
      name: the name.

    Raises:
      ValueError: where the name is no word of letters, digits and underscores; where it is one of the package's own, or
        its end says that it is a count (``_count``), split by class or party (``_by_class``, ``_by_party``), or what an
        honest run shows (``_honest``).
    """
    if not (isinstance(name, str) and name.isidentifier()):
        raise ValueError(
            f"{said} {name!r}; a name is a word of letters, digits and underscores, such as 'trigger_norm'."
        )
    is_end_taken = name.endswith(("_count", "_by_class", "_by_party", "_honest"))
    if name in PACKAGE_NAMES or name.startswith(PACKAGE_PREFIXES) or is_end_taken:
        raise ValueError(
            f"{said} {name!r}, which is the name of a metric of the package, or of a count, a split or an honest value "
            "of one; call it something else."
        )


@flax.struct.dataclass
class Outcome:
    """What became of B test rows.

    Args:
      logits: float32[B, C].
      labels: int32[B].
      is_attacked: bool[B], the rows that are attacked.
      target_class: int32[], the class τ to which the backdoor shall lead.
    """

    logits: jax.Array
    labels: jax.Array
    is_attacked: jax.Array
    target_class: jax.Array


class Measure(Record):
    """Base of the metrics of your own: a value per test row, of which results hold the mean.

    The metric is called like the class. The second pass of evaluation reports it, too, under ``full_<name>``.

    Example:
      >>> import vfl_jax as vfl
      >>> @vfl.measure
      ... def is_confident(outcome):
      ...     return jax.nn.softmax(outcome.logits).max(axis=-1) > 0.9
      >>> vfl.Scenario(metrics=[is_confident]).metrics
      (is_confident(),)
    """

    @property
    def name(self) -> str:
        """The name of the metric."""
        return type(self).__name__

    def rows(self, outcome: Outcome) -> jax.Array:
        """Returns the value of each row, [B]; a row whose value is NaN does not count. A subclass overrides this.

        Args:
          outcome: what became of the rows.
        """
        raise NotImplementedError


def measure(function: Callable[[Outcome], jax.Array]) -> Measure:
    """Makes a metric of a function, under the function's name.

    Args:
      function: takes an :class:`Outcome` of B rows, and returns a value of each row, [B]; NaN does not count.

    Returns:
      a record for ``Scenario.metrics``, whose class has the name of the function. A worker of an executor finds it in
      the function's module by this name, as a decorator leaves it there.

    Raises:
      ValueError: where ``function`` is no function with a name.
    """

    def rows(self: Any, outcome: Outcome) -> jax.Array:
        return type(self).of(outcome)

    return record_of(function, Measure, "measure", rows=rows)

"""What the page says first: behind which defenses nobody was shown to read more than the party's own model knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from experiments.leakage.cases import CASES, NONE, TASKS
from vfl_jax.reports import median_with_interval
from vfl_jax.statistics.intervals import t_interval

if TYPE_CHECKING:
    from experiments.leakage.report import Place, Reading

MOST_NAMED = 4
"""So many settings are named; where there are more, the table tells them."""


def answer(groups: Mapping[Place, Sequence[Reading]], num_trained: int) -> str:
    """A sentence per task and head, and how much is trained.

    Args:
      groups: what was read, by task and head.
      num_trained: the number of cases that have results.
    """
    said = [f"**{_of_place(place, found)}**" for place, found in groups.items()]
    if num_trained < len(CASES):
        said.append(f"**So far**: {num_trained} of {len(CASES)} cases are trained.")
    return "\n\n".join(said) + "\n"


def shows_more(reading: Reading) -> bool:
    """Whether the best reader of messages was shown to read more than the best of those that use none.

    By the t interval of their difference, paired by seed. Both are chosen by the seeds that are compared, of which
    there are more readers of messages, so that a small difference may be chance.

    Args:
      reading: what was read under one setting of a defense.
    """
    told = reading.told
    difference = told[reading.best(silent=False)[0]] - told[reading.best(silent=True)[0]]
    return t_interval(difference)[0] > 0


def _of_place(place: Place, found: Sequence[Reading]) -> str:
    """What is said of one task under one head."""
    task, head = place
    defended = [reading for reading in found if reading.defense != NONE and not reading.is_ruined]
    hidden = [reading for reading in defended if not shows_more(reading)]
    where = f"Under the {head} head, {TASKS[task].title}"
    if not defended:
        return f"{where}: no defense is trained yet."
    if not hidden:
        return (
            f"{where}: behind each of {len(defended)} settings of defenses a reader of messages reads more than the "
            "party's own model knows."
        )
    named = "; ".join(_told(reading) for reading in hidden[:MOST_NAMED])
    more = f"; and {len(hidden) - MOST_NAMED} more" if len(hidden) > MOST_NAMED else ""
    return (
        f"{where}: behind {len(hidden)} of {len(defended)} settings of defenses no reader was shown to read more than "
        f"the party's own model knows: {named}{more}."
    )


def _told(reading: Reading) -> str:
    """A setting with its best reader, and what needs no message."""
    told = [median_with_interval(reading.told[reading.best(silent)[0]]) for silent in (False, True)]
    return f"{reading.title} ({reading.best(silent=False)[0]} {told[0]}, own model {told[1]})"

"""What the page says first: behind which defenses no reader of messages was shown to read more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from experiments.leakage.cases import CASES, NONE, TASKS
from experiments.leakage.readings import Place, Reading, cost, spared
from vfl_jax.reports import median_with_interval
from vfl_jax.statistics.intervals import t_interval

MOST_NAMED = 4
"""So many settings are named; where there are more, the table tells them."""
LITTLE = 0.05
"""A lead below this is little: in share of rows, or in area under the ROC curve."""
CHEAP = 0.01
"""A defense that costs at most so much main accuracy is one that people would take."""


def answer(groups: Mapping[Place, Sequence[Reading]], num_trained: int) -> str:
    """The sentence of all settings, one per task and head, and how much is trained.

    Args:
      groups: what was read, by task and head.
      num_trained: the number of cases that have results.
    """
    kept = {place: spared(found) for place, found in groups.items()}
    settings = [one for found in kept.values() for one in found]
    said = _headline(settings)
    defended = sum(reading.defense != NONE for found in groups.values() for reading in found)
    if dearer := defended - len(settings):
        said += f" {dearer} more do not spare it, or end without a model, and are in the table alone."
    if num_trained < len(CASES):
        said += f" So far {num_trained} of {len(CASES)} cases are trained."
    places = [_of_place(place, kept[place], found) for place, found in groups.items() if kept[place]]
    return "\n".join([said, "", *places]) + "\n"


def _headline(settings: Sequence[Reading]) -> str:
    """Behind how many settings nobody was shown to read more."""
    if not settings:
        return "**No defense that spares the model is trained yet.**"
    num_hidden, total = sum(not shows_more(reading) for reading in settings), len(settings)
    of = f"{total} setting{'s' * (total > 1)} of defenses that spare the model"
    if num_hidden == total:
        return (
            f"**Behind none of {of}, a reader of messages was shown to read more than the best reader that uses none.**"
        )
    behind = f"{total - num_hidden} of {of}" if num_hidden else f"each of {of}"
    little = sum(shows_more(reading) and reading.lead < LITTLE for reading in settings)
    by = f", in {little} of them by less than {LITTLE:g} of share or AUC" if little else ""
    said = f"**Behind {behind}, a reader of messages reads more than the best reader that uses none{by}.**"
    if num_hidden:
        said += f" Behind the other{f' {num_hidden}' * (num_hidden > 1)} no reader was shown to."
    return f"{said} All parties train honestly; who changes the training may read more."


def shows_more(reading: Reading) -> bool:
    """Whether a reader of messages was shown to read more than the best of those that use none.

    By the t interval of their difference, paired by seed. At every seed both are the best of their kind by the other
    seeds, so that nobody is chosen by the number that is compared. How often chance alone is called so:
    :mod:`experiments.leakage.chance`.

    Args:
      reading: what was read under one setting of a defense.
    """
    told = reading.told
    differences = []
    for seed in range(len(reading.main)):
        others = reading._replace(right=_without(reading.right, seed), area=_without(reading.area, seed))
        loud, silent = (others.best(silent)[0] for silent in (False, True))
        differences.append(told[loud][seed] - told[silent][seed])
    return t_interval(differences)[0] > 0


def _without(values: Mapping[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """Values by reader, float[S] each, without one seed."""
    return {reader: np.delete(of_seeds, seed) for reader, of_seeds in values.items()}


def _of_place(place: Place, kept: Sequence[Reading], found: Sequence[Reading]) -> str:
    """What is said of one task under one head: which settings tell nothing more, and which cheap one leaves least."""
    task, head = place
    hidden = [reading for reading in kept if not shows_more(reading)]
    cheap = [reading for reading in kept if cost(reading, found) <= CHEAP]
    said = f"* {TASKS[task].title}, {head} head: {len(kept)} settings spare the model."
    if hidden:
        named = "; ".join(_told(reading) for reading in hidden[:MOST_NAMED])
        more = f"; and {len(hidden) - MOST_NAMED} more" if len(hidden) > MOST_NAMED else ""
        said += f" No reader of messages was shown to read more behind {named}{more}."
    if cheap:
        least = min(cheap, key=lambda reading: max(reading.best(silent)[1] for silent in (False, True)))
        said += f" Of {len(cheap)} that cost at most one percentage point, least is read behind {_told(least)}."
    return said


def _told(reading: Reading) -> str:
    """A setting with its best reader, and what needs no message."""
    told = [median_with_interval(reading.told[reading.best(silent)[0]]) for silent in (False, True)]
    unit = "AUC" if reading.area else "share of rows"
    loud, silent = (reading.best(silent)[0] for silent in (False, True))
    return f"{reading.title} ({unit} {told[0]} by {loud}; without messages {told[1]} by {silent})"

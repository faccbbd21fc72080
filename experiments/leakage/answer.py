"""What the page says first: behind which defenses no reader of messages was shown to read more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from experiments.leakage.cases import CASES, NONE, TASKS
from experiments.leakage.readings import Place, Reading, change
from vfl_jax.reports import median_with_interval
from vfl_jax.statistics import DEFENSE_LOSS_AT_MOST
from vfl_jax.statistics.intervals import t_interval

MOST_NAMED = 4
"""So many settings are named; where there are more, the table tells them."""
CHEAP = 0.01
"""A defense that costs at most so much main accuracy is one that people would take."""


def answer(groups: Mapping[Place, Sequence[Reading]], num_trained: int) -> str:
    """The sentence of all settings, one per task and head, and how much is trained.

    Args:
      groups: what was read, by task and head.
      num_trained: the number of cases that have results.
    """
    spared = {place: _spared(found) for place, found in groups.items()}
    settings = [one for found in spared.values() for one in found]
    hidden = [one for one in settings if not shows_more(one)]
    if hidden:
        behind, who = f"{len(hidden)} of", "no reader of messages was shown to read more"
    else:
        behind, who = "each of", "a reader of messages reads more"
    price = f"cost at most {100 * DEFENSE_LOSS_AT_MOST:g} percentage points of main accuracy"
    said = (
        f"**Behind {behind} {len(settings)} settings of defenses that {price}, {who} than the best reader that uses "
        "none.**"
    )
    defended = sum(reading.defense != NONE for found in groups.values() for reading in found)
    if dearer := defended - len(settings):
        said += f" {dearer} more cost more, or end without a model, and are in the table alone."
    if num_trained < len(CASES):
        said += f" So far {num_trained} of {len(CASES)} cases are trained."
    places = [_of_place(place, spared[place], found) for place, found in groups.items() if spared[place]]
    return "\n".join([said, "", *places]) + "\n"


def shows_more(reading: Reading) -> bool:
    """Whether a reader of messages was shown to read more than the best of those that use none.

    By the t interval of their difference, paired by seed. At every seed both are the best of their kind by the other
    seeds, so that nobody is chosen by the number that is compared. In a simulation with 20 readers that know nothing
    more, and 10 seeds, it calls one better in 6 of 100 settings; chosen by all seeds, in 14.

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


def _spared(found: Sequence[Reading]) -> list[Reading]:
    """The settings of defenses that spare the honest runs: hardly anybody would use another."""
    return [
        one for one in found if one.defense != NONE and not one.is_ruined and _cost(one, found) <= DEFENSE_LOSS_AT_MOST
    ]


def _cost(reading: Reading, found: Sequence[Reading]) -> float:
    """What a defense costs of the main accuracy, the median; 0 where the undefended runs are not the same seeds'."""
    changed = change(reading, found)
    return 0.0 if changed is None else -float(np.median(changed))


def _of_place(place: Place, spared: Sequence[Reading], found: Sequence[Reading]) -> str:
    """What is said of one task under one head: which settings tell nothing more, and which cheap one leaves least."""
    task, head = place
    hidden = [reading for reading in spared if not shows_more(reading)]
    cheap = [reading for reading in spared if _cost(reading, found) <= CHEAP]
    where = f"* {TASKS[task].title}, {head} head, {len(spared)} settings:"
    said = []
    if hidden:
        named = "; ".join(_told(reading) for reading in hidden[:MOST_NAMED])
        more = f"; and {len(hidden) - MOST_NAMED} more" if len(hidden) > MOST_NAMED else ""
        said.append(f"no reader of messages was shown to read more behind {named}{more}.")
    if cheap:
        least = min(cheap, key=lambda reading: reading.best(silent=False)[1])
        said.append(f"of {len(cheap)} that cost at most one percentage point, least is read behind {_told(least)}.")
    return " ".join([where, *(text if i == 0 else text[0].upper() + text[1:] for i, text in enumerate(said))])


def _told(reading: Reading) -> str:
    """A setting with its best reader, and what needs no message."""
    told = [median_with_interval(reading.told[reading.best(silent)[0]]) for silent in (False, True)]
    unit = "AUC" if reading.area else "share of rows"
    return f"{reading.title} ({unit} {told[0]} by {reading.best(silent=False)[0]}, {told[1]} by the own model)"

"""When a claim holds: rules on numbers alone.

They were written down after a probe on handwritten and before all other runs, but for five that were set after all
runs: that claim 3 takes gains as shares of what floors leave, that attacks with a floor above 0.5 do not count in it,
that no attack alone carries it, that an attack counts once in claim 5, and that one data set is enough to contradict
claims 3 and 6, which are of every case.

Every claim is asked of several items, such as attacks. An item says yes where the 95 % interval over seeds of its
number lies at or above a threshold, no where it lies below, and else nothing. A claim holds where more than half of
its items say yes, is contradicted where more than half say no, and is undecided otherwise. Without an item it cannot be
judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple

import numpy as np

from vfl_jax.statistics import interval
from vfl_jax.statistics.judging import ABOVE_FLOOR, BACKDOOR_ABOVE, MAIN_LOSS_AT_MOST

HOLDS, CONTRADICTED, UNDECIDED, UNJUDGED = "holds", "contradicted", "undecided", "cannot be judged"
Says = Literal["yes", "no", "–"]
YES: Says = "yes"
NO: Says = "no"
OPEN: Says = "–"

CEILING = 0.95
"""Two settings whose medians both reach this leave no room for a difference."""
JUMP = 0.1
"""Success jumps where it differs by so much from one epoch to the next, or between two seeds, on average."""
SEPARABLE = 0.95
"""Messages are nearly perfectly separable from this area under the ROC curve on."""
RECOVERED = 0.9
"""A defense recovers utility where it makes good this share of what the attack took."""

Values = np.ndarray
"""float[S], one value per seed."""


class Success(NamedTuple):
    """An attack's success and that of the honest runs, float[S] each."""

    own: Values
    floor: Values

    @property
    def gain(self) -> Values:
        """What the attack adds to the floor."""
        return self.own - self.floor

    @property
    def share(self) -> Values:
        """The gain, as a share of what the floor leaves."""
        return self.gain / np.maximum(1.0 - self.floor, 1e-9)

    @property
    def is_effective(self) -> bool:
        """Whether the medians are those of a success: above 0.5, and 0.25 above the floor."""
        return median(self.own) > BACKDOOR_ABOVE and median(self.gain) >= ABOVE_FLOOR


class Item(NamedTuple):
    """One thing that a claim is asked of: its number over seeds, the interval, and what it says."""

    name: str
    value: float
    low: float
    high: float
    says: Says


class Judgement(NamedTuple):
    """A verdict, the items it was made of, and how many do not count because they are at the ceiling either way."""

    verdict: str
    items: tuple[Item, ...]
    at_ceiling: int = 0


def median(values: Values) -> float:
    """The median of the seeds that have a value; NaN where none has."""
    values = np.asarray(values, float)
    return float(np.median(values[~np.isnan(values)])) if (~np.isnan(values)).any() else float("nan")


def item(
    name: str, values: Values, threshold: float = 0.0, statistic: Callable[..., np.floating] = np.median
) -> Item | None:
    """What values over seeds say beside a threshold; None where no seed has a value."""
    values = np.asarray(values, float).ravel()
    values = values[~np.isnan(values)]
    if not values.size:
        return None
    value = float(statistic(values))
    # Of equal values `interval` returns that value, which is no interval of a spread.
    low, high = interval(values, statistic) if np.ptp(values) > 0 else (value, value)
    # Exactly no difference is none: at a threshold of 0 a yes is above it.
    is_yes = low > threshold if threshold == 0 else low >= threshold
    says: Says = YES if is_yes else NO if high < threshold else OPEN
    return Item(name, value, low, high, says)


def vote(found: Iterable[Item | None]) -> Judgement:
    """The verdict of a claim by its items."""
    items = tuple(one for one in found if one is not None)
    return Judgement(verdict_of([one.says for one in items]), items)


def verdict_of(answers: list[str]) -> str:
    """The verdict of more than half of the answers."""
    if not answers:
        return UNJUDGED
    most = len(answers) / 2
    return HOLDS if answers.count(YES) > most else CONTRADICTED if answers.count(NO) > most else UNDECIDED


def majority_is_easier(rarest: Mapping[str, Success], majority: Mapping[str, Success]) -> Judgement:
    """Claim 1, by attacks that are effective with one of both as τ: the difference of the shares of what floors leave.

    So an attack is not credited with rows that honest runs give to the majority class. Attacks that reach the ceiling
    with both do not count.
    """
    both = {name: (rarest[name], majority[name]) for name in rarest if name in majority}
    able = {name: pair for name, pair in both.items() if any(one.is_effective for one in pair)}
    full = [name for name, pair in able.items() if min(median(one.share) for one in pair) >= CEILING]
    judgement = vote(
        item(name, frequent.share - rare.share) for name, (rare, frequent) in able.items() if name not in full
    )
    return judgement._replace(at_ceiling=len(full))


def jumps_between_epochs(curves: Mapping[str, np.ndarray]) -> Judgement:
    """Claim 2, epochs: the mean change from one epoch to the next, of success over epochs, float[S, epochs]."""
    return vote(
        item(name, np.abs(np.diff(curve, axis=1)).mean(axis=1), JUMP)
        for name, curve in curves.items()
        if np.shape(curve)[1] > 1
    )


def jumps_between_seeds(last: Mapping[str, Values]) -> Judgement:
    """Claim 2, seeds: the mean difference between two seeds, of success at the last epoch."""
    return vote(item(name, values, JUMP, mean_difference) for name, values in last.items() if len(values) > 1)


def mean_difference(values: Values) -> np.floating:
    """The mean distance between two different values of a sample."""
    values = np.asarray(values, float)
    return np.abs(values[:, None] - values[None]).sum() / (values.size * (values.size - 1))


def embedding_beats_input(
    embedding: Mapping[int, Mapping[str, Success]], inputs: Mapping[int, Mapping[str, Success]]
) -> Judgement:
    """Claim 3, by numbers of parties K: the mean share of attacks in embedding space less that of those in input space.

    An attack does not count whose floor is above 0.5. No attack alone carries an answer: an item says yes or no where
    it says so whichever attack is left out, and nothing where a kind has one attack alone. The claim is of every K, so
    it holds where all say yes, and is contradicted where one says no.
    """
    found = []
    for k in embedding:
        groups = judged(embedding[k]), judged(inputs.get(k, {}))
        if all(groups):
            whole = item(f"K = {k}", embedding_less_input(*groups))
            parts = [item("", values) for values in without_each(*groups).values()]
            if whole is not None:
                is_alone = any(len(group) == 1 for group in groups)
                is_carried_by_one = is_alone or any(part is not None and part.says != whole.says for part in parts)
                found.append(whole._replace(says=OPEN) if is_carried_by_one else whole)
    answers = [one.says for one in found]
    every = HOLDS if set(answers) == {YES} else CONTRADICTED if NO in answers else UNDECIDED
    return Judgement(every if found else UNJUDGED, tuple(found))


def judged(of: Mapping[str, Success]) -> dict[str, Success]:
    """The attacks whose floor says something: the median is at most 0.5."""
    return {name: success for name, success in of.items() if median(success.floor) <= BACKDOOR_ABOVE}


def embedding_less_input(embedding: Mapping[str, Success], inputs: Mapping[str, Success]) -> Values:
    """The mean share of attacks in embedding space less that of those in input space."""
    means = [np.mean([success.share for success in of.values()], axis=0) for of in (embedding, inputs)]
    return means[0] - means[1]


def without_each(embedding: Mapping[str, Success], inputs: Mapping[str, Success]) -> dict[str, Values]:
    """The same by the attack that is left out; the only one of its kind stays."""
    groups, found = (dict(embedding), dict(inputs)), {}
    for place, group in enumerate(groups):
        for name in group if len(group) > 1 else ():
            fewer = list(groups)
            fewer[place] = {other: success for other, success in group.items() if other != name}
            found[name] = embedding_less_input(*fewer)
    return found


def colluders_help(alone: Mapping[str, Success], together: Mapping[str, Success]) -> Judgement:
    """Claim 4, one target: success of both attackers less that of one alone.

    Attacks do not count that are at the ceiling alone, nor those that no number of attackers brings off the floor.
    """
    full = [name for name, one in alone.items() if name in together and median(one.own) >= CEILING]
    judgement = vote(
        item(name, together[name].own - one.own)
        for name, one in alone.items()
        if name in together and name not in full and max(median(one.gain), median(together[name].gain)) >= ABOVE_FLOOR
    )
    return judgement._replace(at_ceiling=len(full))


def targets_hurt(alone: Mapping[str, Success], together: Mapping[str, Success]) -> Judgement:
    """Claim 4, several targets: what an attacker loses by the other one, as the mean over both attackers.

    Attacks count that do something alone. Of a row one attacker at most can win, so that an attack above 0.5 alone
    must lose.
    """
    return vote(
        item(name, one.own - together[name].own)
        for name, one in alone.items()
        if name in together and median(one.gain) >= ABOVE_FLOOR
    )


def separable(areas: Mapping[str, Values]) -> Judgement:
    """Claim 5, by effective attacks: the area under the ROC curve of ‖h‖∞, in whichever direction it tells more.

    An attack counts once, however many numbers of parties it is effective with.
    """
    return vote(item(name, separation(area), SEPARABLE) for name, area in areas.items())


def separation(area: Values) -> Values:
    """An area under the ROC curve, in whichever direction it tells more."""
    return np.maximum(area, 1.0 - np.asarray(area, float))


class Utility(NamedTuple):
    """The accuracy on attacked rows, and on all rows without an attack, float[S] each."""

    attacked: Values
    clean: Values


def none_recovers(
    honest: Utility, undefended: Mapping[str, Utility], defended: Mapping[str, Mapping[str, Utility]]
) -> Judgement:
    """Claim 6, by defenses: which share of what effective attacks took from attacked rows a defense gives back.

    Means are over the attacks. A defense recovers utility where the whole interval of the share is at least 0.9, and
    the accuracy on clean rows is within 0.02 of the undefended honest runs'. Its item says yes where it does not. The
    claim is of all defenses, so it holds where every item says yes, and is contradicted where one says no.
    """
    found = []
    for defense, by_attack in defended.items():
        names = [name for name in by_attack if name in undefended]
        if not names:
            continue
        before = np.mean([undefended[name].attacked for name in names], axis=0)
        after = np.mean([by_attack[name].attacked for name in names], axis=0)
        clean = np.mean([by_attack[name].clean for name in names], axis=0)
        one = item(defense, (after - before) / np.maximum(honest.attacked - before, 1e-9), RECOVERED)
        if one is not None:
            keeps = median(honest.clean - clean) <= MAIN_LOSS_AT_MOST
            opposite: dict[Says, Says] = {YES: NO, NO: YES, OPEN: OPEN}
            name = one.name if keeps else f"{one.name} (costs clean accuracy)"
            found.append(one._replace(name=name, says=opposite[one.says] if keeps else YES))
    answers = [one.says for one in found]
    verdict = (
        UNJUDGED if not answers else CONTRADICTED if NO in answers else HOLDS if set(answers) == {YES} else UNDECIDED
    )
    return Judgement(verdict, tuple(found))

"""The paper's six claims: what each is asked of in the results on one data set, and the evidence beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from experiments.zhao2026 import verdicts
from experiments.zhao2026.cases import ALONE, ATTACKERS, EMBEDDING_SPACE, HONEST, INPUT_SPACE, KINDS
from experiments.zhao2026.reading import SUCCESS, Found, OfData
from experiments.zhao2026.verdicts import Judgement, Success, Values, median, separation
from vfl_jax.reports import Row, median_with_interval

BEGINS = {"BASL": 0.9, "BASL-5": 0.9, "TECB": 0.79, "CentroidReplay": 1.0}
"""The share of the epochs after which an attack does nothing new by plan; of others it is half."""

Look = Callable[[OfData], tuple[Judgement, list[Row]]]


@dataclasses.dataclass(frozen=True)
class Claim:
    """A claim, how it is judged in words, what a data set says of it, and by which roles' results.

    ``number`` names what its items measure, and ``threshold`` is drawn in the figure. ``aside`` is what a reader of the
    answer alone must know. ``is_of_all`` says that the claim is of every case: one data set that contradicts it
    contradicts it in all.
    """

    name: str
    text: str
    rule: str
    look: Look
    number: str
    threshold: float
    roles: tuple[str, ...]
    aside: str = ""
    is_of_all: bool = False


NOTHING = Judgement(verdicts.UNJUDGED, ())


def _majority(data: OfData) -> tuple[Judgement, list[Row]]:
    rarest, majority = data.base_of("message"), data.base_of("majority")
    if rarest is None or majority is None:
        return NOTHING, []
    both = rarest.successes(), majority.successes()
    rows = [
        {
            "attack": name,
            "τ rarest: success": median_with_interval(both[0][name].own),
            "its floor": median_with_interval(both[0][name].floor),
            "τ majority: success": median_with_interval(both[1][name].own),
            "majority's floor": median_with_interval(both[1][name].floor),
        }
        for name in both[0]
        if name in both[1]
    ]
    return verdicts.majority_is_easier(*both), rows


def _works_at_some_epoch(found: Found, attack: str) -> bool:
    """Whether an attack is effective at an epoch, by medians over seeds."""
    own, floor = found.values(SUCCESS, attack), found.values(SUCCESS, HONEST)
    return any(Success(own[:, e], floor[:, e]).is_effective for e in range(own.shape[1]))


def _curves(data: OfData) -> dict[str, tuple[Found, str]]:
    """The attacks that are effective at some epoch, with the usual number of parties."""
    roles = [data.base_of(role) for role in KINDS]
    return {name: (f, name) for f in roles if f is not None for name in f.names if _works_at_some_epoch(f, name)}


def _between_epochs(data: OfData) -> tuple[Judgement, list[Row]]:
    curves, rows = {}, []
    for name, (found, attack) in _curves(data).items():
        values, honest = found.values(SUCCESS, attack), found.values(SUCCESS, HONEST)
        begins = int(BEGINS.get(name, 0.5) * values.shape[1] + 0.5)
        curves[name] = values[:, begins:]
        last = values[:, begins:]
        rows.append(
            {
                "attack": name,
                "epochs": f"{begins + 1} to {values.shape[1]}" if last.size else "none: it acts until the last",
                "lowest in them": median_with_interval(last.min(axis=1)) if last.size else "–",
                "highest": median_with_interval(last.max(axis=1)) if last.size else "–",
                "the honest runs' highest": median_with_interval(honest[:, begins:].max(axis=1)) if last.size else "–",
                "largest step between epochs: median (least to most) of seeds": _largest_changes(last),
            }
        )
    return verdicts.jumps_between_epochs(curves), rows


def _largest_changes(curve: np.ndarray) -> str:
    """The largest step from one epoch to the next of each seed, of success over epochs, float[S, epochs]: median, least
    and most.
    """
    if curve.shape[1] < 2:
        return "–"
    largest = np.abs(np.diff(curve, axis=1)).max(axis=1)
    return f"{median(largest):z.2f} ({largest.min():z.2f} to {largest.max():z.2f})"


def _between_seeds(data: OfData) -> tuple[Judgement, list[Row]]:
    last = {name: found.last(SUCCESS, attack) for name, (found, attack) in _curves(data).items()}
    rows = [
        {"attack": name, "lowest seed": f"{min(values):z.3f}", "median": f"{median(values):z.3f}"}
        | {"highest seed": f"{max(values):z.3f}"}
        for name, values in last.items()
    ]
    return verdicts.jumps_between_seeds(last), rows


def _embedding(data: OfData) -> tuple[Judgement, list[Row]]:
    embedding, inputs = data.of_kind(EMBEDDING_SPACE), data.of_kind(INPUT_SPACE)
    rows = []
    for k in embedding:
        both = embedding[k], inputs.get(k, {})
        groups = [verdicts.judged(group) for group in both]
        without = verdicts.without_each(*groups) if all(groups) else {}
        rows += [
            {
                "K": str(k),
                "attack": name,
                "space": "embedding" if name in EMBEDDING_SPACE else "input",
                "success": median_with_interval(success.own),
                "floor": median_with_interval(success.floor),
                "embedding less input without it": median_with_interval(without[name]) if name in without else "–",
            }
            for name, success in (both[0] | both[1]).items()
        ]
    return verdicts.embedding_beats_input(embedding, inputs), rows


def _help(data: OfData) -> tuple[Judgement, list[Row]]:
    found = data.base_of("colluders")
    if found is None:
        return NOTHING, []
    names = ATTACKERS["colluders"]
    alone, both = ({name: found.success(f"{name}, {word}") for name in names} for word in ("alone", "both"))
    rows = [
        {
            "attack": name,
            "one attacker": median_with_interval(alone[name].own),
            "two, one target": median_with_interval(both[name].own),
            "floor": median_with_interval(alone[name].floor),
        }
        for name in names
    ]
    return verdicts.colluders_help(alone, both), rows


def _hurt(data: OfData) -> tuple[Judgement, list[Row]]:
    found = data.base_of("two_targets")
    if found is None:
        return NOTHING, []
    alone, rows = {}, []
    both = {name: found.by_attacker(name, "both") for name in ATTACKERS["two_targets"]}
    for name in ATTACKERS["two_targets"]:
        last, other = found.by_attacker(name, "alone"), found.by_attacker(name, "other alone")
        alone[name] = Success((last.own + other.own) / 2, (last.floor + other.floor) / 2)
        rows.append(
            {
                "attack": name,
                "alone, mean of both": median_with_interval(alone[name].own),
                "together, mean of both": median_with_interval(both[name].own),
                "rows that one of them wins": median_with_interval(2 * both[name].own),
            }
        )
    return verdicts.targets_hurt(alone, both), rows


def _separable(data: OfData) -> tuple[Judgement, list[Row]]:
    areas: dict[str, list[Values]] = {}
    rows = []
    for found in data.undefended():
        for name in found.names:
            if found.success(name).is_effective:
                area = found.last("full_stealth_linf", name)
                areas.setdefault(name, []).append(separation(area))
                rows.append(
                    {
                        "attack": f"{name}, K = {found.case.parties}",
                        "area, ‖h‖∞": median_with_interval(area),
                        "honest runs', ‖h‖∞": median_with_interval(found.last("full_stealth_linf")),
                        "separation, ‖h‖₂": median_with_interval(separation(found.last("full_stealth_l2", name))),
                        "separation, class means": median_with_interval(
                            separation(found.last("full_stealth_class_mean", name))
                        ),
                    }
                )
    return verdicts.separable({name: _mean_at_common_seeds(of_parties) for name, of_parties in areas.items()}), rows


def _mean_at_common_seeds(of_parties: Sequence[Values]) -> Values:
    """The mean of values by seed, float[S] each; seeds count from 0, and some may have more."""
    common = min(len(values) for values in of_parties)
    return np.mean([values[:common] for values in of_parties], axis=0)


def _recovers(data: OfData) -> tuple[Judgement, list[Row]]:
    plain = data.base_of("message")
    if plain is None:
        return NOTHING, []
    undefended = {name: plain.utility(name) for name in plain.names if plain.success(name).is_effective}
    defended = {
        defense: {name: found.utility(name, defense) for name in found.names if name in undefended}
        for found in data.defended()
        for defense in found.case.defenses
    }
    rows = [
        {
            "defense": defense,
            "attack": name,
            "success": median_with_interval(found.last(SUCCESS, name, defense)),
            "recovered utility": median_with_interval(found.last("full_recovered_utility", name, defense)),
            "undefended": median_with_interval(undefended[name].attacked),
            "honest, undefended": median_with_interval(plain.utility().attacked),
            "honest, defended": median_with_interval(found.utility(HONEST, defense).attacked),
            "clean accuracy": median_with_interval(found.utility(name, defense).clean),
        }
        for found in data.defended()
        for defense in found.case.defenses
        for name in found.names
        if name in undefended
    ]
    return verdicts.none_recovers(plain.utility(), undefended, defended), rows


CLAIMS: Sequence[Claim] = (
    Claim(
        "1",
        "Attacks succeed best on the majority class",
        "Of attacks in embedding space that are effective with the rarest or the most frequent class as τ: (success − "
        "floor) / (1 − floor) with the most frequent class less that with the rarest. Attacks that reach "
        f"{verdicts.CEILING:g} with both leave no room for a difference, and do not count.",
        _majority,
        "majority less rarest",
        0.0,
        ("message", "majority"),
    ),
    Claim(
        "2a",
        "Success jumps between epochs",
        f"Of attacks that are effective at some epoch: the mean change from an epoch to the next, after all that the "
        f"attack does by plan. A jump is {verdicts.JUMP:g}. A seed may jump once and still change little on average; "
        "the table below says how far the largest step of a seed goes.",
        _between_epochs,
        "mean change per epoch",
        verdicts.JUMP,
        KINDS,
        "by the mean step; single steps may be large",
    ),
    Claim(
        "2b",
        "Success jumps between seeds",
        f"Of the same attacks: the mean difference between two seeds at the last epoch. A jump is {verdicts.JUMP:g}.",
        _between_seeds,
        "mean difference of two seeds",
        verdicts.JUMP,
        KINDS,
    ),
    Claim(
        "3",
        "Attacks in embedding space beat those in input space at every K",
        "Per K: the mean of (success − floor) / (1 − floor) over the attacks in embedding space, less that in input "
        f"space. An attack with a floor above {verdicts.BACKDOOR_ABOVE:g} does not count. An item says yes or no where "
        "it says so whichever attack is left out, and nothing where a kind has one attack alone. All K must say yes; "
        "one no contradicts.",
        _embedding,
        "embedding less input",
        0.0,
        KINDS,
        is_of_all=True,
    ),
    Claim(
        "4a",
        "Colluders with one target help each other",
        f"Per attack: success of two less that of one. Attacks that reach {verdicts.CEILING:g} alone, or that do "
        "nothing even together, do not count. Any gain above 0 says yes, however small.",
        _help,
        "two less one",
        0.0,
        ("colluders",),
    ),
    Claim(
        "4b",
        "Colluders with several targets hurt each other",
        "Per attack that does something alone: the mean success of both attackers, each alone and for its own target, "
        "less that where both attack.",
        _hurt,
        "alone less together",
        0.0,
        ("two_targets",),
        "this follows by arithmetic where each wins more than half of the rows alone",
    ),
    Claim(
        "5",
        "Effective attacks are separable by ‖h‖∞ alone",
        f"Of effective attacks: the area under the ROC curve of ‖h‖∞, or 1 less it, as the mean over the K at which "
        f"the attack is effective. Nearly perfect is {verdicts.SEPARABLE:g}.",
        _separable,
        "separation by ‖h‖∞",
        verdicts.SEPARABLE,
        KINDS,
    ),
    Claim(
        "6",
        "No defense recovers utility",
        f"Per defense, as the mean over effective attacks: the share of the accuracy on attacked rows, lost to the "
        f"attack, that comes back. It is recovered from {verdicts.RECOVERED:g} on, unless clean accuracy suffers by "
        "more than 0.02. All defenses must fail; one that recovers contradicts.",
        _recovers,
        "share that comes back",
        verdicts.RECOVERED,
        ("message", "in_training", *ALONE),
        "the attacks do not know the defense",
        is_of_all=True,
    ),
)

"""How a claim is judged: by stated thresholds, from saved results, group by group, with the evidence beside."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from experiments.defended import backdoors, leaves_something
from experiments.outcomes import DATA, Point, Results, are_alike, at, data_name, successes
from vfl_jax.outcomes import COLLAPSED
from vfl_jax.report import UNDEFINED, Row, interval_text, not_judged_text
from vfl_jax.statistics import BACKDOOR_ABOVE

if TYPE_CHECKING:
    import xarray as xr

MOST = 0.9
"""A claim holds in a group where it holds for so large a share of seeds, and does not where it fails for as many."""


class Finding(NamedTuple):
    """What was seen of a claim in one group of runs."""

    held: float | None  # for which share of seeds it holds, 1 or 0 where it is not about seeds; None: cannot be judged
    evidence: str


@dataclasses.dataclass(frozen=True)
class Claim:
    """One claim of the paper, what was run, and what judges it.

    ``groups`` names, by a label, the results that are looked at together, each as ``<study>/<case>``;
    ``look`` gets their data sets. A task in a label stands for the data that they were made on. ``beside`` names, by
    the same labels, files as ``<study>/<name>`` that are no sweeps; their data sets come last.
    """

    where: str
    text: str
    ran: str
    groups: Mapping[str, tuple[str, ...]]
    look: Callable[..., Finding]
    beside: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)


def judge(claim: Claim, results: Results) -> Row:
    """The row of a claim: what it says, what was run, the verdict, the evidence."""
    findings, missing = {}, []
    for label, places in claim.groups.items():
        found = [results.find(place) for place in places]
        trained = [dataset for dataset in found if dataset is not None]
        beside = [results.file(place) for place in claim.beside.get(label, ())]
        if len(trained) < len(found) or any(dataset is None for dataset in beside):
            missing.append(_named(label, DATA))
        elif not all(are_alike(trained[0], other) for other in trained):
            missing.append(f"{_named(label, DATA)} (so far on other data, for other epochs or with other seeds)")
        else:
            findings[_named(label, dict.fromkeys(DATA, data_name(trained[0])))] = claim.look(*trained, *beside)
    return row(claim.text, claim.where, claim.ran, findings, missing)


def _named(label: str, names: Mapping[str, str]) -> str:
    """A group's label, with what its task stands for."""
    task, comma, rest = label.partition(",")
    return names.get(task, task) + comma + rest


def row(text: str, where: str, ran: str, findings: Mapping[str, Finding], missing: Sequence[str]) -> Row:
    """A claim as a row of the page; ``missing`` are the groups that nothing is known of yet."""
    lines = [f"{label}: {finding.evidence}" for label, finding in findings.items()]
    lines += [f"not run yet: {'; '.join(missing)}"] if missing else []
    return {
        "claim": f"{text} ({where})",
        "what was run": ran,
        "verdict": f"**{_verdict(findings)}**" + (" (so far)" if findings and missing else ""),
        "evidence": "<br>".join(lines),
    }


def _verdict(findings: Mapping[str, Finding]) -> str:
    if not findings:
        return "not run yet"
    if all(finding.held is None for finding in findings.values()):
        return "cannot be judged"
    judged = {label: finding.held for label, finding in findings.items() if finding.held is not None}
    good = [label for label, held in judged.items() if held >= MOST]
    bad = [label for label, held in judged.items() if held <= 1 - MOST + 1e-9]
    partly = [f"{label} (some seeds)" for label in judged if label not in good + bad]
    if len(good) == len(judged):
        said = ["holds"]
    elif len(bad) == len(judged):
        said = ["does not hold"]
    else:
        said = [f"holds only: {'; '.join(good + partly)}"]
        said += [f"Not: {'; '.join(bad)}"] if bad else []
    unjudged = [label for label in findings if label not in judged]
    said += [f"Cannot be judged: {'; '.join(unjudged)}"] if unjudged else []
    return ". ".join(said)


def success_share(point: Point) -> float | None:
    """Which share of the seeds that can be judged succeeds at the last epoch; None where fewer than half can."""
    if not leaves_something(point):
        return None
    return float(point.counted.is_success.isel(epoch=-1)[point.judged().values].mean())


def succeeds(**settings: float):
    """Looks whether the attack succeeds at these settings."""

    def look(dataset: xr.Dataset) -> Finding:
        point = at(dataset, **settings)
        return Finding(success_share(point), outcome(point))

    return look


def outcome(point: Point) -> str:
    """Successes, collapsed seeds and the backdoor beside its floor, at the last epoch."""
    numbers = point.numbers()
    collapsed, unjudged = int(numbers[COLLAPSED]), not_judged_text(numbers)
    said = [f"{successes(numbers)} seeds succeed"] if point.judged().any() else ["no seed can be judged"]
    said += [f"{collapsed} collapse"] if collapsed else []
    said += [unjudged] if unjudged != UNDEFINED else []
    return (
        f"{', '.join(said)}; backdoor {interval_text(numbers, 'backdoor_accuracy')}, above {BACKDOOR_ABOVE} on "
        f"{int(backdoors(point).sum())}, floor {interval_text(numbers, 'backdoor_accuracy_honest')}"
    )

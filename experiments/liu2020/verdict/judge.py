"""How a claim is judged: by stated thresholds, from saved results, group by group, with the evidence beside."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from experiments.liu2020.head.cases import TASKS
from experiments.liu2020.saved import Results
from experiments.shared.defended import backdoors, leaves_something
from experiments.shared.outcomes import DATA, Point, are_alike, at, data_name, successes
from vfl_jax.presets import Task
from vfl_jax.reports import UNDEFINED, Row, interval_text, not_judged_text
from vfl_jax.statistics.judging import COLLAPSED

if TYPE_CHECKING:
    import xarray as xr

MOST = 0.9
"""A claim holds in a group where it holds for so large a share of seeds, and does not where it fails for as many."""

MANY = 8
"""With more groups than this a verdict counts them, and each is named with its evidence."""


class Finding(NamedTuple):
    """What was seen of a claim in one group of runs."""

    held: float | None  # for which share of seeds it holds, 1 or 0 where it is not about seeds; None: cannot be judged
    evidence: str


@dataclasses.dataclass(frozen=True)
class Claim:
    """One claim of the paper, what was run, and what judges it.

    ``groups`` names, by a label, the results that are looked at together, each as ``<experiment>/<case>``;
    ``look`` gets their data sets. A task in a label stands for the data that they were made on. ``beside`` names, by
    the same labels, files as ``<experiment>/<name>`` that are no sweeps; their data sets come last. ``about`` are the
    tasks that the paper speaks of.
    """

    where: str
    text: str
    ran: str
    groups: Mapping[str, tuple[str, ...]]
    look: Callable[..., Finding]
    beside: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    about: Sequence[Task] = TASKS


class Examined(NamedTuple):
    """A claim with what was found of it; ``missing`` are the groups that nothing is known of yet."""

    text: str
    where: str
    ran: str
    findings: Mapping[str, Finding]
    missing: Sequence[str]
    runs: Mapping[str, str]  # what was run first in a group, by the group's name
    about: Sequence[Task] = TASKS

    @property
    def verdict(self) -> str:
        return _verdict(self.findings) + (" (so far)" if self.findings and self.missing else "")


def judge(claim: Claim, results: Results) -> Row:
    """The row of a claim: what it says, what was run, the verdict, the evidence."""
    return row(examine(claim, results))


def examine(claim: Claim, results: Results) -> Examined:
    """Looks at every group of a claim that has its results."""
    findings, missing, runs = {}, [], {}
    for label, places in claim.groups.items():
        found = [results.find(place) for place in places]
        trained = [dataset for dataset in found if dataset is not None]
        beside = [results.file(place) for place in claim.beside.get(label, ())]
        if len(trained) < len(found) or any(dataset is None for dataset in beside):
            missing.append(_named(label, DATA))
        elif not all(are_alike(trained[0], other) for other in trained):
            missing.append(f"{_named(label, DATA)} (so far on other data, for other epochs or with other seeds)")
        else:
            name = _named(label, dict.fromkeys(DATA, data_name(trained[0])))
            findings[name], runs[name] = claim.look(*trained, *beside), places[0]
    return Examined(claim.text, claim.where, claim.ran, findings, missing, runs, claim.about)


def _named(label: str, names: Mapping[str, str]) -> str:
    """A group's label, with what its task stands for."""
    task, comma, rest = label.partition(",")
    return names.get(task, task) + comma + rest


def row(examined: Examined) -> Row:
    """A claim as a row of a table."""
    lines = [f"{label}: {finding.evidence}" for label, finding in examined.findings.items()]
    lines += [f"not run yet: {'; '.join(examined.missing)}"] if examined.missing else []
    said, so_far, _ = examined.verdict.partition(" (so far)")
    return {
        "claim": f"{examined.text} ({examined.where})",
        "what was run": examined.ran,
        "verdict": f"**{said}**{so_far}",
        "evidence": "<br>".join(lines),
    }


GRADES = {"good": "holds", "partly": "some seeds", "bad": "does not hold", "unjudged": "cannot be judged"}


def grade(finding: Finding) -> str:
    """The key of ``GRADES`` that a finding has."""
    if finding.held is None:
        return "unjudged"
    return "good" if finding.held >= MOST else "bad" if finding.held <= 1 - MOST + 1e-9 else "partly"


def _verdict(findings: Mapping[str, Finding]) -> str:
    if not findings:
        return "not run yet"
    graded: dict[str, list[str]] = {grade: [] for grade in GRADES}
    for label, finding in findings.items():
        graded[grade(finding)].append(label)
    num_judged = len(findings) - len(graded["unjudged"])
    if not num_judged:
        return "cannot be judged"
    is_short = len(findings) > MANY

    def named(grade: str, suffix: str = "") -> list[str]:
        return [f"{label}{suffix}" for label in graded[grade]]

    if len(graded["good"]) == num_judged:
        said = ["holds"]
    elif len(graded["bad"]) == num_judged:
        said = ["does not hold"]
    elif is_short:
        said = [f"holds in {len(graded['good'])} of {len(findings)} groups"]
        said += [f"on some seeds in {len(graded['partly'])}"] if graded["partly"] else []
        said += [f"not in {len(graded['bad'])}"] if graded["bad"] else []
        said = [", ".join(said)]
    else:
        said = [f"holds only: {'; '.join(named('good') + named('partly', ' (some seeds)'))}"]
        said += [f"Not: {'; '.join(graded['bad'])}"] if graded["bad"] else []
    if graded["unjudged"]:
        said += [f"Cannot be judged: {len(graded['unjudged']) if is_short else '; '.join(graded['unjudged'])}"]
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
    """Successes, seeds with a backdoor, collapsed ones, and the backdoor beside its floor, at the last epoch."""
    numbers = point.numbers()
    collapsed, unjudged, has_backdoor = int(numbers[COLLAPSED]), not_judged_text(numbers), backdoors(point)
    said = ["no seed can be judged"]
    if has_backdoor.size:
        said = [f"{successes(numbers)} seeds succeed, {int(has_backdoor.sum())} have a backdoor"]
    said += [f"{collapsed} collapse"] if collapsed else []
    said += [unjudged] if unjudged != UNDEFINED else []
    return (
        f"{', '.join(said)}; backdoor {interval_text(numbers, 'backdoor_accuracy')}, floor "
        f"{interval_text(numbers, 'backdoor_accuracy_honest')}"
    )

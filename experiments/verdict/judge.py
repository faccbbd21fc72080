"""How a claim is judged: by stated thresholds, from saved results, group by group, with the evidence beside."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from experiments.outcomes import Point, Results, share
from vfl_jax.report import Row, median_with_interval

MOST = 0.9
"""A claim holds in a group where it holds for so large a share of seeds, and does not where it fails for as many."""


class Finding(NamedTuple):
    """What was seen of a claim in one group of runs."""

    held: float  # for which share of seeds it holds; 1 or 0 where it is not about single seeds
    evidence: str


@dataclasses.dataclass(frozen=True)
class Claim:
    """One claim of the paper, what was run, and what judges it.

    ``groups`` names, by a label, the results that are looked at together, each as ``<study>/<case>``;
    ``look`` gets their data sets.
    """

    where: str
    text: str
    ran: str
    groups: Mapping[str, tuple[str, ...]]
    look: Callable[..., Finding]


def judge(claim: Claim, results: Results) -> Row:
    """The row of a claim: what it says, what was run, the verdict, the evidence."""
    findings: dict[str, Finding] = {}
    for label, places in claim.groups.items():
        found = [results.find(place) for place in places]
        if all(dataset is not None for dataset in found):
            findings[label] = claim.look(*found)
    missing = [label for label in claim.groups if label not in findings]
    return row(claim.text, claim.where, claim.ran, findings, missing)


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
    good = [label for label, finding in findings.items() if finding.held >= MOST]
    bad = [label for label, finding in findings.items() if finding.held <= 1 - MOST + 1e-9]
    partly = [label for label in findings if label not in good + bad]
    if len(good) == len(findings):
        return "holds"
    if len(bad) == len(findings):
        return "does not hold"
    where = [*good, *(f"{label} (some seeds)" for label in partly)]
    return f"holds only: {'; '.join(where)}" + (f". Not: {'; '.join(bad)}" if bad else "")


def success_share(point: Point) -> float:
    """Which share of seeds succeeds at the last epoch."""
    return float(point.counted.is_success.isel(epoch=-1).mean())


def outcome(point: Point) -> str:
    """Successes, collapsed seeds and the backdoor beside its floor, at the last epoch."""
    attacked, clean, counted = (part.isel(epoch=-1) for part in point)
    collapsed = int(counted.is_collapsed.sum())
    return (
        f"{share(counted.is_success)} seeds succeed{f', {collapsed} collapse' if collapsed else ''}; backdoor "
        f"{median_with_interval(attacked.backdoor_accuracy)}, floor {median_with_interval(clean.backdoor_accuracy)}"
    )

"""The page of verdicts: counts first, then claims × groups with marks; the evidence is folded below."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.liu2020.head.cases import TASKS
from experiments.liu2020.saved import Results
from experiments.liu2020.verdict import attacks, defenses, labels
from experiments.liu2020.verdict.data import examine_counts
from experiments.liu2020.verdict.judge import GRADES, Examined, Finding, examine, grade
from experiments.shared.outcomes import DATA
from experiments.shared.readme import details
from vfl_jax import plots
from vfl_jax.reports import Row, to_markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BEYOND = "Beyond what it claims"
SECTIONS = {
    "The protocol and attacks": attacks.CLAIMS,
    "Defenses": defenses.CLAIMS,
    "Labels": labels.CLAIMS,
    BEYOND: attacks.EXTENSIONS,
}
MARKS = {"good": "✓ holds", "partly": "◐ some seeds", "bad": "✗ does not", "unjudged": "– not judged"}
"""The mark of a grade, with its word, for who hears the page or prints it."""
COLORS = dict(zip(MARKS, (plots.COLORS[2], plots.COLORS[3], plots.COLORS[1], plots.COLORS[6]), strict=True))
COLUMNS = {
    f"{title}, {how}": (task, preset)
    for task, title in {"mnist": "MNIST", "nus_wide": "twin"}.items()
    for preset, how in {"liu2020_code": "as run", "liu2020_paper": "as written"}.items()
}
"""The groups of a claim by their data and their preset."""
NOT_RUN, NOT_CLAIMED = "○ not run", "· not claimed"
"""The marks of what has no finding, so that no cell is empty."""
CENTRAL = "A party without labels injects a backdoor by gradient replacement"
LABEL = 66
"""The letters of a line beside the figure; a claim has two lines at most."""
MIXED, ONLY = "depends on the group", {"good": "holds", "bad": "does not hold", "partly": "holds on some seeds"}


def examined_claims(home: Path) -> dict[str, list[Examined]]:
    """Every claim with what was found of it, by section; the experiments and their results lie in ``home``."""
    results = Results(home)
    found = {"The data": examine_counts(home / "table_1" / "results")}
    return found | {title: [examine(claim, results) for claim in claims] for title, claims in SECTIONS.items()}


def answer(found: Mapping[str, Sequence[Examined]]) -> str:
    """How many claims hold, in two sentences; what the paper does not claim is counted beside."""
    claimed = [one for title, of_title in found.items() if title != BEYOND for one in of_title]
    counts = Counter(whole(one) for one in claimed)
    rest, lacking = counts["cannot be judged"], counts["not run"]
    holds, fails = counts["holds"], counts["does not hold"]
    in_none = f" {fails} in none," if fails else ""
    return (
        f"**Of the paper's {len(claimed)} claims {holds} hold in every group of runs (the seeds of one setting) that "
        f"can be judged,{in_none} and {len(claimed) - rest - lacking - holds - fails} depend on the "
        f"data, the preset, the head or the seed; {rest} cannot be judged, and {lacking} "
        f"{'was' if lacking == 1 else 'were'} not run.**{_central(claimed)}{_refuted(claimed)}{_on_twin(claimed)}\n"
    )


def _central(claimed: Sequence[Examined]) -> str:
    """In how many groups of runs the paper's own attack works, which a count of claims does not tell."""
    for one in claimed:
        counts = Counter(map(grade, one.findings.values()))
        if one.text.startswith(CENTRAL) and counts:
            return (
                f" The central one, “{one.text}”, holds in {counts['good']} of {counts.total()} groups, on some seeds "
                f"in {counts['partly']}, and does not in {counts['bad']}."
            )
    return ""


def _refuted(claimed: Sequence[Examined]) -> str:
    """The claims that hold in no group, in the paper's words."""
    texts = [f"“{one.text}”" for one in claimed if whole(one) == ONLY["bad"]]
    return f" In none holds: {'; '.join(texts)}." if texts else ""


def _on_twin(claimed: Sequence[Examined]) -> str:
    """How many of the claims that hold do so on NUS-WIDE's twin alone: a set that is drawn, not NUS-WIDE."""
    holds = [one for one in claimed if whole(one) == ONLY["good"] and one.runs]
    alone = sum(all(_task(label) == "nus_wide" for label in judged(one)) for one in holds)
    return f" {alone} of those that hold rest on NUS-WIDE's [synthetic twin](../data/nus_wide_twin/README.md) alone."


def judged(examined: Examined) -> list[str]:
    """The groups of a claim whose finding is a verdict."""
    return [label for label, finding in examined.findings.items() if grade(finding) != "unjudged"]


def whole(examined: Examined) -> str:
    """What became of a claim over all its groups."""
    if not examined.findings:
        return "not run"
    grades = {grade(finding) for finding in examined.findings.values()} - {"unjudged"}
    if not grades:
        return "cannot be judged"
    return ONLY[grades.pop()] if len(grades) == 1 else MIXED


def page(found: Mapping[str, Sequence[Examined]]) -> str:
    """The table of marks, a row per claim, then the evidence of every claim, folded."""
    rows = [marks(one) for of_title in found.values() for one in of_title]
    folded = [details(summary_of(one), _evidence(one)) for of_title in found.values() for one in of_title]
    return "\n".join([to_markdown(rows), LEGEND, "### The evidence\n", *folded])


LEGEND = """\
| mark | what was found in a group of runs |
|---|---|
| ✓ holds | the claim holds on at least 90% of seeds, or by medians and shares ([how](#how-a-claim-is-judged)) |
| ◐ some seeds | it holds on some |
| ✗ does not | it holds on at most 10% of seeds |
| – not judged | it was run, and cannot be judged: nothing was there to stop or to hide, or the data were fitted to it |
| ○ not run | the claim speaks of this data set; what would judge it was not run, or not yet |
| · not claimed | the paper does not claim it of this data set |

*As run*: preset `liu2020_code`, as the authors ran it. *As written*: preset `liu2020_paper`, as the text has it.
*Twin*: a synthetic set fitted to NUS-WIDE. A number in brackets: so many groups of runs (heads, attacks, residuals)
have the mark, where there are several.
"""


def marks(examined: Examined) -> Row:
    """The row of a claim: where it holds, by data and preset."""
    lacking: dict[str, str] = {task: NOT_RUN if task in examined.about else NOT_CLAIMED for task in TASKS}
    cells = {column: _cell(_of(examined, task, preset)) or lacking[task] for column, (task, preset) in COLUMNS.items()}
    if examined.findings and not examined.runs:  # counts of the real set, by split: neither preset has a part in them
        counted = f"{_cell(list(examined.findings.values()))}, real set"
        cells |= {column: counted for column, (task, _) in COLUMNS.items() if task in examined.about}
    return {"claim": f"{examined.text} ({examined.where})"} | cells


def _of(examined: Examined, task: str, preset: str) -> list[Finding]:
    """The findings of a claim on one data set under one preset."""
    return [
        finding
        for label, finding in examined.findings.items()
        if label in examined.runs and _task(label) == task and _preset(f"{label} {examined.runs[label]}") == preset
    ]


def _task(label: str) -> str:
    """The task that a group's name begins with."""
    data = label.partition(",")[0]
    return "mnist" if data == DATA["mnist"] else "nus_wide"


def _preset(said: str) -> str:
    """The preset that a group's name or results name."""
    return "liu2020_paper" if "liu2020_paper" in said else "liu2020_code"


def _cell(findings: Sequence[Finding]) -> str:
    """Marks with their counts, where groups differ or are several."""
    counts = Counter(map(grade, findings))
    return "<br>".join(f"{MARKS[key]}{f' ({counts[key]})' * (len(findings) > 1)}" for key in MARKS if counts[key])


def summary_of(examined: Examined) -> str:
    """What stands on a folded claim."""
    counts = Counter(grade(finding) for finding in examined.findings.values())
    told = ", ".join(f"{MARKS[key]} {counts[key]}" for key in MARKS if counts[key]) or "not run yet"
    return f"{examined.text} ({examined.where}): {told}"


def _evidence(examined: Examined) -> str:
    """What was run, the verdict, and what was found, a line per group."""
    lines = [f"What was run: {examined.ran}.\n", f"Verdict: **{examined.verdict}**.\n"]
    lines += [
        f"* **{GRADES[grade(finding)]}**, {label}: {finding.evidence}" for label, finding in examined.findings.items()
    ]
    lines += [f"* not run yet: {'; '.join(examined.missing)}"] if examined.missing else []
    return "\n".join(lines) + "\n"


def figure(found: Mapping[str, Sequence[Examined]]) -> Figure:
    """Claims down, and to the right how many of their groups hold, hold on some seeds, do not, cannot be judged."""
    claims = [one for of_title in found.values() for one in of_title]
    drawing, panels = plots.grid_of_panels(1, 1, None, size=(9.0, 0.4 + 0.3 * len(claims)))
    panel, left = panels[0, 0], [0.0] * len(claims)
    for key, mark in MARKS.items():
        shares = [
            sum(grade(finding) == key for finding in one.findings.values()) / max(len(one.findings), 1)
            for one in claims
        ]
        panel.barh(range(len(claims)), shares, left=left, color=COLORS[key], label=mark.partition(" ")[2], height=0.75)
        left = [begin + share for begin, share in zip(left, shares, strict=True)]
    for place in (place for place, one in enumerate(claims) if not one.findings):
        panel.text(0.01, place, NOT_RUN, va="center", fontsize=8)
    beyond = found.get(BEYOND, ())
    titles = [f"(not a claim) {one.text}" if one in beyond else one.text for one in claims]
    panel.set_yticks(range(len(claims)), [textwrap.fill(title, LABEL) for title in titles], linespacing=0.95)
    panel.tick_params(axis="y", labelsize=7.5, length=0)
    panel.set(ylim=(len(claims) - 0.5, -0.5), xlim=(0, 1), xlabel="share of groups of runs")
    panel.legend(ncols=4, loc="lower right", bbox_to_anchor=(1, 1), frameon=False, fontsize=8)
    return drawing

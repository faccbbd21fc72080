"""The page: verdicts first, then a figure and a table per claim, from saved results; nothing is trained here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.shared.readme import add_picture, details, section, write_tables
from experiments.zhao2026.boards import DATA_SETS
from experiments.zhao2026.cases import make_cases, roles
from experiments.zhao2026.claims import CLAIMS, Claim
from experiments.zhao2026.reading import Found, OfData, read
from experiments.zhao2026.verdicts import CONTRADICTED, HOLDS, NO, OPEN, UNDECIDED, UNJUDGED, YES, Item, Judgement
from vfl_jax import plots
from vfl_jax.reports import Row, to_markdown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

README = Path(__file__).with_name("README.md")
COLORS = {YES: plots.COLORS[2], NO: plots.COLORS[1]}
NOT_RUN = "not run yet"
DEPENDS = "differs by data set"
Looked = Mapping[str, Mapping[str, tuple[Judgement, list[Row]]]]
"""By claim and data set: the judgement, and the rows of evidence."""


def write_report(folder: Path, epochs: int | None = None) -> None:
    """Writes the figures into ``folder``, and the tables into README.md (or beside other results)."""
    cases = make_cases(epochs)
    found = read(folder, cases)
    looked = look(found)
    sections = [to_markdown(verdict_rows(looked)), RULE]
    for claim in CLAIMS:
        sections.append(_evidence(folder, claim, looked[claim.name]))
    sections.append(section("Runtime", _runtimes(found), _missing([c.title for c in cases if c.name not in found])))
    picture = add_picture(folder, "verdicts", overview(looked), "the verdict on every claim, by data set")
    write_tables(README, folder, "\n".join(sections), f"{answer(looked)}\n{picture}")


RULE = """\
An item of a claim, such as an attack, says yes where the 95 % bootstrap interval of its number over seeds lies at or
above a threshold (above it, where that is 0), no where it lies below, and else nothing. A claim *holds* where more than
half of its items say yes, is *contradicted* where more than half say no, else it is *undecided*; without an item it
*cannot be judged*. Claims 3 and 6 are of every K and of every defense: they hold where all items say yes, and a single
no contradicts them. In brackets: what the items say; *open* are those that say nothing, and *at the ceiling* attacks
that do not count because no difference could show. An attack is *effective* where its median success is above 0.5 and
the median difference to the honest runs at least 0.25. *Success* is the share of test rows of other classes than τ, all
of them attacked, that are predicted as τ; *floor* is that of the honest runs. *In all*: the verdict that all
data sets share that can judge; *differs by data set* where one holds and one contradicts; else undecided. Claims 3 and
6 are contradicted where one data set contradicts them. The attacks that are judged differ by data set.
"""


def look(found: Mapping[str, Found]) -> Looked:
    """What every data set says of every claim; nothing of one whose results are not all there."""
    looked: dict[str, dict[str, tuple[Judgement, list[Row]]]] = {claim.name: {} for claim in CLAIMS}
    for name, shape in DATA_SETS.items():
        by_role = {(f.case.parties, f.case.role): f for f in found.values() if f.case.data_set == name}
        lacking = {role for parties, role in roles(name) if (parties, role) not in by_role}
        for claim in CLAIMS:
            is_there = lacking.isdisjoint(claim.roles)
            of_data = OfData(shape.title, shape.base, by_role)
            looked[claim.name][name] = claim.look(of_data) if is_there else (Judgement(NOT_RUN, ()), [])
    return looked


def answer(looked: Looked) -> str:
    """Which claims hold and which do not, on how many items a verdict rests, and how many verdicts are not run yet."""
    titles: dict[str, list[str]] = {HOLDS: [], CONTRADICTED: [], UNDECIDED: [], UNJUDGED: []}
    for claim in CLAIMS:
        said = _judged(looked, claim)
        verdict = overall(said, claim.is_of_all)
        notes = [claim.name, *([claim.aside] if claim.aside else [])]
        if len(set(said)) > 1 or verdict == UNDECIDED:
            notes.append(_by_data_set(said))
        titles[UNDECIDED if verdict == DEPENDS else verdict].append(
            f"{claim.text[0].lower()}{claim.text[1:]} ({'; '.join(notes)})"
        )
    judgements = [judged for of_claim in looked.values() for judged, _ in of_claim.values()]
    not_run, counts = sum(judged.verdict == NOT_RUN for judged in judgements), [len(j.items) for j in judgements]
    begin = "So far, on every data set where it" if not_run else "On every data set where it"
    said_of = {
        HOLDS: f"* **{begin} can be judged, this holds:** ",
        CONTRADICTED: "* **This is contradicted:** ",
        UNDECIDED: "* **This depends on the data set, or is undecided:** ",
        UNJUDGED: "* **Nothing can be said yet of this:** ",
    }
    lines = [f"{said_of[key]}{'; '.join(found)}." for key, found in titles.items() if found]
    sentences = []
    if given := sum(count > 0 for count in counts):
        weak = sum(count in (1, 2) for count in counts)
        sentences.append(f"A verdict on one or two items is weak: {weak} of {given} are.")
    if not_run:
        sentences.append(f"{not_run} of {len(judgements)} verdicts {'is' if not_run == 1 else 'are'} not run yet.")
    lines += [f"* {' '.join(sentences)}"] if sentences else []
    counts_of = {verdict: len(found) for verdict, found in titles.items()}
    headline = (
        f"**Parts of the six claims that hold: {counts_of[HOLDS]} of {len(CLAIMS)}; contradicted: "
        f"{counts_of[CONTRADICTED]}; open, or not the same on all data sets: "
        f"{counts_of[UNDECIDED] + counts_of[UNJUDGED]}.**"
    )
    return "\n".join([headline, "", *lines]) + "\n"


def _judged(looked: Looked, claim: Claim) -> list[str]:
    """The verdicts on a claim of the data sets where it could be judged."""
    verdicts = [judged.verdict for judged, _ in looked[claim.name].values()]
    return [verdict for verdict in verdicts if verdict not in (UNJUDGED, NOT_RUN)]


def overall(verdicts: Sequence[str], is_of_all: bool = False) -> str:
    """One verdict on a claim: that of all data sets where it could be judged, or what keeps it from being one.

    Args:
      verdicts: those of the data sets where it could be judged.
      is_of_all: whether the claim is of every case, so that one data set that contradicts it is enough.
    """
    said = set(verdicts)
    if is_of_all and CONTRADICTED in said:
        return CONTRADICTED
    if len(said) < 2:
        return said.pop() if said else UNJUDGED
    return DEPENDS if {HOLDS, CONTRADICTED} <= said else UNDECIDED


def _by_data_set(said: Sequence[str]) -> str:
    """On how many data sets a claim has each verdict."""
    counts = {verdict: said.count(verdict) for verdict in (HOLDS, CONTRADICTED, UNDECIDED)}
    return ", ".join(f"{verdict} on {count}" for verdict, count in counts.items() if count)


def overview(looked: Looked) -> Figure:
    """Claims down, data sets across, the verdict in words and in colour."""
    drawing, panels = plots.grid_of_panels(1, 1, None, size=(9.0, 0.6 + 0.36 * len(CLAIMS)))
    panel = panels[0, 0]
    colors = {HOLDS: plots.COLORS[2], CONTRADICTED: plots.COLORS[1], UNDECIDED: plots.COLORS[3]}
    for row, claim in enumerate(CLAIMS):
        for column, (judged, _) in enumerate(looked[claim.name].values()):
            color = colors.get(judged.verdict, "#EEEEEE")
            panel.barh(row, 0.96, left=column - 0.48, height=0.85, color=color)
            panel.text(column, row, judged.verdict, ha="center", va="center", fontsize=8)
    panel.set_yticks(range(len(CLAIMS)), [f"{claim.name}. {claim.text}" for claim in CLAIMS], fontsize=8)
    panel.set_xticks(range(len(DATA_SETS)), [shape.title for shape in DATA_SETS.values()])
    panel.set(xlim=(-0.5, len(DATA_SETS) - 0.5), ylim=(len(CLAIMS) - 0.5, -0.5))
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    return drawing


def verdict_rows(looked: Looked) -> list[Row]:
    """The table of verdicts: a row per claim, the verdict in all, and a column per data set."""
    return [
        {"claim": f"{claim.name}. {claim.text}", "in all": f"**{overall(_judged(looked, claim), claim.is_of_all)}**"}
        | {DATA_SETS[name].title: _told(judged) for name, (judged, _) in looked[claim.name].items()}
        for claim in CLAIMS
    ]


def _told(judged: Judgement) -> str:
    if judged.verdict in (UNJUDGED, NOT_RUN):
        return judged.verdict
    says = [one.says for one in judged.items]
    counts = {"yes": says.count(YES), "no": says.count(NO), "open": says.count(OPEN)}
    told = [f"{count} {word}" for word, count in (*counts.items(), ("at the ceiling", judged.at_ceiling)) if count]
    return f"{judged.verdict} ({', '.join(told)})"


def _evidence(folder: Path, claim: Claim, looked: Mapping[str, tuple[Judgement, list[Row]]]) -> str:
    judged = {DATA_SETS[name].title: judgement for name, (judgement, _) in looked.items()}
    items = [
        {"data": title, "item": one.name, claim.number: f"{one.value:z.3f} [{one.low:z.3f}, {one.high:z.3f}]"}
        | {"says": one.says}
        for title, judgement in judged.items()
        for one in judgement.items
    ]
    rows = [{"data": DATA_SETS[name].title} | row for name, (_, of_data) in looked.items() for row in of_data]
    parts = [f"{claim.rule}\n"]
    if items:
        picture = add_picture(folder, f"claim_{claim.name}", figure(claim, judged), f"{claim.text}: {claim.number}")
        parts += [picture, to_markdown(items)]
    parts += [details("What they are made of", to_markdown(rows))] if rows else []
    return section(f"{claim.name}. {claim.text}", *parts)


def figure(claim: Claim, judged: Mapping[str, Judgement]) -> Figure:
    """One panel per data set: every item with its interval, green for yes and red for no, beside the threshold."""
    most = max(len(judgement.items) for judgement in judged.values())
    drawing, panels = plots.grid_of_panels(1, len(judged), size=(4.2, 1.2 + 0.28 * most))
    for panel, (title, judgement) in zip(panels[0], judged.items(), strict=True):
        for place, one in enumerate(judgement.items):
            _draw(panel, place, one)
        panel.axvline(claim.threshold, color="black", linestyle="dashed", linewidth=1)
        panel.set_yticks(np.arange(len(judgement.items)), [one.name for one in judgement.items])
        panel.set_ylim(max(len(judgement.items), 1) - 0.4, -0.6)
        panel.set(title=f"{title}: {judgement.verdict}", xlabel=claim.number)
        panel.grid(axis="x", alpha=0.25)
    return drawing


def _draw(panel: Axes, place: int, one: Item) -> None:
    reach = [[max(one.value - one.low, 0.0)], [max(one.high - one.value, 0.0)]]
    panel.errorbar(one.value, place, xerr=reach, fmt="o", capsize=3, color=COLORS.get(one.says, plots.COLORS[7]))


def _runtimes(found: Mapping[str, Found]) -> str:
    runs = {name: of.dataset.encoding.get("run") for name, of in found.items()}
    rows = [
        {
            "data": shape.title,
            "cases": str(len(of_data)),
            "minutes": f"{sum(run['wall_seconds'] for run in of_data) / 60:z.0f}",
            "seeds": str(max(found[name].dataset.sizes["seed"] for name in runs if found[name].case.data_set == key)),
        }
        for key, shape in DATA_SETS.items()
        if (of_data := [run for name, run in runs.items() if run and found[name].case.data_set == key])
    ]
    return to_markdown(rows) if rows else ""


def _missing(titles: list[str]) -> str:
    return f"**Not trained yet:** {'; '.join(titles)}.\n" if titles else ""

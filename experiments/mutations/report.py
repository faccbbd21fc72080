"""The page: how many mutants were caught, by room and by operator, and why the others survived."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from experiments.mutations.job import CAUGHT, SURVIVED, Row, read_rows
from experiments.mutations.operators import OPERATORS
from experiments.mutations.trial import TIMED_OUT
from experiments.shared.readme import details, write_tables
from vfl_jax.reports import to_markdown

README = Path(__file__).with_name("README.md")
EXPLAINED = Path(__file__).with_name("explained.toml")
REASONS = ("equivalent", "harmless", "test")
"""What an explanation may be: no program behaves in another way; the difference does not matter; a test catches it."""


def write_report(results: Path) -> None:
    """Writes the tables and the answer into README.md."""
    rows, reasons = read_rows(results), read_reasons(EXPLAINED)
    write_tables(README, README.with_name("results"), tables(rows, reasons), answer(rows, reasons))


def read_reasons(path: Path) -> dict[str, dict[str, str]]:
    """The explanations of survivors, by the mutant's id.

    Raises:
      ValueError: where an explanation is not one of ``REASONS`` with a text.
    """
    found: dict[str, Any] = tomllib.loads(path.read_text())
    for name, reason in found.items():
        if len(reason) != 1 or not set(reason) <= set(REASONS) or not all(map(str.strip, reason.values())):
            raise ValueError(f"{path.name} explains {name} by {reason}; give one of {', '.join(REASONS)}, with a text.")
    return found


def answer(rows: dict[str, Row], reasons: dict[str, dict[str, str]]) -> str:
    """The answer in two sentences, out of the numbers."""
    if not rows:
        return "**Not tried yet.**\n"
    caught = sum(row["outcome"] == CAUGHT for row in rows.values())
    late = sum(row["outcome"] == TIMED_OUT for row in rows.values())
    survivors = [row for row in rows.values() if row["outcome"] == SURVIVED]
    same = sum("equivalent" in reasons.get(row["id"], {}) for row in survivors)
    harmless = sum("harmless" in reasons.get(row["id"], {}) for row in survivors)
    open_ = len(survivors) - same - harmless
    since = sum("since" in row for row in rows.values())
    share, at_first = (
        f"{100 * part / max(len(rows) - same, 1):.0f} %" for part in (caught + late, caught + late - since)
    )
    of_those = f" ({since} of them by tests that were written or chosen for them)" if since else ""
    first = (
        f"Before those {since} it was {at_first}, which says more of mistakes that nobody has tried. " if since else ""
    )
    return (
        f"**The tests notice {share} of the mistakes**: of {len(rows)} mutants a test fails on {caught}{of_those} and "
        f"never ends on {late}; {same} are no mistakes, because nothing behaves in another way, and do not count. "
        f"{first}Of the {harmless + open_} others that survive {harmless} are harmless and {open_} not explained yet.\n"
    )


def tables(rows: dict[str, Row], reasons: dict[str, dict[str, str]]) -> str:
    """A row per room and their sum; folded the operators, rooms by operators, and every survivor."""
    if not rows:
        return ""
    found = list(rows.values())
    rooms = sorted({row["room"] for row in found})
    operators = [name for name in OPERATORS if any(row["operator"] == name for row in found)]
    by_room = [{"room": room} | counts(row for row in found if row["room"] == room) for room in rooms]
    by_operator = [{"operator": name} | counts(row for row in found if row["operator"] == name) for name in operators]
    both = [
        {"room": room}
        | {name: cell(row for row in found if (row["room"], row["operator"]) == (room, name)) for name in operators}
        for room in rooms
    ]
    commits = ", ".join(f"`{commit}`" for commit in dict.fromkeys(row["commit"] for row in found))
    survivors = sorted(
        (row for row in found if row["outcome"] != CAUGHT), key=lambda row: (row["room"], row["path"], row["line"])
    )
    return "\n".join(
        [
            to_markdown([*by_room, {"room": "all"} | counts(found)]),
            f"Tried at commit {commits}.\n",
            details("By operator", to_markdown(by_operator)),
            details("Rooms by operators: caught / survived / timed out", to_markdown(both)),
            details("Every mutant that was not caught", *(survivor(row, reasons) for row in survivors)),
        ]
    )


def counts(some: Iterable[Row]) -> dict[str, str]:
    """How many mutants there are, and what became of them."""
    outcomes = [row["outcome"] for row in some]
    named = {name: str(outcomes.count(name)) for name in (CAUGHT, SURVIVED, TIMED_OUT)}
    return {"mutants": str(len(outcomes))} | named


def cell(some: Iterable[Row]) -> str:
    """The three numbers of a room and an operator; a dash where there is no mutant."""
    numbers = counts(some)
    return "–" if numbers["mutants"] == "0" else " / ".join(numbers[name] for name in (CAUGHT, SURVIVED, TIMED_OUT))


def survivor(row: Row, reasons: dict[str, dict[str, str]]) -> str:
    """What was changed where, how many tests passed, and why."""
    reason = reasons.get(row["id"], {})
    said = " ".join(f"{kind}: {text}" for kind, text in reason.items()) or "not explained yet"
    if row["outcome"] == TIMED_OUT:
        said = f"`{row['by']}` did not end"
    more = f", {row['left_out']} more were left out" if row["left_out"] else ""
    where = f"{row['path']}:{row['line']}"
    return (
        f"`{row['id']}` {where}, {row['operator']}; {row['tests']} tests{more}. {said}\n\n```diff\n{row['diff']}\n```\n"
    )

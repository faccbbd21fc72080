"""The table of what compiles for a TPU, and with how much memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vfl_jax.core.words import counted

BYTES = ("arguments", "results", "working", "code")
"""What a line says of a program, in bytes on one chip."""
PROGRAMS = ("epoch", "first pass", "second pass", "on_epoch")


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of results; none where there is no file.

    Args:
      path: the file.
    """
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]


def is_of(line: dict[str, Any], kind: str, name: str, num_devices: int) -> bool:
    """Whether a line is about a method on so many chips."""
    return (line["kind"], line["method"], line["chips"]) == (kind, name, num_devices)


def last_lines(lines: list[dict[str, Any]]) -> dict[tuple[str, str, int, str], dict[str, Any]]:
    """The last line of every program, by kind, method, chips and program: a later one replaces an earlier one."""
    return {(line["kind"], line["method"], line["chips"], line["program"]): line for line in lines if "program" in line}


def table(lines: list[dict[str, Any]]) -> str:
    """The table: one row per method and number of chips, the MB of each program on each chip.

    A program's memory is its arguments, results that do not take the place of arguments, what it works with, and its
    code. A later line replaces an earlier one of the same program.

    Args:
      lines: as :func:`read` returns them.
    """
    found: dict[tuple[str, str, str, int], dict[str, str]] = {}
    for line in lines:
        if "program" in line:
            row = found.setdefault((line["kind"], line["method"], line["board"], line["chips"]), {})
            row[line["program"]] = _cell(line)
    programs = [p for p in PROGRAMS if any(p in row for row in found.values())]
    programs += sorted({p for row in found.values() for p in row} - set(PROGRAMS))
    rows = [
        f"| {name} | {kind} | {board} | {chips} | " + " | ".join(row.get(p, "") for p in programs) + " |"
        for (kind, name, board, chips), row in found.items()
    ]
    head = f"| method | what it is | board | chips | {' | '.join(programs)} |"
    return "\n".join([head, "|---" * (4 + len(programs)) + "|", *rows])


def summary(lines: list[dict[str, Any]]) -> str:
    """How many programs of how many methods compile, with which versions.

    Args:
      lines: as :func:`read` returns them.
    """
    last = last_lines(lines)
    methods = {key[:2] for key in last}
    failed = sorted({key[1] for key, line in last.items() if "error" in line})
    versions = sorted({line["versions"] for line in last.values()})
    largest = max((line for line in last.values() if "error" not in line), key=bytes_of)
    works = sum("error" not in line for line in last.values())
    words = [
        f"{works} of {counted(len(last), 'program')} of {counted(len(methods), 'method')} "
        f"{'compiles' if works == 1 else 'compile'} ({'; '.join(versions)})."
    ]
    words += [f"Of these methods a program does not: {', '.join(failed)}."] if failed else []
    words += [f"The largest is {largest['program']} of {largest['method']}, {bytes_of(largest) / 1e6:,.0f} MB."]
    return " ".join(words)


def bytes_of(line: dict[str, Any]) -> int:
    """The bytes of a program on one chip, of a line that has them."""
    return sum(line[name] for name in BYTES)


def _cell(line: dict[str, Any]) -> str:
    """The MB of a program, or that it does not compile."""
    return "✗" if "error" in line else f"{bytes_of(line) / 1e6:,.0f}"

"""The parts of a page: headings, paragraphs, tables, folded evidence, terms."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence

from vfl_jax.reports.tables import UNDEFINED, Row

LEVELS = (2, 3, 4)
"""The levels of headings; the title of the page has the first."""
NUMBER = re.compile(r"[-+−]?\.?\d")
"""How a cell of numbers begins."""


class Part(str):
    """A part of a page, which is markup already. Any other text is escaped where it becomes a part."""

    __slots__ = ()


def joined(parts: Iterable[str]) -> Part:
    """The parts one after another; a plain text becomes a paragraph.

    Args:
      parts: parts, or plain texts.
    """
    return Part("\n".join(part if isinstance(part, Part) else paragraph(part) for part in parts))


def heading(text: str, level: int = 2) -> Part:
    """A heading, whose text is its anchor too.

    Args:
      text: plain text.
      level: 2 for a section, 3 and 4 for what lies in it.

    Raises:
      ValueError: where ``level`` is another number.
    """
    if level not in LEVELS:
        raise ValueError(f"level is {level!r}; a heading has level 2, 3 or 4 (the title of the page has 1).")
    return Part(f'<h{level} id="{anchor(text)}">{escaped(text)}</h{level}>')


def anchor(text: str) -> str:
    """The name of a place in the page, such as ``what-was-assumed``.

    Args:
      text: its heading.
    """
    return re.sub(r"[^\w]+", "-", text.lower()).strip("-") or "part"


def paragraph(text: str) -> Part:
    """A paragraph.

    Args:
      text: plain text.
    """
    return Part(f"<p>{escaped(text)}</p>")


def answer(*sentences: str) -> Part:
    """The answer at the top of a page, in large letters.

    Args:
      *sentences: plain texts, a paragraph each.
    """
    return Part('<div class="answer">' + "".join(paragraph(text) for text in sentences) + "</div>")


def bullets(items: Iterable[str]) -> Part:
    """A list of points.

    Args:
      items: parts, or plain texts.
    """
    lines = (item if isinstance(item, Part) else escaped(item) for item in items)
    return Part("<ul>" + "".join(f"<li>{line}</li>" for line in lines) + "</ul>")


def code(text: str) -> Part:
    """Text as a machine reads it: a command, or JSON; long lines are broken on the screen alone.

    Args:
      text: plain text.
    """
    return Part(f'<pre tabindex="0"><code>{escaped(text)}</code></pre>')


def section(title: str, parts: Iterable[str], level: int = 2) -> Part:
    """A heading and what belongs to it.

    Args:
      title: plain text.
      parts: parts, or plain texts, which become paragraphs.
      level: as in :func:`heading`.
    """
    return Part(f"<section>{heading(title, level)}\n{joined(parts)}</section>")


def table(rows: Sequence[Row], caption: str = "", is_sortable: bool = True) -> Part:
    """A table that a click on a column's name sorts; the keyboard does, too.

    A column whose cells begin like numbers is sorted by these. A table wider than the page scrolls by itself.

    Args:
      rows: a dictionary per row, at least one, all with the same columns: the text of every cell.
      caption: the text above the table.
      is_sortable: whether a reader may sort it; an order that means something stays.

    Raises:
      ValueError: where there is no row, or where rows have other columns than the first.
    """
    if not rows:
        raise ValueError("rows is empty; a table needs a row at least.")
    names = list(rows[0])
    if different := next((list(row) for row in rows if list(row) != names), None):
        raise ValueError(f"rows have different columns: {names} and {different}; give all the same, in one order.")
    are_numbers = {name: _is_of_numbers([row[name] for row in rows]) for name in names}
    head = "".join(_name_of_column(name, is_sortable, are_numbers[name]) for name in names)
    body = "\n".join("<tr>" + "".join(_cell(row[name], are_numbers[name]) for name in names) + "</tr>" for row in rows)
    label = escaped(caption or ", ".join(names))
    return Part(
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}"><table>'
        + f"<caption>{escaped(caption)}</caption>" * bool(caption)
        + f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _cell(text: str, is_number: bool) -> str:
    """A cell; where there is no room, a number and its interval stand below each other, and neither is broken."""
    if not is_number:
        return f"<td>{escaped(text)}</td>"
    parts = escaped(text).split(" [")
    return "<td class=number>" + " ".join([parts[0], *(f"<span>[{part}</span>" for part in parts[1:])]) + "</td>"


def _is_of_numbers(cells: Sequence[str]) -> bool:
    """Whether the cells of a column begin with numbers, at least one of them; those without a value are dashes."""
    return all(NUMBER.match(cell) or cell == UNDEFINED for cell in cells) and any(map(NUMBER.match, cells))


def _name_of_column(name: str, is_sortable: bool, is_number: bool) -> str:
    """The head of a column; where it can be sorted, a button."""
    kind = " class=number" * is_number
    if not is_sortable:
        return f'<th scope="col"{kind}>{escaped(name)}</th>'
    return f'<th scope="col"{kind} aria-sort="none"><button type="button">{escaped(name)}</button></th>'


def details(summary: str, parts: Iterable[str], is_open: bool = False) -> Part:
    """Evidence that is folded below one line, and is printed whole.

    Args:
      summary: the line, plain text.
      parts: parts, or plain texts, which become paragraphs.
      is_open: whether it begins unfolded.
    """
    return Part(
        f"<details{' open' * is_open}><summary>{escaped(summary)}</summary>\n<div>{joined(parts)}</div></details>"
    )


def glossary(terms: Mapping[str, str]) -> Part:
    """A list of terms and what they mean.

    Args:
      terms: the meaning of every term, plain text.
    """
    lines = (f"<dt>{escaped(term)}</dt><dd>{escaped(meaning)}</dd>" for term, meaning in terms.items())
    return Part("<dl>" + "\n".join(lines) + "</dl>")


def escaped(text: str) -> str:
    """A plain text as markup, in which no character means anything; control characters, which no page may have, go.

    Args:
      text: plain text.
    """
    return html.escape(re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]", "\ufffd", str(text)))

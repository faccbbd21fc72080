"""Tables as text: Markdown, CSV and LaTeX. No cell can break a table."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from vfl_jax.core.checks import shown
from vfl_jax.reports.tables import Row


def check_table(table: Any) -> None:
    """Checks that a table is rows of text, at least one, all with the same columns.

    Args:
      table: its rows.

    Raises:
      ValueError: naming the row and the column, and what to type.
    """
    if not isinstance(table, Sequence) or isinstance(table, str | bytes):
        raise ValueError(f"table is {shown(table)}; it must be a list of rows, as vfl.reports.rows returns it.")
    if not table:
        raise ValueError("table is empty; it must have at least one row, which says the names of the columns.")
    for place, row in enumerate(table):
        if not isinstance(row, Mapping):
            raise ValueError(f"table[{place}] is {shown(row)}; it must be a dict from columns to texts.")
        if list(row) != list(table[0]):
            raise ValueError(f"table[{place}] has the columns {list(row)}; all rows must have {list(table[0])}.")
        for name, cell in row.items():
            if not isinstance(cell, str):
                raise ValueError(f"table[{place}][{name!r}] is {shown(cell)}; every cell must be a text.")


def to_markdown(table: list[Row]) -> str:
    """The table in GitHub-flavoured Markdown; a cell may hold Markdown, such as a link.

    Args:
      table: its rows, at least one, all with the same columns.

    Raises:
      ValueError: where it is something else.

    Example:
      >>> import vfl_jax as vfl
      >>> print(vfl.reports.to_markdown([{"γ": "1", "success": "3/20"}, {"γ": "10", "success": "20/20"}]), end="")
      | γ | success |
      | --- | --- |
      | 1 | 3/20 |
      | 10 | 20/20 |
    """
    check_table(table)
    header = list(table[0])
    lines = [header, ["---"] * len(header), *(list(row.values()) for row in table)]
    return "\n".join("| " + " | ".join(map(_in_a_row, line)) + " |" for line in lines) + "\n"


def _in_a_row(cell: str) -> str:
    """A cell on one line, in which a bar ends nothing; a backslash before it would end the escape."""
    one_line = " ".join(plain(cell).split())
    return re.sub(r"(\\*)\|", lambda found: found[1] + "\\" * (len(found[1]) % 2 + 1) + "|", one_line)


MEANT = re.compile(r"[\\`*<]|(?<![^\W_])_|_(?![^\W_])|\](?=\()|&(?=#?\w+;)|~~")
"""What Markdown would read as a command; an underscore within a word, and a lonely bracket, are letters."""


def marked_down(text: str) -> str:
    """A plain text as Markdown that shows it, on one line; bars are left to :func:`to_markdown`.

    Args:
      text: plain text, such as a name or a sentence.

    Example:
      >>> print(marked_down("_mine_, <i> and learning_rate"))
      \\_mine\\_, \\<i> and learning_rate
    """
    return MEANT.sub(lambda found: f"\\{found[0]}", " ".join(plain(text).split()))


def plain(text: str) -> str:
    """A text without what no file of text holds: control characters but tabs and ends of lines, and halves of letters.

    Args:
      text: any text.
    """
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]", "\ufffd", text)


def to_csv(table: Sequence[Row]) -> str:
    """The table as comma-separated values, with a line of names first (RFC 4180).

    Args:
      table: its rows, at least one, all with the same columns.

    Raises:
      ValueError: where it is something else.

    Example:
      >>> import vfl_jax as vfl
      >>> print(vfl.reports.to_csv([{"γ": "1", "main accuracy": "0.950 [0.940, 0.960]"}]), end="")
      γ,main accuracy
      1,"0.950 [0.940, 0.960]"
    """
    check_table(table)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    lines = [list(table[0]), *(list(row.values()) for row in table)]
    writer.writerows([[plain(cell).replace("\r\n", "\n").replace("\r", "\n") for cell in line] for line in lines])
    return text.getvalue()


NAMES = (
    "alpha beta gamma delta varepsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon varphi chi "
    "psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega"
)
GREEK = dict(zip("αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ", NAMES.split(" "), strict=True))
NOTHING = "\ue000"
"""A character that no name has: it keeps others apart in LaTeX."""
ESCAPES = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "[": "{[}",  # after a line's end LaTeX would take it for the length of a gap
    "]": "{]}",
    NOTHING: "{}",
    "*": "{*}",  # likewise for an order not to break the page
    "`": r"\textasciigrave{}",
    "–": "--",
    "—": "---",
    "…": r"\dots{}",
    "×": r"\ensuremath{\times}",
    "±": r"\ensuremath{\pm}",
    "−": r"\ensuremath{-}",
    "·": r"\ensuremath{\cdot}",
    "→": r"\ensuremath{\to}",
    "≈": r"\ensuremath{\approx}",
    "≤": r"\ensuremath{\leq}",
    "≥": r"\ensuremath{\geq}",
    "∞": r"\ensuremath{\infty}",
    "²": r"\ensuremath{^2}",
    "³": r"\ensuremath{^3}",
    **{letter: rf"\ensuremath{{\{name}}}" for letter, name in GREEK.items()},
}
"""What LaTeX reads as commands, and letters that its standard fonts lack."""

FITTED = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
"""What begins a table that is never wider than the line."""
MINUS = re.compile(r"(?<![\w.-])-(?=\d)")
"""A hyphen that is the sign of a number."""


def to_latex(table: Sequence[Row], caption: str = "", label: str = "") -> str:
    """The table in LaTeX, for a document with ``\\usepackage{graphicx}``.

    A table that is wider than the line is shrunk to it. Names in Latin and Greek letters are set by
    ``pdflatex``; other scripts need ``lualatex`` and a font that has them.

    Args:
      table: its rows, at least one, all with the same columns.
      caption: the text above the table.
      label: the name for ``\\ref``, such as "tab:noise".

    Raises:
      ValueError: where ``table`` is no such rows; where ``label`` has a character that LaTeX would not take for a part
        of a name.

    Example:
      >>> import vfl_jax as vfl
      >>> print(vfl.reports.to_latex([{"γ": "1", "cost_of": "5 %"}]), end="")
      \\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%
      \\begin{tabular}{ll}
      \\hline
      \\ensuremath{\\gamma} & cost\\_of \\\\
      \\hline
      1 & 5 \\% \\\\
      \\hline
      \\end{tabular}}
    """
    check_table(table)
    if not re.fullmatch(r"[\w:.-]*", label, re.ASCII):
        raise ValueError(f"label is {label!r}; it may have letters, digits, and : . _ - alone.")
    cells = [list(table[0]), *(list(row.values()) for row in table)]
    lines = [" & ".join(map(_escaped, line)) + r" \\" for line in cells]
    whole = [
        FITTED,
        rf"\begin{{tabular}}{{{'l' * len(table[0])}}}",
        *(r"\hline", lines[0], r"\hline", *lines[1:], r"\hline"),
        r"\end{tabular}}",
    ]
    if caption or label:
        said = [rf"\caption{{{_escaped(caption)}}}"] * bool(caption) + [rf"\label{{{label}}}"] * bool(label)
        whole = [r"\begin{table}", r"\centering", *said, *whole, r"\end{table}"]
    return "\n".join(whole) + "\n"


def _escaped(text: str) -> str:
    """A text as LaTeX prints it, on one line."""
    on_one_line = MINUS.sub("−", " ".join(plain(text).split()))
    apart = re.sub("-(?=-)", f"-{NOTHING}", on_one_line)  # LaTeX would join hyphens to a dash
    return "".join(ESCAPES.get(character, character) for character in apart)

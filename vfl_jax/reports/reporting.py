"""Reports of results: one or several in a page of HTML, in Markdown, CSV or LaTeX."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vfl_jax.core.atomic import check_apart, check_writable, write_atomically
from vfl_jax.core.checks import shown
from vfl_jax.core.files import beside
from vfl_jax.reports import html as pages
from vfl_jax.reports.html.elements import joined
from vfl_jax.reports.readings import Reading, differing_rows, read
from vfl_jax.reports.saved import RESULTS, file_of, places_of, results_of
from vfl_jax.reports.tables import UNDEFINED, Row
from vfl_jax.reports.terms import terms_in
from vfl_jax.reports.writers import marked_down, to_csv, to_latex, to_markdown

if TYPE_CHECKING:
    import xarray as xr

    Result = xr.Dataset | str | os.PathLike[str]

RESULT = "result"
"""The column that says which result a row is of."""


def report(
    results: Result | Mapping[str, Result] | Sequence[str | os.PathLike[str]],
    *,
    html: str | os.PathLike[str] | None = None,
    markdown: str | os.PathLike[str] | None = None,
    csv: str | os.PathLike[str] | None = None,
    latex: str | os.PathLike[str] | None = None,
) -> str:
    """Reports one result, or compares several, and writes it to the files that are named.

    The report begins with the answer in a few sentences: did the attack get through, in which share of trainings, at
    what level against what floor, over how many seeds and rows. Fewer than 30 rows that measure are "not enough to
    say". Then come the figure, the table, what was assumed, and how to repeat it. Of several results it also says where
    their studies differ.

    Args:
      results: what ``sweep``, ``sweep_cases``, ``run`` or ``arena`` returns; or a file of it, or the folder of a sweep,
        of cases, or of an arena; several by name, or several files.
      html: a file for the page, which works offline, smaller than 2 MB.
      markdown, latex: files for the answer and all tables, and for all tables.
      csv: a file for the first table.

    Returns:
      the page of HTML.

    Raises:
      ValueError: where there is no result, or one is no result; where the page would have 2 MB.
      OSError: where a file cannot be read or written.

    Example:
      >>> import vfl_jax as vfl
      >>> scenario = vfl.presets.digits_demo()
      >>> over = {"attack.enabled": [0, 1]}
      >>> results = vfl.sweep(scenario, vfl.load_digits(), over, seeds=2, epochs=1, progress=False)
      >>> page = vfl.report(results, html="report.html")
      >>> "How to repeat it" in page
      True
    """
    named = _named(results)
    files = {"html": html, "markdown": markdown, "csv": csv, "latex": latex}
    _check_files(files, named)
    readings = [read(results_of(given), name) for name, given in named.items()]
    page = to_html(readings)
    table = next(iter(tables_of(readings).values()))
    latex_text = "\n".join(to_latex(rows, title) for title, rows in tables_of(readings).items())
    for path, text in ((html, page), (markdown, _markdown(readings)), (csv, to_csv(table)), (latex, latex_text)):
        if path is not None:
            write_atomically(Path(path), functools.partial(_write, text))
    return page


def _write(text: str, path: Path) -> None:
    """Writes a text."""
    path.write_text(text, encoding="utf-8")


def _named(results: Any) -> dict[str, Any]:
    """What is reported by name; files are called like the file, or with its folders where names are alike."""
    if isinstance(results, str | os.PathLike):
        results = [results]
    if isinstance(results, Mapping) and not hasattr(results, "data_vars"):
        named = dict(results)
    elif isinstance(results, Sequence):
        if nameless := [given for given in results if not isinstance(given, str | os.PathLike)]:
            raise ValueError(
                f"results has {shown(nameless[0])}; a list holds files and folders. Results need names: "
                "{'without': a, 'with': b}."
            )
        places = [place for path in results for place in places_of(path)]
        named = dict(zip(names_of(places), places, strict=True))
    else:
        named = {"results": results}
    if not named:
        raise ValueError("results is empty; give at least one result, or a file of one.")
    for name, given in named.items():
        if not isinstance(given, str | os.PathLike) and not hasattr(given, "data_vars"):
            where = "results" if given is results else f"results[{name!r}]"
            raise ValueError(f"{where} is {shown(given)}; it must be results, or a file or folder of them.")
    if len(texts := {str(name): given for name, given in named.items()}) < len(named):
        raise ValueError(f"results has the names {shown(list(named))}, and two of them read alike; rename one.")
    return texts


def _check_files(files: Mapping[str, Any], named: Mapping[str, Any]) -> None:
    """Checks early that every file can be written, and that none is another or holds the results."""
    for name, path in files.items():
        if path is not None:
            check_writable(name, path)
    paths = {name: given for name, given in named.items() if isinstance(given, str | os.PathLike)}
    read = {f"the file of the results {name!r}": file_of(path) for name, path in paths.items()}
    check_apart(files, read | {f"what lies beside {words}": beside(path) for words, path in read.items()})


def names_of(paths: Sequence[str | os.PathLike[str]]) -> list[str]:
    """A name for every file or folder: its own, with as many of its folders as tell it from all others.

    Args:
      paths: files and folders.

    Raises:
      ValueError: where one is named twice.

    Example:
      >>> names_of(["noise/sum.nc", "clipping/sum.nc", "other.nc"])
      ['noise/sum', 'clipping/sum', 'other']
    """
    parts = []
    for path in map(Path, paths):
        whole = path.absolute()
        whole = whole.parent if whole.name == RESULTS and path.parent.name else whole
        parts.append(whole.parts)
    if len(set(parts)) < len(parts):
        raise ValueError(f"results names {', '.join(map(str, paths))}, and one of them twice; name each once.")
    short = [(*own[:-1], Path(own[-1]).stem) if own[-1].endswith((".nc", ".h5")) else own for own in parts]
    parts = [own if short.count(cut) > 1 else cut for own, cut in zip(parts, short, strict=True)]
    names = []
    for own in parts:
        others = [other for other in parts if other != own]
        length = next(n for n in range(1, len(own) + 1) if all(other[-n:] != own[-n:] for other in others))
        names.append("/".join(own[-length:]))
    return names


def tables_of(readings: Sequence[Reading]) -> dict[str, list[Row]]:
    """The tables of all results by title; those with the same title are one, with a column that says which result.

    Args:
      readings: at least one.
    """
    found: dict[str, list[Row]] = {}
    taken = {name for reading in readings for rows in reading.tables.values() for row in rows for name in row}
    column = RESULT if RESULT not in taken else f"which {RESULT}"
    for reading in readings:
        for title, rows in reading.tables.items():
            found.setdefault(title, []).extend(
                {column: reading.name} | row if len(readings) > 1 else row for row in rows
            )
    filled = {}
    for title, rows in found.items():
        names = list(dict.fromkeys(name for row in rows for name in row))
        filled[title] = [{name: row.get(name, UNDEFINED) for name in names} for row in rows]
    return {title: rows for title, rows in filled.items() if rows}


def to_html(readings: Sequence[Reading]) -> str:
    """The page of one or several results.

    Args:
      readings: at least one.
    """
    is_one = len(readings) == 1
    parts: list[str] = [] if is_one else [pages.heading("The answers")]
    for reading in readings:
        parts += [] if is_one else [pages.heading(reading.name, 3)]
        parts.append(pages.answer(*reading.answer))
    for reading in readings:
        figures = [pages.figure(*figure) for figure in reading.figures]
        parts += (
            [pages.section("The picture" if is_one else f"The picture: {reading.name}", figures)] if figures else []
        )
    tables = tables_of(readings)
    parts += [pages.section(title, [pages.table(rows)]) for title, rows in tables.items()]
    parts += [] if is_one else [_where_they_differ(readings)]
    parts += [pages.details("What the columns are", list(dict.fromkeys(reading.notes for reading in readings)))]
    parts.append(pages.heading("What was assumed"))
    parts += [_of(reading, [pages.table(reading.assumed, is_sortable=False)], is_one) for reading in readings]
    parts.append(pages.heading("How to repeat it"))
    for reading in readings:
        how = [pages.details(title, [pages.code(text)]) for title, text in reading.repeat.items()]
        parts.append(_of(reading, how, is_one))
    texts = [*_texts(readings), *(name for rows in tables.values() for name in rows[0])]
    parts.append(pages.section("Terms", [pages.glossary(terms_in(texts))]))
    title = readings[0].question if is_one else f"Compared: {', '.join(reading.name for reading in readings)}"
    return pages.document(title, parts, description=readings[0].answer[0])


def _of(reading: Reading, parts: list[Any], is_one: bool) -> str:
    """Parts about one result; of several results below its name."""
    return pages.section(reading.name, parts, 3) if not is_one else joined(parts)


def _where_they_differ(readings: Sequence[Reading]) -> str:
    """Where the studies of several results differ: in words, and folded below, by path in their scenarios."""
    told = differing_rows({reading.name: {row["what"]: row["here"] for row in reading.assumed} for reading in readings})
    every = _differing_rows(readings)
    parts: list[str] = [pages.table(told)] if told else ["In nothing that is told below."]
    parts += [pages.details(f"Every difference: {len(every)} by path", [pages.table(every)])] if every else []
    return pages.section("Where the studies differ", parts)


def _differing_rows(readings: Sequence[Reading]) -> list[Row]:
    """Where the studies of several results differ."""
    return differing_rows({reading.name: reading.study for reading in readings}) if len(readings) > 1 else []


def _texts(readings: Sequence[Reading]) -> Iterable[str]:
    """All that a page says of results in words."""
    for reading in readings:
        yield from (*reading.answer, reading.notes, *(caption for _, caption in reading.figures))


def _markdown(readings: Sequence[Reading]) -> str:
    """The answer, where studies differ, all tables and what their columns are, in Markdown."""
    parts = []
    for reading in readings:
        title = reading.question if len(readings) == 1 else reading.name
        parts += [f"# {marked_down(title)}", *map(marked_down, reading.answer)]
    if differing := _differing_rows(readings):
        parts += ["# Where the studies differ", _marked_down(differing)]
    for title, rows in tables_of(readings).items():
        parts += [f"## {marked_down(title)}", _marked_down(rows)]
    notes = dict.fromkeys(marked_down(reading.notes) for reading in readings)
    return "\n\n".join(part.rstrip("\n") for part in [*parts, *notes]) + "\n"


def _marked_down(rows: Sequence[Row]) -> str:
    """A table of plain texts in Markdown."""
    return to_markdown([{marked_down(name): marked_down(cell) for name, cell in row.items()} for row in rows])

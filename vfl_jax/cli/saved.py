"""What ``report``, ``show``, ``plot`` and ``status`` do: they read what earlier commands have written."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from vfl_jax.cli.values import File, Results
from vfl_jax.core.words import duration

if TYPE_CHECKING:
    from vfl_jax.sweeps.store.status import FolderStatus

MOST_SEEDS_SHOWN = 4
"""A chunk of more seeds shows its first and last alone."""


@dataclasses.dataclass(frozen=True)
class Report:
    """Reports saved results, or compares several: a page, or tables for a paper."""

    results: tyro.conf.Positional[Results]
    """Files of results, or folders of sweeps and arenas."""
    html: File = None
    """File for the page: the answer, figures, tables, what was assumed, how to repeat it. Smaller than 2 MB."""
    csv: File = None
    """File for the first table as comma-separated values."""
    latex: File = None
    """File for all tables in LaTeX; the document needs the package graphicx."""
    markdown: File = None
    """File for the answer and all tables in Markdown."""


@dataclasses.dataclass(frozen=True)
class Show:
    """Prints the answer and the table of saved results."""

    result: tyro.conf.Positional[Path]
    """A file of results, or the folder of a sweep or an arena."""


@dataclasses.dataclass(frozen=True)
class Plot:
    """Draws saved results."""

    result: tyro.conf.Positional[Path]
    """A file of results, or the folder of a sweep or an arena."""
    out: Path
    """Picture to write: .png, .svg or .pdf. Further figures of an arena go beside it, with a number."""


@dataclasses.dataclass(frozen=True)
class Status:
    """Says what of a folder is finished, and how much is left."""

    folder: tyro.conf.Positional[Path]
    """The folder of a sweep, of cases, or of an arena."""


def perform_report(chosen: Report) -> None:
    """Performs ``vfl-jax report``; without a file to write it says which there are.

    Args:
      chosen: the flags.

    Raises:
      ValueError: where no result or no file is named, or two files are one.
      OSError: where a file cannot be read or written, before anything is read.
    """
    from vfl_jax.core.atomic import check_writable
    from vfl_jax.reports import console, report

    files = {name: getattr(chosen, name) for name in ("html", "csv", "latex", "markdown")}
    written = {name: path for name, path in files.items() if path is not None}
    if not chosen.results:
        raise ValueError("report needs a file of results, or a folder; for example: report grid.nc --html grid.html.")
    if not written:
        raise ValueError("report needs a file to write: --html, --csv, --latex or --markdown. To read here, say show.")
    if len({path.resolve() for path in written.values()}) < len(written):
        raise ValueError("two of --html, --csv, --latex and --markdown name one file; give each its own.")
    for name, path in written.items():
        check_writable(f"--{name}", path)
    report(list(chosen.results), **files)
    console().print(f"wrote {', '.join(map(str, written.values()))}", highlight=False)


def perform_show(chosen: Show) -> None:
    """Performs ``vfl-jax show``.

    Args:
      chosen: the flags.

    Raises:
      OSError, ValueError: where there are no results to read.
    """
    from vfl_jax.reports import show

    show(chosen.result)


def perform_plot(chosen: Plot) -> None:
    """Performs ``vfl-jax plot``.

    Args:
      chosen: the flags.

    Raises:
      ValueError: where ``--out`` is no picture, or the results have nothing to draw.
      OSError: where a file cannot be read or written.
    """
    import functools

    from vfl_jax.core.atomic import check_apart, check_writable, write_atomically
    from vfl_jax.reports import console
    from vfl_jax.reports.readings import read
    from vfl_jax.reports.saved import file_of, load_results

    kind = chosen.out.suffix.lower().lstrip(".")
    if kind not in ("png", "svg", "pdf"):
        raise ValueError(f"--out is {chosen.out}; its ending must be .png, .svg or .pdf.")
    check_writable("--out", chosen.out)
    check_apart({"--out": chosen.out}, {"the file of the results": file_of(chosen.result)})
    figures = [figure for figure, _ in read(load_results(chosen.result), chosen.result.stem).figures]
    if not figures:
        raise ValueError(f"{chosen.result} has nothing to draw: no accuracy at any epoch.")
    paths = [chosen.out, *(chosen.out.with_stem(f"{chosen.out.stem}_{i}") for i in range(2, len(figures) + 1))]
    for figure, path in zip(figures, paths, strict=True):
        write_atomically(path, functools.partial(figure.savefig, format=kind, dpi=150, bbox_inches="tight"))
    console().print(f"wrote {', '.join(map(str, paths))}", highlight=False)


def perform_status(chosen: Status) -> None:
    """Performs ``vfl-jax status``.

    Args:
      chosen: the flags.

    Raises:
      OSError, ValueError: where there is no sweep, or its manifest cannot be read.
    """
    from vfl_jax.reports import console
    from vfl_jax.sweeps.store.status import status

    found, screen = status(chosen.folder), console()
    if len(found) == 1:
        (only,) = found
        screen.print(f"{only.path}: {_said(only)}", highlight=False, soft_wrap=True)
        screen.print(_table(_chunk_rows(only), ""))
        return
    boards: dict[str, list[FolderStatus]] = {}
    for of in found:
        boards.setdefault(of.path.relative_to(chosen.folder).parts[0], []).append(of)
    rows = [
        {
            "folder": name,
            "sweeps finished": f"{sum(of.has_results for of in inside)}/{len(inside)}",
            "chunks finished": f"{sum(of.num_finished for of in inside)}/{sum(len(of.chunks) for of in inside)}",
            "epochs done": f"{sum(of.share_done for of in inside) / len(inside):.0%}",
        }
        for name, inside in boards.items()
    ]
    screen.print(_table(rows, f"{chosen.folder}: {len(found)} sweeps have begun; others are not in the folder"))
    for of in found:
        if not of.has_results:
            screen.print(f"{of.path.relative_to(chosen.folder)}: {_said(of)}", highlight=False, soft_wrap=True)


def _said(of: FolderStatus) -> str:
    """How far a sweep is, in words."""
    chunks = f"{of.num_finished} of {len(of.chunks)} chunks finished, {of.share_done:.0%} of the epochs done"
    if of.share_done < 1:
        left = of.seconds_left
        return f"{chunks}; " + (
            "no finished chunk says how long the rest takes" if left is None else f"about {duration(left)} left"
        )
    return chunks + ("; results.nc holds the results" if of.has_results else "; the same command joins the results")


def _chunk_rows(of: FolderStatus) -> list[dict[str, str]]:
    """A row per chunk."""
    return [
        {
            "chunk": chunk.name,
            "points": str(chunk.points),
            "seeds": _seeds(chunk.seeds),
            "epochs": f"{chunk.epochs}/{of.epochs}",
            "state": "finished" if chunk.is_finished else "begun" if chunk.epochs else "no checkpoint",
            "took": duration(chunk.wall_seconds) if chunk.wall_seconds is not None else "–",
        }
        for chunk in of.chunks
    ]


def _seeds(seeds: tuple[int, ...]) -> str:
    """The seeds of a chunk, of many the first and the last."""
    if len(seeds) <= MOST_SEEDS_SHOWN:
        return ", ".join(map(str, seeds))
    return f"{seeds[0]} … {seeds[-1]} ({len(seeds)})"


def _table(rows: list[dict[str, str]], title: str) -> Any:
    """A plain table."""
    from rich import box
    from rich.table import Table

    found = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in rows[0] if rows else ["chunk"]:
        found.add_column(name, justify="left", overflow="fold")
    for row in rows:
        found.add_row(*row.values())
    return found


PERFORM = {Report: perform_report, Show: perform_show, Plot: perform_plot, Status: perform_status}
"""What performs the flags of each of these subcommands."""

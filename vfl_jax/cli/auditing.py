"""What ``vfl-jax audit`` does: it finds out what a malicious party could do with your data, and writes a report."""

from __future__ import annotations

import dataclasses
import functools
import shlex
import shutil
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vfl_jax.cli.choices import source
from vfl_jax.cli.own_tables import OwnTables, told
from vfl_jax.cli.subcommands import Audit
from vfl_jax.cli.values import numbered
from vfl_jax.core.atomic import check_apart, check_writable

if TYPE_CHECKING:
    from vfl_jax.core.vertical_data import VerticalData
    from vfl_jax.data.own.tables import LoadedTables

NOT_REPEATED = ("file", "own", "out", "results", "data_folder")
"""The fields of an audit's flags that the command in its report leaves out, or says in another way."""


def perform_audit(chosen: Audit) -> None:
    """Audits, prints the answer, and writes the report.

    Args:
      chosen: the flags.

    Raises:
      ValueError: naming the flag, where one has another form, or the data are named twice or not at all.
      OSError: where a file cannot be read or written.
    """
    from vfl_jax.audits import audit

    if chosen.out.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"--out is {chosen.out}; the report is a page, so its ending must be .html.")
    load = functools.partial(told, source_of(chosen))
    for flag, path in (("--out", chosen.out), ("--results", chosen.results)):
        if path is not None:
            check_writable(flag, path)
    inputs = tables_of(chosen).inputs if chosen.data is None else {}
    check_apart({"--out": chosen.out, "--results": chosen.results}, inputs)
    found = audit(
        load,
        attacker=numbered(chosen.attacker),
        minutes=chosen.minutes,
        seeds=chosen.seeds,
        head=chosen.head,
        epochs=chosen.epochs,
        rows=chosen.rows,
        command=words_of(chosen),
    )
    width = shutil.get_terminal_size().columns
    for sentence in found.sentences:
        print(textwrap.fill(sentence, max(width, 40), break_long_words=False, break_on_hyphens=False))
    found.to_html(chosen.out)
    if chosen.results is not None:
        found.save(chosen.results)
    written = [str(path) for path in (chosen.out, chosen.results) if path is not None]
    print(f"wrote {', '.join(written)}")


def source_of(chosen: Audit) -> Callable[[], VerticalData | LoadedTables]:
    """The function that loads the data of the flags.

    Args:
      chosen: the flags.

    Raises:
      ValueError: naming the flag, where the data are named twice or not at all.
    """
    own = tables_of(chosen)
    if chosen.data is None:
        if not own.is_given:
            raise ValueError(
                "nothing names the data; give --table PARTY=FILE for every party with --id and --label, a TOML file "
                "that says the same, or --data NAME."
            )
        return own.source()
    if own.is_given:
        raise ValueError(f"--data is {chosen.data}, and your tables are given, too; give one.")
    return source(chosen.data, chosen.data_folder, None)


def tables_of(chosen: Audit) -> OwnTables:
    """The flags of your own tables, with the file that is given in place of ``--tables``.

    Args:
      chosen: the flags.

    Raises:
      ValueError: where both are given.
    """
    if chosen.file is None:
        return chosen.own
    if chosen.own.tables is not None:
        raise ValueError(f"--tables is {chosen.own.tables}, and the file {chosen.file} is given, too; give one.")
    return dataclasses.replace(chosen.own, tables=chosen.file)


def words_of(chosen: Audit) -> str:
    """The command that says the flags again, but for where files and data sets lie, which differs by machine.

    Args:
      chosen: the flags.

    Example:
      >>> from vfl_jax.cli.own_tables import OwnTables
      >>> own = OwnTables(table=("bank=a.csv", "shop=b.csv"), id=("id",), label="bank.y")
      >>> words_of(Audit(own=own, minutes=5.0))
      'vfl-jax audit --table bank=a.csv --table shop=b.csv --id id --label bank.y --minutes 5.0'
    """
    words: list[Any] = ["vfl-jax", "audit"]
    for record in (chosen.own, chosen):
        for field in dataclasses.fields(record):
            value = getattr(record, field.name)
            if field.name in NOT_REPEATED or value == field.default:
                continue
            flag = "--" + field.name.replace("_", "-")
            words += [word for one in value for word in (flag, one)] if isinstance(value, tuple) else [flag, value]
    return shlex.join([*map(str, words), *([str(chosen.file)] if chosen.file is not None else [])])

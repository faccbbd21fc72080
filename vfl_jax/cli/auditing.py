"""What ``vfl-jax audit`` does: it finds out what a malicious party could do with your data, and writes a report."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import shlex
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from vfl_jax.cli.own_tables import OwnTables, Repeated
from vfl_jax.core.atomic import check_writable
from vfl_jax.presets import HeadName
from vfl_jax.sweeps.devices import use_all_cores

if TYPE_CHECKING:
    from vfl_jax.core.vertical_data import VerticalData
    from vfl_jax.data.own.tables import LoadedTables


@dataclasses.dataclass(frozen=True, kw_only=True)
class Audit(OwnTables):
    """Finds out what a malicious party could do with your tables, and which defenses would stop it; writes a report."""

    file: tyro.conf.Positional[Path | None] = None
    """TOML file that names your tables, as --tables."""
    data: str | None = None
    """Name of a data set, in place of your tables; the subcommand list shows all."""
    data_folder: Path | None = None
    """Default: the environment variable VFL_JAX_DATA."""
    attacker: str | None = None
    """Name of the malicious party. Default: of those that lack the labels the one with the most features."""
    minutes: float = 10.0
    """The time that the audit may take. Where it is short, fewer defenses and attacks are tried, and the report says
    which were not."""
    seeds: int = 10
    """How many seeds every number has, at least 10."""
    head: HeadName = "trainable"
    """The active party's model: a layer of its own, or the sum of all embeddings."""
    epochs: int = 20
    rows: int = 3000
    """The largest number of training rows that are used; of test rows half as many. More rows take more time."""
    out: Path = Path("audit.html")
    """File of the report, one page of HTML."""
    results: Path | None = None
    """NetCDF file for the numbers."""
    plugin: Repeated = ()
    """MODULE whose data sets the command shall know. May be repeated."""


def perform_audit(chosen: Audit) -> None:
    """Audits, prints the answer, and writes the report.

    Args:
      chosen: the flags.

    Raises:
      ValueError: naming the flag, where one has another form, or the data are named twice or not at all.
      OSError: where a file cannot be read or written.
    """
    from vfl_jax.audits import audit

    use_all_cores()
    load = source_of(chosen)
    for flag, path in (("--out", chosen.out), ("--results", chosen.results)):
        if path is not None:
            check_writable(flag, path)
    found = audit(
        load,
        attacker=chosen.attacker,
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
    from vfl_jax.data import LOADERS

    if chosen.file is not None:
        if chosen.tables is not None:
            raise ValueError(f"--tables is {chosen.tables}, and the file {chosen.file} is given, too; give one.")
        chosen = dataclasses.replace(chosen, tables=chosen.file, file=None)
    if chosen.data is None:
        if not chosen.is_given:
            raise ValueError(
                "nothing names the data; give --table PARTY=FILE for every party with --id and --label, a TOML file "
                "that says the same, or --data NAME."
            )
        own = {field.name: getattr(chosen, field.name) for field in dataclasses.fields(OwnTables)}
        return OwnTables(**own).source()
    if chosen.is_given:
        raise ValueError(f"--data is {chosen.data}, and your tables are given, too; give one.")
    load = LOADERS.find("--data", chosen.data)
    takes_folder = "folder" in inspect.signature(load).parameters
    return functools.partial(load, folder=chosen.data_folder) if takes_folder else load


def words_of(chosen: Audit) -> str:
    """The command that says the flags again.

    Args:
      chosen: the flags.

    Example:
      >>> words_of(Audit(table=("bank=a.csv", "shop=b.csv"), id=("id",), label="bank.y", minutes=5.0))
      'vfl-jax audit --table bank=a.csv --table shop=b.csv --id id --label bank.y --minutes 5.0'
    """
    words: list[Any] = ["vfl-jax", "audit"]
    for field in dataclasses.fields(chosen):
        value = getattr(chosen, field.name)
        if field.name == "file" or value == field.default:
            continue
        flag = "--" + field.name.replace("_", "-")
        is_appended = field.name in ("table", "id", "column", "drop", "plugin")
        words += [word for one in value for word in (flag, one)] if is_appended else [flag, value]
    return shlex.join([*map(str, words), *([str(chosen.file)] if chosen.file is not None else [])])

"""The meaning of flags: a scenario with numbers set, a grid, and files that can be written."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vfl_jax.core.atomic import check_log, check_writable
from vfl_jax.core.checks import check_count
from vfl_jax.core.files import beside
from vfl_jax.core.record import with_numbers
from vfl_jax.scenario import Scenario
from vfl_jax.sweeps.grid import Grid, parse, resolve

SET = "PATH=NUMBER, e.g. attack.amplify=10"
OVER = "PATH=NUMBER,NUMBER,..., e.g. attack.amplify=1,10, or PATH+PATH=NUMBER:NUMBER,... for numbers that go together"

RENAMED = {"num_parties": "parties", "columns": "column", "trigger": "marked"}
"""Flags that have another name than their argument of Python."""


def with_set(scenario: Scenario, entries: Sequence[str]) -> Scenario:
    """The scenario with the numbers of ``--set``.

    Args:
      scenario: the preset's.
      entries: texts ``PATH=NUMBER``, which are applied in their order.

    Raises:
      ValueError: naming --set, where an entry is no such text, or a path is unknown or there twice.

    Example:
      >>> import vfl_jax as vfl
      >>> with_set(vfl.presets.liu2020_paper(), ["attack.amplify=20"]).attacks[1].amplify
      20.0
    """
    for path, value in assignments("--set", entries, SET).items():
        exact = resolve(scenario, path, "--set")
        number = _number("--set", path, value)
        try:
            scenario = with_numbers(scenario, dict.fromkeys(exact, number))
        except ValueError as error:
            raise ValueError(f"--set has '{path}={value}': {error}") from error
    return scenario


def to_over(
    scenario: Scenario, entries: Sequence[str], set_entries: Sequence[str]
) -> dict[str | tuple[str, ...], list[Any]]:
    """The grid of ``--over``, as :func:`vfl_jax.sweep` takes it.

    Args:
      scenario: the preset's, with ``--set`` applied.
      entries: texts ``PATH=NUMBER,NUMBER,...``, one per axis. ``PATH+PATH=NUMBER:NUMBER,...`` is a zipped axis: its
        numbers go together, and results call its dimension ``PATH+PATH``.
      set_entries: the texts of ``--set``.

    Raises:
      ValueError: naming --over, where an entry is no such text, a path is there twice, or the grid cannot be swept;
        naming --set, where it has no effect because the grid sweeps all its numbers.

    Example:
      >>> import vfl_jax as vfl
      >>> to_over(vfl.presets.liu2020_paper(), ["attack.amplify=1,10"], [])
      {'attack.amplify': [1.0, 10.0]}
      >>> to_over(vfl.presets.liu2020_paper(), ["attack.amplify+poison.rate=1:0.1,10:0.2"], [])
      {('attack.amplify', 'poison.rate'): [(1.0, 0.1), (10.0, 0.2)]}
    """
    over: dict[str | tuple[str, ...], list[Any]] = {}
    for path, values in assignments("--over", entries, OVER).items():
        names = tuple(path.split("+"))
        if len(names) == 1:
            over[path] = [_number("--over", path, value) for value in values.split(",")]
        else:
            over[names] = [_together(path, len(names), entry) for entry in values.split(",")]
    swept = _paths(parse(scenario, over, "--over"))
    for path in assignments("--set", set_entries, SET):
        if swept.issuperset(resolve(scenario, path, "--set")):
            raise ValueError(f"--set names {path!r}, which --over sweeps: --set has no effect. Leave one out.")
    return over


def check_counts(chosen: Any) -> None:
    """Raises ``ValueError``, naming the flag, where a count is below 1; every whole number but a seed is a count.

    Args:
      chosen: the flags of any subcommand.
    """
    for field in dataclasses.fields(chosen):
        value = getattr(chosen, field.name)
        if isinstance(value, int) and not isinstance(value, bool) and field.name != "seed":
            check_count(**{f"--{field.name.replace('_', '-')}": value})


def as_typed(message: str, words: Sequence[str]) -> str:
    """A message that begins with an argument of Python, with the flag in its place, where this flag was typed.

    Args:
      message: the message of an error.
      words: the words of the command.

    Example:
      >>> as_typed("max_replicas is 0; …", ["sweep", "zou2022", "--max-replicas=0"])
      '--max-replicas is 0; …'
    """
    found = re.match(r"\w+(?=[ :])", message)
    name = found[0] if found else ""
    flag = f"--{RENAMED.get(name, name.replace('_', '-'))}"
    is_typed = flag in {word.partition("=")[0] for word in words}
    return flag + message[len(name) :] if is_typed else message


def check_outputs(out: Path | None, log_json: Path | None = None) -> None:
    """Finds out before training whether all output can be written.

    Args:
      out: the file of results, or None.
      log_json: the file of progress, or None.

    Raises:
      ValueError: where ``out`` has no ending or that of a picture, or where two files are one, naming the flags.
      OSError: where a file cannot be written, naming the flag.
    """
    files: dict[str, Path | None] = {"--log-json": log_json, "--out": out}
    if out is not None:
        if out.suffix.lower() == ".png":
            raise ValueError(f"--out is {out}, the name of a picture; name the results, such as {out.stem}.nc.")
        if not out.suffix:
            raise ValueError(f"--out is {out}; give the name an ending, such as {out.name}.nc.")
        files["the figure of --out"] = picture(out)
        files["what is written beside --out"] = beside(out)
    taken: dict[Path, str] = {}
    for name, path in files.items():
        if path is not None:
            (check_log if path is log_json else check_writable)(name, path)
            if (other := taken.setdefault(path.resolve(), name)) != name:
                raise ValueError(f"{name} is {path}, and so is {other}; they must be two files.")


def picture(out: Path) -> Path:
    """The path of the figure of results. No two results share one.

    Args:
      out: the path of the results.

    Example:
      >>> picture(Path("grid.nc")).name, picture(Path("grid.h5")).name
      ('grid.png', 'grid.h5.png')
    """
    return out.with_suffix(".png") if out.suffix == ".nc" else out.with_name(f"{out.name}.png")


def assignments(flag: str, entries: Sequence[str], form: str) -> Mapping[str, str]:
    """The texts before and behind the first "=" of every entry.

    Args:
      flag: the flag, for messages.
      entries: the texts that are given to it.
      form: the form of an entry, with an example, for messages.

    Raises:
      ValueError: naming the flag, where an entry has no "=", or two have the same text before it.

    Example:
      >>> assignments("--attack", ["1=GradientReplacement"], "PARTY=NAME")
      {'1': 'GradientReplacement'}
    """
    found: dict[str, str] = {}
    for entry in entries:
        path, equals, value = entry.partition("=")
        if not equals:
            raise ValueError(f"{flag} has {entry!r}; it must be {form}.")
        if path in found:
            raise ValueError(f"{flag} names {path!r} twice, with {found[path]} and with {value}; give it once.")
        found[path] = value
    return found


def _paths(grid: Grid) -> set[str]:
    """The exact paths of all numbers that a grid sweeps."""
    return {path for axis in grid.axes for paths in axis.paths for path in paths}


def _together(path: str, count: int, text: str) -> tuple[float, ...]:
    """The numbers of one point of a zipped axis; ``ValueError`` where there are not as many as paths."""
    numbers = tuple(_number("--over", path, number) for number in text.split(":"))
    if len(numbers) != count:
        raise ValueError(
            f"--over has '{path}={text}', {count} paths and {len(numbers)} number{'s' * (len(numbers) != 1)}; put ':' "
            f"between numbers that go together, e.g. {path}={':'.join('1' * count)},{':'.join('2' * count)}."
        )
    return numbers


def _number(flag: str, path: str, text: str) -> float:
    """The number of a text; ``ValueError`` where it is none."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{flag} has '{path}={text}'; it must be PATH=NUMBER, e.g. attack.amplify=10.") from None

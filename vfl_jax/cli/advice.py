"""What errors advise, in the words of the command: its flags, or the keys of the TOML file that names your tables."""

from __future__ import annotations

import functools
import json
import shlex
from collections.abc import Sequence

from vfl_jax.cli.flags import RENAMED, as_typed
from vfl_jax.core.advice import Advised, Argument, Plugin, PythonOnly
from vfl_jax.data.own.table.advice import Declared, LeftOut, said_of
from vfl_jax.data.own.table.kinds import Kind


def said(error: Exception, words: Sequence[str]) -> str:
    """The message of an error as a user of the command needs it.

    Args:
      error: the error.
      words: the words of the command.

    Example:
      >>> said(Advised("leave it out: ", LeftOut("bank.note"), "."), ["audit", "--table", "bank=a.csv"])
      'leave it out: --drop bank.note.'
      >>> said(Advised("leave it out: ", LeftOut("bank.note"), "."), ["audit", "tables.toml"])
      'leave it out: drop = ["bank.note"] in tables.toml.'
    """
    if not isinstance(error, Advised):
        return as_typed(str(error), words)
    return as_typed(error.worded(functools.partial(_worded, words=words)), words)


def _worded(part: object, words: Sequence[str]) -> str:
    """A part of a message in the words of the command."""
    if isinstance(part, PythonOnly):
        return ""
    if isinstance(part, Plugin):
        return _flag("plugin", part.module)
    if isinstance(part, Argument):
        key = RENAMED.get(part.name, part.name)
        return f"--{key}" if _file(key, words) is None else key
    if isinstance(part, LeftOut):
        file = _file("drop", words)
        return _flag("drop", part.column) if file is None else f"drop = [{_quoted(part.column)}] in {file}"
    if isinstance(part, Declared):
        file, kinds = _file("column", words), [_call(kind) for kind in part.kinds]
        if file is None:
            return " or ".join(_flag("column", f"{part.column}={kind}") for kind in kinds)
        return f"[column] {_quoted(part.column)} = {' or '.join(map(_quoted, kinds))} in {file}"
    return str(part)


def _file(key: str, words: Sequence[str]) -> str | None:
    """The TOML file that says what a flag would; None where there is none, or the flag is typed, which wins."""
    if any(word.partition("=")[0] == f"--{key}" for word in words):
        return None
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word.startswith("--tables"):
            return word.partition("=")[2] or following
    is_audit = words[:1] == ["audit"]
    return next((word for word in words if is_audit and word.endswith(".toml") and not word.startswith("-")), None)


def _flag(flag: str, value: str) -> str:
    """A flag with its value, as a shell takes it."""
    return f"--{flag} {shlex.quote(value)}"


def _call(kind: Kind) -> str:
    """A kind as ``--column`` takes it: words need no quotes there."""
    arguments = [f"{name}={_bare(value)}" for name, value in said_of(kind).items()]
    return type(kind).__name__ + (f"({', '.join(arguments)})" if arguments else "")


def _bare(value: object) -> str:
    """A value in a call, without quotes where it is a word."""
    return value if isinstance(value, str) and value.isidentifier() else json.dumps(value, ensure_ascii=False)


def _quoted(text: str) -> str:
    """A text of TOML, in the quotes that it does not have itself."""
    return f"'{text}'" if '"' in text and "'" not in text else json.dumps(text, ensure_ascii=False)

"""The TOML file that names your own tables, as the flags of the command do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vfl_jax.core.checks import did_you_mean, is_number, shown
from vfl_jax.core.ordinary import read_text
from vfl_jax.core.toml_text import parse_toml

FORMS = {
    "table": '[table] bank = "a.csv"',
    "id": 'id = "id", or [id] bank = "nr"',
    "label": 'label = "bank.y"',
    "column": '[column] "bank.zip" = "Categorical"',
    "drop": 'drop = ["bank.name"]',
    "test": 'test = 0.2, or test = "bank.year>2019"',
    "marked": 'marked = "bank.job==student"',
}
"""How every key is written."""
PAIRED = ("table", "id", "column")
"""The keys that may be tables of TOML."""
SINGLE = ("label", "test", "marked")
"""The keys that have one value."""


def read_table_file(file: Path, known: Sequence[str]) -> dict[str, Any]:
    """Reads the file: what the flags would be given, a text for each of those that have one value, else texts.

    Args:
      file: the file. The tables that it names lie beside it.
      known: the keys that it may have.

    Raises:
      ValueError: naming the file and the key, where it is no TOML, or a key is unknown or holds something else.
      OSError: where it cannot be read.
    """
    try:
        content = parse_toml(read_text(file, encoding="utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"--tables is {file}, which is no TOML: {error}.") from error
    found: dict[str, Any] = {}
    for name, value in content.items():
        if name not in known:
            near = did_you_mean(name, known)
            raise ValueError(f"--tables is {file}, which has {name!r}.{near} Its keys are {', '.join(known)}.")
        texts = list(_texts(name, value))
        if None in texts or (name in SINGLE and len(texts) != 1):
            raise ValueError(f"--tables is {file}, in which {name} is {shown(value)}; write {FORMS[name]}.")
        if name == "table":
            texts = [_beside(file, str(text)) for text in texts]
        found[name] = texts[0] if name in SINGLE else tuple(texts)
    return found


def _texts(name: str, value: Any) -> Iterator[str | None]:
    """The texts that a flag would be given; None for what it cannot take."""
    if isinstance(value, str):
        yield value
    elif name == "test" and is_number(value):
        yield str(value)
    elif isinstance(value, list) and name not in SINGLE:
        yield from (entry if isinstance(entry, str) else None for entry in value)
    elif isinstance(value, Mapping) and name in PAIRED:
        for key, text in _flat(value, ""):
            yield f"{key}={text}" if isinstance(text, str) and "=" not in key else None
    elif isinstance(value, Mapping) and name == "label":
        yield from (f"{party}.{column}" if isinstance(column, str) else None for party, column in _flat(value, ""))
    else:
        yield None


def _flat(value: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    """The values of a table of TOML by their dotted keys: an unquoted "bank.zip" is a table "bank" with "zip"."""
    for key, inside in value.items():
        if isinstance(inside, Mapping):
            yield from _flat(inside, f"{path}{key}.")
        else:
            yield f"{path}{key}", inside


def _beside(file: Path, text: str) -> str:
    """The entry of a table, whose file lies beside the TOML file."""
    party, equals, path = text.partition("=")
    return f"{party}={file.parent / path}" if equals else text

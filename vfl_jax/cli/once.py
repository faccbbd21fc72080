"""A flag that is given twice: tyro would take the last one and drop the first unsaid."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Sequence

import tyro

from vfl_jax.cli.subcommands import SUBCOMMANDS


def check_once(words: Sequence[str]) -> None:
    """Raises ``ValueError``, naming the flag, where one that takes its values at once is given twice with others.

    Args:
      words: the words of the command, the subcommand first.

    Example:
      >>> check_once(["sweep", "zou2022", "--over", "attack.amplify=1", "--over", "poison.rate=0.1", "--seeds", "3"])
      >>> check_once(["sweep", "zou2022", "--seeds", "3", "--seeds=20"])
      Traceback (most recent call last):
      ...
      ValueError: --seeds is given twice, with 3 and with 20; give it once.
    """
    may_be_repeated = set(_repeated(SUBCOMMANDS[words[0]])) if words[0] in SUBCOMMANDS else set()
    found: dict[str, list[str]] = {}
    for flag, values in _given(words):
        name = flag.replace("_", "-")
        if name in may_be_repeated:
            continue
        if (before := found.setdefault(name, values)) != values:
            one, other = (" ".join(of) or "nothing" for of in (before, values))
            raise ValueError(f"{name} is given twice, with {one} and with {other}; give it once.")


def _given(words: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Every flag with the words that follow it."""
    for place, word in enumerate(words):
        if word.startswith("--") and len(word) > 2:
            flag, equals, value = word.partition("=")
            rest = words[place + 1 :]
            end = next((i for i, other in enumerate(rest) if other.startswith("--")), len(rest))
            yield flag, [value] if equals else list(rest[:end])


def _repeated(kind: type) -> Iterator[str]:
    """The flags of a subcommand that add to what they had."""
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        if dataclasses.is_dataclass(inside := typing.get_args(hint)[0] if typing.get_args(hint) else hint):
            yield from _repeated(typing.cast(type, inside))
        elif tyro.conf.UseAppendAction in getattr(hint, "__metadata__", ()):
            yield f"--{field.name.replace('_', '-')}"

"""The code of records that are not the package's own: a digest that changes when what it does may have changed.

A digest covers every method and default of a class and of its bases, and whatever of the same module they use by name:
functions, classes, arrays, objects and what they hold. It is of what Python compiled, instruction by instruction, so
that comments, docstrings and moved lines do not count, and classes that have no source are no exception. What is
imported from another module counts by its name, and what the code changes itself not at all. Another version of Python
compiles the same source to another digest.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping

from vfl_jax.core.digest.held import is_known
from vfl_jax.core.digest.words import records_in, words_of
from vfl_jax.core.record import Record

PYTHON = "python"
"""Under this name stands the version of Python, where there is any code of another's."""


def of_records(record: Record) -> dict[str, str]:
    """Of every record that is not the package's own, its path, class and digest; and which Python it was.

    Empty where all are the package's own.
    """
    kinds = {path: type(part) for path, part in records_in(record, "") if _is_own(type(part))}
    found = {path: f"{kind.__name__} {digest(kind)}" for path, kind in kinds.items()}
    return found | {PYTHON: ".".join(platform.python_version_tuple()[:2])} if found else {}


def differing(there: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """The classes whose code differs, each with its path, e.g. ``"Mine (attacks.1)"``."""
    paths = sorted(path for path in (there.keys() | here.keys()) - {PYTHON} if there.get(path) != here.get(path))
    return [f"{(here.get(path) or there[path]).partition(' ')[0]} ({path or 'the scenario'})" for path in paths]


def digest(kind: type) -> str:
    """64 bits of SHA-256 of a class's code."""
    whole = hashlib.sha256()
    for word in words_of(kind):
        whole.update(f"{len(word)}:{word}".encode("utf-8", "surrogatepass"))
    return whole.hexdigest()[:16]


def _is_own(kind: type) -> bool:
    """Whether a class, or a base of it, is neither the package's nor of Python itself."""
    return any(not is_known(base) for base in kind.__mro__)

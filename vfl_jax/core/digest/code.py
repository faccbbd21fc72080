"""A digest of the code of records that users write; it changes when the code may do something else.

A digest covers every method and default of a class and of its bases. It also covers everything of the same module that
they use by name: functions, classes, arrays, objects and their content. The digest reads compiled code, instruction by
instruction. So comments, docstrings and moved lines do not count, and a class needs no source. An import from another
module counts by its name. Things that the code itself changes do not count. Another version of Python gives the same
source another digest.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping

from vfl_jax.core.digest.held import is_known
from vfl_jax.core.digest.words import records_in, words_of
from vfl_jax.core.record import Record

PYTHON = "python"
"""The key of the version of Python, which stands beside the digests of users' records."""


def of_records(record: Record) -> dict[str, str]:
    """Digests the code of every record in a record that is not the package's own.

    Args:
      record: a record, such as a scenario.

    Returns:
      "<class> <digest>" by the path of each such record, and the version of Python by ``PYTHON``; an empty dictionary
      where all records are the package's own.
    """
    kinds = {path: type(part) for path, part in records_in(record, "") if _is_own(type(part))}
    found = {path: f"{kind.__name__} {digest(kind)}" for path, kind in kinds.items()}
    return found | {PYTHON: ".".join(platform.python_version_tuple()[:2])} if found else {}


def differing(there: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """Compares two results of :func:`of_records`.

    Args:
      there: the earlier one.
      here: the later one.

    Returns:
      the classes whose code differs, each with its path, such as ``"Mine (attacks.1)"``.
    """
    paths = sorted(path for path in (there.keys() | here.keys()) - {PYTHON} if there.get(path) != here.get(path))
    return [f"{(here.get(path) or there[path]).partition(' ')[0]} ({path or 'the scenario'})" for path in paths]


def digest(kind: type) -> str:
    """Returns the first 64 bits of the SHA-256 of a class's code, in hexadecimal."""
    whole = hashlib.sha256()
    for word in words_of(kind):
        whole.update(f"{len(word)}:{word}".encode("utf-8", "surrogatepass"))
    return whole.hexdigest()[:16]


def _is_own(kind: type) -> bool:
    """Whether a user wrote a class or a base of it."""
    return any(not is_known(base) for base in kind.__mro__)

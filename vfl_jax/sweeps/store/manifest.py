"""The manifest of a sweep's folder: its study, and the chunks that its work is cut into.

The identity is that of the study that began the folder, and it names the chunks. Later code of own records that a user
has accepted stands beside it.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from vfl_jax.core.atomic import write_atomically
from vfl_jax.core.digest import code
from vfl_jax.core.ordinary import read_text
from vfl_jax.core.vertical_data import content_hash
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.study import lines_that_differ

NAME = "manifest.json"
FORMAT = 2
MOST = 1 << 26
"""So many characters, 64 Mi, a manifest may have: those of about a million chunks."""
SHOWN = 8
"""How many differences a refusal lists."""
PARTS = {"chunks", "kept", "checkpoints", "locks", "attempts", "damaged", "results.nc", "results.nc.run.json"}
"""The other entries of a sweep's folder."""


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The study of a folder, and how its work is cut."""

    identity: dict[str, Any]  # that of the study that began the folder
    chunks: list[Chunk]  # all that are planned
    most: int | None  # the largest number of replicas of a chunk; None before the first plan
    accepted: list[dict[str, str]]  # later code of own records that counts as the code of the beginning


class ChangedCode(ValueError):
    """A folder has results of other code of own records."""


def read(folder: Path, identity: dict[str, Any]) -> Manifest | None:
    """The manifest of a folder, or None where it has none.

    Args:
      folder: the folder.
      identity: that of the present study.

    Raises:
      ChangedCode: where only the code of own records differs.
      ValueError: where the folder belongs to another study (with the differences), or has another format.
      OSError: where the manifest is damaged, or cannot be read.
    """
    found = _of_study(folder, identity)
    if found is not None and identity["code"] not in (found.identity["code"], *found.accepted):
        raise ChangedCode(_changed(folder, found.identity["code"], identity["code"]))
    return found


def accept(folder: Path, identity: dict[str, Any]) -> None:
    """Lets results of other code of own records count as this study's.

    Args:
      folder, identity: as in :func:`read`.

    Raises:
      ValueError, OSError: as :func:`read` does, but for changed code.
    """
    found = _of_study(folder, identity)
    if found is not None and identity["code"] not in (found.identity["code"], *found.accepted):
        write(folder, dataclasses.replace(found, accepted=[*found.accepted, identity["code"]]))


def of_any(folder: Path) -> Manifest | None:
    """The manifest of whatever study a folder belongs to, or None where it has none.

    Args:
      folder: the folder.

    Raises:
      ValueError: where it has another format.
      OSError: where it is damaged, or cannot be read.
    """
    path = folder / NAME
    try:
        manifest = json.loads(read_text(path, MOST))
        if manifest.pop("digest") != digest(manifest):
            raise ValueError("its content is not as it was written")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise OSError(
            f"{path} is damaged ({error}). Remove it to have the work cut anew: finished chunks are used again "
            "where the cut is the same."
        ) from error
    if manifest["format"] != FORMAT:
        raise ValueError(
            f"{path} has format {manifest['format']}; this version reads {FORMAT}. Choose another folder, or go on in "
            "this one with the version that began it."
        )
    chunks = [Chunk.from_plain(*plain) for plain in manifest["chunks"]]
    return Manifest(manifest["identity"], chunks, manifest["most_replicas"], manifest["accepted_code"])


def _of_study(folder: Path, identity: dict[str, Any]) -> Manifest | None:
    """The manifest, whatever code of own records it names."""
    found = of_any(folder)
    if found is None:
        return None
    if differing := lines_that_differ(found.identity | {"code": None}, identity | {"code": None}):
        more = f"\n  and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
        raise ValueError(
            f"{folder} belongs to another study; choose another folder, or undo what differs:"
            + "".join(f"\n  {line}" for line in differing[:SHOWN])
            + more
        )
    return found


def write(folder: Path, found: Manifest) -> None:
    """Writes the manifest ``found`` into a ``folder``, whole or not at all; ``OSError`` where it cannot."""
    manifest = {
        "format": FORMAT,
        "identity": found.identity,
        "accepted_code": found.accepted,
        "most_replicas": found.most,
        "chunks": [chunk.plain() for chunk in found.chunks],
    }
    manifest = json.loads(json.dumps(manifest))  # as a reader will see it
    text = json.dumps(manifest | {"digest": digest(manifest)}, sort_keys=True, allow_nan=False, indent=1)
    write_atomically(folder / NAME, lambda temporary: temporary.write_text(text + "\n"))


def digest(manifest: dict[str, Any]) -> str:
    """The SHA-256 of the content of a ``manifest``, in hexadecimal digits."""
    return content_hash((), json.dumps(manifest, sort_keys=True))


def _changed(folder: Path, there: dict[str, str], here: dict[str, str]) -> str:
    """The message on other code than that of a folder's beginning."""
    names = ", ".join(code.differing(there, here)) or "its own records"
    pythons = [found.get(code.PYTHON) for found in (there, here)]
    compiled = "" if pythons[0] == pythons[1] else f" (Python was {pythons[0]} there, is {pythons[1]} here)"
    return (
        f"{folder} has results of other code of {names}{compiled}: a method of it, or what it uses of its module, has "
        "changed since. Choose another folder; or, where the change moves no number, say accept_changed_code=True once "
        "to keep what is finished."
    )


def check_own(folder: Path) -> None:
    """Raises ``ValueError`` where a ``folder`` without a manifest is no sweep's.

    A sweep's folder may lack it, because the sweep was killed before writing it, or because a user removed it.
    """
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    own = PARTS if "chunks" in there else {"locks"}
    if foreign := sorted(name for name in there - own if not name.startswith(f".{NAME}.")):
        raise ValueError(
            f"{folder} has no {NAME}, but holds {', '.join(foreign[:4])}; give an empty folder, or that of a sweep."
        )

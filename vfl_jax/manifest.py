"""The manifest of a sweep's folder: what the folder is for, and into which chunks the work was cut."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vfl_jax.atomic import write_atomically
from vfl_jax.chunks import Chunk
from vfl_jax.records import content_hash
from vfl_jax.study import differences

NAME = "manifest.json"
FORMAT = 1
SHOWN = 8
"""How many differences a refusal lists."""
PARTS = {"chunks", "checkpoints", "locks", "attempts", "damaged", "results.nc", "results.nc.run.json"}
"""What else a sweep's folder holds."""


def read(folder: Path, identity: dict[str, Any]) -> tuple[list[Chunk], int | None]:
    """The chunks there are to be, and how many replicas one may have; no chunks and None where there is no manifest.

    Raises:
      ValueError: when the folder belongs to another study (what differs), or is no sweep's.
      OSError: when the manifest is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        _check_own(folder)
        return [], None
    try:
        manifest = json.loads(path.read_text())
        if manifest.pop("digest") != digest(manifest):
            raise ValueError("its content is not as it was written")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OSError(
            f"{path} is damaged ({error}). Remove it to have the work cut anew: finished chunks are used again "
            "where the cut is the same."
        ) from error
    if manifest["format"] != FORMAT:
        raise ValueError(f"{path} has format {manifest['format']}; this version reads {FORMAT}.")
    if differing := differences(manifest["identity"], identity):
        more = f"\n  and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
        raise ValueError(
            f"{folder} belongs to another study; choose another folder, or undo what differs:"
            + "".join(f"\n  {line}" for line in differing[:SHOWN])
            + more
        )
    return [Chunk.from_plain(*plain) for plain in manifest["chunks"]], manifest["most_replicas"]


def write(folder: Path, identity: dict[str, Any], chunks: list[Chunk], most: int) -> None:
    plain = [chunk.plain() for chunk in chunks]
    manifest = {"format": FORMAT, "identity": identity, "most_replicas": most, "chunks": plain}
    manifest = json.loads(json.dumps(manifest))  # as it is read
    text = json.dumps(manifest | {"digest": digest(manifest)}, sort_keys=True, allow_nan=False, indent=1)
    write_atomically(folder / NAME, lambda temporary: temporary.write_text(text + "\n"))


def digest(manifest: dict[str, Any]) -> str:
    return content_hash((), json.dumps(manifest, sort_keys=True))


def _check_own(folder: Path) -> None:
    """Raises where a folder without a manifest was not begun by a sweep that was killed, or had it removed."""
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    own = PARTS if "chunks" in there else {"locks"}
    if foreign := sorted(name for name in there - own if not name.startswith(f".{NAME}.")):
        raise ValueError(
            f"{folder} has no {NAME}, but holds {', '.join(foreign[:4])}; give an empty folder, or that of a sweep."
        )

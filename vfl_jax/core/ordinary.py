"""Files of others that are read whole: ordinary ones, of a size that such a file may have."""

from __future__ import annotations

import stat
from pathlib import Path

from vfl_jax.core.damage import Damaged

MOST_TEXT = 1 << 24
"""So many characters, 16 Mi, a text of settings may have; what JSON makes of it takes about 30 times as many bytes."""


def check_ordinary(path: Path) -> None:
    """Checks that a file is no pipe, which may keep its reader waiting for ever, and no device, which may never end.

    Args:
      path: the file; a folder passes, because to open it raises an error of its own.

    Raises:
      Damaged: naming the file, where it is a pipe, a socket or a device.
      OSError: where there is none, or nothing can be learned of it.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise Damaged(f"{path} is no ordinary file but a pipe, a socket or a device; write it into a file.")


def read_text(path: Path, most: int = MOST_TEXT, encoding: str = "utf-8", errors: str = "strict") -> str:
    """Reads a whole text.

    Args:
      path: the file.
      most: so many characters it may have.
      encoding: its encoding.
      errors: what becomes of bytes that are no text in it, as in :func:`open`.

    Raises:
      ValueError: where its bytes are no text.
      Damaged: naming the file, where it is no ordinary one, or has more characters.
      OSError: where it cannot be read.
    """
    check_ordinary(path)
    with path.open(encoding=encoding, errors=errors) as file:
        text = file.read(most + 1)
    if len(text) > most:
        raise Damaged(f"{path} has more than {most:,} characters, which no such file has.")
    return text

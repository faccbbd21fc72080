"""Files that are not as they were written, or not what they should be."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path


class Damaged(OSError):
    """The error on a file that was read whole, but is not as it was written, or holds something else."""


@contextlib.contextmanager
def named(path: Path, what: str, advice: str = "", kind: type[Exception] = ValueError) -> Iterator[None]:
    """Turns whatever a library raises on damaged bytes into one error that names the file.

    Args:
      path: the file.
      what: what is wrong with it, such as "is not a whole Parquet file".
      advice: what to do, such as "fetch it again"; empty where the caller knows.
      kind: the class of the error: ``ValueError`` for what a user gave, :class:`Damaged` for what the package wrote.

    Raises:
      ValueError, Damaged: as ``kind`` says, in place of any other error; one that names the file already stays.
      OSError: where the system fails, or the file would take more memory than there is.

    Example:
      >>> with named(Path("bank.parquet"), "is not a whole Parquet file", "fetch it again"):
      ...     raise RuntimeError("no magic bytes")
      Traceback (most recent call last):
      ...
      ValueError: bank.parquet is not a whole Parquet file (no magic bytes); fetch it again.
    """
    try:
        yield
    except MemoryError as error:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), str(path)) from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # EINVAL is a place before the file
            raise OSError(error.errno, error.strerror, str(path)) from error
        if isinstance(error, kind) and str(path) in str(error):
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0][:300]
        raise kind(f"{path} {what} ({reason}){'; ' if advice else ''}{advice}.") from error

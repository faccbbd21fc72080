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
def named(path: Path, what: str, advice: str) -> Iterator[None]:
    """Turns whatever a library raises on damaged bytes into one error that names the file.

    Args:
      path: the file.
      what: what it should be, such as "a whole Parquet file".
      advice: what to do, such as "fetch it again".

    Raises:
      ValueError: in place of any other error; one that names the file already stays as it is.
      OSError: where the system fails, or the file would take more memory than there is.
    """
    try:
        yield
    except MemoryError as error:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), str(path)) from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # EINVAL is a place before the file
            raise OSError(error.errno, error.strerror, str(path)) from error
        if isinstance(error, ValueError) and str(path) in str(error):
            raise
        reason = str(error) or type(error).__name__
        raise ValueError(f"{path} is not {what} ({reason.splitlines()[0][:300]}); {advice}.") from error

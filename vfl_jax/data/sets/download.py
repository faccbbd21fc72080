"""Downloads of published files, each checked by its hash."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vfl_jax.data.sets.location import DATA_VARIABLE


def download(name: str, address: str, sha256: str, files: Sequence[str]) -> Path:
    """Fetches one file into the user's cache; only a file with the right hash gets its name there.

    Args:
      name: the name of the data set, and of its folder.
      address: where the file is; the part after the last slash is its name.
      sha256: the file's SHA-256, in hexadecimal.
      files: the names of all files of the data set, for the message.

    Returns:
      the path of the file.

    Raises:
      OSError: where the file cannot be downloaded; the message says which files to put where.
      ValueError: where the file has another hash.
    """
    import pooch

    cache = pooch.os_cache("vfl_jax") / name
    try:
        file = address.rpartition("/")[2]
        return Path(pooch.retrieve(address, known_hash=f"sha256:{sha256}", fname=file, path=cache))
    except OSError as error:  # A failure of the network is one, too.
        raise OSError(
            f"{address} cannot be downloaded to {cache} ({_reason(error)}). Fetch {', '.join(files)} on another "
            f"machine, put {'them' if len(files) > 1 else 'it'} into a folder {name} and name the folder that it is "
            f"in: the argument folder, or {DATA_VARIABLE}."
        ) from None  # the library's own traceback is long, and says no more


def _reason(error: OSError) -> str:
    """Says in few words why a download failed."""
    if (response := getattr(error, "response", None)) is not None:
        return f"the server says {response.status_code} {response.reason}"
    return error.strerror or f"no connection: {type(error).__name__}"

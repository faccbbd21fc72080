"""What ``--scheduler`` names: the Dask scheduler whose workers train."""

from __future__ import annotations

import contextlib
from concurrent.futures import Executor
from pathlib import Path

from vfl_jax.core.extras import extra


def executor_at(address: str | None, folder: Path | None, stack: contextlib.ExitStack) -> Executor | None:
    """The executor of a Dask scheduler; None where none is named.

    Args:
      address: that of the scheduler, such as tcp://10.0.0.1:8786.
      folder: the folder of results, in which workers leave their chunks.
      stack: closes the client.

    Raises:
      ValueError: naming the flag, where there is no folder, or where no scheduler answers.
      MissingExtra: where Dask is not installed.
    """
    if address is None:
        return None
    if folder is None:
        raise ValueError("--scheduler needs --folder, in which its workers leave their chunks.")
    with extra("cluster", "--scheduler"):
        from distributed import Client
    try:
        client = Client(address)
    except (OSError, ValueError) as error:
        raise ValueError(f"--scheduler is {address}, where no Dask scheduler answers ({error}).") from error
    return stack.enter_context(client).get_executor()

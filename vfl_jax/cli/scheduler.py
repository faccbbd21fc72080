"""What ``--scheduler`` names: the Dask scheduler whose workers train."""

from __future__ import annotations

import contextlib
from concurrent.futures import Executor
from pathlib import Path

from vfl_jax.core.extras import extra


def check_scheduler(address: str | None, folder: Path | None) -> None:
    """Refuses a scheduler without a folder, before anything is loaded.

    Args:
      address: that of the scheduler; None where none is named.
      folder: the folder of results, in which workers leave their chunks.

    Raises:
      ValueError: naming the flag.
    """
    if address is not None and folder is None:
        raise ValueError("--scheduler needs --folder, in which its workers leave their chunks.")


def executor_at(address: str | None, stack: contextlib.ExitStack) -> Executor | None:
    """The executor of a Dask scheduler; None where none is named.

    Args:
      address: that of the scheduler, such as tcp://10.0.0.1:8786.
      stack: closes the client.

    Raises:
      ValueError: naming the flag, where no scheduler answers.
      MissingExtra: where Dask is not installed.
    """
    if address is None:
        return None
    with extra("cluster", "--scheduler"):
        from distributed import Client
    try:
        client = Client(address)
    except (OSError, ValueError) as error:
        raise ValueError(f"--scheduler is {address}, where no Dask scheduler answers ({error}).") from error
    return stack.enter_context(client).get_executor()

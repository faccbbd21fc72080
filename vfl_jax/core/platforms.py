"""The platforms that the package runs on; others are refused by name, before anything goes wrong there silently."""

from __future__ import annotations

PLATFORMS = {"linux": "Linux", "darwin": "macOS"}
"""Linux is tested. macOS is not: by its manuals it locks, renames and flushes files as the package needs it, and holds
no process to a limit of memory. On Windows nobody can replace a file while it is read, which every write here does."""


def check_platform(name: str) -> None:
    """Checks that the package runs on a platform.

    Args:
      name: the platform, as ``sys.platform`` has it.

    Raises:
      ImportError: naming the platform, and what to take instead.
    """
    if name not in PLATFORMS:
        raise ImportError(
            f"vfl_jax runs on Linux, where it is tested, and on macOS, where it is not; this is {name!r}. On Windows "
            "take WSL 2, which is Linux."
        )

"""The arena's page."""

from __future__ import annotations

from pathlib import Path


def write_report(folder: Path) -> None:
    """Writes the page from the results in a folder."""

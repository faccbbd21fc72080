"""Tables and figures from saved results; nothing is trained here."""

from __future__ import annotations

from pathlib import Path


def write_report(folder: Path) -> None:
    pass

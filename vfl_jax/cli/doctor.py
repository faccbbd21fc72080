"""What ``vfl-jax doctor`` says: what of this machine works, what is missing, and the command that mends it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from vfl_jax.cli.overview import version
from vfl_jax.core.extras import EXTRAS

if TYPE_CHECKING:
    from rich.console import Console

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "xarray")
LITTLE_MEMORY = 2.0
"""GiB below which larger sweeps are cut into many chunks."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "firefox")
STYLES = {"works": "green", "missing": "yellow", "broken": "red"}


class Diagnosis(NamedTuple):
    """What is known of one thing.

    Args:
      state: "works"; "missing", where only some studies need it; "broken", where all do.
      what: the thing.
      found: what was found.
      mend: what to do; empty where nothing is.
    """

    state: Literal["works", "missing", "broken"]
    what: str
    found: str
    mend: str = ""


def doctor(data_folder: Path | None, console: Console) -> bool:
    """Prints what works, what is missing and what to do.

    Args:
      data_folder: the data folder; None takes the environment variable VFL_JAX_DATA.
      console: where to print.

    Returns:
      Whether nothing is broken that every study needs.
    """
    from rich.table import Table
    from rich.text import Text

    states, table = set(), Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    for found in diagnoses(data_folder):
        table.add_row(Text(found.state, STYLES[found.state]), found.what, Text(found.found))
        if found.mend:
            table.add_row("", "→", Text(found.mend))
        states.add(found.state)
    console.print(table)
    console.print("vfl-jax demo shows that training works." if "broken" not in states else "Mend what is broken first.")
    return "broken" not in states


def diagnoses(data_folder: Path | None) -> Iterator[Diagnosis]:
    """Everything that is looked at, in order.

    Args:
      data_folder: as in :func:`doctor`.
    """
    yield Diagnosis("works", "versions", f"vfl_jax {version()}, Python {platform.python_version()}")
    yield Diagnosis("works", "packages", ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES))
    yield _devices()
    yield _memory()
    yield _folder(Path.cwd(), "results", "Change to a folder of yours, or give --out and --folder elsewhere.")
    yield from _data(data_folder)
    import pooch

    yield _folder(
        pooch.os_cache("vfl_jax"), "cache", "chmod it, or name a folder of data sets by VFL_JAX_DATA.", "missing"
    )
    browser = next((found for found in map(shutil.which, BROWSERS) if found), None)
    if browser is None:
        mend = "Open reports elsewhere; to test them: apt-get install chromium"
        yield Diagnosis("missing", "browser", "no Chromium; training and reports need none", mend)
    else:
        yield Diagnosis("works", "browser", browser)
    for extra, package in EXTRAS.items():
        try:
            yield Diagnosis("works", f"extra {extra}", f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            yield Diagnosis("missing", f"extra {extra}", f"no {package}", f"pip install 'vfl_jax[{extra}]'")


def _devices() -> Diagnosis:
    """The devices that JAX finds; a GPU that it does not use is named."""
    import jax

    try:
        found = jax.devices()
    except RuntimeError as error:
        mend = "Unset JAX_PLATFORMS, or install the jaxlib of your device: https://docs.jax.dev/en/latest/installation.html"
        return Diagnosis("broken", "devices", f"JAX finds none ({error})", mend)
    kinds = sorted({device.device_kind for device in found})
    text = f"{len(found)} × {', '.join(kinds)} ({found[0].platform}), {os.cpu_count()} CPU cores"
    if found[0].platform == "cpu" and Path("/dev/nvidia0").exists():
        return Diagnosis("missing", "devices", f"{text}; JAX does not use the NVIDIA GPU", "pip install 'jax[cuda13]'")
    return Diagnosis("works", "devices", text)


def _memory() -> Diagnosis:
    """The memory that is free."""
    from vfl_jax.sweeps.limits import free_on_host

    free = free_on_host() / 2**30
    if free < LITTLE_MEMORY:
        mend = "Larger sweeps are cut into more chunks; close other programs, or give --max-replicas."
        return Diagnosis("missing", "memory", f"{free:.1f} GiB free", mend)
    return Diagnosis("works", "memory", f"{free:.1f} GiB free")


def _folder(folder: Path, what: str, mend: str, otherwise: Literal["missing", "broken"] = "broken") -> Diagnosis:
    """Whether a file can be written into a folder, or, where it is missing, into the nearest one above it."""
    nearest = next(place for place in (folder, *folder.parents) if place.is_dir())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        return Diagnosis(otherwise, what, f"{nearest} cannot be written ({error.strerror})", mend)
    return Diagnosis("works", what, f"{folder} can be written")


def _data(folder: Path | None) -> Iterator[Diagnosis]:
    """The data folder, and how many files of each data set are there. Their content is checked by ``data check``."""
    from vfl_jax.data.sets.layout import DATA_SETS

    named = folder or (Path(os.environ["VFL_JAX_DATA"]) if os.environ.get("VFL_JAX_DATA") else None)
    if named is None:
        mend = "export VFL_JAX_DATA=FOLDER; digits, breast_cancer and nus_wide_twin need none"
        yield Diagnosis("missing", "data folder", "none is named", mend)
        return
    if not named.is_dir():
        yield Diagnosis("missing", "data folder", f"{named} is no folder", f"mkdir -p {named}")
        return
    whole: list[str] = []
    lacking: list[str] = []
    for name, data_set in DATA_SETS.items():
        there = sum(any((named / name / place).exists() for place in file.places) for file in data_set.files)
        (whole if there == len(data_set.files) else lacking).append(f"{name} ({there}/{len(data_set.files)} files)")
    if whole:
        yield Diagnosis("works", "data sets", f"{', '.join(whole)} in {named}")
    if lacking:
        yield Diagnosis(
            "missing", "data sets", ", ".join(lacking), f"vfl-jax data check {named}  # says where to get them"
        )

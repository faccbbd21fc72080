"""A user's package outside the repository: installed with an entry point, or only to be found."""

import shutil
from pathlib import Path

SOURCE = Path(__file__).parent / "plugin"
PLUGIN = "lab_vfl"
OVER = {"attack.enabled": [0, 1], "defense.unit": [0.0, 0.02]}


def install(folder, entry_point=True):
    """Copies the package into a folder, as pip does; the entry point names its module."""
    shutil.copytree(SOURCE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    if entry_point:
        add_entry_point(folder, "lab", PLUGIN)


def add_entry_point(folder, name, module):
    """Writes what pip leaves beside an installed package that has an entry point."""
    about = folder / f"{name}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[vfl_jax.plugins]\n{name} = {module}\n")

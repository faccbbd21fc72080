"""Modules that have another name now: a script that imports the old one goes on working, and is told the new one."""

from __future__ import annotations

import importlib
import sys
import warnings
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

HOMES = {
    "vfl_jax.devices": ("vfl_jax.sweeps.devices",),
    "vfl_jax.draws": ("vfl_jax.replica.draws",),
    "vfl_jax.folder": ("vfl_jax.sweeps.store.folder", "vfl_jax.sweeps.store.attempts"),
    "vfl_jax.losses": ("vfl_jax.models.losses",),
    "vfl_jax.optimizers": ("vfl_jax.models.optimizers",),
    "vfl_jax.records": (
        "vfl_jax.core.vertical_data",
        "vfl_jax.protocol.views",
        "vfl_jax.protocol.knowledge",
        "vfl_jax.replica.state",
    ),
    "vfl_jax.registry": ("vfl_jax.core.record",),
    "vfl_jax.study": ("vfl_jax.sweeps.study",),
    "vfl_jax.transforms": ("vfl_jax.protocol.transforms", "vfl_jax.protocol.chains"),
}
"""By its old name, where what a module held lies now."""
RENAMED = {("vfl_jax.devices", "seed_mesh"): "mesh_for"}
"""By old module and name, the new name."""


class Moved(MetaPathFinder, Loader):
    """Finds modules under their old names."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """The module of an old name, or None where the name is no old one."""
        return ModuleSpec(name, self) if name in HOMES else None

    def exec_module(self, module: ModuleType) -> None:
        """Lets a module look its names up where they lie now."""
        old = module.__name__

        def look_up(name: str) -> Any:
            new = RENAMED.get((old, name), name)
            for home in HOMES[old]:
                found = getattr(importlib.import_module(home), new, None)
                if found is not None and not name.startswith("_"):
                    warnings.warn(
                        f"{old} has another name now: take {new} from {home}.", DeprecationWarning, stacklevel=2
                    )
                    return found
            raise AttributeError(f"module {old!r} has no attribute {name!r}; it has moved to {', '.join(HOMES[old])}")

        vars(module)["__getattr__"] = look_up


def find_moved_modules() -> None:
    """Lets old names be imported from now on. To call it twice changes nothing."""
    if not any(isinstance(finder, Moved) for finder in sys.meta_path):
        sys.meta_path.append(Moved())

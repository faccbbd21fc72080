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
    "vfl_jax.devices": ("vfl_jax.sweeps.devices", "vfl_jax.sweeps.processes"),
    "vfl_jax.draws": ("vfl_jax.replica.draws",),
    "vfl_jax.folder": ("vfl_jax.sweeps.store.folder", "vfl_jax.sweeps.store.attempts"),
    "vfl_jax.grid": ("vfl_jax.sweeps.grid", "vfl_jax.sweeps.grid_axis"),
    "vfl_jax.losses": ("vfl_jax.models.losses",),
    "vfl_jax.optimizers": ("vfl_jax.models.optimizers",),
    "vfl_jax.records": (
        "vfl_jax.core.vertical_data",
        "vfl_jax.protocol.knowledge",
        "vfl_jax.protocol.views",
        "vfl_jax.replica.state",
    ),
    "vfl_jax.registry": ("vfl_jax.core.record",),
    "vfl_jax.study": ("vfl_jax.sweeps.study",),
    "vfl_jax.transforms": ("vfl_jax.protocol.transforms", "vfl_jax.protocol.chains", "vfl_jax.protocol.methods"),
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
            if name == "__all__":
                return sorted(_public_names(old))
            new = RENAMED.get((old, name), name)
            if name.startswith("_") or (home := _home(old, new)) is None:
                where = " and ".join(HOMES[old])
                raise AttributeError(f"module {old!r} has no attribute {name!r}; what it held lies in {where} now")
            # Python shows a DeprecationWarning in scripts alone; a plug-in is to be told, too.
            warnings.warn(f"{old} has another name now: take {new} from {home}.", FutureWarning, stacklevel=2)
            return getattr(importlib.import_module(home), new)

        vars(module)["__getattr__"] = look_up


def find_moved_modules() -> None:
    """Lets old names be imported from now on. To call it twice changes nothing."""
    if not any(isinstance(finder, Moved) for finder in sys.meta_path):
        sys.meta_path.append(Moved())


def _home(old: str, name: str) -> str | None:
    """The module that defines a name, else one that has it; None where none has."""
    having = [home for home in HOMES[old] if hasattr(importlib.import_module(home), name)]
    found = [getattr(importlib.import_module(home), name) for home in having]
    if any(isinstance(one, ModuleType) for one in found):
        return None
    defining = [home for home, one in zip(having, found, strict=True) if getattr(one, "__module__", None) == home]
    return next(iter(defining or having), None)


def _public_names(old: str) -> set[str]:
    """The names that a star imports: what the homes define themselves, and what was renamed."""
    names = {renamed for module, renamed in RENAMED if module == old}
    for home in HOMES[old]:
        defined = vars(importlib.import_module(home)).items()
        names |= {name for name, one in defined if name[0] != "_" and getattr(one, "__module__", None) == home}
    return names

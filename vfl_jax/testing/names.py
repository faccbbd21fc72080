"""Names that no hook needs: what reads frames, loads data, or keeps things where no state is."""

from __future__ import annotations

import sys
from typing import Any

from vfl_jax.testing.failures import Kind

MODULES: dict[str, Kind] = {
    **dict.fromkeys(("inspect", "gc", "ctypes", "traceback", "faulthandler", "tracemalloc", "_ctypes"), "frames"),
    **dict.fromkeys(
        (
            *("os", "io", "pathlib", "shutil", "glob", "tempfile", "urllib", "http", "socket", "requests", "pickle"),
            *("subprocess", "shelve", "sqlite3", "zipfile", "tarfile", "gzip", "importlib", "pkgutil", "mmap", "csv"),
            *("pandas", "polars", "sklearn", "torchvision", "tensorflow_datasets", "datasets", "xarray", "pyarrow"),
        ),
        "loads",
    ),
    **dict.fromkeys(("threading", "contextvars", "weakref", "multiprocessing", "queue", "asyncio"), "hidden"),
    **dict.fromkeys(("jax._src", "vfl_jax.replica", "vfl_jax.sweeps"), "hidden"),
    **dict.fromkeys(("vfl_jax.data", "vfl_jax.core.files"), "loads"),
}
"""Modules by name; of a package, all modules below it."""

ATTRIBUTES: dict[str, Kind] = {
    **dict.fromkeys(
        (
            *("_getframe", "_current_frames", "currentframe", "settrace", "setprofile", "exc_info", "last_traceback"),
            *("f_back", "f_locals", "f_globals", "tb_frame", "tb_next", "gi_frame", "cr_frame", "__traceback__"),
            *("__closure__", "cell_contents", "__globals__", "__builtins__", "__subclasses__", "__defaults__"),
        ),
        "frames",
    ),
}
"""Names of attributes that lead behind a function, whoever has them."""

MEMBERS: dict[tuple[str, str], Kind] = {
    **{("builtins", name): "loads" for name in ("open", "__import__")},
    **{("builtins", name): "frames" for name in ("exec", "eval", "compile", "globals")},
    **{("sys", name): "frames" for name in ("modules", "call_tracing", "_xoptions", "meta_path")},
    **{("numpy", name): "loads" for name in ("load", "loadtxt", "genfromtxt", "fromfile", "memmap", "DataSource")},
    **{("jax.numpy", name): "loads" for name in ("load", "fromfile")},
}
"""Members of modules that are otherwise harmless."""

TRUSTED = {*sys.stdlib_module_names, "jax", "jaxlib", "numpy", "flax", "optax", "chex", "scipy", "ml_dtypes", "vfl_jax"}
"""Packages whose functions are not walked; of this one, methods are."""

WHAT: dict[Kind, str] = {
    "frames": "which reads frames, or what lies behind a function: a hook sees what its arguments say",
    "loads": "which can load data again: a hook sees what its arguments say",
    "hidden": "which lies outside the arguments of a hook: what a method keeps is its state",
}


def is_trusted(module: str) -> bool:
    """Whether the functions of a module are not walked.

    Args:
      module: the full name of the module.
    """
    if module.startswith(("vfl_jax.attacks", "vfl_jax.defenses")):
        return False
    return module.partition(".")[0] in TRUSTED


def of_module(name: str) -> Kind | None:
    """Returns the kind of check that a module's use fails; None where there is none.

    Args:
      name: the full name of the module.
    """
    parts = name.split(".")
    return next(
        (MODULES[".".join(parts[:n])] for n in range(1, len(parts) + 1) if ".".join(parts[:n]) in MODULES), None
    )


def of_member(owner: Any, name: str) -> Kind | None:
    """Returns the kind of check that a member's use fails; None where there is none.

    Args:
      owner: the module, class or object that has it.
      name: its name.
    """
    return ATTRIBUTES.get(name) or MEMBERS.get((getattr(owner, "__name__", ""), name))

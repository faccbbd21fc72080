"""Plug-ins: modules of others that add methods, models, data sets and presets by being imported."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
import traceback
from collections.abc import Sequence

from vfl_jax.core.advice import Advised, Plugin
from vfl_jax.core.checks import shown

GROUP = "vfl_jax.plugins"
"""The group of entry points by which an installed package names its plug-in."""


def load_plugins(modules: str | Sequence[str] = ()) -> tuple[str, ...]:
    """Imports plug-ins: the modules that are named, and those of all installed packages that have an entry point.

    A module adds to the package by what it defines and registers: every subclass of a record (``Attack``,
    ``ActiveTransform``, ``Bottom``, ``Head``, ``Loss``, ``Optimizer``, …) is known by its name from then on, to
    ``from_json`` and to the command; :func:`register_data` and :func:`register_preset` add data sets and presets. An
    installed package names its module in its ``pyproject.toml``, and the command loads it every time::

        [project.entry-points."vfl_jax.plugins"]
        lab = "lab.vfl"

    Args:
      modules: names of modules, such as ``"lab.vfl"``, or one name.

    Returns:
      the names of all modules that were imported, those of entry points first.

    Raises:
      ValueError: naming the plug-in, where a module cannot be imported, with the reason; where ``modules`` holds
        anything but names.

    Example:
      >>> import vfl_jax as vfl
      >>> "fractions" in vfl.load_plugins(["fractions"])  # any module that Python finds
      True
    """
    named = (modules,) if isinstance(modules, str) else modules
    if not isinstance(named, list | tuple) or not all(isinstance(name, str) for name in named):
        raise ValueError(f"modules is {shown(modules)}; it must be a list of names of modules, such as ['lab.vfl'].")
    installed = []
    for point in importlib.metadata.entry_points(group=GROUP):
        package = f", an entry point of the package {point.dist.name!r}" if point.dist is not None else ""
        which = f"plug-in {point.name!r} ({point.value}{package})"
        try:
            importlib.import_module(point.value)
        except (Exception, SystemExit) as error:  # a module may fail in any way
            raise ValueError(f"{which} {_failed(error)} Repair or uninstall it.") from error
        installed.append(point.value)
    for module in named:
        try:
            importlib.import_module(module)
        except (Exception, SystemExit) as error:
            raise Advised(f"plug-in {shown(module)} {_failed(error)}", *_advice(module, error)) from error
    return tuple(dict.fromkeys((*installed, *named)))


def _failed(error: BaseException) -> str:
    """The words for what went wrong."""
    return f"cannot be imported ({type(error).__name__}: {error})."


def _advice(module: str, error: BaseException) -> tuple[object, ...]:
    """What to do about a module that cannot be imported: to name it otherwise, or to mend it where it fails."""
    path = module.replace("\\", "/")
    is_file = path.endswith(".py") or "/" in path
    if not is_file and not _is_absent(module, error):
        return (_place(module, error),)
    here = ", or in the current folder" if {"", os.getcwd()} & set(sys.path) else ""
    found = f" It must be the name of a module that Python finds: installed, in a folder on PYTHONPATH{here}."
    parts = path.removesuffix(".py").strip("./").split("/")
    meant = ".".join(parts[-1:] if path.startswith(("/", "..")) else parts)
    is_name = is_file and all(part.isidentifier() for part in meant.split("."))
    return (" Did you mean ", Plugin(meant), "?", found) if is_name else (found,)


def _is_absent(module: str, error: BaseException) -> bool:
    """Whether Python finds no such module, rather than one that fails."""
    if not module.strip(".") or module.startswith("."):
        return True
    return isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}.")


def _place(module: str, error: BaseException) -> str:
    """Where a module that was found fails: its own line that ran last, which a syntax error names by itself."""
    frames = traceback.walk_tb(error.__traceback__)
    lines = [(frame.f_code.co_filename, line) for frame, line in frames if frame.f_globals.get("__name__") == module]
    if not lines:
        return " Python finds the module; the mistake is in it."
    return f" Python finds the module; the mistake shows in {lines[-1][0]}, line {lines[-1][1]}."

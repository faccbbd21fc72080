"""Plug-ins: modules of others that add methods, models, data sets and presets by being imported."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Sequence

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
        _load(point.value, f"plug-in {point.name!r} ({point.value}{package})", "Repair or uninstall it.")
        installed.append(point.value)
    for module in named:
        advice = "It must be a module that Python finds: installed, or in a folder on PYTHONPATH."
        _load(module, f"plug-in {shown(module)}", advice)
    return tuple(dict.fromkeys((*installed, *named)))


def _load(module: str, which: str, advice: str) -> None:
    """Imports a module; ``ValueError`` that says ``which`` plug-in fails why."""
    try:
        importlib.import_module(module)
    except (Exception, SystemExit) as error:  # a module may fail in any way
        raise ValueError(f"{which} cannot be imported ({type(error).__name__}: {error}). {advice}") from error

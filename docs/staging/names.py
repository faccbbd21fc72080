"""The API reference: a page per room with every public name, from the docstrings."""

from __future__ import annotations

import importlib
import inspect
import sys
from typing import Any

from sphinx.pycode import ModuleAnalyzer

import vfl_jax
from docs.staging import docstrings

ROOMS = (
    "sweeps",
    "scenario",
    "presets",
    "data",
    "protocol",
    "models",
    "replica",
    "statistics",
    "reports",
    "plots",
    "arenas",
    "audits",
    "core",
    "plugins",
    "testing",
)
"""In the order in which a reader meets them; attacks and defenses have a page each."""
METHODS = ("attacks", "defenses")


def public() -> dict[str, str]:
    """Every public name but modules and methods, as ``vfl_jax.sweep`` or ``vfl_jax.plots.curves``, with its room."""
    found: dict[int, tuple[str, str]] = {}
    methods = {name for room in METHODS for name in importlib.import_module(f"vfl_jax.{room}").__all__}
    for room in ROOMS:  # a name that stands in several rooms is listed in its own
        module = importlib.import_module(f"vfl_jax.{room}")
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if not inspect.ismodule(value) and (room == _room(value) or id(value) not in found):
                found[id(value)] = (f"vfl_jax.{room}.{name}", room)
    for name in vfl_jax.__all__:
        value = getattr(vfl_jax, name)
        if not inspect.ismodule(value) and name not in methods:
            found[id(value)] = (f"vfl_jax.{name}", found[id(value)][1] if id(value) in found else _room(value))
    return dict(found.values())


def _room(value: Any) -> str:
    """The room that defines a value; of an attack's helpers the protocol, where they are read from."""
    parts = str(getattr(value, "__module__", "")).split(".")
    room = parts[1] if parts[0] == "vfl_jax" and len(parts) > 1 else ""
    return room if room in ROOMS or room in METHODS else ""


def pages() -> dict[str, str]:
    """The sources by their paths on the site."""
    names = public()
    written = {"api/index.md": _index(names)}
    for room in (*ROOMS, *METHODS):
        about = (importlib.import_module(f"vfl_jax.{room}").__doc__ or "").split("\n", 1)[0].replace("``", "`")
        own = [name for name, its_room in names.items() if its_room == room]
        if own:
            listed = "\n".join(_entry(name) for name in sorted(own, key=lambda name: name.rpartition(".")[2].lower()))
            head = f"# vfl_jax.{room}\n\n{_plain(about)}\n"
            written[f"api/{room}.md"] = f"{head}\n{listed}"
    return written


def _index(names: dict[str, str]) -> str:
    """The list of everything, by room."""
    parts = [
        "# API reference\n\nEvery public name, with its types, errors and an example. `import vfl_jax as vfl` first.\n",
        "Attacks and defenses have a page each: {doc}`/methods/index`.\n",
    ]
    rooms = [room for room in (*ROOMS, *METHODS) if room in names.values()]
    for room in rooms:
        own = sorted((n for n, r in names.items() if r == room), key=lambda name: name.rpartition(".")[2].lower())
        listed = ", ".join(f"{{py:obj}}`{name.rpartition('.')[2]} <{name}>`" for name in own)
        parts.append(f"**{{doc}}`{room} </api/{room}>`:** {listed}\n")
    toctree = "\n".join(rooms)
    return "\n".join(parts) + f"\n```{{toctree}}\n:hidden:\n\n{toctree}\n```\n"


def _entry(name: str) -> str:
    """The directive that documents a name from its docstring."""
    place, _, short = name.rpartition(".")
    value = getattr(importlib.import_module(place), short)
    if inspect.isclass(value):
        directive = f".. autoclass:: {name}" + ("" if issubclass(value, Exception | tuple) else "\n   :members:")
    elif inspect.isroutine(value):
        directive = f".. autofunction:: {name}"
    else:
        directive = f".. py:data:: {name}\n\n   {_about(short, value)}"
    return f"## {short}\n\n```{{eval-rst}}\n{directive}\n```\n"


def _about(name: str, value: Any) -> str:
    """The docstring below the line that defines a constant."""
    for module in [module for module in sys.modules if module.startswith("vfl_jax.")]:
        if vars(sys.modules[module]).get(name) is value:
            found = ModuleAnalyzer.for_module(module).find_attr_docs().get(("", name))
            if found:
                return docstrings.read(" ".join(found).strip())
    return ""


def _plain(text: str) -> str:
    """A docstring's line without the marks of reStructuredText."""
    return text.replace(":func:", "").replace(":class:", "").replace("`~", "`")

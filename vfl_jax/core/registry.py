"""Names that modules register: who may take one, and what is said of a name that nobody has."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, TypeVar

from vfl_jax.core.checks import did_you_mean, shown

Member = TypeVar("Member")

ADVICE = "A name of a plug-in needs its module: vfl.load_plugins(['module']), or --plugin module."
"""The end of messages about unknown names."""


class Registry(dict[str, Member]):
    """Members by name, with the module that registered each.

    Args:
      kind: the word for a member, such as "data set".
      members: the package's own members, by name.

    Example:
      >>> registry = Registry("data set", {"digits": list})
      >>> registry.add("readings", tuple, "lab")
      >>> sorted(registry), registry.module("readings"), registry.module("digits")
      (['digits', 'readings'], 'lab', 'vfl_jax')
    """

    def __init__(self, kind: str, members: Mapping[str, Member]) -> None:
        super().__init__(members)
        self.kind = kind
        self._modules: dict[str, str] = {}

    def add(self, name: str, member: Member, module: str) -> None:
        """Registers a member; a module may register its own name again.

        Args:
          name: the name, as commands spell it.
          member: the member.
          module: the name of the module that registers it.

        Raises:
          ValueError: where ``name`` is no word, ``member`` is not callable, or another module has the name.
        """
        if not isinstance(name, str) or not name.replace("-", "_").isidentifier() or name.startswith("-"):
            raise ValueError(
                f"name is {shown(name)}; the name of a {self.kind} must be a word of letters, digits, _ and -, because "
                "commands spell it."
            )
        if not callable(member):
            raise ValueError(f"{self.kind} {name!r} is {shown(member)}; it must be a function.")
        if name in self and home(self.module(name)) != home(module):
            raise ValueError(
                f"{module} registers a {self.kind} {name!r}, but {self.module(name)} has one of that name; choose "
                "another name."
            )
        self[name] = member
        self._modules[name] = module

    def module(self, name: str) -> str:
        """Returns the name of the module that registered a member; "vfl_jax" for the package's own."""
        return self._modules.get(name, "vfl_jax")

    def find(self, argument: str, name: str) -> Member:
        """Finds a member.

        Args:
          argument: the argument or flag that names it, for messages.
          name: its name.

        Raises:
          ValueError: where nobody has registered the name, with all names that are known.
        """
        return find(self, argument, self.kind, name)


def find(members: Mapping[str, Member], argument: str, kind: str, name: str) -> Member:
    """Finds a member by its name.

    Args:
      members: the known members, by name.
      argument: the argument or flag that names it, for messages.
      kind: the word for a member, such as "defense".
      name: its name.

    Raises:
      ValueError: where the name is unknown, with the nearest name, and with all names that are known.
    """
    if name not in members:
        known = f"There are {', '.join(sorted(members))}." if members else "There is none."
        raise ValueError(f"{argument} is {shown(name)}, no known {kind}.{did_you_mean(name, members)} {known} {ADVICE}")
    return members[name]


def home(module: str) -> str:
    """Returns a module's name; everything that is typed, executed or started as a script counts as one module.

    Args:
      module: the name of a module.
    """
    if module in ("__main__", "__mp_main__", "builtins"):  # exec gives "builtins" where it is given no name
        return "__main__"
    main: Any = sys.modules.get("__main__")
    found = sys.modules.get(module)
    is_script = found is not None and getattr(found, "__file__", None) == getattr(main, "__file__", "")
    return "__main__" if is_script else module


def calling_module() -> str:
    """Returns the name of the module that calls the function which calls this one."""
    # A function's own __module__ would not do: a partial has that of functools.
    return str(sys._getframe(2).f_globals.get("__name__", "__main__"))

"""Checks of the names of a method's hooks, because the package never calls a hook with a misspelt name."""

from __future__ import annotations

import difflib
import inspect

PREFIXES = ("on_", "infer_")
"""The beginnings of the names of hooks."""


def check_hooks(cls: type, base: type, other: type) -> None:
    """Checks the names of a method's public functions, inherited ones included.

    Args:
      cls: the class of the method.
      base: the class whose hooks the method overrides, ``PartyTransform`` or ``ActiveTransform``.
      other: the other of the two; a user may have taken a hook from it.

    Raises:
      TypeError: naming a function that begins like a hook but is none, or has nearly the name of a hook.
    """
    overridden = sorted(name for name in vars(base) if name in _functions(base))
    for name in sorted(_functions(cls) - _functions(base)):
        # A helper may be called "checked": that is a word of its own, not "check" misspelt.
        meant = [known for known in overridden if name.startswith(PREFIXES) or not name.startswith(known)]
        near = difflib.get_close_matches(name, meant, n=1, cutoff=0.0 if name.startswith(PREFIXES) else 0.8)
        if not near:
            continue
        whose = f"a hook of {other.__name__}, not of" if name in _functions(other) else "no hook of"
        hooks = (known for known in overridden if known.startswith(PREFIXES))
        raise TypeError(
            f"{cls.__name__} has a function {name!r}, which is {whose} {base.__name__}: it would never be called. Did "
            f"you mean {near[0]!r}? The hooks are {', '.join(hooks)}. What is no hook takes another name, such as one "
            "that begins with an underscore."
        )


def check_arguments(cls: type, base: type) -> None:
    """Checks that every function that a method overrides can be called as the package calls it, by place.

    Args:
      cls: the class of the method.
      base: the class whose functions it overrides, ``PartyTransform`` or ``ActiveTransform``.

    Raises:
      TypeError: naming the function, what it takes, and what it is given.
    """
    for name, function in vars(cls).items():
        meant = getattr(base, name, None)
        if name.startswith("_") or not inspect.isfunction(function) or not inspect.isfunction(meant):
            continue
        given = list(inspect.signature(meant).parameters)
        taken = inspect.signature(function)
        try:
            taken.bind(*given)
        except TypeError:
            raise TypeError(
                f"{cls.__name__}.{name} takes ({', '.join(taken.parameters)}); it is given ({', '.join(given)})."
            ) from None


def _functions(cls: type) -> set[str]:
    """Returns the names of the public functions of a class."""
    return {name for name in dir(cls) if not name.startswith("_") and callable(getattr(cls, name, None))}

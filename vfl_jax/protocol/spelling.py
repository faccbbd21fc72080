"""Whether a method's hooks are called what the package calls them; others would never be called."""

from __future__ import annotations

import difflib

PREFIXES = ("on_", "infer_")
"""What the names of hooks begin with."""


def check_hooks(cls: type, base: type, other: type) -> None:
    """Checks the names of a method's public functions, inherited ones included.

    Args:
      base: whose functions a method overrides, ``PartyTransform`` or ``ActiveTransform``.
      other: the other one, which a hook may have been taken from.

    Raises:
      TypeError: naming a function that begins as hooks do but is none, or is nearly called what one is.
    """
    overridden = sorted(name for name in vars(base) if name in _functions(base))
    for name in sorted(_functions(cls) - _functions(base)):
        near = difflib.get_close_matches(name, overridden, n=1, cutoff=0.0 if name.startswith(PREFIXES) else 0.8)
        if not near:
            continue
        whose = f"a hook of {other.__name__}, not of" if name in _functions(other) else "no hook of"
        hooks = (known for known in overridden if known.startswith(PREFIXES))
        raise TypeError(
            f"{cls.__name__} has a function {name!r}, which is {whose} {base.__name__}: it would never be called. Did "
            f"you mean {near[0]!r}? The hooks are {', '.join(hooks)}. What is no hook takes another name, such as one "
            "that begins with an underscore."
        )


def _functions(cls: type) -> set[str]:
    return {name for name in dir(cls) if not name.startswith("_") and callable(getattr(cls, name, None))}

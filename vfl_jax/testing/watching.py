"""Hooks under watch while a replica is traced: their form, their purity, and what their views hold."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import re
import types
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from vfl_jax.protocol.methods import Chain, methods
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.testing.failures import CheckFailed
from vfl_jax.testing.forms import PAIRS, VALUES, check_form
from vfl_jax.testing.source import MANY, Reach

HOOKS = (*PAIRS, *VALUES, "on_embed", "infer_labels", "infer_suspicion")
STARTS = ("init", "init_with_params", "init_params", "report")
HOST_CALLS = ("io_callback", "pure_callback")


class Watch:
    """Watches the hooks of a method.

    Args:
      method: a method or a chain.
      others: the numbers of the parties whose features no view of the method may hold.
      holds_labels: whether the method is at the party that holds the training labels.

    Attributes:
      secrets: what no function of a view may hold, by the identity of the traced array: (the array, its name).
    """

    def __init__(self, method: Any, others: tuple[int, ...], holds_labels: bool) -> None:
        self.others, self.holds_labels = others, holds_labels
        self._kinds = {type(part) for part in methods(method) if not isinstance(part, Chain)}
        self._reach = {kind: Reach(kind) for kind in self._kinds}
        self._called: set[str] = set()
        self.secrets: dict[int, tuple[Any, str]] = {}

    def hide(self, name: str, tree: Any) -> None:
        """Declares what no function of a view may hold.

        Args:
          name: what it is, for messages.
          tree: a tree of traced arrays.
        """
        self.secrets |= {id(leaf): (leaf, name) for leaf in jax.tree.leaves(tree)}

    @contextlib.contextmanager
    def hooks(self) -> Iterator[None]:
        """Watches every call of a hook inside."""
        hidden = []
        for kind in self._kinds:
            for hook in (*HOOKS, *STARTS):
                if callable(getattr(kind, hook, None)) and _is_overridden(kind, hook):
                    hidden.append((kind, hook, vars(kind).get(hook)))
                    setattr(kind, hook, self._watched(kind, hook, getattr(kind, hook)))
        try:
            yield
        finally:
            for kind, hook, own in hidden:
                delattr(kind, hook) if own is None else setattr(kind, hook, own)

    def _watched(self, kind: type, hook: str, original: Callable[..., Any]) -> Callable[..., Any]:
        """Returns the hook that checks itself when it is called."""
        where = f"{kind.__name__}.{hook}"

        @functools.wraps(original)
        def watched(self_: Any, *args: Any, **more: Any) -> Any:
            self._check_views(where, args)
            before = self._snapshot(kind, self_, args)
            result = _run(where, original, self_, *args, **more)
            self._check_left_alone(where, before, self._snapshot(kind, self_, args))
            check_form(where, hook, args, result)
            if where not in self._called:
                self._called.add(where)
                _check_pure(where, functools.partial(original, self_), args, more)
                self._check_left_alone(where, before, self._snapshot(kind, self_, args))
            return result

        return watched

    def _check_views(self, where: str, args: tuple[Any, ...]) -> None:
        """Checks that the functions of a view hold nothing of others."""
        for view in args:
            for field in dataclasses.fields(view) if dataclasses.is_dataclass(view) else ():
                function = getattr(view, field.name)
                if not callable(function):
                    continue
                for leaf in held(function):
                    if id(leaf) in self.secrets:
                        raise CheckFailed(
                            "flow",
                            where,
                            f"gets view.{field.name}, which holds {self.secrets[id(leaf)][1]}: the functions of a view "
                            "close over what its party owns, and nothing else.",
                        )

    def _snapshot(self, kind: type, method: Any, args: tuple[Any, ...]) -> dict[str, Any]:
        """Returns the identity of everything that a call could change, by name."""
        found: dict[str, Any] = {f"its argument {place}": _identity(arg) for place, arg in enumerate(args)}
        found["its own attributes"] = _members(vars(method))
        for path, value in self._reach[kind].found.items():
            found[path] = _members(value if isinstance(value, dict | list | set) else getattr(value, "__dict__", {}))
        return found

    def _check_left_alone(self, where: str, before: dict[str, Any], after: dict[str, Any]) -> None:
        """Checks that a call changed nothing outside its result."""
        for name, value in before.items():
            if value == after[name]:
                continue
            is_own = name.startswith("its ")
            raise CheckFailed(
                "purity" if is_own else "hidden",
                where,
                f"changes {name}{'' if is_own else _added(value, after[name])}. A hook changes nothing outside; what "
                "it changes it returns, and what it keeps is its state.",
            )


def _is_overridden(kind: type, hook: str) -> bool:
    """Whether a class has a hook of its own."""
    base = PartyTransform if issubclass(kind, PartyTransform) else None
    owner = next((cls for cls in kind.__mro__ if hook in vars(cls)), None)
    return owner is not None and owner is not base and not owner.__module__.startswith("vfl_jax.protocol")


def _run(where: str, function: Callable[..., Any], *args: Any, **more: Any) -> Any:
    """Calls a hook, and says which one it was where it fails."""
    try:
        return function(*args, **more)
    except CheckFailed:
        raise
    except Exception as error:
        first = str(error).partition("\n")[0]
        raise CheckFailed(
            "hook",
            where,
            f"does not run: {type(error).__name__}: {first} (Hooks are compiled and mapped over seeds and grids: "
            "numbers and arrays are traced, so no if, for or float() on them.)",
        ) from error


def _check_pure(where: str, function: Callable[..., Any], args: tuple[Any, ...], more: dict[str, Any]) -> None:
    """Checks that a hook is the same program at every call, and holds no array."""
    leaves, structure = jax.tree.flatten(args)

    places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, jax.Array)]  # sizes stay what they are

    def call(*values: Any) -> Any:
        given = dict(zip(places, values, strict=True))
        return function(*jax.tree.unflatten(structure, [given.get(i, leaf) for i, leaf in enumerate(leaves)]), **more)

    def traced() -> Any:
        # Of one function JAX would remember the first trace, so each time it is another.
        return jax.make_jaxpr(lambda *values: call(*values))(*(leaves[place] for place in places))

    first, second = traced(), traced()
    texts = [re.sub("0x[0-9a-f]+", "", str(program.jaxpr)) for program in (first, second)]
    constants = [list(_constants(program.jaxpr, program.consts)) for program in (first, second)]
    same = len(constants[0]) == len(constants[1]) and all(map(_is_same, *constants))
    if texts[0] != texts[1] or not same:
        raise CheckFailed(
            "purity",
            where,
            "is another program when it is called again with equal arguments: it draws from np.random or random, reads "
            "a clock, or remembers. Draw from its key; what it keeps is its state.",
        )
    for constant in constants[0]:
        if not isinstance(constant, jax.core.Tracer) and np.size(constant) > MANY:
            raise CheckFailed(
                "arrays",
                where,
                f"holds an array of {constant.dtype} and shape {np.shape(constant)} that is none of its arguments: "
                "loaded, kept where no state is, or made by NumPy or of a list. Make it with jnp, or in init.",
            )
    for name in HOST_CALLS:
        if f"{name}[" in texts[0]:
            raise CheckFailed(
                "purity", where, f"calls back into Python ({name}); a hook is a function of its arguments."
            )


def _constants(jaxpr: Any, constants: Any) -> Iterator[Any]:
    """Yields what a program holds, wherever it keeps it."""
    yield from constants
    for equation in jaxpr.eqns:
        yield from (v.val for v in equation.invars if isinstance(v, jax.extend.core.Literal))
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda p: hasattr(p, "eqns")):
            if hasattr(inner, "eqns"):
                yield from _constants(getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()))


def _is_same(first: Any, second: Any) -> bool:
    """Whether two constants of programs are one."""
    traced = isinstance(first, jax.core.Tracer) or isinstance(second, jax.core.Tracer)
    return first is second if traced else np.array_equal(np.asarray(first), np.asarray(second), equal_nan=True)


def held(value: Any, seen: dict[int, Any] | None = None) -> Iterator[Any]:
    """Yields every array that a function holds: in closures, partials, records and containers.

    Args:
      value: the function.
      seen: the objects that have been walked; by default none.
    """
    seen = {} if seen is None else seen
    if id(value) in seen or value is None or isinstance(value, str | int | float | type | types.ModuleType):
        return
    seen[id(value)] = value
    if isinstance(value, jax.Array | np.ndarray):
        yield value
        return
    parts: list[Any] = []
    if isinstance(value, types.FunctionType):
        parts = [cell.cell_contents for cell in value.__closure__ or ()]
        parts += [value.__defaults__, value.__kwdefaults__, getattr(value, "__wrapped__", None)]
    elif isinstance(value, functools.partial):
        parts = [value.func, value.args, value.keywords]
    elif isinstance(value, types.MethodType):
        parts = [value.__func__, value.__self__]
    elif isinstance(value, dict):
        parts = list(value.values())
    elif isinstance(value, list | tuple | set | frozenset):
        parts = list(value)
    else:
        parts = [*getattr(value, "__dict__", {}).values(), getattr(value, "__wrapped__", None)]
    for part in parts:
        yield from held(part, seen)


def _identity(tree: Any) -> tuple[Any, ...]:
    """Returns the structure of an argument and the identity of its arrays."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, tuple(map(id, leaves))


def _members(values: Any) -> tuple[Any, ...]:
    """Returns the identity of everything in a container or a namespace."""
    if isinstance(values, dict) or hasattr(values, "items"):
        # A dictionary of a module or class may get its annotations or caches by being read.
        return tuple((str(key), id(value)) for key, value in values.items() if not str(key).startswith("__"))
    return tuple(sorted(map(id, values)) if isinstance(values, set) else map(id, values))


def _added(before: tuple[Any, ...], after: tuple[Any, ...]) -> str:
    """Returns the name of a member that changed, for messages."""
    changed = [item[0] for item in after if item not in before and isinstance(item, tuple)]
    return f" ({', '.join(changed)})" if changed else ""

"""Records as pytrees: JAX takes a record apart, puts other values in the place of its leaves, and puts it together."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax


def register(cls: type) -> None:
    """Makes a kind of record a pytree node of its own.

    JAX builds records without their ``__init__``. Their leaves may then be shapes, axes, None or whatever a
    ``jax.tree.map`` returns. These are no numbers, and no check may refuse them.

    This function does not call ``jax.tree_util.register_dataclass``, as ``flax.struct`` does. In jax 0.10 the
    structures of two such classes with as many fields compare equal, so that ``jit`` may run the program of one kind
    for another.

    Args:
      cls: the class, a dataclass.
    """

    @functools.cache
    def names() -> tuple[list[str], list[str]]:
        """Returns the names of leaves and of structure; late, because an unpickled class gets its fields late."""
        is_leaf = {f.name: f.metadata.get("pytree_node", True) for f in dataclasses.fields(cls)}
        return [name for name in is_leaf if is_leaf[name]], [name for name in is_leaf if not is_leaf[name]]

    def flatten(record: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        leaves, structure = names()
        return tuple(getattr(record, n) for n in leaves), tuple(getattr(record, n) for n in structure)

    def flatten_with_keys(record: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        children, values = flatten(record)
        return tuple(zip(map(jax.tree_util.GetAttrKey, names()[0]), children, strict=True)), values

    def unflatten(values: tuple[Any, ...], children: Any) -> Any:
        leaves, structure = names()
        record: Any = object.__new__(cls)
        for name, value in (*zip(structure, values, strict=True), *zip(leaves, children, strict=True)):
            object.__setattr__(record, name, value)
        return record

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)

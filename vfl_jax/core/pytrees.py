"""Records as pytrees: JAX takes them apart, puts what it likes in the place of their leaves, and puts them together."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax


def register(cls: type) -> None:
    """Makes a kind of record a pytree node of its own.

    JAX puts no record together through its ``__init__``: shapes, axes, None and whatever a ``jax.tree.map`` returns are
    no numbers, and nothing may refuse them.

    Not by ``jax.tree_util.register_dataclass`` (nor ``flax.struct``, which calls it): in jax 0.10 the structures of two
    such classes with as many fields compare equal, so that ``jit`` may run the program of one kind for another.
    """

    @functools.cache
    def names() -> tuple[list[str], list[str]]:
        """Leaves and structure; looked up late, because a kind that comes by pickle gets its fields after its name."""
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

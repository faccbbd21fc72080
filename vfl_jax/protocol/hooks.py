"""The calls of hooks. Only this file withholds knowledge, applies switches and cuts test rows into batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from vfl_jax.core.types import Array, Key, State
from vfl_jax.protocol.transforms import Switched, changes, is_attack
from vfl_jax.protocol.views import ORDINARY, ActiveView, PartyView


def run_hook(transform: Any, hook: str, key: Key, state: State, view: Any, value: Any) -> tuple[Any, State]:
    """Calls one training hook, without knowledge for a defense, and applies the switch of an attack.

    Args:
      transform: a method or a chain.
      hook: the name of the hook, such as "on_upload".
      key: the key of the hook's draws.
      state: the method's state.
      view: a ``PartyView`` or an ``ActiveView``.
      value: features, a message, messages or targets, as the hook takes them.

    Returns:
      (the changed value, the new state).

    Raises:
      ValueError: where an attack returns a value of another form than it got.
    """
    changed, state = getattr(transform, hook)(key, state, _seen_by(transform, view), value)
    return _unless_disabled(transform, hook, changed, value), state


def run_infer_hook(transform: Any, hook: str, key: Key, state: State, view: Any, value: Any) -> Any:
    """Calls one inference hook on a block of test rows, in batches of the size that the method asks for.

    Args:
      transform: a method or a chain.
      hook: the name of the hook, such as "infer_upload".
      key: a key per row, Key[B]; or one key, Key[], where the rows are one batch already.
      state: the method's state after training.
      view: a ``PartyInferView`` or an ``ActiveInferView``.
      value: features, a message, messages or logits, leaves [B, ...].

    Returns:
      the changed value.

    Raises:
      ValueError: where an attack returns a value of another form than it got.
    """

    def seen(key: Key, view: Any, value: Any) -> Any:
        return getattr(transform, hook)(key, state, _seen_by(transform, view), value)

    if not changes(transform, hook):
        return value
    size = transform.inference_batch
    changed = seen(key, view, value) if size is None or not key.ndim else _in_batches(seen, size, key, view, value)
    return _unless_disabled(transform, hook, changed, value)


def _in_batches(seen: Callable[..., Any], size: int, keys: Key, view: Any, value: Any) -> Any:
    """Maps ``seen(key, view, value)`` over batches of ``size`` rows; copies of the last row fill up the last batch."""
    num_rows = len(keys)
    missing = -num_rows % size

    def cut(leaf: Array, fill: Any = None) -> Array:
        more = leaf[-1:] if fill is None else jnp.full_like(leaf[-1:], fill)
        filled = jnp.concatenate([leaf, jnp.repeat(more, missing, axis=0)]) if missing else leaf
        return filled.reshape(-1, size, *leaf.shape[1:])

    def one_batch(key: Key, rows: dict[str, Any], value: Any) -> Any:
        return seen(key, view.replace(**rows), value)

    rows = {name: jax.tree.map(cut, getattr(view, name)) for name in view.OF_ROWS}
    if view.is_valid is not None:
        rows["is_valid"] = cut(view.is_valid, False)
    changed = jax.vmap(one_batch)(keys[::size], rows, jax.tree.map(cut, value))
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:num_rows], changed)


def _seen_by(transform: Any, view: Any) -> Any:
    """Returns the view that a method may see: a defense sees no knowledge, and no roles of an appended pair."""
    if is_attack(transform):
        return view
    roles = {"roles": jnp.full_like(view.roles, ORDINARY)} if isinstance(view, PartyView | ActiveView) else {}
    return view.replace(knowledge=None, **roles)


def _unless_disabled(transform: Any, hook: str, changed: Any, value: Any) -> Any:
    """Returns the result of a hook; where an attack is switched off, the value that the hook got."""
    if changed is value or not isinstance(transform, Switched):
        return changed
    forms = [jax.tree.map(jnp.shape, tree) for tree in (changed, value)]
    if forms[0] != forms[1]:
        raise ValueError(
            f"{type(transform).__name__}.{hook} returns {forms[0]}; it must keep the form of what it got, {forms[1]}."
        )
    return jax.tree.map(lambda new, old: jnp.where(transform.enabled > 0, new, old), changed, value)

"""Where hooks are called: the one place that withholds knowledge, applies switches and cuts test rows into batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from vfl_jax.core.types import Array, Key, State
from vfl_jax.protocol.transforms import Switched, changes, is_attack
from vfl_jax.protocol.views import ORDINARY, ActiveView, PartyView


def run_hook(transform: Any, hook: str, key: Key, state: State, view: Any, value: Any) -> tuple[Any, State]:
    """Applies one training hook: (value, state). The one place where knowledge is withheld and switches are applied."""
    changed, state = getattr(transform, hook)(key, state, _seen_by(transform, view), value)
    return _unless_disabled(transform, hook, changed, value), state


def run_infer_hook(transform: Any, hook: str, key: Key, state: State, view: Any, value: Any) -> Any:
    """Applies one inference hook to a chunk of test rows, as many together as it asks for; see :func:`run_hook`.

    Args:
      key: a key per row, Key[B]; or one, Key[], where the rows are one batch already.
    """

    def seen(key: Key, view: Any, value: Any) -> Any:
        return getattr(transform, hook)(key, state, _seen_by(transform, view), value)

    if not changes(transform, hook):
        return value
    size = transform.inference_batch
    changed = seen(key, view, value) if size is None or not key.ndim else _in_batches(seen, size, key, view, value)
    return _unless_disabled(transform, hook, changed, value)


def _in_batches(seen: Callable[..., Any], size: int, keys: Key, view: Any, value: Any) -> Any:
    """``seen(key, view, value)`` on so many rows at a time; the last batch is filled up with copies of the last row."""
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
    """The view without what only attackers know: what they were granted, and which rows are an appended pair."""
    if is_attack(transform):
        return view
    roles = {"roles": jnp.full_like(view.roles, ORDINARY)} if isinstance(view, PartyView | ActiveView) else {}
    return view.replace(knowledge=None, **roles)


def _unless_disabled(transform: Any, hook: str, changed: Any, value: Any) -> Any:
    """What leaves a hook: of an attack that is switched off, what came in."""
    if changed is value or not isinstance(transform, Switched):
        return changed
    forms = [jax.tree.map(jnp.shape, tree) for tree in (changed, value)]
    if forms[0] != forms[1]:
        raise ValueError(
            f"{type(transform).__name__}.{hook} returns {forms[0]}; it must keep the form of what it got, {forms[1]}."
        )
    return jax.tree.map(lambda new, old: jnp.where(transform.enabled > 0, new, old), changed, value)

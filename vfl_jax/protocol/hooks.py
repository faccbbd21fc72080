"""The calls of hooks. Only this file withholds what is an attacker's, applies switches and cuts rows into batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.core.bags import BagOfIds
from vfl_jax.core.types import Array, Key, Params, State
from vfl_jax.protocol.knowledge import ORDINARY
from vfl_jax.protocol.methods import acts, changes, is_attack
from vfl_jax.protocol.mistakes import STATE_ALONE, call, check_form, pair_of
from vfl_jax.protocol.switched import Switched
from vfl_jax.protocol.views import ActiveView, EmbedView, Messages, PartyEpochView, PartyInferView, PartyView


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
      ValueError: where a method returns no pair, or a value or state of another form than it got.
    """
    pair = call(transform, hook, key, state, _seen_by(transform, view), value)
    changed, new_state = pair_of(transform, hook, pair)
    check_form(transform, hook, changed, _widened(value, changed))
    check_form(transform, hook, new_state, state, STATE_ALONE)
    return _unless_disabled(transform, changed, value), new_state


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
      ValueError: where a method returns a value of another form than it got.
    """
    if not changes(transform, hook):
        return value
    changed = _shared_out(transform, hook, key, state, view, value)
    check_form(transform, hook, changed, _widened(value, changed))
    return _unless_disabled(transform, changed, value)


def run_answer(transform: Any, hook: str, key: Key, state: State, view: Any, value: Any) -> Any:
    """Calls a hook that answers about test rows, and changes nothing; a switched-off attack still listens.

    Args:
      transform, hook, key, state, view, value: as in :func:`run_infer_hook`.

    Returns:
      the answer, leaves [B, ...]; None where the method gives none.
    """
    return _shared_out(transform, hook, key, state, view, value) if changes(transform, hook) else None


def run_epoch_hook(transform: Any, key: Key, state: State, view: Any, params: Params) -> tuple[Params, State]:
    """Calls ``on_epoch`` of a method that is due, without knowledge for a defense, and applies the switch of an attack.

    Args:
      transform: a method or a chain.
      key: the key of the hook's draws.
      state: the method's state.
      view: a ``PartyEpochView`` or an ``ActiveEpochView``.
      params: the parameters of the party's own model.

    Returns:
      (the changed parameters, the new state).

    Raises:
      ValueError: where a method returns no pair, or parameters or a state of another form.
    """
    if not acts(transform, view.due):
        return params, state
    pair = call(transform, "on_epoch", key, state, _seen_by(transform, view), params)
    changed, new_state = pair_of(transform, "on_epoch", pair)
    check_form(transform, "on_epoch", changed, params)
    check_form(transform, "on_epoch", new_state, state, STATE_ALONE)
    return _unless_disabled(transform, changed, params), new_state


def run_embed_hook(
    transform: Any, params: Params, key: Key, view: EmbedView, embeddings: Messages
) -> tuple[Messages, jax.Array]:
    """Calls ``on_embed``, without knowledge for a defense, and applies the switch of an attack.

    Args:
      transform: a method or a chain that overrides the hook.
      params: the method's own parameters.
      key: the key of the hook's draws; at inference a key per row, Key[B], or one where the rows are one batch already.
      view: the view inside the loss.
      embeddings: float32[B, E] per party in ``Shapes.crossing``.

    Returns:
      (the embeddings that the head gets; the penalty, float32[]; 0 at inference).

    Raises:
      ValueError: where a method returns no pair, embeddings of another form, or a penalty that is no number.
    """
    is_switched = isinstance(transform, Switched)
    if is_switched:  # a slope that is not finite would pass through the switch: 0 · NaN is NaN
        params, given = _no_slope_unless(transform.enabled, (params, embeddings))
    else:
        given = embeddings

    def seen(key: Key, view: EmbedView, embeddings: Messages) -> tuple[Messages, jax.Array]:
        pair = call(transform, "on_embed", params, key, _seen_by(transform, view), embeddings)
        changed, penalty = pair_of(transform, "on_embed", pair)
        check_form(transform, "on_embed", changed, embeddings)
        is_number = isinstance(penalty, jax.Array | np.ndarray | np.number | int | float)
        if not is_number or jnp.shape(penalty) != ():
            said = f"of shape {jnp.shape(penalty)}" if is_number else f"that is a {type(penalty).__name__}"
            raise ValueError(
                f"{type(transform).__name__}.on_embed returns a penalty {said}; it must return one number for the "
                "batch, such as the mean over its rows."
            )
        return changed, jnp.asarray(penalty, jnp.float32)

    if view.is_training:
        changed, penalty = seen(key, view, given)
    else:
        changed, penalty = _batched(transform, lambda *a: seen(*a)[0], key, view, given), jnp.float32(0.0)
    if is_switched:
        penalty = jnp.where(transform.enabled > 0, penalty, 0.0)
    return _unless_disabled(transform, changed, embeddings), penalty


@jax.custom_vjp
def _no_slope_unless(enabled: Array, tree: Any) -> Any:
    """Returns the tree; its gradient is exactly 0 unless ``enabled`` is above 0."""
    return tree


def _no_slope_forward(enabled: Array, tree: Any) -> tuple[Any, Array]:
    """Returns (the tree, what the way back needs)."""
    return tree, enabled


def _no_slope_back(enabled: Array, gradient: Any) -> tuple[Array, Any]:
    """Returns the gradients of the switch, which has none, and of the tree."""
    kept = jax.tree.map(lambda leaf: jnp.where(enabled > 0, leaf, jnp.zeros_like(leaf)), gradient)
    return jnp.zeros_like(enabled), kept


_no_slope_unless.defvjp(_no_slope_forward, _no_slope_back)


def _shared_out(transform: Any, hook: str, key: Key, state: State, view: Any, value: Any) -> Any:
    """Calls an inference hook in the batches that the method asks for."""

    def seen(key: Key, view: Any, value: Any) -> Any:
        return call(transform, hook, key, state, _seen_by(transform, view), value)

    return _batched(transform, seen, key, view, value)


def _batched(transform: Any, seen: Callable[..., Any], key: Key, view: Any, value: Any) -> Any:
    """Calls ``seen(key, view, value)`` once, or once for each batch of the rows."""
    size = transform.inference_batch
    return seen(key, view, value) if size is None or not key.ndim else _in_batches(seen, size, key, view, value)


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
    """Returns the view that a method may see: only an attack sees what belongs to attackers."""
    if is_attack(transform):
        return view
    hidden: dict[str, Any] = {"knowledge": None}
    if isinstance(view, PartyView | ActiveView | EmbedView) and view.roles is not None:
        hidden["roles"] = jnp.full_like(view.roles, ORDINARY)
    if isinstance(view, PartyView | PartyEpochView):
        hidden["stamp"] = None
    if isinstance(view, PartyInferView) and view.is_attacked is not None:
        hidden["is_attacked"] = jnp.zeros_like(view.is_attacked)
    return view.replace(**hidden)


def _widened(value: Any, changed: Any) -> Any:
    """Returns the value that a hook got; of tags, as wide as those that it returned, whose stamp takes a slot."""
    return value.widened(changed) if isinstance(value, BagOfIds) and isinstance(changed, BagOfIds) else value


def _unless_disabled(transform: Any, changed: Any, value: Any) -> Any:
    """Returns the result of a hook; where an attack is switched off, the value that the hook got."""
    if changed is value or not isinstance(transform, Switched):
        return changed
    value = _widened(value, changed)
    return jax.tree.map(lambda new, old: jnp.where(transform.enabled > 0, new, old), changed, value)

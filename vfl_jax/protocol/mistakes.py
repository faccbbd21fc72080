"""Mistakes of methods: what a hook returned, checked, and a note that names the method and the hook of an error."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

STATE_ALONE = "a state"
"""What of a hook's result is checked, where it is not the changed value."""
_CHANGED = {
    **{"on_features": "features", "on_upload": "an embedding", "on_download": "a gradient"},
    **{"on_labels": "targets", "on_receive": "embeddings", "on_send": "gradients"},
    **{"on_epoch": "parameters", "on_embed": "embeddings"},
    **{"infer_features": "features", "infer_upload": "an embedding"},
    **{"infer_receive": "embeddings", "infer_logits": "logits"},
}
"""The words for what a hook changes."""
_BEGINS = "This error comes from "


def call(method: Any, hook: str, *arguments: Any) -> Any:
    """Calls a function of a method; an error gets a note at its end that names the method and the function.

    Args:
      method: a method or a chain. Of a chain the note names the part.
      hook: the name of the function, such as "on_upload" or "init".
      arguments: what it takes.

    Raises:
      Exception: whatever the function raises.

    Example:
      >>> import vfl_jax as vfl
      >>> try:
      ...     call(vfl.attacks.GradientReplacement(), "on_upload", None)
      ... except TypeError as error:
      ...     error.__notes__[0].partition(",")[0]
      'This error comes from GradientReplacement.on_upload'
    """
    try:
        return getattr(method, hook)(*arguments)
    except Exception as error:
        if not any(note.startswith(_BEGINS) for note in getattr(error, "__notes__", ())):
            error.add_note(
                f"{_BEGINS}{type(method).__name__}.{hook}, in the module {type(method).__module__}.{_advice(error)}"
            )
        raise


def _advice(error: Exception) -> str:
    """Returns what to do about an error that only compiled code has; nothing for others."""
    if not isinstance(error, jax.errors.ConcretizationTypeError | jax.errors.TracerArrayConversionError):
        return ""
    return (
        " Hooks are compiled for many seeds and settings at once: numbers and arrays have no values yet. Write "
        "jnp.where instead of if, jax.lax.scan or fori_loop instead of for, and jnp instead of np and float()."
    )


def pair_of(method: Any, hook: str, found: Any) -> tuple[Any, Any]:
    """Returns what a hook returned, after a check that it is a pair.

    Args:
      method: a method or a chain.
      hook: the name of the hook.
      found: what it returned.

    Raises:
      ValueError: naming the method and the hook, where it is no pair.
    """
    if not isinstance(found, tuple) or len(found) != 2:
        said = f"a tuple of {len(found)}" if isinstance(found, tuple) else type(found).__name__
        raise ValueError(f"{type(method).__name__}.{hook} returns {said}; it must return {_returned(hook)}.")
    return found


def check_form(method: Any, hook: str, found: Any, expected: Any, what: str | None = None) -> None:
    """Checks that a hook keeps the structure, shapes and dtypes of what it got.

    Args:
      method: a method or a chain.
      hook: the name of the hook.
      found: what it returned.
      expected: what it got.
      what: ``STATE_ALONE`` for a state; None for what the hook changes.

    Raises:
      ValueError: naming the method, the hook and the first place that differs.
    """
    if found is expected:
        return
    name, what = f"{type(method).__name__}.{hook}", what or _CHANGED[hook]
    structures = [str(jax.tree.structure(tree)) for tree in (found, expected)]
    forms = [_form(tree) for tree in (found, expected)]
    if forms[0] == forms[1] and hook == "on_epoch" and structures[0] != structures[1]:  # trees without leaves, too
        raise ValueError(
            f"{name} returns {what} of the structure {structures[0]}; it must keep the form of what it got, which has "
            f"{structures[1]}. The hook returns {_returned(hook)}, in this order."
        )
    if forms[0] != forms[1]:
        differing = sorted(
            place for place in forms[0].keys() | forms[1].keys() if forms[0].get(place) != forms[1].get(place)
        )
        places = [form.get(differing[0], "nothing") for form in forms]
        raise ValueError(
            f"{name} returns {what} with {places[0]} at {differing[0] or 'its root'}; it must keep the form of what it "
            f"got, which has {places[1]} there. The hook returns {_returned(hook)}."
        )


def _returned(hook: str) -> str:
    """Returns what a hook must return, in words."""
    changed = _CHANGED[hook].removeprefix("an ").removeprefix("a ")
    return f"({changed}, {'penalty' if hook == 'on_embed' else 'state'})" if hook.startswith("on_") else changed


def _form(tree: Any) -> dict[str, str]:
    """Returns dtype and shape of every leaf, by its path."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): _form_of_leaf(leaf) for path, leaf in leaves}


def _form_of_leaf(leaf: Any) -> str:
    """Returns dtype and shape of a leaf; the type of one that is no array."""
    try:
        return f"{jnp.result_type(leaf)}{list(jnp.shape(leaf))}"
    except TypeError:
        return f"a {type(leaf).__name__}"

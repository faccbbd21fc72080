"""Mistakes of methods: what a hook returned, checked, and a note that names the method and the hook of an error."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from vfl_jax.core.checks import shown

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
INITS = ("init", "init_with_params")
"""The functions that return a method's first state."""
_BEGINS = "This error comes from "


def call(method: Any, hook: str, *arguments: Any) -> Any:
    """Calls a function of a method; an error gets a note at its end that names the method and the function.

    Args:
      method: a method or a chain. Of a chain the note names the part.
      hook: the name of the function, such as "on_upload" or "init".
      arguments: what it takes.

    Raises:
      Exception: whatever the function raises.
      ValueError: where a first state holds what is no array and no number.

    Example:
      >>> import vfl_jax as vfl
      >>> try:
      ...     call(vfl.attacks.GradientReplacement(), "on_upload", None)
      ... except TypeError as error:
      ...     error.__notes__[0].partition(",")[0]
      'This error comes from GradientReplacement.on_upload'
    """
    try:
        found = getattr(method, hook)(*arguments)
    except Exception as error:
        if not any(note.startswith(_BEGINS) for note in getattr(error, "__notes__", ())):
            error.add_note(
                f"{_BEGINS}{type(method).__name__}.{hook}, in the module {type(method).__module__}.{_advice(error)}"
            )
        raise
    if hook in INITS:
        _check_state(f"{type(method).__name__}.{hook}", found)
    return found


def _advice(error: Exception) -> str:
    """Returns what to do about an error that methods of others do not have; nothing for others."""
    if isinstance(error, jax.errors.ConcretizationTypeError | jax.errors.TracerArrayConversionError):
        return (
            " Hooks are compiled for many seeds and settings at once: numbers and arrays have no values yet. Write "
            "jnp.where instead of if, jax.lax.scan or fori_loop instead of for, and jnp instead of np and float()."
        )
    if isinstance(error, dataclasses.FrozenInstanceError):
        return " A method keeps nothing but its state: init returns the first one, and a hook returns the next."
    seen = type(getattr(error, "obj", None))
    if isinstance(error, AttributeError) and dataclasses.is_dataclass(seen) and seen.__name__.endswith("View"):
        names = [field.name for field in dataclasses.fields(seen)]
        return f" The view has {', '.join(names)}; what this method cannot see is not there."
    return ""


def _check_state(name: str, state: Any) -> None:
    """Raises ``ValueError`` where the first state of a method holds what is no array and no number."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        if not hasattr(leaf, "shape") and not isinstance(leaf, bool | int | float):
            place = jax.tree_util.keystr(path) or "its root"
            raise ValueError(
                f"{name} returns a state with {shown(leaf)} at {place}; it must hold arrays and numbers alone."
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
    if _is_another_kind(found, expected):
        told, wanted = (_kind(tree) for tree in (found, expected))
        raise ValueError(
            f"{name} returns {told} for {what}; it must keep the form of what it got, which is {wanted}. The hook "
            f"returns {_returned(hook)}."
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


def _is_another_kind(found: Any, expected: Any) -> bool:
    """Whether one of two values is an array and the other a container or None, or both are tuples of other lengths."""
    is_array = [hasattr(value, "shape") for value in (found, expected)]
    are_tuples = all(isinstance(value, tuple) for value in (found, expected))
    return is_array[0] != is_array[1] or (are_tuples and len(found) != len(expected))


def _kind(value: Any) -> str:
    """Returns in words what a value is, from outside."""
    if hasattr(value, "shape"):
        return _form_of_leaf(value)
    if isinstance(value, tuple):
        inside = {_form_of_leaf(entry) for entry in value} if all(hasattr(entry, "shape") for entry in value) else set()
        return f"a tuple of {len(value)}" + (f" × {inside.pop()}" if len(inside) == 1 else "")
    return "None" if value is None else f"a {type(value).__name__}"


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

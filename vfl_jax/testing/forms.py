"""The form of what hooks take and return: structure, dtypes and shapes."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from vfl_jax.core.bags import BagOfIds
from vfl_jax.protocol.views import Suspicion
from vfl_jax.testing.failures import CheckFailed

PAIRS = ("on_features", "on_upload", "on_download", "on_labels", "on_receive", "on_send", "on_epoch")
"""The hooks that return (the changed value, the new state)."""
VALUES = ("infer_features", "infer_upload", "infer_receive", "infer_logits")
"""The hooks that return the changed value alone."""


def described(tree: Any) -> str:
    """Returns the form of a tree of arrays in words, such as "(float32[6, 3], bool[])".

    Args:
      tree: a tree of arrays.
    """
    return str(jax.tree.map(_Form, tree)).replace("'", "")


class _Form(str):
    """The form of one leaf; it prints without quotes."""

    def __new__(cls, leaf: Any) -> _Form:
        named = hasattr(leaf, "dtype") and hasattr(leaf, "shape")
        return super().__new__(cls, f"{leaf.dtype}{list(leaf.shape)}" if named else f"a Python {type(leaf).__name__}")

    def __repr__(self) -> str:
        return str(self)


def check_form(where: str, hook: str, args: tuple[Any, ...], result: Any) -> None:
    """Checks what a hook returned.

    Args:
      where: the method and the hook, for messages.
      hook: the name of the hook.
      args: what the hook got, without the method.
      result: what it returned.

    Raises:
      CheckFailed: where the form is another than the hook's.
    """
    if hook in PAIRS:
        if not isinstance(result, tuple) or len(result) != 2:
            raise CheckFailed("form", where, f"returns {_kind(result)}; it must return (the changed value, the state).")
        _same(where, "", args[3], result[0])
        _same(where, "a state ", args[1], result[1])
    elif hook in VALUES:
        _same(where, "", args[3], result)
    elif hook == "infer_labels" and result is not None:
        _is(where, "the guessed labels", result, (_rows(args[3]),), jnp.integer)
    elif hook == "infer_suspicion" and result is not None:
        if not isinstance(result, Suspicion):
            raise CheckFailed("form", where, f"returns {_kind(result)}; it must return a vfl.Suspicion, or None.")
        _is(where, "score", result.score, (_rows(args[3]), len(args[3])), jnp.floating)
        _is(where, "is_suspect", result.is_suspect, (_rows(args[3]),), jnp.bool_)
    elif hook == "on_embed":
        if not isinstance(result, tuple) or len(result) != 2:
            raise CheckFailed("form", where, f"returns {_kind(result)}; it must return (the embeddings, a penalty).")
        _same(where, "", args[3], result[0])
        _is(where, "the penalty", result[1], (), jnp.floating)
    elif hook in ("init", "init_with_params", "init_params"):
        for leaf in jax.tree.leaves(result):
            if not isinstance(leaf, jax.Array):
                raise CheckFailed("form", where, f"returns {described(result)}; every leaf must be a jax.Array.")


def _same(where: str, what: str, got: Any, returned: Any) -> None:
    """Checks that a hook keeps the form of what it got."""
    if isinstance(got, BagOfIds) and isinstance(returned, BagOfIds):
        got = got.widened(returned)  # a stamped tag takes a slot of its own
    structures: list[Any] = [jax.tree.structure(tree) for tree in (got, returned)]
    if structures[0] != structures[1] or described(got) != described(returned):
        raise CheckFailed(
            "form",
            where,
            f"returns {what}{described(returned)}; it must keep the form of what it got, {described(got)}.",
        )


def _is(where: str, what: str, found: Any, shape: tuple[int, ...], dtype: Any) -> None:
    """Checks the shape and the kind of dtype of one array."""
    fits = hasattr(found, "dtype") and jnp.issubdtype(found.dtype, dtype) and found.shape == shape
    if not fits:
        kind = {jnp.integer: "int32", jnp.floating: "float32", jnp.bool_: "bool"}[dtype]
        raise CheckFailed("form", where, f"returns {described(found)} as {what}; it must be {kind}{list(shape)}.")


def _rows(value: Any) -> int:
    """Returns the number of rows of features or messages."""
    return int(jax.tree.leaves(value)[0].shape[0])


def _kind(result: Any) -> str:
    """Returns what a result is, in words."""
    return f"a tuple of {len(result)}" if isinstance(result, tuple) else f"a {type(result).__name__}"

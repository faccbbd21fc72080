"""Records made of functions, under the functions' names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vfl_jax.core.record import Record


def record_of(function: Callable[..., Any], base: type[Record], said: str, **members: Callable[..., Any]) -> Any:
    """Makes a record of a function.

    Args:
      function: the function; ``type(record).of`` is it.
      base: the class of the record, which a class of the function's name derives from.
      said: the name of what a user called, for the message.
      members: the methods of the new class, which call ``type(self).of``.

    Raises:
      ValueError: where ``function`` is no function with a name.
    """
    if not getattr(function, "__qualname__", "").rpartition(".")[2].isidentifier():
        raise ValueError(
            f"{said} takes a function with a name, which becomes the record's; found {function!r}. Use def."
        )
    kind = type(
        function.__name__,
        (base,),
        {
            "of": staticmethod(function),
            **members,
            "__doc__": function.__doc__,
            "__module__": function.__module__,
            # The function's own name means the record, so pickle finds the class as that of the record.
            "__qualname__": f"{function.__qualname__}.__class__",
        },
    )
    return kind()

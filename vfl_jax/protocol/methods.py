"""Questions about methods and chains: which are attacks, which hooks they override, where they stand."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from vfl_jax.core.record import Record
from vfl_jax.protocol.needs import Needs
from vfl_jax.protocol.switched import Switched
from vfl_jax.protocol.transforms import ActiveTransform, PartyTransform


class Chain:
    """Base of the chains: several methods in one place, which act in order."""

    parts: tuple[Any, ...]


def is_attack(transform: Any) -> bool:
    """Whether a method is an attack, or a chain with an attack among its parts."""
    return any(isinstance(method, Switched) for method in methods(transform))


def changes(transform: Any, hook: str) -> bool:
    """Whether a method overrides a hook, or a part of a chain does; a hook that nobody overrides costs nothing."""
    bases = [getattr(base, hook, None) for base in (PartyTransform, ActiveTransform)]
    return any(getattr(type(method), hook, None) not in bases for method in methods(transform))


def methods(transform: Any) -> Iterator[Any]:
    """Yields the method itself; of a chain, every part at any depth."""
    return (method for _, method in located(transform, ""))


def located(transform: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yields (path, method) for the method itself; of a chain, for every part at any depth.

    Args:
      transform: a method or a chain.
      path: the path of ``transform``, such as "defense".
    """
    if not isinstance(transform, Chain):
        yield path, transform
        return
    for i, part in enumerate(transform.parts):
        yield from located(part, f"{path}.parts.{i}")


def changes_nothing_at(defense: Any) -> str:
    """The numbers at which a defense that is no chain stands, where it says that it changes nothing there.

    Args:
      defense: the defense.

    Returns:
      the numbers in words; "" where the defense changes something, or does not say its neutral numbers.

    Example:
      >>> import vfl_jax as vfl
      >>> changes_nothing_at(vfl.defenses.Clipping()), changes_nothing_at(vfl.defenses.Clipping(bound=0.1))
      ('bound=inf', '')
    """
    neutral = getattr(defense, "neutral", None) or {}
    values = {path: functools.reduce(getattr, path.split("."), defense) for path in neutral}
    if not all(np.all(values[path] == value) for path, value in neutral.items()):
        return ""
    return " and ".join(f"{path}={value:g}" for path, value in neutral.items())


def needs_of(transform: Any) -> Needs:
    """Returns what an attack needs a scenario to grant; a chain needs what serves all its parts.

    Args:
      transform: an attack, or a chain with attacks.
    """
    own = [method.needs for method in methods(transform) if getattr(method, "needs", None) is not None]
    return functools.reduce(Needs.joined, own) if own else Needs()


def held_attack(method: Any) -> tuple[str, Any] | None:
    """Finds an attack in the fields of a method that is no chain.

    The package gives such an attack no knowledge, and does not apply its switch.

    Args:
      method: the method; a tuple of records is searched, too.

    Returns:
      (the path from the method to the first attack, the attack); None where there is no attack.
    """
    is_record = isinstance(method, Record)
    fields = dataclasses.fields(method) if is_record else ()
    below = enumerate(method) if isinstance(method, tuple) else ((f.name, getattr(method, f.name)) for f in fields)
    for name, value in below:
        if isinstance(value, Switched):
            return str(name), value
        if (found := held_attack(value)) is not None:
            return f"{name}.{found[0]}", found[1]
    return None


def due(transform: Any, epoch: int, num_epochs: int) -> frozenset[tuple[int, ...]]:
    """Returns those ``at_epochs`` of a method, or of the parts of a chain, that name an epoch.

    Args:
      transform: a method or a chain.
      epoch: the number of finished epochs.
      num_epochs: the number of epochs of the whole training.
    """
    named = {tuple(m.at_epochs) for m in methods(transform) if m.at_epochs is not None and changes(m, "on_epoch")}
    return frozenset(at for at in named if epoch in at or epoch - num_epochs - 1 in at)


def acts(transform: Any, due: frozenset[tuple[int, ...]]) -> bool:
    """Whether a method, or a part of a chain, acts between two epochs.

    Args:
      transform: a method or a chain.
      due: the ``at_epochs`` that name the epoch, as :func:`due` returns them.
    """
    return any(
        changes(method, "on_epoch") and (method.at_epochs is None or tuple(method.at_epochs) in due)
        for method in methods(transform)
    )

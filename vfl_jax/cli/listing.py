"""The list of everything that a scenario may be made of, and of data sets and presets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from vfl_jax import models
from vfl_jax.cli.overview import first_paragraph
from vfl_jax.core.record import kinds
from vfl_jax.data import LOADERS, Trigger
from vfl_jax.models.optimizers import Undecayed
from vfl_jax.presets import PRESETS
from vfl_jax.protocol.chains import ActiveChain, PartyChain
from vfl_jax.protocol.switched import Switched
from vfl_jax.protocol.transforms import ActiveAttack, ActiveTransform, Attack, PartyTransform
from vfl_jax.protocol.triggers import StampTrigger
from vfl_jax.scenario import Measure

if TYPE_CHECKING:
    from rich.table import Table

METHODS = (PartyTransform, ActiveTransform, Attack, ActiveAttack, PartyChain, ActiveChain)
BASES = {*METHODS, models.Bottom, models.Head, models.Loss, Trigger, StampTrigger, Measure, Undecayed}
"""Classes that others derive from, chains, which are made of what is listed, and what programs alone make."""
OWN = "vfl_jax"


class Member(NamedTuple):
    """A line of the list.

    Args:
      kind: what it is made for, such as "attack".
      name: its name.
      about: the class or function, whose docstring tells what it is.
      module: the module that it comes from.
    """

    kind: str
    name: str
    about: Any
    module: str


def members() -> list[Member]:
    """Everything that is known by now, the package's own and that of plug-ins."""
    return [*_records(), *_registered()]


def table() -> Table:
    """The list as a table; where there are plug-ins, a column tells whose a member is."""
    from rich.table import Column, Table

    found = members()
    with_modules = any(not _is_own(member.module) for member in found)
    longest = max(len(member.name) for member in found)
    name, about = Column("name", no_wrap=True, min_width=longest), Column("what it is", overflow="fold")
    table = Table("kind", name, about, *([Column("from", overflow="fold")] if with_modules else []))
    for before, member in zip([None, *found], found, strict=False):
        if before is not None and before.kind != member.kind:
            table.add_section()
        module = [OWN if _is_own(member.module) else member.module] if with_modules else []
        table.add_row(member.kind, member.name, first_paragraph(member.about), *module)
    return table


def _records() -> Iterator[Member]:
    """The classes of records that a scenario is made of."""
    methods = {**kinds(PartyTransform), **kinds(ActiveTransform)}
    groups: dict[str, dict[str, Any]] = {
        "attack": {name: kind for name, kind in methods.items() if issubclass(kind, Switched)},
        "defense": {name: kind for name, kind in methods.items() if not issubclass(kind, Switched)},
        "bottom": kinds(models.Bottom),
        "head": kinds(models.Head),
        "loss": kinds(models.Loss),
        "regularizer": kinds(models.Regularizer),
        "optimizer": kinds(models.Optimizer),
        "trigger": kinds(Trigger),
        "metric": kinds(Measure),
    }
    for kind, group in groups.items():
        yield from (Member(kind, name, cls, cls.__module__) for name, cls in group.items() if cls not in BASES)


def _registered() -> Iterator[Member]:
    """Data sets and presets."""
    for registry in (LOADERS, PRESETS):
        yield from (Member(registry.kind, name, f, registry.module(name)) for name, f in registry.items())


def _is_own(module: str) -> bool:
    """Whether a module is the package's own."""
    return module.partition(".")[0] == OWN

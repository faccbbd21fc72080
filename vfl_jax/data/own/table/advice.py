"""What a user may say of a column: that it is left out, or which kind it has."""

from __future__ import annotations

import dataclasses

from vfl_jax.data.own.table.kinds import Kind


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """A column that shall be no feature.

    Args:
      column: "party.column".

    Example:
      >>> print(LeftOut("bank.name"))
      drop=['bank.name']
    """

    column: str

    def __str__(self) -> str:
        return f"drop=[{self.column!r}]"


@dataclasses.dataclass(frozen=True)
class Declared:
    """A column whose kind is declared, as one of some kinds.

    Args:
      column: "party.column".
      kinds: these kinds.

    Example:
      >>> from vfl_jax.data.own.table.kinds import Numeric
      >>> print(Declared("bank.age", (Numeric(decimal=","), Numeric(thousands=","))))
      columns={'bank.age': Numeric(decimal=',') or Numeric(thousands=',')}
    """

    column: str
    kinds: tuple[Kind, ...]

    def __str__(self) -> str:
        return f"columns={{{self.column!r}: {' or '.join(map(_call, self.kinds))}}}"


def said_of(kind: Kind) -> dict[str, object]:
    """Returns the arguments of a kind that are not its defaults, by name.

    Args:
      kind: the kind.
    """
    values = {field.name: getattr(kind, field.name) for field in dataclasses.fields(kind)}
    return {field.name: values[field.name] for field in dataclasses.fields(kind) if values[field.name] != field.default}


def _call(kind: Kind) -> str:
    """The call that makes a kind."""
    return f"{type(kind).__name__}({', '.join(f'{name}={value!r}' for name, value in said_of(kind).items())})"

"""How help names what a flag takes: FILE, FOLDER, NAME …; no "None" where a flag is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro
from tyro.constructors import PrimitiveConstructorSpec


def _spec(metavar: str, kind: type[int] | type[float], what: str) -> PrimitiveConstructorSpec[float]:
    """How a flag reads a number; tyro says the error behind the flag's name."""

    def number(words: list[str]) -> float:
        try:
            return kind(words[0])
        except ValueError:
            raise ValueError(f"{words[0]!r} is no {what}.") from None

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=number,
        is_instance=lambda value: value is None or isinstance(value, int | float),
        str_from_instance=lambda value: [str(value)],
    )


def numbered(text: str | None) -> str | int | None:
    """The name of a party, or the number that the text writes.

    Args:
      text: the text of a flag.

    Example:
      >>> numbered("shop"), numbered("1")
      ('shop', 1)
    """
    return int(text) if text is not None and text.isdecimal() else text


WHOLE = _spec("INT", int, "whole number")
Whole = Annotated[int, WHOLE]
Number = Annotated[float, _spec("FLOAT", float, "number")]
Count = Annotated[int | None, WHOLE, tyro.conf.arg(metavar="INT", help_behavior_hint="")]
Repeated = Annotated[tuple[str, ...], tyro.conf.UseAppendAction]
Numbers = Annotated[Repeated, tyro.conf.arg(metavar="PARTY")]
Names = Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...", help_behavior_hint="")]
File = Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")]
Folder = Annotated[Path | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="")]
Text = Annotated[str | None, tyro.conf.arg(metavar="TEXT", help_behavior_hint="")]
Name = Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")]
Results = Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RESULT.nc|FOLDER ...", help_behavior_hint="")]
Switch = Annotated[bool, tyro.conf.arg(help_behavior_hint="")]

"""Errors that say what to type: Python and the command write the same advice each in their own way."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Argument:
    """An argument of Python, which may be a flag of the command.

    Args:
      name: its name in Python.
    """

    name: str

    def __str__(self) -> str:
        return self.name


@dataclasses.dataclass(frozen=True)
class Plugin:
    """A module to load as a plug-in.

    Args:
      module: its name.
    """

    module: str

    def __str__(self) -> str:
        return repr(self.module)


@dataclasses.dataclass(frozen=True)
class PythonOnly:
    """Words about what only a caller in Python can do.

    Args:
      text: the words.
    """

    text: str

    def __str__(self) -> str:
        return self.text


class Advised(ValueError):
    """An error whose message has parts that each user types otherwise. ``str`` gives them as Python has them.

    Args:
      parts: texts, and between them objects whose ``str`` is what to type in Python.

    Example:
      >>> error = Advised("no column is named by ", Argument("label"), ".")
      >>> str(error), error.worded(lambda part: f"--{part}")
      ('no column is named by label.', 'no column is named by --label.')
    """

    def __init__(self, *parts: object) -> None:
        super().__init__(*parts)

    def __str__(self) -> str:
        return self.worded(str)

    def worded(self, word: Callable[[object], str]) -> str:
        """Returns the message, with other words for the parts that are no texts.

        Args:
          word: the function that gives the words for such a part.
        """
        return "".join(part if isinstance(part, str) else word(part) for part in self.args)


def parts_of(error: ValueError) -> tuple[object, ...]:
    """Returns the parts of the message of an error, so that another can say more.

    Args:
      error: the error, with advice or without.
    """
    return error.args if isinstance(error, Advised) else (str(error),)

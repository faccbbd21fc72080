"""Every name that a user imports has a docstring; it names every argument of a function and every field of a class."""

import dataclasses
import importlib
import inspect
import re

import pytest

PUBLIC_ROOMS = (
    "attacks",
    "data",
    "defenses",
    "models",
    "plots",
    "presets",
    "protocol",
    "replica",
    "reports",
    "statistics",
    "sweeps",
    "testing",
)


def _members() -> dict[str, object]:
    """Every function and class of ``vfl_jax`` and of its public rooms, by its full name."""
    rooms = [importlib.import_module(name) for name in ("vfl_jax", *(f"vfl_jax.{room}" for room in PUBLIC_ROOMS))]
    public = [getattr(room, name) for room in rooms for name in room.__all__]
    return {f"{m.__module__}.{m.__name__}": m for m in public if inspect.isfunction(m) or inspect.isclass(m)}


def _named(docstring: str) -> set[str]:
    """The arguments that a docstring names: in a line of its section ``Args``, or in backticks."""
    _, _, args = docstring.partition("\nArgs:\n")
    section = re.split(r"\n(?=\S)", args)[0]
    entries = re.findall(r"^  (\*{0,2}\w[\w*, ]*):", section, re.MULTILINE)
    return {name.strip(" *") for entry in entries for name in entry.split(",")} | set(re.findall(r"``(\w+)", docstring))


def missing(member: object) -> list[str]:
    """What a docstring lacks: itself, or names of arguments."""
    docstring = inspect.cleandoc(member.__doc__ or "")
    is_made = docstring.startswith(f"{member.__name__}(")  # by dataclasses, out of the names of the fields
    if not docstring or is_made:
        return ["a docstring"]
    named = _named(docstring)
    names = _fields(member) if inspect.isclass(member) else inspect.signature(member).parameters
    return [name for name in names if name not in named]


def _fields(cls: type) -> list[str]:
    """The fields that a user gives to a record, a dataclass or a named tuple; other classes have none."""
    if dataclasses.is_dataclass(cls):
        return [field.name for field in dataclasses.fields(cls) if field.init]
    return list(getattr(cls, "_fields", ()))


def silent_methods(cls: type) -> list[str]:
    """The public methods and properties of a class without a docstring, of their own or inherited."""
    public = (name for name, value in vars(cls).items() if not name.startswith("_") and _is_method(value))
    return [name for name in public if not inspect.getdoc(getattr(cls, name))]


def _is_method(value: object) -> bool:
    return inspect.isfunction(value) or isinstance(value, classmethod | staticmethod | property)


MEMBERS = _members()


@pytest.mark.parametrize("name", MEMBERS)
def test_a_public_name_explains_itself(name):
    lacking = missing(MEMBERS[name])
    assert not lacking, f"the docstring of {name} lacks {', '.join(lacking)}"
    silent = silent_methods(MEMBERS[name]) if inspect.isclass(MEMBERS[name]) else []
    assert not silent, f"{name} has no docstring on {', '.join(silent)}"


def test_what_lacks_is_found():
    def good(first, second, *others, **more):
        """Does it with ``more``.

        Args:
          first, second: two numbers.
          others: further ones.
        """

    def bad(first, second, third):
        """Does it with first.

        Args:
          third: a number; in a line
            second: is no argument's.

        Returns:
          first: not this one.
        """

    def silent():
        pass

    @dataclasses.dataclass
    class Undescribed:
        number: int = 0

    @dataclasses.dataclass
    class HalfDescribed:
        """Holds two numbers.

        Args:
          number: the first.
        """

        number: int = 0
        other: int = 0

        def described(self):
            """Does something."""

        def undescribed(self):
            pass

        @property
        def value(self):
            return 0

    assert missing(good) == []
    assert missing(bad) == ["first", "second"]
    assert missing(silent) == missing(Undescribed) == ["a docstring"]
    assert missing(HalfDescribed) == ["other"]
    assert silent_methods(HalfDescribed) == ["undescribed", "value"]

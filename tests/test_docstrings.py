"""What a user imports explains itself: a docstring, in which every argument has its name."""

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
    "report",
    "statistics",
    "sweeps",
)
PENDING: set[str] = {
    "vfl_jax.core.files.load",
    "vfl_jax.core.files.load_params",
    "vfl_jax.core.files.save",
    "vfl_jax.core.files.save_params",
    "vfl_jax.core.record.from_json",
    "vfl_jax.core.record.numbers",
    "vfl_jax.core.record.static",
    "vfl_jax.replica.replica.batch",
    "vfl_jax.replica.replica.evaluate",
    "vfl_jax.replica.replica.init",
    "vfl_jax.replica.replica.predict",
    "vfl_jax.replica.replica.prepare",
    "vfl_jax.replica.replica.step",
    "vfl_jax.replica.replica.train_epoch",
}
"""Names that do not keep the rule yet. Whoever mends one takes it out; a test says where this was forgotten."""


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
    if inspect.isclass(member):
        return []
    named = _named(docstring)
    return [name for name in inspect.signature(member).parameters if name not in named]


MEMBERS = _members()


@pytest.mark.parametrize("name", MEMBERS)
def test_a_public_name_explains_itself(name):
    lacking = missing(MEMBERS[name])
    if name in PENDING:
        assert lacking, f"{name} keeps the rule now; take it out of PENDING"
        return
    assert not lacking, f"the docstring of {name} lacks {', '.join(lacking)}"


def test_pending_names_exist():
    assert not PENDING - MEMBERS.keys()


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

    assert missing(good) == []
    assert missing(bad) == ["first", "second"]
    assert missing(silent) == missing(Undescribed) == ["a docstring"]

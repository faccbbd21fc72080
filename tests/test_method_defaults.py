"""What a method does when it is given nothing, or nonsense: its defaults, and the numbers that none may have."""

import dataclasses
import json
import math
from pathlib import Path

import pytest

from vfl_jax.core.record import kinds, numbers
from vfl_jax.protocol.transforms import ActiveTransform, PartyTransform

PINNED = Path(__file__).parent / "fixtures" / "method_defaults.json"
METHODS = {
    name: kind
    for base in (PartyTransform, ActiveTransform)
    for name, kind in kinds(base).items()
    if kind.__module__.startswith(("vfl_jax.attacks", "vfl_jax.defenses"))
}


def defaults_of(kind):
    """The defaults of a method's fields, and what an attack is granted unless somebody says otherwise."""
    fields = {field.name: repr(field.default) for field in dataclasses.fields(kind)}
    required = {name: "required" if "MISSING" in default else default for name, default in fields.items()}
    needs = getattr(kind, "needs", None)
    return required | ({"needs": dataclasses.asdict(needs)} if dataclasses.is_dataclass(needs) else {})


ANY = {
    "BASL.scale",
    "CAE.entropy_weight",
    "FreshReplacement.least_score",
    "MID.shift",
    "Villain.largest_factor",
    "Villain.least_factor",
}
"""Numbers that may be as small as they like, beside factors of messages."""
FACTORS = {"amplify", "factor", "magnitude"}


def accepts(method, name, nonsense):
    """Whether a number may have a value; a refusal names it."""
    try:
        method.replace(**{name: nonsense})
    except ValueError as error:
        return f"{type(method).__name__}.{name} is {nonsense}" not in str(error)
    return True


def accepted(kind, nonsense):
    """The numbers of a method itself that may have a value."""
    method = kind(**{name: 1.0 for name, default in defaults_of(kind).items() if default == "required"})
    own = [name for name in numbers(method) if "." not in name]
    return {f"{kind.__name__}.{name}" for name in own if accepts(method, name, nonsense)}


@pytest.mark.parametrize("name", METHODS)
def test_what_is_no_number_is_refused_by_name(name):
    assert accepted(METHODS[name], math.nan) == set()


@pytest.mark.parametrize("name", METHODS)
def test_only_some_numbers_have_no_least_value(name):
    found = accepted(METHODS[name], -math.inf)
    assert {number for number in found if number.partition(".")[2] not in FACTORS} <= ANY


def test_every_method_is_pinned():
    assert set(METHODS) == set(json.loads(PINNED.read_text()))


@pytest.mark.parametrize("name", METHODS)
def test_defaults_are_those_that_results_stand_on(name):
    """Whoever changes one says so in the changes, and in the method's docstring."""
    assert defaults_of(METHODS[name]) == json.loads(PINNED.read_text())[name]

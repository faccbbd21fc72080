"""What a method does when it is given nothing: the numbers of its docstring, on which studies and readers rely."""

import dataclasses
import json
from pathlib import Path

import pytest

from vfl_jax.core.record import kinds
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


def test_every_method_is_pinned():
    assert set(METHODS) == set(json.loads(PINNED.read_text()))


@pytest.mark.parametrize("name", METHODS)
def test_defaults_are_those_that_results_stand_on(name):
    """Whoever changes one says so in the changes, and in the method's docstring."""
    assert defaults_of(METHODS[name]) == json.loads(PINNED.read_text())[name]

"""Fields of records hold what their annotations say, or a message names the path, what is there and what must be."""

import dataclasses
import functools
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from data_helpers import says, tiny_data, tiny_scenario

from vfl_jax.attacks import GradientReplacement
from vfl_jax.core.fields import check_fields
from vfl_jax.core.record import Record, from_json, kinds, numbers, static
from vfl_jax.data import PixelTrigger
from vfl_jax.defenses import Clipping, GaussianNoise
from vfl_jax.models import CNN, MLP, DenseHead, SumHead
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.chains import ActiveChain
from vfl_jax.protocol.transforms import ActiveTransform, PartyTransform
from vfl_jax.scenario import BatchPlan, PoisonPlan
from vfl_jax.sweeps.sweep import run

SCENARIO, DATA = tiny_scenario(), tiny_data()


class Flagged(ActiveTransform):
    """A method with structure of every kind."""

    strength: float = 0.0
    times: int = 1
    is_loud: bool = static(default=False)
    label: str = static(default="")
    levels: tuple[float, ...] = static(default=())
    corner: tuple[int, int] = static(default=(0, 0))
    names: list[str] = static(default=())
    anything: list = static(default=())
    inner: ActiveTransform | None = static(default=None)


def poison(**fields):
    return {"poison": SCENARIO.poison.replace(**fields)}


def flagged(**fields):
    return {"defense": Flagged(**fields)}


WRONG = {
    "an attack as a defense": (
        {"defense": GradientReplacement()},
        ("defense is GradientReplacement", "must be an ActiveTransform"),
    ),
    "a defense as an attack": (
        {"attacks": (PartyTransform(), Clipping())},
        ("attacks.1 is Clipping", "PartyTransform"),
    ),
    "a list of defenses": (
        {"defense": [Clipping(), GaussianNoise()]},
        ("defense is (Clipping", "must be an ActiveTransform", "chain"),
    ),
    "a class": ({"defense": GaussianNoise}, ("defense is", "must be an ActiveTransform", "GaussianNoise()")),
    "nothing": ({"loss": None}, ("loss is None", "must be a Loss")),
    "no list": ({"attacks": None}, ("attacks is None", "must be a list", "a PartyTransform")),
    "one for a list": ({"bottoms": MLP(width=3)}, ("bottoms is MLP", "must be a list", "a Bottom")),
    "optax": ({"head_optimizer": optax.sgd(0.1)}, ("head_optimizer is", "must be an Optimizer")),
    "optax of a party": ({"optimizers": (Optimizer(), optax.adam(0.1))}, ("optimizers.1 is", "must be an Optimizer")),
    "flax": ({"head": SumHead}, ("head is", "must be a Head", "SumHead()")),
    "text for a number": (
        {"attacks": (PartyTransform(), GradientReplacement(amplify="10"))},
        ("attacks.1.amplify is '10'", "must be a number"),
    ),
    "a truth value for a number": (
        {"attacks": (PartyTransform(), GradientReplacement(amplify=True))},
        ("attacks.1.amplify is True", "must be a number", "Write 1"),
    ),
    "none for a number": ({"defense": GaussianNoise(stddev=None)}, ("defense.stddev is None", "must be a number")),
    "a list for a number": ({"defense": GaussianNoise(stddev=[0.1])}, ("defense.stddev is (0.1,)", "must be a number")),
    "an imaginary number": ({"defense": GaussianNoise(stddev=1j)}, ("defense.stddev is 1j", "must be a number")),
    "texts for numbers": ({"defense": GaussianNoise(stddev=np.array(["a"]))}, ("defense.stddev", "must be a number")),
    "within a chain": (
        {"defense": ActiveChain(parts=(Clipping(), GaussianNoise(stddev="0")))},
        ("defense.parts.1.stddev is '0'", "must be a number"),
    ),
    "an attack in a chain of defenses": (
        {"defense": ActiveChain(parts=(GradientReplacement(),))},
        ("defense.parts.0 is GradientReplacement", "ActiveTransform"),
    ),
    "half a class": (poison(target_class=0.5), ("poison.target_class is 0.5", "whole number")),
    "a class as a float": (poison(target_class=1.0), ("poison.target_class is 1.0", "whole number", "Write 1.")),
    "a class as a truth value": (poison(target_class=True), ("poison.target_class is True", "Write 1.")),
    "a class by its name": (poison(target_class="1"), ("poison.target_class is '1'", "whole number")),
    "ids in a set": (poison(poison_ids={1, 2}), ("poison.poison_ids is {1, 2}", "a list", "whole number", "or None")),
    "ids as floats": (poison(poison_ids=[1.0]), ("poison.poison_ids", "1.0", "whole number")),
    "no trigger": (poison(trigger=None), ("poison.trigger is None", "a Trigger")),
    "a party by name": (
        poison(trigger=PixelTrigger(pixels=((3, 3),), party="lower")),
        ("poison.trigger.party is 'lower'", "a whole number or None"),
    ),
    "pixels not in pairs": (
        poison(trigger=PixelTrigger(pixels=((3, 3, 1),))),
        ("poison.trigger.pixels.0 has 3 entries", "must have 2"),
    ),
    "pixels flat": (poison(trigger=PixelTrigger(pixels=(3, 3))), ("poison.trigger.pixels.0 is 3", "a list")),
    "text for a truth value": (flagged(is_loud="no"), ("defense.is_loud is 'no'", "True or False")),
    "a number for a truth value": (flagged(is_loud=1), ("defense.is_loud is 1", "True or False")),
    "a number for a text": (flagged(label=3), ("defense.label is 3", "a text")),
    "a text among numbers": (flagged(levels=(0.1, "x")), ("defense.levels.1 is 'x'", "a number")),
    "a number among texts": (flagged(names=["a", 1]), ("defense.names.1 is 1", "a text")),
    "a text for texts": (flagged(names="ab"), ("defense.names is 'ab'", "a list")),
    "half a time": (flagged(times=0.5), ("defense.times is 0.5", "whole number")),
    "an attack inside": (flagged(inner=GradientReplacement()), ("defense.inner is", "an ActiveTransform or None")),
    "a wrong number inside": (flagged(inner=GaussianNoise(stddev="a")), ("defense.inner.stddev is 'a'", "a number")),
    "too large": ({"batches": BatchPlan(size=10**400)}, ("batches.size is 1000", "…", "64 bits")),
    "far too large to be shown": ({"batches": BatchPlan(size=10**5000)}, ("batches.size is of type int", "64 bits")),
}


@pytest.mark.parametrize("name", WRONG)
def test_fields_of_wrong_kinds_are_refused_by_their_path(name):
    changes, message = WRONG[name]
    scenario = SCENARIO.replace(**changes)
    with pytest.raises(ValueError, match=says(*message)) as found:
        scenario.check(DATA)
    assert str(found.value).startswith(message[0].split(" ")[0])
    with pytest.raises(ValueError, match=says(*message)):
        run(scenario, DATA, jax.random.key(0), 1)
    with pytest.raises(ValueError, match=says(*message)):
        numbers(scenario)
    with pytest.raises(ValueError, match=says(f"Scenario.{message[0]}", *message[1:])):
        scenario.to_json()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BatchPlan(size=True), ("batches.size is (True,)", "whole number above 0")),
        (lambda: BatchPlan(size="16"), ("batches.size is ('16',)", "whole number above 0")),
        (lambda: BatchPlan(size=16.0), ("batches.size is (16.0,)", "whole number above 0")),
        (lambda: BatchPlan(order=None), ("batches.order is None", "'shuffled'")),
        (lambda: BatchPlan(order=np.array(["file"])), ("batches.order", "'shuffled'")),
        (lambda: MLP(hidden=None), ("bottom.hidden is None", "whole number above 0")),
        (lambda: MLP(hidden=32), ("bottom.hidden is 32", "whole number above 0")),
        (lambda: MLP(hidden=("a",)), ("bottom.hidden is ('a',)", "whole number above 0")),
        (lambda: DenseHead(hidden={8}), ("head.hidden is {8}", "whole number above 0")),
        (lambda: PoisonPlan(fixed_seed=2**32), ("poison.fixed_seed is 4294967296", "[0, ")),
        (lambda: PoisonPlan(fixed_seed=-1), ("poison.fixed_seed is -1", "[0, ")),
    ],
)
def test_some_are_refused_when_the_record_is_made(make, message):
    with pytest.raises(ValueError, match=says(*message)):
        make()


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (BatchPlan(size=np.int64(16)), BatchPlan(size=16)),
        (MLP(width=np.int32(3), hidden=np.array([4, 5])), MLP(width=3, hidden=(4, 5))),
        (CNN(channels=[np.int8(2)], output_relu=np.bool_(True)), CNN(channels=(2,), output_relu=True)),
        (PoisonPlan(target_class=np.uint8(1), poison_ids=range(3)), PoisonPlan(target_class=1, poison_ids=(0, 1, 2))),
        (PoisonPlan(target_ids=jnp.arange(2)), PoisonPlan(target_ids=(0, 1))),
        (PixelTrigger(pixels=np.array([[1, 2], [3, 0]])), PixelTrigger(pixels=((1, 2), (3, 0)))),
        (Flagged(levels=np.array([0.5, 1.0])), Flagged(levels=(0.5, 1.0))),
        (Flagged(names=["a", "b"], anything=[1, "x"]), Flagged(names=("a", "b"), anything=(1, "x"))),
        (GaussianNoise(stddev=np.float64(0.5)), GaussianNoise(stddev=0.5)),
        (GaussianNoise(stddev=jnp.float32(0.5)), GaussianNoise(stddev=0.5)),
        (Flagged(times=2.0), Flagged(times=2)),  # as flags and grids give whole numbers
    ],
)
def test_numbers_and_arrays_of_numpy_and_jax_are_taken(given, plain):
    assert given == plain
    assert given.to_json() == plain.to_json()
    # jit compares structure as it stands, so what is in it must be Python's.
    assert jax.tree.structure(given) == jax.tree.structure(plain)
    assert hash(jax.tree.structure(given)) == hash(jax.tree.structure(plain))
    assert from_json(given.to_json()) == plain


def test_a_scenario_of_numpy_numbers_trains():
    scenario = SCENARIO.replace(
        batches=BatchPlan(size=np.int64(8)), poison=SCENARIO.poison.replace(target_class=np.int8(0))
    )
    found, _ = run(scenario, DATA, jax.random.key(0), 1)
    assert found.attrs["scenario"] == SCENARIO.to_json()


def test_swept_and_traced_numbers_pass():
    check_fields(SCENARIO.replace(defense=GaussianNoise(stddev=np.ones(3, np.float32))))
    traced = []

    @jax.jit
    def checked(record):
        check_fields(record)
        traced.append(record)
        return record.stddev

    checked(GaussianNoise(stddev=0.1))
    assert traced


class Undeclared(ActiveTransform):
    """Its flag is no number, and not declared static."""

    is_loud: bool = False


class Unknown(Record):
    """Its annotation names nothing that there is."""

    inner: "NowhereToBeFound" = None  # noqa: F821


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (Undeclared(), ("Undeclared.is_loud is declared as True or False", "static(default=...)")),
        (Unknown(), ("Unknown has an annotation", "test_fields", "NowhereToBeFound")),
    ],
)
def test_a_record_that_is_declared_wrongly_says_so(record, message):
    with pytest.raises(ValueError, match=says(*message)):
        record.to_json()


class HoldsAnything(ActiveTransform):
    """Its annotation allows what no JSON holds."""

    what: object = static(default=None)


@pytest.mark.parametrize(
    ("what", "shown"),
    [
        (jnp.tanh, "PjitFunction"),
        (print, "builtin_function_or_method"),
        ({"a": 1}, "{'a': 1} (of type dict)"),
        ({1, 2}, "{1, 2} (of type set)"),
        (("a", {"b": 1}), "{'b': 1} (of type dict)"),
        (1j, "1j (of type complex)"),
        (b"a", "b'a' (of type bytes)"),
        (float, "<class 'float'> (of type type)"),
    ],
)
def test_what_json_cannot_hold_is_refused_by_its_field(what, shown):
    for make in (
        HoldsAnything(what=what).to_json,
        lambda: SCENARIO.replace(defense=HoldsAnything(what=what)) == SCENARIO,
    ):
        with pytest.raises(ValueError, match=says("HoldsAnything.what is", shown, "Make a record")):
            make()
    assert HoldsAnything(what=("a", 1, None, True)).to_json()


def test_infinite_numbers_are_numbers():
    check_fields(SCENARIO.replace(defense=Clipping(bound=math.inf)))


JUNK = [None, "x", "inf", [], {}, {"record": "Clipping"}, {"record": "MLP"}, True, -1, 10**25, -(10**400), 1e39]
JUNK += [[1, 2], ["x"]]


def test_nothing_that_json_can_hold_ends_otherwise():
    """In every field of every kind: it is taken, or a ValueError."""
    needed = {"FeatureTrigger": {"party": 0, "index": 0}, "PixelTrigger": {"pixels": [[0, 0]]}}
    refused = 0
    for name, kind in kinds(Record).items():
        if not kind.__module__.startswith("vfl_jax."):
            continue
        for field in dataclasses.fields(kind):
            for junk in JUNK:
                try:
                    from_json(json.dumps({"record": name} | needed.get(name, {}) | {field.name: junk})).to_json()
                except ValueError:
                    refused += 1
    assert refused > 500


def test_no_scenario_that_json_can_hold_ends_otherwise():
    """At every path of a scenario: it fits, or a ValueError."""
    chain = ActiveChain(parts=(Clipping(), GaussianNoise()))
    text, refused = SCENARIO.replace(defense=chain).to_json(), 0
    for path in every_path(json.loads(text)):
        for junk in (None, "x", {"record": "MLP"}, True, [1, 2], -1):
            changed = json.loads(text)
            place = functools.reduce(lambda part, name: part[name], path[:-1], changed)
            place[path[-1]] = junk
            try:
                from_json(json.dumps(changed)).check(DATA)
            except ValueError:
                refused += 1
    assert refused > 200


def every_path(plain, path=()):
    """The path of every part of plain JSON."""
    for name, part in plain.items() if isinstance(plain, dict) else enumerate(plain) if isinstance(plain, list) else ():
        yield (*path, name)
        yield from every_path(part, (*path, name))


@pytest.mark.parametrize("data", [None, "digits", tiny_data])
def test_a_scenario_is_checked_against_data(data):
    with pytest.raises(ValueError, match=says("data is", "a VerticalData")):
        SCENARIO.check(data)

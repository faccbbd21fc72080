"""Fields of records hold what their annotations say, or a message names the path, what is there and what must be."""

import dataclasses
import functools
import json
import math
import re

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
KEY = jax.random.key(0)


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


class LoudByDefault(ActiveTransform):
    """Its default is none that it may have."""

    strength: float = "loud"


def poison(**fields):
    return {"poison": SCENARIO.poison.replace(**fields)}


def flagged(**fields):
    return {"defense": Flagged(**fields)}


WRONG = {
    "an attack as a defense": (
        lambda: {"defense": GradientReplacement()},
        ("Scenario.defense is GradientReplacement", "must be an ActiveTransform"),
    ),
    "a defense as an attack": (
        lambda: {"attacks": (PartyTransform(), Clipping())},
        ("Scenario.attacks.1 is Clipping", "PartyTransform"),
    ),
    "a list of defenses": (
        lambda: {"defense": [Clipping(), GaussianNoise()]},
        ("Scenario.defense is (Clipping", "must be an ActiveTransform", "chain"),
    ),
    "a class": (
        lambda: {"defense": GaussianNoise},
        ("Scenario.defense is", "must be an ActiveTransform", "GaussianNoise()"),
    ),
    "nothing": (lambda: {"loss": None}, ("Scenario.loss is None", "must be a Loss")),
    "no list": (lambda: {"attacks": None}, ("Scenario.attacks is None", "must be a list", "a PartyTransform")),
    "one for a list": (lambda: {"bottoms": MLP(width=3)}, ("Scenario.bottoms is MLP", "must be a list", "a Bottom")),
    "optax": (lambda: {"head_optimizer": optax.sgd(0.1)}, ("Scenario.head_optimizer is", "must be an Optimizer")),
    "optax of a party": (
        lambda: {"optimizers": (Optimizer(), optax.adam(0.1))},
        ("Scenario.optimizers.1 is", "must be an Optimizer"),
    ),
    "flax": (lambda: {"head": SumHead}, ("Scenario.head is", "must be a Head", "SumHead()")),
    "text for a number": (
        lambda: {"attacks": (PartyTransform(), GradientReplacement(amplify="10"))},
        ("GradientReplacement.amplify is '10'", "must be a number"),
    ),
    "a truth value for a number": (
        lambda: {"attacks": (PartyTransform(), GradientReplacement(amplify=True))},
        ("GradientReplacement.amplify is True", "must be a number", "Write 1"),
    ),
    "none for a number": (
        lambda: {"defense": GaussianNoise(stddev=None)},
        ("GaussianNoise.stddev is None", "must be a number"),
    ),
    "a list for a number": (
        lambda: {"defense": GaussianNoise(stddev=[0.1])},
        ("GaussianNoise.stddev is (0.1,)", "must be a number"),
    ),
    "an imaginary number": (
        lambda: {"defense": GaussianNoise(stddev=1j)},
        ("GaussianNoise.stddev is 1j", "must be a number"),
    ),
    "texts for numbers": (
        lambda: {"defense": GaussianNoise(stddev=np.array(["a"]))},
        ("GaussianNoise.stddev", "must be a number"),
    ),
    "within a chain": (
        lambda: {"defense": ActiveChain(parts=(Clipping(), GaussianNoise(stddev="0")))},
        ("GaussianNoise.stddev is '0'", "must be a number"),
    ),
    "an attack in a chain of defenses": (
        lambda: {"defense": ActiveChain(parts=(GradientReplacement(),))},
        ("ActiveChain.parts.0 is GradientReplacement", "ActiveTransform"),
    ),
    "half a class": (lambda: poison(target_class=0.5), ("PoisonPlan.target_class is 0.5", "whole number")),
    "a class as a float": (
        lambda: poison(target_class=1.0),
        ("PoisonPlan.target_class is 1.0", "whole number", "Write 1."),
    ),
    "a class as a truth value": (lambda: poison(target_class=True), ("PoisonPlan.target_class is True", "Write 1.")),
    "a class by its name": (lambda: poison(target_class="1"), ("PoisonPlan.target_class is '1'", "whole number")),
    "ids in a set": (
        lambda: poison(poison_ids={1, 2}),
        ("PoisonPlan.poison_ids is {1, 2}", "a list", "whole number", "or None"),
    ),
    "ids as floats": (lambda: poison(poison_ids=[1.0]), ("PoisonPlan.poison_ids", "1.0", "whole number")),
    "no trigger": (lambda: poison(trigger=None), ("PoisonPlan.trigger is None", "a Trigger")),
    "a party by name": (
        lambda: poison(trigger=PixelTrigger(pixels=((3, 3),), party="lower")),
        ("PixelTrigger.party is 'lower'", "a whole number or None"),
    ),
    "pixels not in pairs": (
        lambda: poison(trigger=PixelTrigger(pixels=((3, 3, 1),))),
        ("PixelTrigger.pixels.0 has 3 entries", "must have 2"),
    ),
    "pixels flat": (lambda: poison(trigger=PixelTrigger(pixels=(3, 3))), ("PixelTrigger.pixels.0 is 3", "a list")),
    "text for a truth value": (lambda: flagged(is_loud="no"), ("Flagged.is_loud is 'no'", "True or False")),
    "a number for a truth value": (lambda: flagged(is_loud=1), ("Flagged.is_loud is 1", "True or False")),
    "a number for a text": (lambda: flagged(label=3), ("Flagged.label is 3", "a text")),
    "a text among numbers": (lambda: flagged(levels=(0.1, "x")), ("Flagged.levels.1 is 'x'", "a number")),
    "a number among texts": (lambda: flagged(names=["a", 1]), ("Flagged.names.1 is 1", "a text")),
    "a text for texts": (lambda: flagged(names="ab"), ("Flagged.names is 'ab'", "a list")),
    "half a time": (lambda: flagged(times=0.5), ("Flagged.times is 0.5", "whole number")),
    "an attack inside": (
        lambda: flagged(inner=GradientReplacement()),
        ("Flagged.inner is", "an ActiveTransform or None"),
    ),
    "a wrong number inside": (
        lambda: flagged(inner=GaussianNoise(stddev="a")),
        ("GaussianNoise.stddev is 'a'", "a number"),
    ),
    "too large": (lambda: {"batches": BatchPlan(size=10**400)}, ("BatchPlan.size is 1000", "…", "64 bits")),
    "far too large to be shown": (
        lambda: {"batches": BatchPlan(size=10**5000)},
        ("BatchPlan.size is of type int", "64 bits"),
    ),
    "text for a truth value of the package": (
        lambda: {"bottoms": (MLP(output_relu="no"),) * 2},
        ("MLP.output_relu is 'no'", "must be True or False"),
    ),
    "optax for a regulariser": (
        lambda: {"regularizer": optax.add_decayed_weights(0.1)},
        ("Scenario.regularizer is", "must be a Regularizer"),
    ),
    "an array of truth values": (
        lambda: {"defense": GaussianNoise(stddev=np.array([True]))},
        ("GaussianNoise.stddev is array([ True])", "must be a number"),
    ),
    "a size as a truth value": (lambda: {"batches": BatchPlan(size=True)}, ("BatchPlan.size is True", "Write 1.")),
    "a size as a text": (lambda: {"batches": BatchPlan(size="16")}, ("BatchPlan.size is '16'", "a whole number")),
    "a size as a float": (lambda: {"batches": BatchPlan(size=16.0)}, ("BatchPlan.size is 16.0", "Write 16.")),
    "no order": (lambda: {"batches": BatchPlan(order=None)}, ("BatchPlan.order is None", "'shuffled'")),
    "an order in an array": (lambda: {"batches": BatchPlan(order=np.array(["file"]))}, ("BatchPlan.order", "'file'")),
    "no widths": (lambda: {"bottoms": (MLP(hidden=None),)}, ("MLP.hidden is None", "a list", "a whole number")),
    "a width for widths": (lambda: {"bottoms": (MLP(hidden=32),)}, ("MLP.hidden is 32", "a list")),
    "a width as a text": (lambda: {"bottoms": (MLP(hidden=("a",)),)}, ("MLP.hidden.0 is 'a'", "a whole number")),
    "widths in a set": (lambda: {"head": DenseHead(hidden={8})}, ("DenseHead.hidden is {8}", "a list")),
    "a default": (lambda: {"defense": LoudByDefault()}, ("LoudByDefault.strength is 'loud'", "must be a number")),
}


@pytest.mark.parametrize("name", WRONG)
def test_fields_of_wrong_kinds_are_refused_when_a_record_is_made(name):
    make, message = WRONG[name]
    with pytest.raises(ValueError, match=says(*message)) as found:
        SCENARIO.replace(**make())
    assert str(found.value).startswith(message[0])


class Filled(Record):
    """Fields with a default of their own for each record, and one that is not given."""

    level: float = dataclasses.field(default_factory=lambda: 2.0)
    wrong: float = dataclasses.field(default_factory=lambda: 2.0)
    steps: int = dataclasses.field(default=3, init=False)


def test_defaults_that_are_made_are_checked_too():
    assert (Filled().level, Filled(level=4.0).level, Filled().steps) == (2.0, 4.0, 3)

    class Misfilled(Filled):
        wrong: float = dataclasses.field(default_factory=list)

    with pytest.raises(ValueError, match=says("Misfilled.wrong is ()", "must be a number")):
        Misfilled()


class Compares(ActiveTransform):
    """Its own check expects a number."""

    level: float = 0.0

    def __post_init__(self):
        assert self.level >= 0


def test_kinds_are_checked_before_a_record_s_own_check_sees_them():
    with pytest.raises(ValueError, match=r"Compares\.level is 'high'; it must be a number"):
        Compares(level="high")
    with pytest.raises(AssertionError):
        Compares(level=-1.0)


@pytest.mark.parametrize(
    ("path", "leaf"), [("attacks.1.amplify", "10"), ("defense.parts.1.stddev", None), ("poison.rate", True)]
)
def test_what_jax_has_put_into_a_scenario_is_refused_by_its_path_when_it_is_used(path, leaf):
    chain = SCENARIO.replace(defense=ActiveChain(parts=(Clipping(), GaussianNoise())))
    leaves, structure = jax.tree.flatten(chain)
    order = jax.tree.leaves(jax.tree_util.tree_map_with_path(lambda where, _: named(where), chain))
    changed = jax.tree.unflatten(structure, [leaf if n == path else v for n, v in zip(order, leaves, strict=True)])
    found = f"{path} is {leaf!r}; it must be a number"
    uses = (lambda: changed.check(DATA), lambda: numbers(changed), changed.to_json, lambda: run(changed, DATA, KEY, 1))
    for use in uses:
        with pytest.raises(ValueError, match=rf"^(Scenario\.)?{re.escape(found)}"):
            use()


def named(path):
    """The path of a leaf as scenarios name it."""
    return ".".join(str(getattr(part, "name", getattr(part, "idx", ""))) for part in path)


@pytest.mark.parametrize("seed", [2**32, -1])
def test_some_numbers_are_refused_when_a_record_is_made(seed):
    with pytest.raises(ValueError, match=says(f"poison.fixed_seed is {seed}", "[0, ")):
        PoisonPlan(fixed_seed=seed)


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


class Unknown(Record):
    """Its annotation names nothing that there is."""

    inner: "NowhereToBeFound" = None  # noqa: F821


def test_an_annotation_that_nothing_resolves_is_refused_at_the_first_use():
    with pytest.raises(ValueError, match=says("Unknown has an annotation", "test_fields", "NowhereToBeFound")):
        Unknown()


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

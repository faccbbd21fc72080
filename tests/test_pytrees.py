"""Records obey the laws of pytrees: JAX may put anything in the place of their leaves, and nothing is checked then."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import tiny_scenario

from vfl_jax.attacks import GradientReplacement
from vfl_jax.core.record import Record, cast, kinds, numbers
from vfl_jax.data import FeatureTrigger, PixelTrigger
from vfl_jax.defenses import Clipping, GaussianNoise
from vfl_jax.protocol.chains import ActiveChain
from vfl_jax.protocol.transforms import ActiveTransform

CHAIN = ActiveChain(parts=(Clipping(bound=2.0), GaussianNoise(stddev=0.1)))
SCENARIO = tiny_scenario(defense=CHAIN)
NEEDED = {"FeatureTrigger": {"party": 0, "index": 0}, "PixelTrigger": {"pixels": ((0, 0),)}}


ANYTHING = {
    "shapes": lambda leaf: jax.ShapeDtypeStruct((3,), jnp.float32),
    "texts": str,
    "nothing": lambda _: None,
    "objects": lambda _: object(),
    "truth values": lambda _: True,
    "numbers out of range": lambda _: -5.0,
    "lists": lambda _: [1, "x"],
    "records": lambda _: GaussianNoise(),
    "types": type,
}


@pytest.mark.parametrize("name", ANYTHING)
def test_a_scenario_is_mapped_with_any_function(name):
    mapped = jax.tree.map(ANYTHING[name], SCENARIO)
    assert type(mapped) is type(SCENARIO)
    assert type(mapped.defense.parts[0]) is Clipping
    expected = [ANYTHING[name](leaf) for leaf in jax.tree.leaves(SCENARIO)]
    found = [mapped.attacks[1].amplify, mapped.defense.parts[0].bound]
    kind = type(expected[0])
    assert all(type(leaf) is kind for leaf in found)
    assert mapped.batches.size == SCENARIO.batches.size


def of_every_kind():
    found = {name: kind for name, kind in kinds(Record).items() if kind.__module__.startswith("vfl_jax.")}
    return [kind(**NEEDED.get(name, {})) for name, kind in found.items()] + [SCENARIO]


def test_what_is_taken_apart_is_put_together_and_the_other_way_round():
    """The two laws of flatten and unflatten: each undoes the other, whatever the leaves are."""
    for record in of_every_kind():
        leaves, structure = jax.tree.flatten(record)
        assert jax.tree.unflatten(structure, leaves) == record
        marks = [object() for _ in leaves]
        again, same = jax.tree.flatten(jax.tree.unflatten(structure, marks))
        assert len(again) == len(marks)
        assert all(found is mark for found, mark in zip(again, marks, strict=True))
        assert same == structure
        assert hash(same) == hash(structure)


def test_jax_initialises_no_record():
    counted = []

    class Checking(Record):
        level: float = 1.0

        def __post_init__(self):
            counted.append(self.level)

    record = Checking(level=2.0)
    jax.tree.map(lambda leaf: leaf + 1, record)
    jax.jit(lambda r: r)(record)
    jax.vmap(lambda r: r.level)(Checking(level=np.ones(3, np.float32)))
    assert [float(np.ravel(level)[0]) for level in counted] == [2.0, 1.0]


def test_records_go_through_eval_shape_vmap_and_grad():
    scenario = cast(SCENARIO)
    shapes = jax.eval_shape(lambda s: s, scenario)
    assert shapes.defense.parts[1].stddev == jax.ShapeDtypeStruct((), jnp.float32)
    assert jax.tree.structure(shapes) == jax.tree.structure(scenario)
    # Axes are a tree of the same form, so None and numbers stand where numbers of other meaning do.
    stacked = scenario.replace(defense=cast(GaussianNoise(stddev=np.arange(3))))
    axes = jax.tree.map(lambda leaf: 0 if np.ndim(leaf) else None, stacked)
    levels = jax.vmap(lambda s: s.defense.stddev + s.poison.rate, in_axes=(axes,))(stacked)
    np.testing.assert_allclose(levels, np.arange(3) + SCENARIO.poison.rate, rtol=1e-6)
    slope = jax.grad(lambda s: 3.0 * s.defense.parts[1].stddev)(jax.tree.map(jnp.asarray, scenario))
    assert float(slope.defense.parts[1].stddev) == 3.0
    assert float(slope.poison.rate) == 0.0


def test_a_transpose_of_records_is_a_record():
    inner = jax.tree.structure((0, 0))
    pairs = jax.tree.map(lambda leaf: (leaf, str(leaf)), CHAIN)
    plain, texts = jax.tree.transpose(jax.tree.structure(CHAIN), inner, pairs)
    assert plain == CHAIN
    assert texts.parts[0].bound == "2.0"


def test_leaves_are_named_by_their_paths():
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(CHAIN)]
    assert paths == [".parts[0].bound", ".parts[1].stddev", ".parts[1].variance"]
    assert list(numbers(CHAIN)) == ["parts.0.bound", "parts.1.stddev", "parts.1.variance"]


@pytest.mark.parametrize("record", [SCENARIO, FeatureTrigger(party=1, index=2), PixelTrigger(pixels=((1, 2),))])
def test_records_are_copied_and_pickled(record):
    for other in (copy.copy(record), copy.deepcopy(record), pickle.loads(pickle.dumps(record))):
        assert other == record


def test_a_record_made_by_jax_is_replaced_like_any_other():
    mapped = jax.tree.map(lambda leaf: leaf, GradientReplacement(amplify=2.0))
    assert mapped.replace(amplify=3.0) == GradientReplacement(amplify=3.0)
    assert isinstance(jax.tree.map(lambda leaf: leaf, ActiveTransform()), ActiveTransform)

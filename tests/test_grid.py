"""Grids: which numbers a name stands for, what is refused before anything is trained, and the order of points."""

import functools
import importlib
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import NUM_CLASSES, properties, says, tiny_data, tiny_scenario
from hypothesis import given
from hypothesis import strategies as st

import vfl_jax as vfl
from vfl_jax.attacks import ActivationBlurring, ActiveBackdoor, GradientReplacement
from vfl_jax.core.record import numbers
from vfl_jax.data import NaturalTrigger
from vfl_jax.defenses import Clipping, GaussianNoise, LaplaceNoise, Sparsification
from vfl_jax.models import MLP, DenseHead
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.chains import ActiveChain, PartyChain
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.replica.draws import Given
from vfl_jax.sweeps import programs
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.grid import Grid, parse, resolve
from vfl_jax.sweeps.grid_axis import state_axes
from vfl_jax.sweeps.prepared import prepare
from vfl_jax.sweeps.study import Study
from vfl_jax.sweeps.sweep import sweep


class Jitter(vfl.ActiveAttack):
    """Test only: an attack by the active party with a number of its own."""

    stddev: float = 0.0


class Kept(vfl.Record):
    """Test only: a record in a method, with a switch that is the method's own business."""

    enabled: float = 1.0
    level: float = 0.0


class Careful(PartyTransform):
    """Test only: a party's own defense."""

    kept: Kept = Kept()
    level: float = 0.0


class Loud(vfl.Attack):
    """Test only: an attack with another attack, and a record, in its fields."""

    inner: GradientReplacement = GradientReplacement()
    kept: Kept = Kept()


PLAIN = tiny_scenario()
CHAIN = tiny_scenario(
    attacks=(PartyTransform(), PartyChain(parts=(ActivationBlurring(kind="gaussian"), GradientReplacement()))),
    active_attack=ActiveBackdoor(),
    defense=ActiveChain(parts=(Clipping(), GaussianNoise(), Sparsification())),
)
TWO_ATTACKERS = tiny_scenario(num_parties=3, attacks=(PartyTransform(), *(GradientReplacement(),) * 2))
TWICE = tiny_scenario(
    attacks=(PartyTransform(), PartyChain(parts=(GradientReplacement(), GradientReplacement()))),
    active_attack=ActiveChain(parts=(Jitter(), Jitter())),
    defense=ActiveChain(parts=(GaussianNoise(), LaplaceNoise(), GaussianNoise())),
)

MIXED = tiny_scenario(attacks=(Careful(), PartyChain(parts=(Careful(), Loud()))))
DEFENDED = tiny_scenario(attacks=(PartyTransform(), Careful()))

RESOLVED = [
    (PLAIN, "attacks.1.amplify", ("attacks.1.amplify",)),
    (PLAIN, "attack.amplify", ("attacks.1.amplify",)),
    (PLAIN, "poison.rate", ("poison.rate",)),
    (PLAIN, "poison.trigger.value", ("poison.trigger.value",)),
    (PLAIN, "regularizer.strength", ("regularizer.strength",)),
    (PLAIN, "optimizers.0.learning_rate", ("optimizers.0.learning_rate",)),
    (
        PLAIN,
        "learning_rate",
        ("head_optimizer.learning_rate", "optimizers.0.learning_rate", "optimizers.1.learning_rate"),
    ),
    (
        PLAIN,
        "weight_decay",
        ("head_optimizer.weight_decay", "optimizers.0.weight_decay", "optimizers.1.weight_decay"),
    ),
    (CHAIN, "attack.amplify", ("attacks.1.parts.1.amplify",)),
    (CHAIN, "attack.stddev", ("attacks.1.parts.0.stddev",)),
    (CHAIN, "attack.enabled", ("active_attack.enabled", "attacks.1.parts.0.enabled", "attacks.1.parts.1.enabled")),
    (CHAIN, "defense.stddev", ("defense.parts.1.stddev",)),
    (CHAIN, "defense.drop_rate", ("defense.parts.2.drop_rate",)),
    (TWO_ATTACKERS, "attack.amplify", ("attacks.1.amplify", "attacks.2.amplify")),
    (MIXED, "attack.enabled", ("attacks.1.parts.1.enabled",)),
    (MIXED, "attack.amplify", ("attacks.1.parts.1.inner.amplify",)),
    (MIXED, "attack.level", ("attacks.1.parts.1.kept.level",)),
    (MIXED, "attacks.0.kept.enabled", ("attacks.0.kept.enabled",)),
    (
        TWICE,
        "attack.enabled",
        (
            "active_attack.parts.0.enabled",
            "active_attack.parts.1.enabled",
            "attacks.1.parts.0.enabled",
            "attacks.1.parts.1.enabled",
        ),
    ),
    (TWICE, "defense.scale", ("defense.parts.1.scale",)),
]


@pytest.mark.parametrize(("scenario", "name", "paths"), RESOLVED)
def test_a_name_stands_for_these_paths(scenario, name, paths):
    assert tuple(sorted(resolve(scenario, name))) == paths


def test_every_exact_path_stands_for_itself():
    for path in numbers(CHAIN):
        assert resolve(CHAIN, path) == (path,)


UNRESOLVED = [
    (PLAIN, "attack.amplifi", ("'attack.amplifi'", "does not have", "attacks.1.amplify")),
    (PLAIN, "learning_rat", ("'learning_rat'", "does not have", "optimizers.0.learning_rate")),
    (PLAIN, "attacks.0.amplify", ("'attacks.0.amplify'", "does not have", "attacks.1.amplify")),
    (PLAIN, "defense.stddev", ("'defense.stddev'", "does not have")),
    (PLAIN, "zzz", ("'zzz'", "does not have", "It has", "poison.rate")),
    (PLAIN, "", ("''", "does not have")),
    (PLAIN, "batches.size", ("'batches.size'", "structure", "one sweep for each")),
    (PLAIN, "bottoms.0.hidden", ("'bottoms.0.hidden'", "structure")),
    (PLAIN, "defense", ("'defense'", "structure")),
    (TWICE, "defense.stddev", ("'defense.stddev'", "defense.parts.0.stddev", "defense.parts.2.stddev", "one of these")),
    (TWICE, "defense.variance", ("'defense.variance'", "defense.parts.1.variance", "one of these")),
    (TWICE, "attack.amplify", ("'attack.amplify'", "attacks.1.parts.0.amplify", "attacks.1.parts.1.amplify", "exact")),
    (DEFENDED, "attack.enabled", ("'attack.enabled'", "nobody attacks", "vfl_jax.Attack", "vfl_jax.ActiveAttack")),
    (DEFENDED, "attack.level", ("'attack.level'", "does not have", "attacks.1.level")),
    (TWICE, "attack.stddev", ("'attack.stddev'", "active_attack.parts.0.stddev", "active_attack.parts.1.stddev")),
]


@pytest.mark.parametrize(("scenario", "name", "message"), UNRESOLVED)
def test_unknown_and_ambiguous_names_are_refused(scenario, name, message):
    with pytest.raises(ValueError, match=says("over names", *message)):
        resolve(scenario, name)


BAD_OVER = {
    "unknown": ({"attack.gamma": [1]}, ("'attack.gamma'", "does not have")),
    "twice, by a short form": (
        {"attacks.1.amplify": [1, 2], "attack.amplify": [3]},
        ("'attacks.1.amplify' twice", "as 'attacks.1.amplify' and as 'attack.amplify'"),
    ),
    "twice, within an axis": (
        {("learning_rate", "optimizers.0.learning_rate"): [(1, 2)]},
        ("'optimizers.0.learning_rate' twice",),
    ),
    "no dict": ([("attack.amplify", [1])], ("over is [('attack.amplify'", "a dict of paths")),
    "a path alone": ("attack.amplify", ("over is 'attack.amplify'", "a dict of paths")),
    "a number for a path": ({3: [1]}, ("over names 3", "a text, or a tuple of paths")),
    "a number among paths": ({("attack.amplify", 3): [(1, 2)]}, ("over names ('attack.amplify', 3)", "a text")),
    "no path": ({(): [()]}, ("over names ()", "a text, or a tuple of paths")),
    "a set": ({"attack.amplify": {1, 2}}, ("'attack.amplify'", "{1, 2}", "a list of values")),
    "values by name": ({"attack.amplify": {"low": 1}}, ("'attack.amplify'", "a list of values")),
    "used up once": ({"attack.amplify": iter([1, 2])}, ("'attack.amplify'", "a list of values")),
    "a value twice": ({"attack.amplify": [1, 2, 1]}, ("over['attack.amplify'] has 1 twice",)),
    "a value twice, in another form": ({"attack.amplify": [1, np.float32(1)]}, ("'attack.amplify'", "twice")),
    "a value twice, as float32": ({"attack.amplify": [0.1, 0.1 + 1e-12]}, ("'attack.amplify'", "twice", "float32")),
    "whole numbers, one as float32": ({"attack.amplify": [16777216, 16777217]}, ("has 16777217 twice", "float32")),
    "an entry twice, as float32": (
        {("attack.amplify", "learning_rate"): [(2**30, 0.1), (2**30 + 1, 0.1)]},
        ("(1073741825, 0.1) twice", "float32"),
    ),
    "an entry twice": ({("attack.amplify", "learning_rate"): [(1, 0.1), [1, 0.1]]}, ("[1, 0.1] twice",)),
    "far too large": ({"attack.amplify": [10**400]}, ("amplify is 1000", "64 bits")),
    "empty": ({"attack.amplify": []}, ("'attack.amplify'", "is empty", "at least one value")),
    "no list": ({"attack.amplify": 10}, ("'attack.amplify'", "is 10", "a list of values")),
    "a string for a list": ({"attack.amplify": "10"}, ("'attack.amplify'", "'10'", "a list of values")),
    "string": ({"attack.amplify": ["10"]}, ("'attack.amplify'", "'10'", "must be a number")),
    "none": ({"attack.amplify": [None]}, ("'attack.amplify'", "None", "must be a number")),
    "bool": ({"attack.enabled": [False, True]}, ("'attack.enabled'", "False", "must be a number")),
    "complex": ({"attack.amplify": [1j]}, ("'attack.amplify'", "1j", "must be a number")),
    "nested": ({"attack.amplify": [[1, 2], [3, 4]]}, ("'attack.amplify'", "[1, 2]", "must be a number")),
    "nan": ({"attack.amplify": [1, float("nan")]}, ("GradientReplacement.amplify", "nan")),
    "nan without a range": ({"poison.trigger.value": [float("nan")]}, ("PixelTrigger.value", "NaN")),
    "too large": ({"attack.amplify": [1e39]}, ("GradientReplacement.amplify", "1e+39", "float32")),
    "out of range": ({"poison.rate": [0.1, 1.5]}, ("poison.rate", "1.5", "[0, 1]")),
    "out of range, one of the product": (
        {"attack.amplify": [1, 2], "learning_rate": [0.1, -0.1]},
        ("optimizer.learning_rate", "-0.1", "at least 0"),
    ),
    "zip too short": ({("attack.amplify", "learning_rate"): [(1, 0.1), (2,)]}, ("entry of 1 values", "2 paths")),
    "zip no tuples": ({("attack.amplify", "learning_rate"): [1, 2]}, ("entry of 1 values", "2 paths")),
    "zip of a string": ({("attack.amplify", "learning_rate"): [(1, "a")]}, ("'a'", "must be a number")),
}


@pytest.mark.parametrize("name", BAD_OVER)
def test_bad_grids_are_refused(name):
    over, message = BAD_OVER[name]
    with pytest.raises(ValueError, match=says(*message)):
        parse(PLAIN, over)


@pytest.mark.parametrize(
    ("plan", "path", "message"),
    [
        ({"poison_ids": (1, 2)}, "poison.rate", ("'poison.rate'", "poison.poison_ids", "no effect")),
        ({"poison_ids": ()}, "poison.rate", ("'poison.rate'", "poison.poison_ids", "no effect")),
        ({"test_poison_ids": (1,)}, "poison.test_rate", ("'poison.test_rate'", "poison.test_poison_ids", "no effect")),
        ({"trigger": NaturalTrigger()}, "poison.rate", ("'poison.rate'", "NaturalTrigger", "no effect")),
    ],
)
def test_a_rate_without_effect_is_refused(plan, path, message):
    scenario = tiny_scenario(plan=plan)
    with pytest.raises(ValueError, match=says(*message)):
        parse(scenario, {path: [0.1, 0.2]})
    parse(scenario, {"attack.amplify": [1, 2]})


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({"defense.drop_rate": [0.5, 1.5]}, ("Sparsification.drop_rate", "1.5", "[0, 1]")),
        ({"poison.rate": [0.1, 1.0]}, ("poison.rate", "asks for 30 poison rows", "at most 29")),
        ({"nothing": [1]}, ("'nothing'",)),
    ],
)
def test_a_bad_grid_ends_a_sweep_before_training(monkeypatch, over, message):
    # The package's own name ``sweep`` is the function, so the module comes from the import system.
    module = importlib.import_module("vfl_jax.sweeps.sweep")
    monkeypatch.setattr(module, "_plan", lambda *_: pytest.fail("the sweep began"))
    scenario = tiny_scenario(defense=Sparsification())
    with pytest.raises(ValueError, match=says(*message)):
        sweep(scenario, tiny_data(), over, seeds=1, epochs=1, progress=False)


def test_the_last_axis_is_the_fastest():
    grid = parse(PLAIN, {"attack.amplify": [1, 10], "attack.enabled": (0, 1), "poison.rate": np.array([0.1, 0.2, 0.3])})
    assert grid.shape == (2, 2, 3)
    assert grid.size == 12
    found = [tuple(point.values()) for point in grid.points()]
    assert found == list(itertools.product([1, 10], [0, 1], [0.1, 0.2, 0.3]))
    assert list(grid.points()[0]) == ["attacks.1.amplify", "attacks.1.enabled", "poison.rate"]


def test_a_short_form_sets_all_it_stands_for():
    for point, scenario in zip((0, 1), parse(CHAIN, {"attack.enabled": [0, 1]}).scenarios(CHAIN), strict=True):
        set_to = {path: value for path, value in numbers(scenario).items() if path.endswith("enabled")}
        assert set_to == dict.fromkeys(
            ("active_attack.enabled", "attacks.1.parts.0.enabled", "attacks.1.parts.1.enabled"), point
        )


def test_zipped_axes_go_together():
    over = {("attack.amplify", "learning_rate"): [(1, 0.1), [10, 0.2]], "attack.enabled": [0, 1]}
    grid = parse(PLAIN, over)
    assert grid.shape == (2, 2)
    seen = [(p["attacks.1.amplify"], p["head_optimizer.learning_rate"], p["attacks.1.enabled"]) for p in grid.points()]
    assert seen == [(1, 0.1, 0), (1, 0.1, 1), (10, 0.2, 0), (10, 0.2, 1)]
    coordinates = grid.coordinates()
    assert {name: dimension for name, (dimension, _) in coordinates.items()} == {
        "attack.amplify": "attack.amplify+learning_rate",
        "learning_rate": "attack.amplify+learning_rate",
        "attack.enabled": "attack.enabled",
    }
    np.testing.assert_array_equal(coordinates["learning_rate"][1], [0.1, 0.2])
    np.testing.assert_array_equal(coordinates["attack.amplify"][1], [1, 10])


def test_swept_coordinates_are_the_shortest_decimals():
    """So that ``.sel`` by 0.1 finds 0.1, however it was given."""
    forms = np.linspace(0, 1, 11)[[1, 3]], np.array([0.1, 0.3], np.float32), [np.longdouble("0.1"), 0.1 + 0.2]
    forms = (*forms, [np.float16(0.5), jnp.float32(0.1)], jnp.array([0.1, 0.3]))
    for values in forms:
        grid = parse(PLAIN, {"learning_rate": values})
        expected = [0.5, 0.1] if len(values) and values[0] == 0.5 else [0.1, 0.3]
        (_, found) = grid.coordinates()["learning_rate"]
        assert found.dtype == np.float64
        assert found.tolist() == expected
        assert all(type(number) is float for (number,) in grid.axes[0].values)
    whole, _ = parse(PLAIN, {"attack.amplify": np.array([1, 10], np.int8), "learning_rate": [1]}).axes
    assert whole.values == ((1,), (10,))
    large = parse(PLAIN, {"attack.amplify": [16777216, 33554433, 10**11]}).axes[0].values
    assert large == ((16777216,), (33554432,), (10**11,))  # as float32 has them, in its shortest decimals
    assert all(type(number) is int for (number,) in large)
    results = sweep(PLAIN, tiny_data(), {"learning_rate": np.array([0.1, 0.3], np.float32)}, 1, 1, progress=False)
    assert results.sel(learning_rate=0.3).is_finite.all()


def test_infinite_and_negative_numbers_are_swept_as_they_are():
    grid = parse(CHAIN, {"defense.bound": [np.inf, 2], "attack.amplify": [-0.1, -0.0]})
    assert grid.axes[0].values == ((np.inf,), (2,))
    assert [str(value) for (value,) in grid.axes[1].values] == ["-0.1", "0.0"]


def test_messages_name_where_the_grid_was_given():
    for over in ({"attack.gamma": [1]}, {"attack.amplify": 3}, {"attack.amplify": [1, 1]}, 3):
        with pytest.raises(ValueError, match=r"^--over"):
            parse(PLAIN, over, "--over")
    with pytest.raises(ValueError, match=r"^--set names"):
        resolve(PLAIN, "attack.gamma", "--set")


def test_no_axes_are_one_point():
    grid = parse(PLAIN, {})
    assert (grid.shape, grid.size, grid.points(), grid.coordinates()) == ((), 1, [{}], {})
    assert grid.scenarios(PLAIN) == [PLAIN]
    assert parse(PLAIN, {}) == Grid(())


def test_weights_have_the_grid_beside_their_outputs_and_all_else_in_front():
    """So that one batch meets the weights of all grid points in one product; in front, it costs a quarter more time."""
    scenario = CHAIN.replace(
        bottoms=(MLP(hidden=(5,), width=NUM_CLASSES),) * 2,
        head=DenseHead(hidden=(7,)),
        optimizers=(Optimizer(kind="momentum"), Optimizer(kind="adam")),
    )
    points = parse(scenario, {"attack.amplify": [1, 2, 3, 4]}).points()
    study, chunk = Study(scenario, tiny_data(), 1, Given()), Chunk(tuple(points), (0, 1))
    given = prepare(study, chunk).arguments
    static, arguments = given[:2], given[2:]
    state = jax.eval_shape(functools.partial(programs.init, *static), *arguments, study.given)
    with jax.numpy_dtype_promotion("standard"):  # Adam's count is a whole number
        after, *_ = jax.eval_shape(functools.partial(programs.train_epoch, *static), *arguments, state, jnp.int32(0))
    seeds, grid = 2, 4
    for found in (state, after):
        momentum, adam = (found.opt_states[k][1] for k in (0, 1))
        for tree in (found.params[0], momentum[0].trace, adam[0].mu, adam[0].nu):
            assert tree["dense_0"]["kernel"].shape == (seeds, 8, grid, 5)
            assert tree["dense_0"]["bias"].shape == (seeds, grid, 5)
            assert tree["dense_1"]["kernel"].shape == (seeds, 5, grid, NUM_CLASSES)
        assert found.head_params["dense_1"]["kernel"].shape == (seeds, 7, grid, NUM_CLASSES)
        assert adam[0].count.shape == (seeds, grid)
        others = jax.tree.leaves((found.attack_states, found.active_attack_state, found.defense_state))
        assert others
        assert all(leaf.shape[:2] == (seeds, grid) for leaf in others)
    one_seed = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), state)
    axes = state_axes(one_seed, with_grid=True)
    assert axes.params[0]["dense_0"] == {"kernel": 1, "bias": 0}
    alone = jax.tree.map(lambda leaf, axis: np.empty(np.delete(leaf.shape, axis).astype(int)), one_seed, axes)
    assert jax.tree.leaves(state_axes(alone, with_grid=False)) == jax.tree.leaves(axes)


amounts = st.lists(st.floats(0, 100, width=32), min_size=1, max_size=3, unique=True)
axes = st.fixed_dictionaries(
    {},
    optional={"attack.amplify": amounts, "learning_rate": amounts, "defense.stddev": amounts, "defense.bound": amounts},
)


@properties
@given(axes)
def test_every_point_alone_is_its_entry_of_the_stacked_scenario(over):
    grid = parse(CHAIN, over)
    scenarios, stacked = grid.scenarios(CHAIN), numbers(grid.stacked(CHAIN))
    assert len(scenarios) == grid.size == int(np.prod([len(values) for values in over.values()]))
    swept = {path for name in over for path in resolve(CHAIN, name)}
    of_points = [numbers(scenario) for scenario in scenarios]
    for path, values in stacked.items():
        assert values.dtype == np.float32
        assert values.shape == ((grid.size,) if path in swept else ())
        alone = np.array([of_point[path] for of_point in of_points], np.float32)
        np.testing.assert_array_equal(np.broadcast_to(values, alone.shape), alone)

"""Configuration as data: canonical JSON, equality, paths, casting."""

import dataclasses
import importlib
import json
import math
import re
import tomllib
from pathlib import Path

import h5py
import jax
import numpy as np
import pytest
from data_helpers import properties, says, tiny_scenario
from experiment_helpers import told_scenarios
from hypothesis import given
from hypothesis import strategies as st

from vfl_jax.attacks import ActivationBlurring, GradientReplacement
from vfl_jax.core.record import Record, cast, from_json, kinds, numbers, static, with_numbers
from vfl_jax.core.toml_text import from_toml, to_toml
from vfl_jax.data import FeatureTrigger, NaturalTrigger, PixelTrigger
from vfl_jax.defenses import Clipping, GaussianNoise, LaplaceNoise, Sparsification
from vfl_jax.models import CNN, MLP, DenseHead, Linear
from vfl_jax.models.losses import MulticlassHinge, Regularizer, SoftmaxCrossEntropy
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.presets import PRESETS, liu2020_code, liu2020_paper
from vfl_jax.protocol.chains import ActiveChain
from vfl_jax.protocol.transforms import ActiveTransform, PartyTransform
from vfl_jax.scenario import PoisonPlan, Scenario

ROOT = Path(__file__).parents[1]


class Counted(Record):
    """A kind with a whole number to sweep; the package itself has none so far."""

    steps: int = 3
    inner: ActiveTransform = ActiveTransform()
    names: tuple[str, ...] = static(default=())


SCENARIOS = {
    **{name: preset() for name, preset in PRESETS.items()},
    "four parties": liu2020_paper(num_parties=4),
    "paper-trainable": liu2020_paper(head="trainable"),
    "code-trainable": liu2020_code(head="trainable"),
    "chain": tiny_scenario(defense=ActiveChain(parts=(Clipping(bound=math.inf), GaussianNoise(stddev=0.1)))),
    "other kinds": tiny_scenario(
        bottoms=(CNN(width=3, channels=(4, 4)), Linear(width=3)),
        head=DenseHead(hidden=(5, 5)),
        loss=MulticlassHinge(margin=2, reduction="sum"),
        regularizer=Regularizer(penalty="l2", strength=1e-4),
        optimizers=(Optimizer(kind="adam"), Optimizer(kind="momentum", epoch_decay=0.97)),
        plan={"trigger": FeatureTrigger(party=1, index=-1), "poison_ids": (4, 2), "target_ids": (0,)},
    ),
    "empty": Scenario(),
}

floats = st.floats(min_value=0, width=32, allow_nan=False)
defenses = st.one_of(
    st.builds(GaussianNoise, stddev=floats, variance=floats),
    st.builds(LaplaceNoise, scale=floats),
    st.builds(Sparsification, drop_rate=st.floats(0, 1, width=32), residual=st.sampled_from(["position", "none"])),
    st.builds(Clipping, bound=floats, by=st.sampled_from(["value", "row_l2"])),
)


@pytest.mark.parametrize("name", SCENARIOS)
def test_json_round_trip(name):
    scenario = SCENARIOS[name]
    read = from_json(scenario.to_json())
    assert read == scenario
    assert read.to_json() == scenario.to_json()
    # The same program too: equal structure, so jit compiles nothing anew.
    assert jax.tree.structure(read) == jax.tree.structure(scenario)
    assert jax.tree.leaves(read) == jax.tree.leaves(scenario)


@properties
@given(st.lists(defenses, max_size=4).map(tuple))
def test_json_round_trip_of_any_chain(parts):
    chain = ActiveChain(parts=parts)
    read = from_json(chain.to_json())
    assert read == chain
    assert hash(read) == hash(chain)
    assert jax.tree.leaves(cast(read)) == jax.tree.leaves(cast(chain))


@properties
@given(st.lists(defenses, max_size=3).map(tuple), st.sampled_from(sorted(SCENARIOS)))
def test_toml_round_trip_of_any_scenario(parts, name):
    scenario = SCENARIOS[name].replace(defense=ActiveChain(parts=parts))
    text = to_toml(scenario)
    assert tomllib.loads(text)["record"] == "Scenario"
    assert from_toml(text) == scenario
    assert to_toml(from_toml(text)) == text


def test_json_is_sorted_strict_and_shortest():
    text = Clipping(bound=math.inf, by="value").to_json()
    assert text == '{"bound": "inf", "by": "value", "record": "Clipping"}'
    assert (
        GaussianNoise(stddev=np.float32(0.1)).to_json() == '{"record": "GaussianNoise", "stddev": 0.1, "variance": 0.0}'
    )
    json.loads(liu2020_code().to_json(), parse_constant=pytest.fail)  # no NaN or Infinity, which JSON does not know


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (GaussianNoise(stddev=0.1), GaussianNoise(stddev=np.float32(0.1))),
        (GaussianNoise(stddev=0.1), GaussianNoise(stddev=np.asarray(0.1, np.float32))),
        (GradientReplacement(amplify=10), GradientReplacement(amplify=10.0)),
        (GradientReplacement(amplify=0.0), GradientReplacement(amplify=-0.0)),
        (GradientReplacement(enabled=1), GradientReplacement(enabled=1.0)),
        (SoftmaxCrossEntropy(probability_clip=0), SoftmaxCrossEntropy(probability_clip=0.0)),
        (MLP(hidden=[8, 8]), MLP(hidden=(8, 8))),
        (PixelTrigger(pixels=[[1, 2]]), PixelTrigger(pixels=((1, 2),))),
        (PoisonPlan(target_class=np.int64(3)), PoisonPlan(target_class=3)),
        (tiny_scenario(optimizers=[Optimizer(), Optimizer()]), tiny_scenario(optimizers=(Optimizer(),) * 2)),
    ],
)
def test_equal_and_of_one_hash(first, second):
    assert first == second
    assert hash(first) == hash(second)
    assert cast(first) == cast(second)
    # Structure is compared by jit as it stands, so a list must have become a tuple.
    assert hash(jax.tree.structure(first)) == hash(jax.tree.structure(second))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (GaussianNoise(stddev=0.1), GaussianNoise(stddev=0.10001)),
        (GaussianNoise(stddev=0.1), GaussianNoise(variance=0.1)),
        (PartyTransform(), ActiveTransform()),
        (Optimizer(kind="sgd"), Optimizer(kind="adam")),
        (MLP(hidden=(8,)), MLP(hidden=(8, 8))),
        (GaussianNoise(), '{"record": "GaussianNoise", "stddev": 0.0, "variance": 0.0}'),
    ],
)
def test_not_equal(first, second):
    assert first != second


BASES = "Attack|ActiveAttack|PartyTransform|ActiveTransform|PartyChain|ActiveChain"


def import_own_methods():
    """Registers the methods that studies bring along."""
    for path in (ROOT / "experiments").rglob("*.py"):
        if re.search(rf"^class \w+\((vfl\.)?({BASES})\):", path.read_text(), re.M):
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


def is_kept(old, new):
    """Whether JSON holds all that older JSON held; fields may be new."""
    if isinstance(old, dict):
        return all(name in new and is_kept(old[name], new[name]) for name in old)
    if isinstance(old, list):
        return len(old) == len(new) and all(map(is_kept, old, new))
    return old == new


def test_the_scenario_of_every_committed_result_is_read():
    """Whatever was saved before is read and keeps what it says; so the records in it fit their fields of today."""
    import_own_methods()
    texts = set()
    for path in (ROOT / "experiments").rglob("results/**/*.nc"):
        with h5py.File(path) as file:
            texts.update(json.dumps(told) for told in told_scenarios(file.attrs))
    assert len(texts) > 50
    for text in texts:
        scenario = from_json(text)
        assert isinstance(scenario, Scenario)
        assert is_kept(json.loads(text), json.loads(scenario.to_json()))


BAD_JSON = {
    "unknown kind": ('{"record": "Nope"}', ("'record' is 'Nope', no known kind of record.", "load_plugins")),
    "a kind nearly": ('{"record": "GausianNoise"}', ("no known kind of record. Did you mean 'GaussianNoise'?",)),
    "no kind": ('{"stddev": 1}', ("text has a record without 'record', the name of its kind",)),
    "unknown field": (
        '{"record": "GaussianNoise", "sigma": 1}',
        ("GaussianNoise has no field 'sigma'. Its fields are stddev, variance.",),
    ),
    "out of range": ('{"record": "GaussianNoise", "stddev": -1}', ("GaussianNoise.stddev", "-1", "at least 0")),
    "a list for a kind": ('{"record": []}', ("'record' is [], no known kind",)),
    "an object for a kind": ('{"record": {"a": 1}}', ("'record' is {'a': 1}, no known kind",)),
    "a required field missing": ('{"record": "FeatureTrigger", "party": 0}', ("FeatureTrigger lacks 'index'",)),
    "null": ("null", ("holds None", "object")),
    "a list": ("[1, 2]", ("holds [1, 2]", "object")),
    "a number": ("3", ("holds 3", "object")),
    "no JSON": ('{"record": GaussianNoise}', ("no JSON of a record",)),
    "nothing": ("", ("no JSON of a record",)),
    "NaN": ('{"record": "GaussianNoise", "stddev": NaN}', ("no JSON of a record", "NaN")),
    "Infinity": ('{"record": "Clipping", "bound": Infinity}', ("no JSON of a record", "Infinity", '"inf"')),
    "a key twice": ('{"record": "GaussianNoise", "stddev": 0.1, "stddev": 9}', ("'stddev' twice",)),
    "more than a float": ('{"record": "GaussianNoise", "stddev": 1e999}', ("1e999", '"inf"')),
    "more than float32": ('{"record": "GaussianNoise", "stddev": -1e39}', ("-1e39", "float32")),
    "a whole number so large": (f'{{"record": "GaussianNoise", "stddev": 1{"0" * 39}}}', ("stddev", "1000")),
    "a kind twice": ('{"record": "Clipping", "record": "GaussianNoise"}', ("'record' twice",)),
    "deep": ("[" * 10**5 + "]" * 10**5, ("nested too deeply",)),
    "many digits": ('{"record": "GaussianNoise", "stddev": ' + "9" * 5000 + "}", ("no JSON of a record",)),
    "bytes": (b'{"record": "GaussianNoise"}', ("text is b'", "must be a str")),
    "no text": (None, ("text is None", "must be a str")),
    "nested": ('{"record": "ActiveChain", "parts": [{"record": "Noise"}]}', ("'Noise'", "no known kind of record")),
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_bad_json_is_refused(name):
    text, message = BAD_JSON[name]
    with pytest.raises(ValueError, match=says(*message)):
        from_json(text)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianNoise(stddev=math.nan), ("GaussianNoise.stddev", "nan", "at least 0")),
        (lambda: GaussianNoise(stddev=np.float32("nan")), ("GaussianNoise.stddev", "nan", "at least 0")),
        (lambda: GradientReplacement(amplify=math.nan), ("GradientReplacement.amplify", "nan")),
        (lambda: Sparsification(drop_rate=1.5), ("Sparsification.drop_rate", "1.5", "[0, 1]")),
        (lambda: Sparsification(drop_rate=np.float32(1.5)), ("Sparsification.drop_rate", "1.5", "[0, 1]")),
        (lambda: Optimizer(learning_rate=-1), ("optimizer.learning_rate", "-1", "at least 0")),
        (lambda: PoisonPlan(num_targets=0), ("poison.num_targets", "0", "at least 1")),
        (lambda: Clipping(by="norm"), ("Clipping.by", "'norm'", "'value'", "'largest_row_l2'")),
        (lambda: MLP(width=0), ("bottom.width", "0", "whole number above 0")),
        (lambda: ActivationBlurring(kind="noise"), ("ActivationBlurring.kind", "'noise'", "'gaussian'")),
    ],
)
def test_numbers_are_checked_when_a_record_is_made(make, message):
    with pytest.raises(ValueError, match=says(*message)):
        make()


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (PixelTrigger(pixels=((0, 0),), value=math.nan), ("PixelTrigger.value", "NaN", "finite or infinite")),
        (GaussianNoise(stddev=np.asarray(math.nan)), ("GaussianNoise.stddev", "NaN")),
        (GaussianNoise(stddev=1e300), ("GaussianNoise.stddev", "1e+300", "float32")),
        (GaussianNoise(stddev=np.ones(3, np.float32)), ("GaussianNoise.stddev", "(3,)", "swept values")),
    ],
)
def test_what_has_no_json_says_which_field(record, message):
    with pytest.raises(ValueError, match=says(*message)):
        record.to_json()


def test_numbers_are_found_by_their_exact_paths():
    scenario = SCENARIOS["chain"]
    found = numbers(scenario)
    assert found["attacks.1.amplify"] == 10
    assert found["defense.parts.1.stddev"] == 0.1
    assert found["optimizers.0.learning_rate"] == 0.1
    assert found["poison.trigger.value"] == 1
    # Every leaf of the pytree is a number with a path, and nothing else is.
    assert sorted(map(float, found.values())) == sorted(map(float, jax.tree.leaves(scenario)))
    assert not any(path.startswith(("attacks.0", "bottoms", "batches")) or "kind" in path for path in found)


def test_cast_gives_every_number_the_dtype_of_its_field():
    record = cast(Counted(steps=4, inner=GaussianNoise(stddev=1), names=("a",)))
    assert record.steps.dtype == np.int32
    assert record.inner.stddev.dtype == np.float32
    assert record.names == ("a",)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(cast(SCENARIOS["chain"])))
    swept = cast(GaussianNoise(stddev=np.arange(3)))
    assert swept.stddev.dtype == np.float32
    assert swept.stddev.shape == (3,)


def test_with_numbers_replaces_these_and_no_others():
    scenario = SCENARIOS["chain"]
    changed = with_numbers(scenario, {"defense.parts.1.stddev": 0.5, "attacks.1.amplify": 2})
    before, after = numbers(scenario), numbers(changed)
    assert {path for path in before if before[path] != after[path]} == {"defense.parts.1.stddev", "attacks.1.amplify"}
    assert scenario.defense.parts[1].stddev == 0.1  # the original is as it was
    with pytest.raises(ValueError, match=says("GaussianNoise.stddev", "-1")):
        with_numbers(scenario, {"defense.parts.1.stddev": -1})


def test_records_are_frozen_and_keyword_only():
    noise = GaussianNoise(stddev=0.1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        noise.stddev = 0.2
    with pytest.raises(TypeError, match="by name"):
        GaussianNoise(0.1)
    assert noise.replace(stddev=0.2).stddev == 0.2
    assert repr(noise) == "GaussianNoise(stddev=0.1, variance=0.0)"
    assert eval(repr(noise)) == noise


def test_numbers_are_leaves_and_static_fields_structure():
    quiet, loud = GaussianNoise(stddev=0.1), GaussianNoise(stddev=5.0)
    assert jax.tree.leaves(loud) == [5.0, 0.0]
    assert jax.tree.structure(quiet) == jax.tree.structure(loud)
    assert jax.tree.structure(Clipping(by="value")) != jax.tree.structure(Clipping(by="row_l2"))
    assert jax.tree.structure(GaussianNoise()) != jax.tree.structure(LaplaceNoise())
    assert jax.tree.leaves(MLP(hidden=(8,))) == []
    assert jax.tree.structure(MLP(hidden=(8,))) != jax.tree.structure(MLP(hidden=(9,)))


@pytest.mark.parametrize(
    "text",
    [
        '{"record": "GaussianNoise", "stddev": "loud"}',
        '{"record": "GaussianNoise", "stddev": null}',
        '{"record": "GaussianNoise", "stddev": true}',
        '{"record": "GaussianNoise", "stddev": {"record": "GaussianNoise"}}',
        '{"record": "GradientReplacement", "amplify": ' + "9" * 400 + "}",
        '{"record": "ActiveChain", "parts": [{"record": "PartyTransform"}]}',
        '{"record": "ActiveChain", "parts": {"record": "ActiveTransform"}}',
    ],
)
def test_what_is_read_of_a_wrong_kind_is_refused(text):
    with pytest.raises(ValueError, match=r"must be|must fit"):
        from_json(text)


def test_no_two_kinds_have_equal_structures():
    """jit looks a program up by structure: kinds with as many fields must not stand in for one another."""
    needs_fields = (FeatureTrigger, PixelTrigger)
    ours = [kind for kind in kinds(Record).values() if kind.__module__.startswith("vfl_jax.")]
    alone = [kind() for kind in ours if kind not in needs_fields]
    structures = [jax.tree.structure(record) for record in alone]
    equal = [(a, b) for i, a in enumerate(structures) for b in structures[:i] if a == b]
    assert len(structures) > 20
    assert equal == []
    assert jax.tree.structure({"defense": GaussianNoise()}) != jax.tree.structure({"defense": LaplaceNoise()})


def test_a_new_number_is_the_same_program_and_a_new_structure_another():
    traces = []

    @jax.jit
    def bound(record):
        traces.append(record)
        return record.bound

    assert bound(Clipping(bound=1.0)) == 1
    assert bound(Clipping(bound=2.0)) == 2
    assert len(traces) == 1
    bound(Clipping(bound=1.0, by="value"))
    assert len(traces) == 2


def test_kinds_lists_what_derives_from_a_base():
    found = kinds(ActiveTransform)
    assert found["GaussianNoise"] is GaussianNoise
    assert "GradientReplacement" not in found
    assert set(found) >= {"ActiveChain", "Clipping", "LaplaceNoise", "Sparsification", "ActiveTransform"}
    assert NaturalTrigger in kinds(Record).values()


def test_no_field_may_take_the_place_of_the_kind_in_json():
    with pytest.raises(TypeError, match=says("Clash", "'record'")):
        type("Clash", (Record,), {"__annotations__": {"record": float}, "record": 1.0})

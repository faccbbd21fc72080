"""What ``run`` and ``sweep`` refuse before anything is trained, and what they say."""

import dataclasses
import functools
from concurrent.futures import ThreadPoolExecutor

import helpers
import jax
import numpy as np
import pandas as pd
import pytest
from data_helpers import says, tiny_data, tiny_scenario

from vfl_jax.attacks import GradientReplacement, LabelReplacement, PairedReplacement
from vfl_jax.data import FeatureTrigger, NaturalTrigger, Where, from_arrays, load_tables
from vfl_jax.models import CNN, MLP, DenseHead
from vfl_jax.models.losses import SoftmaxCrossEntropy
from vfl_jax.presets import digits_demo
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.replica.draws import Given
from vfl_jax.sweeps.sweep import run, sweep

SCENARIO, DATA, KEY = tiny_scenario(), tiny_data(), jax.random.key(3)


def changed_data(split, change):
    data = tiny_data()
    change(getattr(data, split))
    return data


def set_feature(value):
    return lambda rows: rows.features[1].__setitem__((7, 0, 0), value)


def set_label(value):
    return lambda rows: rows.labels.__setitem__(5, value)


def shorter(data):
    features = (data.train.features[0], data.train.features[1][:20])
    return dataclasses.replace(data, train=data.train.replace(features=features))


def masked(values, place):
    mask = np.zeros(np.shape(values), bool)
    mask[place] = True
    return np.ma.array(values, mask=mask)


def hidden(field):
    """The data with a masked value in one field of its training rows."""
    values = getattr(DATA.train, field)
    changed = (values[0], masked(values[1], (7, 0, 0))) if field == "features" else masked(values, 7)
    return dataclasses.replace(DATA, train=DATA.train.replace(**{field: changed}))


BAD_DATA = {
    "a masked feature": (hidden("features"), ("data.train.features of party 1 has masked values",)),
    "a masked label": (hidden("labels"), ("data.train.labels has masked values",)),
    "a masked flag": (hidden("has_trigger"), ("data.train.has_trigger has masked values",)),
    "nan": (changed_data("train", set_feature(np.nan)), ("data.train.features of party 1", "row 7", "clean or drop")),
    "inf": (changed_data("test", set_feature(np.inf)), ("data.test.features of party 1", "row 7")),
    "label too large": (changed_data("train", set_label(3)), ("data.train.labels has 3 in row 5", "0 to 2")),
    "label below": (changed_data("test", set_label(-1)), ("data.test.labels has -1 in row 5", "0 to 2")),
    "lengths": (shorter(tiny_data()), ("data.train.features of party 1", "20 rows", "30")),
}


@pytest.mark.parametrize(
    "given",
    [
        {"poison_ids": masked([1, 2], 0)},
        {"target_ids": masked([0, 3], 0)},
        {"test_poison_ids": masked([1, 2], 0)},
        {"batch_ids": masked(np.zeros((1, 1, 10), int), (0, 0, 3))},
        {"blur": masked(np.zeros((30, 3)), (4, 0))},
    ],
)
def test_masked_values_are_not_given(given):
    [name] = given
    with pytest.raises(ValueError, match=says(name, "has masked values")):
        run(SCENARIO, DATA, KEY, 1, given=Given(**given))


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_are_refused(case):
    data, message = BAD_DATA[case]
    with pytest.raises(ValueError, match=says(*message)):
        run(SCENARIO, data, KEY, 1)
    with pytest.raises(ValueError, match=says(*message)):
        sweep(SCENARIO, data, seeds=1, epochs=1, progress=False)


def bags(split, **changes):
    """Bags at party 1, changed in one split."""
    data = helpers.bag_data()
    rows = getattr(data, split)
    changed = rows.features[1].replace(**changes)
    return dataclasses.replace(data, **{split: rows.replace(features=(rows.features[0], changed))})


def one_entry(name, value, split="train"):
    """The bags' ids or weights with another entry in row 9."""
    array = getattr(getattr(helpers.bag_data(), split).features[1], name).copy()
    array[9, 1] = value
    return {name: array}


def other_form(data, split):
    """Dense rows in place of bags, in one split."""
    return dataclasses.replace(data, **{split: getattr(helpers.as_multi_hot(data), split)})


BAGS = helpers.bag_data().train.features[1]
BAD_BAGS = {
    "id too large": (
        bags("train", **one_entry("ids", 12)),
        ("data.train.features of party 1", "id 12 in row 9", "0 to 11", "-1"),
    ),
    "id below": (
        bags("test", **one_entry("ids", -2, "test")),
        ("data.test.features of party 1", "id -2 in row 9", "0 to 11"),
    ),
    "ids not whole": (
        bags("train", ids=BAGS.ids.astype(np.float32)),
        ("data.train.features of party 1", "float32", "whole numbers"),
    ),
    "ids flat": (bags("train", ids=BAGS.ids[:, 0]), ("data.train.features of party 1", "(48,)", "[N, L]")),
    "lengths": (
        bags("train", ids=BAGS.ids[:40], weights=BAGS.weights[:40]),
        ("data.train.features of party 1", "40 rows", "48"),
    ),
    "weights of another shape": (
        bags("train", weights=BAGS.weights[:, :2]),
        ("data.train.features of party 1", "(48, 2)", "(48, 5)"),
    ),
    "whole weights": (bags("train", weights=BAGS.ids), ("data.train.features of party 1", "int32", "floating")),
    "nan weight": (
        bags("train", **one_entry("weights", np.nan)),
        ("data.train.features of party 1", "not finite in row 9"),
    ),
    "inf weight": (
        bags("test", **one_entry("weights", np.inf, "test")),
        ("data.test.features of party 1", "not finite in row 9"),
    ),
    "no vocabulary": (bags("train", vocabulary=0), ("data.train.features of party 1", "vocabulary of 0")),
    "another vocabulary": (
        bags("test", vocabulary=13),
        ("data.test.features of party 1", "bags of 13 ids", "data.train", "bags of 12 ids"),
    ),
    "another kind": (
        other_form(helpers.bag_data(), "train"),
        ("data.test.features of party 1", "bags of 12 ids", "data.train", "arrays of (12,)"),
    ),
    "another shape": (
        dataclasses.replace(tiny_data(), test=tiny_data(by="columns").test),
        ("data.test.features of party 0", "arrays of (4, 2)", "data.train", "arrays of (2, 4)"),
    ),
}


@pytest.mark.parametrize("case", BAD_BAGS)
def test_bad_bags_are_refused(case):
    data, message = BAD_BAGS[case]
    with pytest.raises(ValueError, match=says(*message)):
        run(SCENARIO, data, KEY, 1)


def test_only_some_models_take_bags():
    plan = {"trigger": FeatureTrigger(party=1, index=5)}
    scenario = tiny_scenario(plan=plan, bottoms=(MLP(width=3), CNN(width=3)))
    with pytest.raises(ValueError, match=says("bottoms.1 is CNN", "no bags of ids", "party 1", "'bags'", "MLP")):
        run(scenario, helpers.bag_data(), KEY, 1)
    scenario.replace(bottoms=(MLP(width=3), MLP(width=3))).check(helpers.bag_data())


def plan(**changes):
    return SCENARIO.poison.replace(**changes)


class Weighted(SoftmaxCrossEntropy):
    """Test only: adds rows up in its own way; an attacker that must know how much a row counts would be told 1/B."""

    def __call__(self, logits, targets):
        return 3.0 * self.rows(logits, targets).mean()


class SaysItsWeight(Weighted):
    """Test only: and says so."""

    def row_weight(self, num_rows):
        return 3.0 / num_rows


def test_a_loss_with_a_sum_of_its_own_says_what_a_row_counts():
    assert SCENARIO.replace(loss=SaysItsWeight()).shapes(DATA).row_weight == 3 / 8
    SCENARIO.replace(loss=SaysItsWeight()).check(DATA)


BAD_SCENARIOS = {
    "bottoms": ({"bottoms": (MLP(width=3),) * 3}, ("bottoms has 3 entries", "2 parties", "it must have 2")),
    "optimizers": ({"optimizers": ()}, ("optimizers has 0 entries", "it must have 2")),
    "attacks": ({"attacks": (GradientReplacement(),)}, ("attacks has 1 entries", "it must have 2")),
    "width": ({"bottoms": (MLP(width=3), MLP(width=4))}, ("bottoms.1.width is 4", "SumHead", "3", "DenseHead")),
    "labels": (
        {"bottoms": (MLP(width=5),) * 2, "head": DenseHead(), "attacks": (PartyTransform(), LabelReplacement())},
        ("bottoms.1.width is 5", "LabelReplacement", "one per class, 3"),
    ),
    "pair": (
        {"attacks": (PartyTransform(), PairedReplacement())},
        ("PairedReplacement", "appended_pair", "'in_place'"),
    ),
    "class": ({"poison": plan(target_class=3)}, ("poison.target_class is 3", "0 to 2")),
    "class below": ({"poison": plan(target_class=-1)}, ("poison.target_class is -1", "0 to 2")),
    "loss": (
        {"loss": Weighted()},
        ("loss is Weighted", "row_weight", "override both, or rows alone"),
    ),
    "nan": (
        {"poison": plan(trigger=SCENARIO.poison.trigger.replace(value=float("nan")))},
        ("value", "NaN"),
    ),
}


@pytest.mark.parametrize("case", BAD_SCENARIOS)
def test_scenarios_that_do_not_fit_the_data_are_refused(case):
    changes, message = BAD_SCENARIOS[case]
    with pytest.raises(ValueError, match=says(*message)):
        run(SCENARIO.replace(**changes), DATA, KEY, 1)
    with pytest.raises(ValueError, match=says(*message)):
        sweep(SCENARIO.replace(**changes), DATA, seeds=1, epochs=1, progress=False)


WHOLE = {"scenario": SCENARIO, "data": DATA, "seeds": 1, "epochs": 1, "progress": False}
OF_RUN = {"scenario", "data", "epochs", "given", "progress"}
BAD_ARGUMENTS = {
    "no epochs": ({"epochs": 0}, ("epochs is 0", "at least 1")),
    "half an epoch": ({"epochs": 1.5}, ("epochs is 1.5", "whole number")),
    "no seeds": ({"seeds": 0}, ("seeds is 0;", "above 0")),
    "a seed twice": ({"seeds": [1, 2, 1]}, ("seeds is [1, 2, 1]", "distinct")),
    "a seed below 0": ({"seeds": [-1]}, ("seeds is [-1]", "from 0")),
    "a seed that JAX would cut": ({"seeds": [0, 2**32]}, ("seeds has 4294967296", "below 2**32")),
    "a seed that no integer of JAX holds": ({"seeds": [2**64]}, ("seeds has 18446744073709551616", "below 2**32")),
    "more seeds than there are": ({"seeds": 2**32 + 1}, ("seeds is 4294967297", "2**32")),
    "no number": ({"seeds": None}, ("seeds is None", "whole numbers")),
    "yes": ({"seeds": True}, ("seeds is True", "whole numbers")),
    "half a seed": ({"seeds": [0.5]}, ("seeds is [0.5]", "whole numbers")),
    "too few given epochs": (
        {"epochs": 3, "given": Given(batch_ids=np.broadcast_to(np.arange(8), (2, 3, 8)))},
        ("2 epochs", "epochs is 3"),
    ),
    "epochs as a truth value": ({"epochs": True}, ("epochs is True", "whole number")),
    "no number of epochs": ({"epochs": None}, ("epochs is None", "whole number")),
    "no grid": ({"over": [("attack.amplify", [1])]}, ("over is [", "a dict of paths")),
    "an empty list for a grid": ({"over": []}, ("over is []", "a dict of paths")),
    "no given": ({"given": None}, ("given is None", "must be a Given", "vfl.Given()")),
    "given as a dict": ({"given": {"poison_ids": [1]}}, ("given is {'poison_ids': [1]}", "must be a Given")),
    "given texts": ({"given": Given(blur="zero")}, ("given.blur has 'zero'", "arrays of numbers")),
    "given parameters of text": (
        {"given": Given(params=({"kernel": np.array(["a"])},))},
        ("given.params has array(['a']", "arrays of numbers"),
    ),
    "given lists of different lengths": (
        {"given": Given(batch_ids=[[1], [1, 2]])},
        ("given.batch_ids has [[1], [1, 2]]", "arrays of numbers"),
    ),
    "given ids that are none": ({"given": Given(target_ids=[None])}, ("given.target_ids has [None]", "numbers")),
    "progress as a text": ({"progress": "no"}, ("progress is 'no'", "True or False")),
    "a folder's number": ({"folder": 3}, ("folder is 3", "path of a folder")),
    "a folder without a name": ({"folder": ""}, ("folder is ''", "path of a folder")),
    "a log's number": ({"log_json": 3}, ("log_json is 3", "path of a file")),
    "an executor's number": (
        {"executor": 3, "folder": "x"},
        ("executor is 3", "an Executor", "get_executor()"),
    ),
    "an executor without a folder": ({"executor": ThreadPoolExecutor(1)}, ("executor is given, but no folder",)),
    "a kind of executor": ({"executor": ThreadPoolExecutor, "folder": "x"}, ("executor is <class", "an Executor")),
    "never a checkpoint": ({"checkpoint_every": 0}, ("checkpoint_every is 0", "at least 1")),
    "checkpoints at a truth value": ({"checkpoint_every": True}, ("checkpoint_every is True", "whole number")),
    "half a replica": ({"max_replicas": 0.5}, ("max_replicas is 0.5", "whole number")),
    "no scenario": ({"scenario": None}, ("scenario is None", "must be a Scenario", "vfl.presets")),
    "a scenario as JSON": ({"scenario": SCENARIO.to_json()}, ("scenario is '{", "must be a Scenario")),
    "a preset that was not called": ({"scenario": digits_demo}, ("scenario is <function digits_demo", "a Scenario")),
    "no data": ({"data": None}, ("data is None", "VerticalData", "vfl.load_tables")),
    "a file": ({"data": "data.csv"}, ("data is 'data.csv'", "VerticalData", "vfl.load_tables")),
    "a function of nothing": ({"data": lambda: None}, ("data gives None", "VerticalData")),
    "a function of something": ({"data": from_arrays}, ("data is <function from_arrays", "needs arguments")),
    "a rate with given rows": (
        {"over": {"poison.rate": [0.1, 0.2]}, "given": Given(poison_ids=[1])},
        ("'poison.rate'", "given", "no effect"),
    ),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_arguments_of_a_sweep_are_refused(case):
    arguments, message = BAD_ARGUMENTS[case]
    with pytest.raises(ValueError, match=says(*message)):
        sweep(**(WHOLE | arguments))


@pytest.mark.parametrize("case", [c for c in BAD_ARGUMENTS if set(BAD_ARGUMENTS[c][0]) <= OF_RUN])
def test_bad_arguments_of_a_run_are_refused(case):
    arguments, message = BAD_ARGUMENTS[case]
    with pytest.raises(ValueError, match=says(*message)):
        run(**({"scenario": SCENARIO, "data": DATA, "key": KEY, "epochs": 1} | arguments))


def test_what_cannot_be_written_is_found_before_the_data_are_loaded(tmp_path):
    file = tmp_path / "file"
    file.touch()
    nothing = {"data": lambda: pytest.fail("the data were loaded")}
    for name, path in (
        ("folder", file),
        ("folder", file / "below" / "it"),
        ("log_json", tmp_path),
        ("log_json", file / "log.jsonl"),
        ("log_json", tmp_path / ("long" * 100)),
    ):
        with pytest.raises(OSError, match=says(f"{name} is {path}", "(")):
            sweep(**(WHOLE | nothing | {name: path}))
    assert sorted(tmp_path.iterdir()) == [file]


@pytest.mark.long
def test_numbers_of_numpy_are_taken(tmp_path):
    plain = sweep(**(WHOLE | {"seeds": [0, 1], "folder": tmp_path / "plain"}))
    numpy = {"epochs": np.int64(1), "checkpoint_every": np.int8(1), "max_replicas": np.int64(2)}
    assert sweep(**(WHOLE | {"seeds": np.arange(2), "folder": tmp_path / "numpy"} | numpy)).identical(plain)


@pytest.mark.long
def test_loaded_tables_are_taken_whole():
    frame = pd.DataFrame({"id": range(40), "label": [0, 1] * 20, "a": np.arange(40) / 40})
    other = pd.DataFrame({"id": range(40), "b": np.arange(40) / 40})
    loaded = load_tables({"A": frame, "B": other}, id="id", label="A.label", trigger=Where("B.b", ">", 0.9))
    scenario = SCENARIO.replace(
        bottoms=(MLP(hidden=(), width=2),) * 2, poison=SCENARIO.poison.replace(trigger=NaturalTrigger())
    )
    expected = sweep(**(WHOLE | {"scenario": scenario, "data": loaded.data}))
    for source in (loaded, lambda: loaded, functools.partial(tuple.__getitem__, loaded, 0)):
        assert sweep(**(WHOLE | {"scenario": scenario, "data": source})).identical(expected)
        whole, _ = run(scenario, source, KEY, 1)
        assert whole.identical(run(scenario, loaded.data, KEY, 1)[0])


@pytest.mark.parametrize("key", [0, jax.random.PRNGKey(0), jax.random.split(jax.random.key(0), 2)])
def test_a_run_takes_one_typed_key(key):
    with pytest.raises(ValueError, match=says("key is", "jax.random.key(0)")):
        run(SCENARIO, DATA, key, 1)


def test_given_parameters_must_fit():
    other = ({"dense_0": {"kernel": np.zeros((8, 4), np.float32), "bias": np.zeros(3, np.float32)}},) * 2
    with pytest.raises(ValueError, match=says("given.params", "[0]['dense_0']['kernel']", "(8, 4)", "(8, 3)")):
        run(SCENARIO, DATA, KEY, 1, Given(params=other))


def test_a_model_that_does_not_fit_the_features_says_so():
    flat = tiny_data(by=[list(range(8)), list(range(8, 16))])
    with pytest.raises(ValueError, match=says("CNN", "[B, H, W]", "(1, 8)", "MLP")):
        run(SCENARIO.replace(bottoms=(CNN(width=3),) * 2), flat, KEY, 1)

"""``scenario_for``: parties, widths, trigger, target class and attacker that fit own data, and no guesses."""

import dataclasses

import helpers
import numpy as np
import pandas as pd
import pytest
from data_helpers import says

import vfl_jax as vfl
from vfl_jax.attacks import ActivationBlurring, GradientReplacement, LabelReplacement
from vfl_jax.data import FeatureTrigger, NaturalTrigger, PixelTrigger
from vfl_jax.models import MLP, DenseHead, SumHead
from vfl_jax.presets import liu2020_paper
from vfl_jax.protocol.chains import PartyChain
from vfl_jax.protocol.transforms import PartyTransform

HONEST = PartyTransform()


def own(parties=("bank", "shop"), active_party=None, classes=2, num_rows=200, triggered=True, seed=0, shares=None):
    """Tables of three columns; where ``triggered``, every tenth row carries a trigger."""
    rng = np.random.default_rng(seed)
    columns = {name: rng.normal(size=(num_rows, 3)) for name in parties}
    labels = rng.choice(classes, num_rows, p=shares)
    has_trigger = np.arange(num_rows) % 10 == 0 if triggered else np.zeros(num_rows, bool)
    return vfl.from_arrays(columns, labels, has_trigger=has_trigger, active_party=active_party)


def attackers(scenario):
    return list(scenario.attackers)


def test_two_parties_of_which_one_holds_the_labels():
    data = own(active_party="bank")
    scenario = vfl.scenario_for(data)
    assert attackers(scenario) == [1]
    assert scenario.bottoms == (MLP(hidden=(32,), width=2),) * 2
    assert scenario.head == SumHead()
    assert scenario.attacks[1] == GradientReplacement()
    assert scenario.poison.trigger == NaturalTrigger()
    assert scenario.batches.size == 16
    # The label holder is no attacker, be it the last.
    assert attackers(vfl.scenario_for(own(active_party="shop"))) == [0]


def test_it_is_the_papers_scenario():
    """But for what is chosen by the data."""
    data = own(num_rows=2000)
    for head in ("sum", "trainable"):
        scenario = vfl.scenario_for(data, attacker="shop", head=head)
        preset = liu2020_paper(task="nus_wide", head=head, num_classes=2)
        assert scenario.attacks == preset.attacks
        assert (scenario.bottoms, scenario.head, scenario.loss) == (preset.bottoms, preset.head, preset.loss)
        assert scenario.batches.size == 64
        assert {o.learning_rate for o in (*scenario.optimizers, scenario.head_optimizer)} == {0.1}
    slower = vfl.scenario_for(data, attacker="shop", learning_rate=0.01)
    assert {o.learning_rate for o in (*slower.optimizers, slower.head_optimizer)} == {0.01}


def marked(data, has_trigger):
    """The same data with these training rows triggered."""
    return dataclasses.replace(data, train=data.train.replace(has_trigger=has_trigger))


@pytest.mark.parametrize("labels_held", [None, "bank"])
def test_three_parties_name_the_attacker(labels_held):
    data = own(("bank", "shop", "phone"), active_party=labels_held)
    with pytest.raises(ValueError, match=says("attacker is not given", "'shop', 'phone'", "Name one")) as found:
        vfl.scenario_for(data)
    assert ("'bank'" in str(found.value)) == (labels_held is None)
    for attacker in ("phone", 2, -1, np.int64(2), ["phone"]):
        assert attackers(vfl.scenario_for(data, attacker=attacker)) == [2]
    several = vfl.scenario_for(data, attacker=("phone", "shop"), head="trainable")
    assert attackers(several) == [1, 2]
    assert [type(part) for part in several.attacks[1].parts] == [ActivationBlurring, GradientReplacement]
    assert several.attacks[1] == several.attacks[2]
    assert several.head == DenseHead()
    assert several.bottoms == (MLP(hidden=(), width=32, output_relu=True),) * 3


def test_two_parties_without_labels_name_the_attacker():
    with pytest.raises(ValueError, match=says("attacker is not given", "2 parties", "'bank', 'shop'")):
        vfl.scenario_for(own())


def test_where_a_stamped_trigger_lies_there_is_the_attacker():
    data = own(("bank", "shop", "phone"), active_party="phone", triggered=False)
    scenario = vfl.scenario_for(data, trigger=FeatureTrigger(party=1, index=-1, value=3.0))
    assert attackers(scenario) == [1]
    assert (scenario.poison.rate, scenario.poison.test_rate) == (0.01, 0.2)
    with pytest.raises(ValueError, match=says("poison.trigger touches only parties [1]", "[0]")):
        vfl.scenario_for(data, trigger=FeatureTrigger(party=1, index=0), attacker="bank")
    digits = vfl.load_digits()
    corner = PixelTrigger(pixels=((7, 7),))
    assert attackers(vfl.scenario_for(digits, trigger=corner)) == [1]
    with pytest.raises(ValueError, match=says("attacker is not given", "2 parties")):
        vfl.scenario_for(digits, trigger=PixelTrigger(pixels=((0, 0), (7, 7))))


def test_few_rows_are_poisoned_all_the_same():
    data = own(num_rows=50, triggered=False, active_party="bank")
    scenario = vfl.scenario_for(data, trigger=FeatureTrigger(party=1, index=0))
    assert scenario.poison.rate == 1 / 40
    assert scenario.batches.size == 4


def test_the_target_class_is_not_the_most_frequent():
    shares = [0.7, 0.1, 0.2]
    data = own(classes=3, shares=shares, active_party="bank", triggered=False)
    stamped = FeatureTrigger(party=1, index=0)
    assert vfl.scenario_for(data, trigger=stamped).poison.target_class == 1  # the rarest
    # Of a natural trigger, the class that the fewest triggered rows have.
    of_class = {0: 3, 1: 9, 2: 0}
    labels, has_trigger = np.asarray(data.train.labels), np.zeros(data.train.num_samples, bool)
    for c, count in of_class.items():
        has_trigger[np.flatnonzero(labels == c)[:count]] = True
    assert vfl.scenario_for(marked(data, has_trigger)).poison.target_class == 2
    # One whose rows all carry it can have no target row.
    only = (labels == 2) | (np.arange(len(labels)) == np.flatnonzero(labels == 1)[0])
    assert (
        vfl.scenario_for(dataclasses.replace(data, train=data.train.replace(has_trigger=only))).poison.target_class == 1
    )
    with pytest.raises(ValueError, match=says("target_class is not given", "most frequent", "triggered")):
        vfl.scenario_for(dataclasses.replace(data, train=data.train.replace(has_trigger=labels > 0)))


def test_of_two_classes_it_is_the_rarer():
    for shares, expected in (([0.8, 0.2], 1), ([0.2, 0.8], 0)):
        assert vfl.scenario_for(own(shares=shares, active_party="bank")).poison.target_class == expected


def test_the_target_class_by_name_or_number():
    labels = pd.Series(["no", "yes"] * 50)
    data = vfl.from_arrays(
        {"a": np.ones((100, 1)), "b": np.eye(100)}, labels, has_trigger=np.arange(100) % 9 == 0, active_party="a"
    )
    for given in ("yes", 1, np.int8(1)):
        assert vfl.scenario_for(data, target_class=given).poison.target_class == 1
    for given in ("maybe", 2, -1, True, 1.0):
        with pytest.raises(ValueError, match=says(f"target_class is {given!r}", "'no' (0), 'yes' (1)")):
            vfl.scenario_for(data, target_class=given)


@pytest.mark.parametrize("names", [(1, 2, 3), (1.0, 2.0, 3.0), ("01", "02", "03")])
def test_a_number_that_names_another_class_is_refused(names):
    labels = np.resize(np.array(names, object), 90)
    columns = {"a": np.eye(90), "b": np.ones((90, 1))}
    data = vfl.from_arrays(columns, labels, has_trigger=np.arange(90) % 9 == 0, active_party="a")
    for given, place in ((1, 0), (3, 2)):  # the second is the number of none
        message = f"target_class is {given}, which is the name of one", f"text '{names[place]}', or its number {place}"
        with pytest.raises(ValueError, match=says(*message)):
            vfl.scenario_for(data, target_class=given)
        assert vfl.scenario_for(data, target_class=str(names[place])).poison.target_class == place
    assert vfl.scenario_for(data, target_class=0).poison.target_class == 0  # no name


def test_a_number_that_names_another_party_is_refused():
    data = own(("2", "1", "0"))
    for given in (2, 0, np.int64(2), [1, 2]):
        with pytest.raises(ValueError, match=says("attacker is", "which is the name of one", "the text '")):
            vfl.scenario_for(data, attacker=given)
    assert attackers(vfl.scenario_for(data, attacker="2")) == [0]
    assert attackers(vfl.scenario_for(data, attacker=1)) == [1]  # name and number are one
    assert attackers(vfl.scenario_for(data, attacker=-3)) == [0]


@pytest.mark.long
@pytest.mark.parametrize("head", ["sum", "trainable"])
def test_bags_are_trained_on(head):
    data = helpers.bag_data()
    scenario = vfl.scenario_for(data, attacker="tags", head=head, trigger=FeatureTrigger(party=1, index=5))
    results = vfl.sweep(scenario, data, {"attack.enabled": [0, 1]}, seeds=1, epochs=1, progress=False)
    assert results.is_finite.all()
    assert (results.backdoor_accuracy_count == 4).all()  # a fifth of 20 rows


@pytest.mark.long
def test_tables_are_taken_whole_and_learned_from():
    rng = np.random.default_rng(0)
    bank = pd.DataFrame({"id": range(400), "income": rng.normal(size=400)})
    bank["fraud"] = np.where(bank["income"] > 0.5, "yes", "no")
    shop = pd.DataFrame({"id": range(400), "spent": rng.normal(size=400)})
    loaded = vfl.load_tables(
        {"shop": shop, "bank": bank}, id="id", label="bank.fraud", trigger=vfl.data.Where("shop.spent", ">", 1.5)
    )
    scenario = vfl.scenario_for(loaded)
    assert attackers(scenario) == [0]
    assert loaded.data.classes[scenario.poison.target_class] == "yes"
    honest = vfl.sweep(scenario, loaded, {"attack.enabled": [0]}, seeds=1, epochs=20, progress=False)
    assert honest.main_task_accuracy.isel(epoch=-1).item() > 0.9


def test_every_attacker_does_what_is_asked():
    data = own(("bank", "shop", "phone"))
    scenario = vfl.scenario_for(data, attacker=[0, 2], attack=LabelReplacement())
    assert scenario.attacks == (LabelReplacement(), HONEST, LabelReplacement())
    assert not isinstance(scenario.attacks[0], PartyChain)


DATA = own(("bank", "shop", "phone"), active_party="bank")
UNMARKED = own(triggered=False)
BAD = {
    "no data": (None, {}, ("data is None", "VerticalData", "vfl.from_arrays")),
    "a frame": (pd.DataFrame({"a": [1]}), {}, ("data is", "VerticalData")),
    "no such party": (DATA, {"attacker": "shpo"}, ("attacker is 'shpo'", "'bank' (0), 'shop' (1), 'phone' (2)")),
    "no such number": (DATA, {"attacker": 3}, ("attacker is 3", "'phone' (2)")),
    "a truth value": (DATA, {"attacker": True}, ("attacker is True", "'phone' (2)")),
    "a number as a float": (DATA, {"attacker": 1.0}, ("attacker is 1.0", "'phone' (2)")),
    "nobody": (DATA, {"attacker": []}, ("attacker is []", "at least one")),
    "one twice": (DATA, {"attacker": ["phone", 2]}, ("attacker is ['phone', 2]", "none twice")),
    "the label holder": (DATA, {"attacker": "bank"}, ("attacker names 'bank'", "holds the labels", "active_attack")),
    "the label holder too": (DATA, {"attacker": [1, 0]}, ("attacker names 'bank'", "holds the labels")),
    "no trigger": (UNMARKED, {"attacker": 1}, ("trigger is not given", "has_trigger", "FeatureTrigger")),
    "no kind of trigger": (DATA, {"attacker": 1, "trigger": "natural"}, ("trigger is 'natural'", "a Trigger")),
    "a trigger's class": (DATA, {"attacker": 1, "trigger": NaturalTrigger}, ("trigger is <class", "a Trigger")),
    "pixels of a table": (DATA, {"trigger": PixelTrigger(pixels=((0, 0),))}, ("PixelTrigger needs image data",)),
    "no head": (DATA, {"attacker": 1, "head": "dense"}, ("head is 'dense'", "'sum', 'trainable'")),
    "an attack by name": (DATA, {"attacker": 1, "attack": "label"}, ("attack is 'label'", "a PartyTransform")),
    "an attack's class": (DATA, {"attacker": 1, "attack": GradientReplacement}, ("attack is <class", "PartyTransform")),
    "an honest party": (DATA, {"attacker": 1, "attack": HONEST}, ("attack is PartyTransform()", "vfl_jax.Attack")),
    "a rate by name": (DATA, {"attacker": 1, "learning_rate": "fast"}, ("learning_rate is 'fast'", "a number")),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused(name):
    data, options, message = BAD[name]
    with pytest.raises(ValueError, match=says(*message)):
        vfl.scenario_for(data, **options)

"""Messages that say what to do: the nearest name, the defense to add, the part of results to select."""

import numpy as np
import pytest
import xarray as xr
from data_helpers import says, tiny_scenario

from vfl_jax import ActiveChain, PartyTransform, from_json, plots
from vfl_jax.core.checks import did_you_mean
from vfl_jax.core.registry import find
from vfl_jax.data import LOADERS
from vfl_jax.defenses import Clipping, GaussianNoise
from vfl_jax.presets import PRESETS
from vfl_jax.sweeps.grid import parse, resolve

SCENARIO = tiny_scenario()


def refusal(scenario, name):
    with pytest.raises(ValueError, match="does not have") as caught:
        resolve(scenario, name)
    return str(caught.value)


def test_a_defense_that_is_lacking_can_be_added_as_the_message_says():
    said = refusal(SCENARIO, "defense.stddev")
    assert "It has no defense" in said
    assert "scenario.replace(defense=vfl.defenses.GaussianNoise())" in said
    assert "--defense GaussianNoise" in said
    assert parse(SCENARIO.replace(defense=GaussianNoise()), {"defense.stddev": [0, 1]}).size == 2
    several = refusal(SCENARIO, "defense.bound")
    assert "--defense Clipping" in several
    assert "'bound' is also that of DiscreteGradients" in several


def test_a_second_defense_goes_behind_the_first():
    clipped = SCENARIO.replace(defense=Clipping())
    said = refusal(clipped, "defense.stddev")
    assert "Its defense has no number 'stddev'" in said
    assert "vfl.ActiveChain(parts=(scenario.defense, vfl.defenses.GaussianNoise()))" in said
    both = clipped.replace(defense=ActiveChain(parts=(clipped.defense, GaussianNoise())))
    assert resolve(both, "defense.stddev") == ("defense.parts.1.stddev",)


def test_a_number_that_no_defense_has_is_no_reason_to_add_one():
    assert "no defense of the package has a number 'sttdev'" in refusal(SCENARIO, "defense.sttdev")


def test_an_attack_that_is_lacking_can_be_added_too():
    honest = SCENARIO.replace(attacks=(PartyTransform(),) * 2)
    said = refusal(honest, "attack.amplify")
    assert "Nobody attacks" in said
    assert "scenario.replace(attacks=(vfl.PartyTransform(), vfl.attacks." in said
    assert "--attack 1=" in said
    assert "GradientReplacement" in said


@pytest.mark.parametrize(
    ("members", "name", "nearest"),
    [
        (LOADERS, "digts", "digits"),
        (LOADERS, "MNIST", "mnist"),
        (PRESETS, "liu2020_papr", "liu2020_paper"),
        ({"GaussianNoise": 1, "LaplaceNoise": 2}, "gausian_noise", "GaussianNoise"),
    ],
)
def test_the_nearest_name_is_asked_for(members, name, nearest):
    with pytest.raises(ValueError, match=says("--x is", name, f"Did you mean '{nearest}'?", "There are")):
        find(members, "--x", "thing", name)
    assert did_you_mean("zzzzzz", members) == ""


def test_the_nearest_kind_of_a_record_is_asked_for():
    with pytest.raises(ValueError, match=says("'GausianNoise'", "Did you mean 'GaussianNoise'?")):
        from_json('{"record": "GausianNoise"}')


def results():
    dims = ("attack.enabled", "a+b", "seed", "epoch")
    accuracy = np.random.default_rng(0).uniform(0, 1, (2, 3, 4, 2))
    names = ("main_task_accuracy", "backdoor_accuracy")
    coordinates = {"attack.enabled": [0, 1], "a": ("a+b", [1, 2, 3]), "b": ("a+b", [4, 5, 6])}
    return xr.Dataset(dict.fromkeys(names, (dims, accuracy)), coordinates)


def test_curves_of_a_whole_grid_say_what_to_select_and_the_selection_works():
    found = results()
    with pytest.raises(ValueError, match="of which the figure shows one value each") as caught:
        plots.curves({"all": found})
    said = str(caught.value)
    assert "'attack.enabled' (0, 1)" in said
    assert "'a+b' (3 places, of a and b)" in said
    typed = "runs['all'].sel({'attack.enabled': 1}).isel({'a+b': 2})"
    assert typed in said
    assert plots.curves({"all": eval(typed, {"runs": {"all": found}})}).axes


def test_values_against_a_setting_say_what_to_select():
    found = results()
    with pytest.raises(ValueError, match=says("dataset has the dimension 'a+b'", "dataset.isel({'a+b': 2})")):
        plots.against(found, "attack.enabled")
    with pytest.raises(ValueError, match=says("setting is 'attack.enabld'", "Did you mean 'attack.enabled'?", "'a'")):
        plots.against(found, "attack.enabld")
    with pytest.raises(ValueError, match=says("floor has the dimension 'a+b'")):
        plots.against(found.isel({"a+b": 0}), "attack.enabled", floor=found)
    with pytest.raises(ValueError, match=says("names has 'backdor_accuracy'", "Did you mean 'backdoor_accuracy'?")):
        plots.against(found.isel({"a+b": 0}), "attack.enabled", names=["backdor_accuracy"])
    assert plots.against(found.isel({"a+b": 0}), "attack.enabled").axes

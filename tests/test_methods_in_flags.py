"""Methods with their fields, and numbers that go together, as flags write them."""

import warnings

import pytest
from data_helpers import says, tiny_scenario

import vfl_jax as vfl
from vfl_jax.cli import training
from vfl_jax.cli.choices import scenario_of, with_attacks
from vfl_jax.cli.flags import to_over
from vfl_jax.cli.scenarios import RunPreset

SCENARIO = tiny_scenario()


def defended(*texts, **flags):
    return scenario_of(RunPreset(scenario=SCENARIO, data="digits", defense=texts, **flags), SCENARIO).defense


def test_a_defense_is_given_with_its_structure():
    """Also in a chain, and as the record prints itself; --set comes after it."""
    clipping = vfl.defenses.Clipping(by="value", bound=0.1)
    noise = vfl.defenses.GaussianNoise(stddev=0.2)
    assert defended("Clipping(by=value,bound=0.1)") == vfl.ActiveChain(parts=(clipping,))
    assert defended(repr(clipping)) == vfl.ActiveChain(parts=(clipping,))
    chain = vfl.ActiveChain(parts=(noise, clipping))
    assert defended("GaussianNoise", "Clipping(by=value, bound=0.1)", set=("defense.stddev=0.2",)) == chain


def test_an_attack_is_given_with_its_fields_and_parts():
    text = "1=PartyChain(parts=[ActivationBlurring(kind=zero), GradientReplacement(amplify=5)])"
    blurring, replacement = vfl.attacks.ActivationBlurring(kind="zero"), vfl.attacks.GradientReplacement(amplify=5)
    assert with_attacks(SCENARIO, [text]).attacks[1] == vfl.PartyChain(parts=(blurring, replacement))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Clipping --by value", ("write the fields of a defense as Clipping(FIELD=VALUE, ...)",)),
        ("Clipping(bye=value)", ("--defense is Clipping", "no field 'bye'", "by, bound")),
        ("Clipping(by=row)", ("--defense: Clipping.by is 'row'", "value")),
        ("Clipping(bound=-1)", ("--defense: ", "bound is -1")),
        ("Cliping(by=value)", ("--defense is 'Cliping'", "Clipping")),
        ("GradientReplacement()", ("--defense is 'GradientReplacement'",)),
    ],
)
def test_a_defense_that_cannot_be_is_named(text, parts):
    with pytest.raises(ValueError, match=says(*parts)):
        defended(text)


@pytest.mark.parametrize(
    ("flags", "over", "idle"),
    [
        (("Clipping",), {}, ["Clipping"]),
        (("Clipping(bound=0.1)",), {}, []),
        (("Clipping", "GaussianNoise"), {"defense.stddev": [0.0, 0.1]}, ["Clipping"]),
        (("Clipping", "GaussianNoise"), {("defense.stddev", "defense.bound"): [(0.0, 1.0)]}, []),
        ((), {}, []),
    ],
)
def test_a_defense_that_no_flag_gives_a_number_is_warned_of(flags, over, idle):
    chosen = RunPreset(scenario=SCENARIO, data="digits", defense=flags)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        training._warn_of_idle_defenses(chosen, scenario_of(chosen, SCENARIO), over)
    assert [str(warning.message).split(" changes nothing at ")[0] for warning in seen] == [
        f"--defense {n}" for n in idle
    ]


def test_numbers_that_go_together_are_one_axis():
    grid = ["attack.amplify+attack.enabled=1:0,10:1", "learning_rate=0.1"]
    zipped = ("attack.amplify", "attack.enabled")
    assert to_over(SCENARIO, grid, []) == {zipped: [(1, 0), (10, 1)], "learning_rate": [0.1]}
    with pytest.raises(ValueError, match=says("--over has 'attack.amplify+attack.enabled=1'", "2 paths", "1 number;")):
        to_over(SCENARIO, ["attack.amplify+attack.enabled=1,2"], [])
    with pytest.raises(ValueError, match=says("--set names 'attack.amplify'", "no effect")):
        to_over(SCENARIO, grid, ["attack.amplify=3"])

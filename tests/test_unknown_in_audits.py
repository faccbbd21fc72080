"""Audits whose numbers are partly unknown, in another order or of another version: nothing unknown is stopped."""

import json

import numpy as np
import pytest
from data_helpers import says
from test_audit import results

import vfl_jax as vfl
from vfl_jax.audits.numbers import findings
from vfl_jax.core.words import share


def changed(name, place, value):
    table = results().copy(deep=True)
    table[name][place] = value
    return table


ATTACK = ("attack_success", 0.06, lambda found: found.plants, lambda d: (d.attack, d.planted))
READER = ("read", 0.55, lambda found: found.reads, lambda d: (d.reader, d.read))


@pytest.mark.parametrize(
    ("name", "known", "verdict", "strongest", "unknown"),
    [*((*ATTACK, i) for i in range(2)), *((*READER, i) for i in range(3))],
)
def test_what_has_an_unknown_success_is_not_stopped(name, known, verdict, strongest, unknown):
    table = changed(name, 1, known)
    found = findings(table)
    assert verdict(found)(found.defended[1]) is False
    table[name][1, unknown] = np.nan
    found = findings(table)
    defended = found.defended[1]
    assert verdict(found)(defended) is None
    method, success = strongest(defended)  # one that is known
    assert method != str(table[table[name].dims[1]].values[unknown])
    assert success.value == pytest.approx(known)


def test_an_attack_whose_cost_is_unknown_is_not_left_out():
    table = changed("main_accuracy", 1, np.nan)
    found = findings(table)
    assert found.plants(found.defended[1]) is None
    assert not found.spares(found.defended[1])


def test_a_seed_without_a_value_leaves_the_others():
    table = changed("attack_success", (0, 1, 0), np.nan)
    (plain, _), seeds = findings(table).defended, results()["attack_success"].values[0, 1, 1:]
    assert plain.planted.value == pytest.approx(seeds.mean())
    assert plain.lift.low <= plain.lift.value <= plain.lift.high


def test_the_runs_without_a_defense_come_first_wherever_they_lie():
    other = results().isel(defense=[1, 0])
    assert str(vfl.Audit(other)) == str(vfl.Audit(results()))
    assert share(float("nan")) == "an unknown share"


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (lambda t: t.sel(defense=["noise 1×"]), ("no defense 'none'", "keep it")),
        (lambda t: t.sel(defense="none"), ("has no defense", "Select with a list")),
        (lambda t: t.isel(seed=0), ("has no seed", "results.isel(seed=[0])")),
        (lambda t: t.isel(reader=[]), ("has no reader",)),
        (lambda t: t.assign_attrs(facts="{"), ("results.attrs['facts'] is not as an audit wrote it",)),
        (lambda t: t.assign_attrs(facts="[]"), ("results.attrs['facts'] is not as an audit wrote it",)),
    ],
)
def test_what_is_lacking_is_named(part, words):
    with pytest.raises(ValueError, match=says(*words)):
        vfl.Audit(part(results())).to_html()


def test_an_audit_of_another_version_says_so():
    facts = json.loads(results().attrs["facts"])
    older = {name: fact for name, fact in facts.items() if name != "baselines"}
    with pytest.raises(ValueError, match=says("no 'baselines'", "another version", "(0)", "Read it with that one")):
        vfl.Audit(results().assign_attrs(facts=json.dumps(older))).to_html()
    for path in ("", 3):
        with pytest.raises(ValueError, match="path is"):
            vfl.Audit(results()).to_html(path)

"""The arena's line-up: methods, boards and numbers that the committed results stand on."""

import dataclasses
import json
from pathlib import Path

import pytest

from vfl_jax.arenas import lineup
from vfl_jax.arenas.entries import entrants

PINNED = Path(__file__).parent / "fixtures" / "lineup.json"


def found():
    """All numbers of the line-up as JSON has them."""
    return {
        "attacks": {
            f"{name}, {epochs} epochs": {"method": json.loads(attack.to_json()), "granted": dataclasses.asdict(needs)}
            for epochs in (lineup.SMALL, lineup.LARGE)
            for name, (attack, needs) in entrants(lineup.ATTACKS, epochs).items()
        },
        "defenses": {name: json.loads(defense.to_json()) for name, defense in lineup.DEFENSES.items()},
        "rates": lineup.RATES,
        "percentiles": lineup.PERCENTILES,
    }


@pytest.mark.parametrize("part", ["attacks", "defenses", "rates", "percentiles"])
def test_the_line_up_is_the_one_that_results_stand_on(part):
    """Committed results are of these numbers; whoever changes one says so in the changes and trains anew."""
    pinned, here = json.loads(PINNED.read_text())[part], found()[part]
    assert set(here) == set(pinned)
    for name, numbers in here.items():
        assert numbers == pinned[name], name


@pytest.mark.parametrize("head", ["trainable", "sum"])
def test_a_board_has_the_numbers_of_its_name(head):
    board = lineup.BOARDS["digits"](head)
    assert board.epochs == 50
    assert {optimizer.learning_rate for optimizer in board.scenario.optimizers} == {lineup.RATES[head]["digits"]}
    assert {optimizer.kind for optimizer in board.scenario.optimizers} == {"sgd"}

"""The demo's sentences say what its numbers say, whatever these are; and it runs."""

import jax
import numpy as np
import pytest

import vfl_jax
from vfl_jax.cli import commands
from vfl_jax.cli.demo import LEAST, MOST, draw, sides_of, table
from vfl_jax.cli.story import Side, tell

FLOOR, MAIN = np.array([0.0, 0.02]), np.array([0.9, 0.92])
OPEN = Side(np.array([0.9, 1.0]), FLOOR, MAIN, MAIN - 0.027)
HALF = Side(np.array([0.9, 0.1]), FLOOR, MAIN, MAIN)
SHUT = Side(np.array([0.1, 0.2]), FLOOR, MAIN, MAIN)


def said(undefended, defended=SHUT):
    return tell("the digit 8", undefended, {"Noise": defended})


def test_the_first_sentence_says_whether_there_is_a_backdoor():
    assert said(OPEN)[0] == (
        "Without a defense the backdoor works: 95 % of other digits are taken for the digit 8 (honest runs: 1 %), "
        "in 2 of 2 seeds, at a cost of 2.7 percentage points of main accuracy."
    )
    assert "works on some seeds: 50 %" in said(HALF)[0]
    assert "the backdoor fails: 15 %" in said(SHUT)[0]
    assert "in 0 of 2 seeds" in said(SHUT)[0]


@pytest.mark.parametrize(
    ("undefended", "defended", "word"),
    [
        (OPEN, SHUT, "Noise stopped it: 15 %"),
        (OPEN, HALF, "Noise stopped it on some seeds: 50 %"),
        (OPEN, OPEN, "Noise did not stop it: 95 %"),
        (HALF, HALF, "Noise did not stop it"),
        (SHUT, SHUT, "Noise had no backdoor to stop"),
        (SHUT, OPEN, "Noise let a backdoor in"),
    ],
)
def test_a_defense_is_told_by_its_seeds(undefended, defended, word):
    assert said(undefended, defended)[1].startswith(word)


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        (0.031, "at a cost of 3.1 percentage points of main accuracy."),
        (-0.02, "with a gain of 2.0 percentage points of main accuracy."),
        (0.001, "at no cost of main accuracy."),
    ],
)
def test_the_price_has_its_unit(lost, words):
    assert said(OPEN, SHUT._replace(main=MAIN - lost))[1].endswith(words)


def test_a_high_floor_is_no_backdoor():
    """Most rows go to the class by mistake; an attack adds little to it."""
    main = np.array([0.9])
    assert Side(np.array([0.7]), np.array([0.6]), main, main).backdoors() == 0
    assert Side(np.array([0.7]), np.array([0.4]), main, main).backdoors() == 1


def test_every_seed_has_a_dot_of_its_own_around_its_setting():
    panel = draw({"none": OPEN, "Noise": OPEN}, "8").axes[0]
    found = [dots.get_offsets().data for dots in panel.collections if len(dots.get_offsets()) == 2]
    places = [sorted(dots[:, 0].round(2).tolist()) for dots in found]
    assert places == [[-0.23, -0.07], [0.07, 0.23], [0.77, 0.93], [1.07, 1.23]]
    np.testing.assert_allclose(found[1][:, 1], OPEN.success)


@pytest.mark.long
def test_the_demo_tells_what_it_saved(tmp_path, capsys):
    with jax.numpy_dtype_promotion("standard"):  # optax's Adam, which fits VFLIP, does not pass the strict one
        commands.main(["demo", "--seeds", "1", "--epochs", "5", "--out", str(tmp_path / "shown")])
    shown = " ".join(capsys.readouterr().out.split())
    sides = sides_of(vfl_jax.load(tmp_path / "shown" / "demo.nc"))
    assert list(sides) == ["none", LEAST, MOST]
    for sentence in tell("the digit 8", sides["none"], {name: sides[name] for name in (LEAST, MOST)}):
        assert sentence in shown
    assert table(sides)[0]["clean floor"].startswith(f"{float(np.median(sides['none'].floor)):.2f}")
    assert "An example, no ranking: " in shown
    assert "Training took " in shown
    assert (tmp_path / "shown" / "demo.png").stat().st_size > 10_000


def test_too_few_epochs_are_refused():
    with pytest.raises(SystemExit, match="--epochs is 4; the demo's attack needs at least 5"):
        commands.main(["demo", "--epochs", "4"])

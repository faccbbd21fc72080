"""Two results seed by seed: their paired difference, where their studies differ, and what cannot be paired."""

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from data_helpers import says
from result_helpers import scenario_json

import vfl_jax as vfl
from vfl_jax.reports import showing
from vfl_jax.statistics import interval

ARENA = Path(__file__).parents[1] / "experiments" / "arena" / "results" / "handwritten.nc"
RNG = np.random.default_rng(3)
MAIN = RNG.uniform(0.8, 0.95, (3, 8)).astype(np.float32)
NOISE = [0.0, 0.1, 0.2]


def made(values=MAIN, seeds=None, noise=NOISE, data="digits", train=100, stddev=0.0):
    """Results over levels of noise and seeds, at one epoch, of one data set."""
    values, dims = np.asarray(values, np.float32)[..., None], ("defense.stddev", "seed", "epoch")
    seeds = range(values.shape[1]) if seeds is None else seeds
    scenario = scenario_json(defense={"record": "GaussianNoise", "stddev": stddev})
    said = {"scenario": scenario, "data": json.dumps({"name": data}), "rows": json.dumps({"train": train, "test": 50})}
    names = ("main_task_accuracy", "backdoor_accuracy", "attack_success_rate")
    variables = dict.fromkeys(names, (dims, values)) | {"is_finite": (dims, np.ones(values.shape, bool))}
    return xr.Dataset(variables, {"defense.stddev": noise, "seed": list(seeds), "epoch": [1]}, said)


def test_a_difference_is_paired_by_seed():
    shift = RNG.normal(0.02, 0.001, MAIN.shape).astype(np.float32)
    order = RNG.permutation(8)
    other = made((MAIN + shift)[:, order], seeds=order)
    table = vfl.compare(made(), other, ["main_task_accuracy"]).table
    assert table.index.names == ["defense.stddev", "variable"]
    for place, level in enumerate(NOISE):
        numbers = table.loc[(level, "main_task_accuracy")]
        assert numbers["difference_median"] == pytest.approx(np.median(shift[place]), abs=1e-6)
        ends = numbers["difference_low"], numbers["difference_high"]
        assert ends == pytest.approx(interval((MAIN + shift)[place] - MAIN[place]), abs=1e-4)
        assert ends[1] - ends[0] < 0.005 < np.ptp(MAIN[place])  # unpaired it would be as wide as seeds differ
        assert (numbers["b_is_higher"], numbers["seeds"]) == (8, 8)
        assert numbers["a_median"] == pytest.approx(np.median(MAIN[place]))


def test_the_answer_says_where_an_interval_does_not_hold_0():
    moved = MAIN + np.array([[0.02], [-0.02], [0.0]], np.float32)
    found = vfl.compare(made(), made(moved), ["main_task_accuracy"])
    assert found.answer == [
        "main_task_accuracy: b is higher at 1 of 3 settings, and lower at 1; chance alone would call up to 0.15 of "
        "them on average."
    ]
    assert " ".join(repr(found).split()).startswith(found.answer[0])
    for place, way in enumerate(("higher", "lower", "neither higher nor lower for sure")):
        parts = (of.isel({"defense.stddev": place}) for of in (made(), made(moved)))
        (sentence,) = vfl.compare(*parts, ["main_task_accuracy"]).answer
        assert sentence.startswith(f"main_task_accuracy: b is {way}; the difference is ")
        assert sentence.endswith("over 8 seeds.")


def compared(differences):
    """The comparison of two results that differ by numbers seed by seed, at one setting."""
    differences = np.asarray(differences, np.float32)[None]
    a, b = made(np.zeros_like(differences), noise=[0.0]), made(differences, noise=[0.0])
    return vfl.compare(a, b, ["main_task_accuracy"])


@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
def test_fewer_than_six_seeds_decide_nothing(seeds):
    """Five seeds on one side have p = 0.0625; two are on one side in half of all cases without a difference."""
    found = compared(0.1 + 0.01 * np.arange(seeds))
    (sentence,) = found.answer
    assert "higher" not in sentence
    assert f"{seeds} seed{'s' * (seeds > 1)} cannot tell whether a and b differ, which takes 6" in sentence
    assert sentence.endswith(f"and b > a in {seeds} of {seeds}.")
    assert "higher" not in str(found._rows())
    several = vfl.compare(made(MAIN[:, :seeds]), made(MAIN[:, :seeds] + 0.1), ["main_task_accuracy"])
    assert several.answer == [
        "main_task_accuracy: too few seeds to tell whether a and b differ at any of 3 settings, it takes 6; the median "
        "differences are from 0.100 to 0.100."
    ]


@pytest.mark.parametrize(
    ("differences", "higher", "p", "word"),
    [
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 6, 0.03125, "b is higher"),
        ([-0.1, -0.2, -0.3, -0.4, -0.5, -0.6], 0, 0.03125, "b is lower"),
        ([-0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], 6, 0.125, "neither"),  # its interval does not hold 0
        ([0.0, 0.2, 0.3, 0.4, 0.5, 0.6], 5, 0.0625, "neither"),  # who does not differ does not count
        ([0.0] * 14 + [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 6, 0.03125, "neither"),  # the median is 0
    ],
)
def test_the_interval_and_a_sign_test_decide(differences, higher, p, word):
    found = compared(differences)
    (row,) = found.table.to_dict("records")
    assert (row["b_is_higher"], row["sign_test_p"]) == (higher, pytest.approx(p))
    assert word in found.answer[0]
    assert f"p = {p:.2g} by the sign test" in found.answer[0]


def test_several_settings_say_how_many_chance_would_call():
    """Forty settings of ten seeds without a difference."""
    values = [np.random.default_rng(seed).normal(size=(40, 10)) for seed in (5, 6)]
    found = vfl.compare(*(made(of, noise=list(np.arange(40.0))) for of in values), ["main_task_accuracy"])
    count, called = found.table["b_is_higher"], {}
    for way, is_extreme in (("higher", count >= 9), ("lower", count <= 1)):  # p = 22/1024; of 8 it is 112/1024
        is_beyond = found.table["difference_low"] > 0 if way == "higher" else found.table["difference_high"] < 0
        called[way] = int((is_extreme & is_beyond).sum())
    assert sum(called.values()) > 0
    assert found.answer[0].endswith(
        f"b is higher at {called['higher']} of 40 settings, and lower at {called['lower']}; chance alone would call up "
        "to 2 of them on average."
    )


def test_settings_with_few_seeds_are_told_apart():
    values = MAIN.copy()
    values[1, 3:] = np.nan
    found = vfl.compare(made(), made(values + np.float32(0.02)), ["main_task_accuracy"])
    assert found.answer[0].startswith("main_task_accuracy: b is higher at 2 of 2 settings, and lower at 0;")
    assert found.answer[0].endswith(". 1 more has fewer than 6 seeds, which cannot tell.")


@pytest.mark.parametrize("differences", [[0.25] * 8, [0.25] * 2])
def test_equal_differences_have_no_interval(differences):
    found = compared(differences)
    assert "0.250 (the same in most seeds)" in found.answer[0]
    assert found._rows()[0]["difference"] == "0.250 (the same in most seeds)"
    assert "[0.250, 0.250]" not in repr(found)


def test_what_only_one_has_is_left_out_and_named():
    other = made(MAIN[:2, 2:], seeds=range(2, 8), noise=[0.2, 0.1], stddev=0.3)
    found = vfl.compare(made(), other)
    assert found.left_out == [
        "Left out: defense.stddev 0.0 of a, which b lacks.",
        "Left out: seed 0, 1 of a, which b lacks.",
    ]
    level = found.table.xs("main_task_accuracy", level="variable").loc[0.2]
    assert level["difference_median"] == pytest.approx(np.median(MAIN[0, 2:] - MAIN[2, 2:]), abs=1e-6)
    told = {row["what"]: (row["a"], row["b"]) for row in found.differs}
    assert told["defense.stddev"] == ("0.0", "0.3")
    assert told["seeds"] == ("0 to 7", "2 to 7")
    text = repr(found)
    assert max(map(len, text.splitlines())) <= 80
    assert "Where the studies differ" in text
    assert "Left out: seed 0, 1 of a" in found._repr_html_()


def test_equal_studies_differ_in_nothing():
    found = vfl.compare(made(), made())
    assert found.differs == []
    assert (found.table["difference_median"] == 0).all()
    assert "differ in nothing" in repr(found)


def test_a_seed_that_is_undefined_in_one_does_not_count():
    values = MAIN.copy()
    values[1, 3] = np.nan
    table = vfl.compare(made(), made(values)).table
    assert table["seeds"].tolist() == [8, 7, 8] * 2


@pytest.mark.parametrize(
    ("b", "words"),
    [
        (made().isel(seed=0), ("b has no dimension 'seed'", "keep the seeds")),
        (
            made().isel({"defense.stddev": 1}),
            ("a has the dimension 'defense.stddev'", "a.sel({'defense.stddev': 0.2})"),
        ),
        (made(seeds=range(20, 28)), ("no seed in common", "0 to 7", "20 to 27")),
        (made(noise=[1.0, 2.0, 3.0]), ("no defense.stddev in common",)),
        (made(data="mnist"), ("different data sets", "'digits' and 'mnist'")),
        (made(train=99), ("99 and 100 train rows",)),
        (made()["is_finite"], ("b is a DataArray", "vfl.load")),
    ],
    ids=["no seeds", "more dimensions", "other seeds", "other settings", "other data", "other rows", "no data set"],
)
def test_what_cannot_be_paired_is_refused_in_words(b, words):
    with pytest.raises(ValueError, match=says(*words)):
        vfl.compare(made(), b)


def test_an_unknown_variable_is_named():
    with pytest.raises(ValueError, match=says("names has 'los'", "It holds main_task_accuracy")):
        vfl.compare(made(), made(), ["los"])


def test_two_boards_of_an_arena_are_compared_by_meeting():
    arena = vfl.load(ARENA)
    found = vfl.compare(vfl.honest(arena), vfl.attacked(arena), ["attack_success"])
    (attack, defense) = arena["attack"].values[0], "none"
    at = arena.sel(attack=attack, defense=defense).isel(data=0)
    expected = np.median(at["attack_success"] - at["attack_success_honest"])
    row = found.table.loc[(at["data"].item(), attack, defense, "attack_success")]
    assert row["difference_median"] == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ValueError, match="a is of an arena"):
        vfl.compare(arena, made())


def test_a_terminal_shows_the_answer_first(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert vfl.show(made()) is None
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Not enough to say")
    assert max(map(len, lines)) <= 80


def test_a_notebook_shows_answer_figure_and_table(monkeypatch):
    shown = []
    module = types.SimpleNamespace(display=shown.append, HTML=lambda text: text)
    monkeypatch.setattr(showing, "in_notebook", lambda: True)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    vfl.show(made())
    answer, figure, caption, table = shown
    assert "Not enough to say" in answer
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert "seeds" in caption
    assert "defense.stddev" in table

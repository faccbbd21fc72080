"""What people see of data, scenarios and figures where they just name them: on a terminal and in a notebook."""

import dataclasses
import functools
import math
from pathlib import Path

import numpy as np
import pytest
from data_helpers import tiny_data
from helpers import bag_data

import vfl_jax as vfl
from vfl_jax.core.record import cast, with_numbers
from vfl_jax.defenses import GaussianNoise
from vfl_jax.presets import nearest

presets = vfl.presets
RESULTS = Path(__file__).parents[1] / "experiments/audits/results"


def test_data_say_rows_parties_and_classes():
    data = dataclasses.replace(tiny_data(active_party=1), name="<own>", classes=("a", "b", "c & d"))
    lines = repr(data).splitlines()
    assert lines[0] == "VerticalData '<own>': 30 training rows, 12 test rows, 3 classes"
    assert lines[1:] == [
        "  party 0: 8 features (2 × 4)",
        "  party 1: 8 features (2 × 4), and the labels",
        "  training rows by class: a (10), b (10), c & d (10)",
    ]
    page = data._repr_html_()
    assert "<b>&lt;own&gt;</b>: 30 training rows" in page
    assert "c &amp; d&nbsp;(10)" in page


def test_data_of_many_classes_and_long_names_fit_80_columns():
    data = tiny_data()
    many = dataclasses.replace(data, classes=tuple(f"a class with a name {i}" for i in range(300)))
    assert "and 280 more" in " ".join(repr(many).split())
    assert max(map(len, repr(many).splitlines())) < 80
    assert "holds the labels and no features" in repr(many)


def test_data_of_bags_and_of_natural_triggers_say_so():
    data = bag_data()
    marked = int(data.train.has_trigger.sum()), int(data.test.has_trigger.sum())
    text = repr(data)
    assert "bags of" in text
    assert (f"rows with a trigger by nature: {marked[0]} training rows" in text) == any(marked)


def test_a_preset_is_its_call():
    for scenario, call in (
        (presets.digits_demo(), "digits_demo()"),
        (presets.zou2022(), "zou2022()"),
        (presets.liu2020_code(head="trainable", task="nus_wide"), "liu2020_code(head='trainable', task='nus_wide')"),
        (presets.liu2020_paper(num_parties=4), "liu2020_paper(num_parties=4)"),
    ):
        assert repr(scenario) == f"Scenario of {call}"
        assert nearest(scenario)[1] == scenario


def test_a_scenario_is_what_differs_from_its_preset():
    scenario = presets.digits_demo().replace(defense=GaussianNoise(stddev=0.1))
    scenario = with_numbers(scenario, {"attacks.1.amplify": 2.5})
    assert repr(scenario).splitlines() == [
        "Scenario of digits_demo(), but",
        "  attacks.1.amplify = 2.5; the preset has 10.0",
        "  defense = GaussianNoise(stddev=0.1, variance=0.0); the preset has",
        "    ActiveTransform()",
    ]
    page = scenario._repr_html_()
    assert "<code>digits_demo()</code>, but" in page
    assert page.count("<tr>") == 3


def test_a_scenario_far_from_all_presets_says_what_it_holds():
    scenario = vfl.scenario_for(vfl.load_breast_cancer(), attacker="mean")
    text = repr(scenario)
    assert text.startswith("Scenario with\n  bottoms = (")
    assert "\n  batches.size = 45" in text
    assert max(map(len, text.splitlines())) < 80
    assert "preset" not in text + scenario._repr_html_()
    assert repr(vfl.Scenario()) == "Scenario()"


def test_no_line_breaks_between_a_class_and_its_rows():
    data = dataclasses.replace(tiny_data(), classes=("first " * 5, "second " * 5, "third " * 5))
    assert not [line for line in repr(data).splitlines() if line.strip().startswith("(")]
    assert "(10)" in repr(data)


@pytest.mark.parametrize("room", [vfl.attacks, vfl.defenses])
def test_every_method_fits_80_columns_and_python_reads_it_back(room):
    for name in room.__all__:
        kind = getattr(room, name)
        if not (isinstance(kind, type) and issubclass(kind, vfl.Record)):
            continue
        text = repr(kind())
        assert max(map(len, text.splitlines())) < 80, name
        known = vars(vfl.models) | vars(vfl.protocol) | {name: kind, "inf": math.inf}
        assert eval(text, known) == kind()


def test_records_in_tuples_and_long_values_are_folded_too():
    chain = vfl.ActiveChain(parts=(vfl.defenses.CAE(), vfl.defenses.GaussianNoise()))
    lines = repr(chain).splitlines()
    assert lines[0].startswith("ActiveChain(parts=(CAE(hidden=128,")
    assert lines[-1].endswith("GaussianNoise(stddev=0.0, variance=0.0)))")
    assert max(map(len, lines)) < 80
    alone = vfl.ActiveChain(parts=(vfl.defenses.GaussianNoise(),))
    assert repr(alone) == "ActiveChain(parts=(GaussianNoise(stddev=0.0, variance=0.0),))"


def test_guarantees_fit_80_columns_and_python_reads_them_back():
    parts = (vfl.defenses.Clipping(bound=0.001), GaussianNoise(stddev=0.01))
    scenario = presets.digits_demo().replace(defense=vfl.ActiveChain(parts=parts))
    bought = vfl.privacy(scenario, vfl.load_digits(), epochs=10)
    assert repr(bought).startswith("(Guarantee(\n    method='defense.parts.0 (Clipping)',\n    protects='nothing',\n")
    assert max(map(len, repr(bought).splitlines())) < 80
    assert eval(repr(bought), {"Guarantee": vfl.Guarantee, "inf": math.inf}) == bought


def test_what_is_given_is_told_by_its_form():
    assert repr(vfl.Given()) == "Given()"
    params = ({"weight": np.zeros((3, 2)), "bias": np.zeros(2)},) * 2
    given = vfl.Given(params=params, poison_ids=np.arange(300, dtype=np.int32), target_ids=[1, 2])
    lines = ["Given(", "    params=<4 arrays>,", "    poison_ids=int32[300],", "    target_ids=<2 numbers>,", ")"]
    assert repr(given).splitlines() == lines


def test_an_audit_and_a_board_fit_80_columns():
    audit = vfl.Audit.load(RESULTS / "bank_marketing.nc")
    assert repr(audit).startswith("A malicious “call centre” could read")
    assert ".to_html(path)" in repr(audit)
    page = audit._repr_html_()
    assert page.count("<tr>") > 10
    assert "A malicious “call centre”" in page
    board = vfl.board_for(tiny_data(), epochs=3)
    assert repr(board).startswith("Board of 3 epochs, attacked by party 1 with 50% of the features\nVerticalData")
    for shown in (audit, board):
        assert max(map(len, repr(shown).splitlines())) < 80


def test_swept_numbers_are_shown_as_they_are():
    swept = cast(presets.digits_demo())
    swept = with_numbers(swept, {"attacks.1.amplify": cast(presets.digits_demo()).attacks[1].amplify[None]})
    assert repr(swept).startswith("Scenario(bottoms=(")
    assert swept._repr_html_().startswith("<pre>Scenario(")


def test_a_plug_ins_preset_counts_and_one_that_cannot_be_called_does_not():
    def with_data(data):
        raise AssertionError("nobody can call it without data")

    loud = functools.partial(presets.digits_demo, amplify=77.0)
    vfl.register_preset("loud_digits", loud)
    vfl.register_preset("needs_data", with_data)
    try:
        assert repr(loud()) == "Scenario of loud_digits()"
    finally:
        presets.PRESETS.pop("loud_digits")
        presets.PRESETS.pop("needs_data")


def test_a_figure_is_a_picture_in_a_notebook_and_stays_as_it_was():
    figure, panels = vfl.plots.grid_of_panels(1, 2)
    panels[0, 0].plot([0, 1], [0.2, 0.9])
    before = figure.dpi, figure.get_size_inches().tolist()
    picture = figure._repr_png_()
    assert picture.startswith(b"\x89PNG")
    width = int.from_bytes(picture[16:20], "big")
    assert width == pytest.approx(before[1][0] * 110, abs=1)
    assert (figure.dpi, figure.get_size_inches().tolist()) == before

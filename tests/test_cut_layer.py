"""The study of the cut layer: networks of equally many layers, and what its page says of made-up results."""

import pytest
from test_arena_experiment import board as results_of_a_board

from experiments.cut_layer import __main__ as experiment
from experiments.cut_layer import report
from experiments.cut_layer.cases import CUTS, LAYERS, board, cut_name
from vfl_jax.core.files import save
from vfl_jax.data import load_digits


@pytest.fixture
def digits_alone(monkeypatch):
    from experiments.cut_layer import cases
    from vfl_jax.arenas.boards import board_for

    made = board_for(load_digits())
    monkeypatch.setattr(cases, "BOARDS", {"digits": lambda: made})
    return made


def test_every_cut_has_as_many_layers_and_as_wide_messages(digits_alone):
    widths = set()
    for cut in CUTS:
        scenario = board("digits", cut).scenario
        below, above = len(scenario.bottoms[0].hidden) + 1, len(scenario.head.hidden) + 1
        assert (below, below + above) == (cut, LAYERS)
        widths.add(scenario.bottoms[0].width)
        scenario.check(digits_alone.data)
    assert widths == {digits_alone.scenario.bottoms[0].width}


@pytest.fixture
def found():
    """A backdoor that gets through from the second cut on, and a reader of half as much."""
    import xarray as xr

    names = ("Replay", "RegressionInference"), ("none", "wall")
    parts = [results_of_a_board(cut_name(cut), (0.4 * cut - 0.3, 0.1), 0.0, *names) for cut in CUTS]
    whole = xr.concat(parts, "data")
    whole["label_inference_accuracy"] = whole["attack_success"].copy(data=whole["attack_success"] * 0 + 0.7)
    whole["label_inference_auc"] = whole["label_inference_accuracy"] / 2
    return whole.assign(alone_accuracy=("seed", [0.2] * 5), alone_auc=("seed", [0.3] * 5))


def test_a_page_has_a_column_per_cut_and_says_what_lacks(found, tmp_path):
    save(found, tmp_path / "handwritten.nc")
    report.write_report(tmp_path)
    page = (tmp_path / "tables.md").read_text()
    rows = {row[""]: [str(row[cut_name(cut)]).split(" ")[0] for cut in CUTS] for row in report.rows(found)}
    assert rows == {
        "main accuracy, honest": ["0.900"] * 3,
        "floor": ["0.020"] * 3,
        "backdoor: Replay": ["0.100", "0.500", "0.900"],
        "reader: RegressionInference": ["0.700"] * 3,
        "alone, without the protocol": ["0.200"] * 3,
    }
    assert page.index("At every cut") < page.index("cut_layer.png") < page.index("| backdoor: Replay |")
    assert "Not trained yet**: default_credit, mnist" in page


def test_the_answer_counts_who_is_left_at_every_cut(found):
    everywhere = found.copy(deep=True)
    everywhere["attack_success"] += 0.3
    nowhere = found.copy(deep=True)
    nowhere["attack_success"] = nowhere["attack_success"] * 0
    said = report.answer({"one": found, "two": everywhere, "three": nowhere})
    assert said.startswith(
        "**At every cut a reader of labels is left on 3 of 3 data sets. A backdoor gets through at every cut on 1, at "
        "some cut on 2.** Of 4 layers, 1, 2 and 3 lie below the cut"
    )
    assert (
        "* one: the strongest of 1 backdoor leads 10%, 50% and 90% of rows to τ in the mean over seeds, and honest "
        "runs 2% at most; the strongest reader reads a share of the labels of 0.70, 0.70 and 0.70 (0.20 alone, without "
        "the protocol)" in said
    )


def test_of_two_classes_a_reader_is_judged_by_its_area(found):
    """There the most frequent class would be most of the rows, and who names it for all would read much."""
    two = found.assign(num_classes=("data", [2] * len(CUTS)))
    said = report.answer({"credit": two})
    assert said.startswith("**At every cut a reader of labels is left on 0 of 1 data sets.")
    assert "the strongest reader has an AUC of 0.35, 0.35 and 0.35 (0.30 alone, without the protocol)" in said


def test_a_page_without_results_and_an_unknown_set_are_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="no results"):
        report.write_report(tmp_path)
    with pytest.raises(ValueError, match="only names 'nobody'; there are"):
        experiment.train(experiment.Arguments(only=("nobody",)), tmp_path)

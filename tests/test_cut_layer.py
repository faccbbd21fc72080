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


def test_a_page_has_a_row_per_cut_and_says_what_lacks(tmp_path):
    import xarray as xr

    parts = [
        results_of_a_board(cut_name(cut), (0.2 * cut, 0.1), 0.0, ("Replay", "RegressionInference"), ("none", "wall"))
        for cut in CUTS
    ]
    found = xr.concat(parts, "data")
    found["label_inference_accuracy"] = found["attack_success"] / 2
    save(found, tmp_path / "handwritten.nc")
    report.write_report(tmp_path)
    page = (tmp_path / "tables.md").read_text()
    rows = report.rows(found)
    assert [row["layers"] for row in rows] == [cut_name(cut) for cut in CUTS]
    assert [row["Replay"].split(" ")[0] for row in rows] == ["0.200", "0.400", "0.600"]
    assert [row["RegressionInference"].split(" ")[0] for row in rows] == ["0.050"] * 3
    assert "Not trained yet**: default_credit, mnist" in page


def test_a_page_without_results_and_an_unknown_set_are_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="no results"):
        report.write_report(tmp_path)
    with pytest.raises(ValueError, match="only names 'nobody'; there are"):
        experiment.train(experiment.Arguments(only=("nobody",)), tmp_path)

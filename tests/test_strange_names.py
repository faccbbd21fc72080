"""Names of parties, cases, files and methods are texts: no writer, terminal, page or figure takes them for commands."""

import csv
import io
import re

import numpy as np
import pytest
from matplotlib.text import Text
from rich.console import Console

import vfl_jax as vfl
from vfl_jax import plots, reports
from vfl_jax.cli import main
from vfl_jax.reports.writers import marked_down

NAMES = [
    *("a&b", "_x_", "<script>alert(1)</script>", "two\nlines", "ünï→日本", "x" * 300, "", "a|b", "back\\|bar"),
    *("*star", "`tick`", "$\\bad$", "\x00nul", "[/b] and :smile:", "a--b", "[x](y)", "&lt;", "\ud800"),
]


def rows():
    return [{"name": name, "v & w": "0.1 [0.0, 0.2]"} for name in NAMES]


def test_no_name_breaks_a_row_of_markdown():
    lines = reports.to_markdown(rows()).splitlines()
    assert len(lines) == len(NAMES) + 2
    for line in lines:
        assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == 3  # bars that end a cell
    assert "| two lines |" in lines[5]


def test_markdown_shows_a_name_as_it_is():
    assert marked_down("learning_rate of 3 × [0.1, 0.2] & more") == "learning_rate of 3 × [0.1, 0.2] & more"
    assert [marked_down(name) for name in ("_x_", "<b>", "*star", "`t`", "[x](y)", "&lt;", "a\\b")] == [
        *("\\_x\\_", "\\<b>", "\\*star", "\\`t\\`", "[x\\](y)", "\\&lt;", "a\\\\b")
    ]


def test_csv_is_read_back_by_python_and_pandas():
    import pandas as pd

    text = reports.to_csv([*rows(), {"name": "cr\rhere", "v & w": "–"}])
    text.encode()
    whole = [name.replace("\x00", "\ufffd").replace("\ud800", "\ufffd") for name in NAMES] + ["cr\nhere"]
    assert [row[0] for row in csv.reader(io.StringIO(text, newline=""))][1:] == whole
    assert pd.read_csv(io.StringIO(text, newline=""), keep_default_na=False)["name"].tolist() == whole


def test_latex_keeps_stars_and_hyphens_apart():
    text = reports.to_latex(rows())
    text.encode()
    assert "\n{*}star &" in text  # behind a line's end a bare star would be swallowed
    assert "a-{}-b" in text
    assert "\\textasciigrave{}tick" in text
    assert "3--4" in reports.to_latex([{"range": "3–4"}])


def test_a_terminal_prints_brackets_and_colons():
    screen = io.StringIO()
    for text in ("[/b] and :smile:", reports.to_terminal(rows(), "[/b] of :smile:")):
        console = reports.console()
        console.file = screen
        console.print(text)
    assert screen.getvalue().count("[/b]") == 3
    assert screen.getvalue().count(":smile:") == 3
    assert isinstance(console, Console)


@pytest.mark.parametrize("words", [["report", "--html"], ["plot", "--out"]])
def test_paths_may_have_brackets(tmp_path, words, capsys):
    folder = tmp_path / "[b] [/b]"
    results = named("plain")
    vfl.save(results, folder / "grid.nc")
    out = folder / ("page.html" if words[0] == "report" else "figure.png")
    main([words[0], str(folder / "grid.nc"), words[1], str(out)])
    assert out.stat().st_size > 1000
    assert "[b] [/b]" in capsys.readouterr().out.replace("\n", "")


def named(name, seeds=2):
    """Results over epochs with a case of this name."""
    import xarray as xr

    values = np.full((1, seeds, 2), 0.5, np.float32)
    dims = ("defense", "seed", "epoch")
    names = ("main_task_accuracy", "backdoor_accuracy", "attack_success_rate", "loss")
    variables = dict.fromkeys(names, (dims, values)) | {"is_finite": (dims, values > 0)}
    return xr.Dataset(variables, {"defense": [name], "seed": range(seeds), "epoch": [1, 2]})


def test_a_dollar_in_a_figure_is_no_formula():
    run = named("plain").isel(defense=0)
    figure = plots.curves({"$\\bad$": run, "$x$": run}, ["loss"], title="$\\bad$ at $5 and $6")
    figure.savefig(io.BytesIO(), format="png")
    texts = [text for text in figure.findobj(Text) if text.get_text().startswith("$")]
    assert len(texts) == 3
    assert not any(text.get_parse_math() for text in texts)
    panel = figure.axes[0]
    panel.set_xticks([1, 2], ["$\\bad$", "$6 of $7"])
    figure.savefig(io.BytesIO(), format="svg")
    assert not any(label.get_parse_math() for label in panel.get_xticklabels())


def test_a_width_of_nothing_is_no_width(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "0")
    reports.console().print("shown")
    assert capsys.readouterr().out == "shown\n"
    assert reports.console().width == 80

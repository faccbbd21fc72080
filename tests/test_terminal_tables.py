"""Tables in a terminal: whatever its width, no number is broken and nothing is cut."""

import io
import re

import pytest
from rich.console import Console

from vfl_jax import load, reports
from vfl_jax.arenas.leaderboard import attack_rows, defense_rows
from vfl_jax.cli.listing import table as listing
from vfl_jax.reports.folding import FoldedTable, _cell

ZIPPED = "attacks.1.parts.0.enabled+attacks.1.parts.1.enabled"
NUMBERS = {"main accuracy": "0.912 [0.871, 0.950]", "attack success": "0.123 [0.100, 0.145]"}
MORE = {"clean floor": "0.100 [0.090, 0.110]", "own metric": "12.345 [11.111, 13.333]", "other": "0.777 [0.666, 0.888]"}
COUNTS = {"success": "3/20", "collapsed": "1/20", "not judged": "16/20 floor too high", "rows measured": "1,234"}
ROW = {"attack": "gradient replacement", "defense": "Gaussian noise"} | NUMBERS | MORE | COUNTS
TABLES = {
    "of the demo": [ROW, ROW | {"attack": "honest", "main accuracy": "0.900 [0.800, 0.999]"}],
    "with long paths": [{ZIPPED: "1", "defense.stddev": "0.0123"} | ROW],
    "without a setting": [NUMBERS],
    "of counts alone": [{"case": "a", "cells": "12"}],
}


def printed(found, width):
    screen = io.StringIO()
    Console(file=screen, width=width).print(found)
    return screen.getvalue()


@pytest.mark.parametrize("width", [100, 80, 60, 40, 30])
@pytest.mark.parametrize("name", TABLES)
def test_every_number_is_whole_at_every_width(name, width):
    table = TABLES[name]
    text = printed(reports.to_terminal(table, "a title"), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    whole = re.findall(r"[\d.,/]*\d", text)
    for row in table:
        for cell in row.values():
            for number in re.findall(r"[\d.,/]*\d", cell):
                assert number in whole, number
    assert "a title" in text


def test_what_has_no_room_follows_behind_the_settings():
    text = printed(reports.to_terminal(TABLES["of the demo"], ""), 80)
    first, second = text.split("\n\n")
    assert "main" in first
    assert "outcomes" in second
    assert "gradient replacement" in first
    assert "gradient replacement" in second
    assert "outcomes" in printed(reports.to_terminal(TABLES["of the demo"], ""), 200).split("\n\n")[0]


def test_a_row_is_a_list_where_even_the_settings_are_too_wide():
    text = printed(reports.to_terminal(TABLES["with long paths"], ""), 40)
    assert "defense.stddev: 0.0123\n" in re.sub(" +\n", "\n", text)
    assert "  main accuracy: 0.912 0.871–0.950\n" in re.sub(" +\n", "\n", text)
    assert FoldedTable([{"a": "x" * 30, "b": "1"}], 1, "").blocks(20) is None


def test_every_column_is_in_one_block():
    table = reports.to_terminal(TABLES["of the demo"], "")
    blocks = table.blocks(60)
    assert len(blocks) > 1
    assert [name for block in blocks for name in block[2:]] == table.columns[2:]
    assert all(block[:2] == ["attack", "defense"] for block in blocks)


def test_without_a_terminal_there_are_80_columns(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert reports.console().width == 80
    monkeypatch.setenv("COLUMNS", "120")
    assert reports.console().width == 120


def test_the_arena_and_the_list_fit_80_columns():
    results = load("experiments/arena/results/bank_marketing.nc")
    for rows in (attack_rows(results), defense_rows(results)):
        text = printed(reports.to_terminal(rows, "who wins"), 80)
        assert max(map(len, text.splitlines())) <= 80
        for row in rows:
            words = re.sub(r"[×,\[\]]", " ", " ".join(row.values())).split()
            assert all(word in text for word in words if re.fullmatch(r"[\d.]+", word))
    text = printed(listing(), 80)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text


def test_a_long_cell_breaks_between_words_and_keeps_its_empty_lines():
    assert _cell("one two\n\nthree", 5) == "one\ntwo\n\nthree"
    assert _cell("unbreakable word", 4) == "unbreakable\nword"

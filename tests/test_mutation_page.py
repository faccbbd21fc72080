"""The page of the mutants: what it counts, and how survivors are explained."""

import pytest
from data_helpers import says

from experiments.mutations import __main__ as command
from experiments.mutations import job, report


def row_of(name, outcome, room="core", operator="not", **others):
    row = {"id": name, "room": room, "path": f"vfl_jax/{room}/x.py", "line": 7, "operator": operator, "by": "t"}
    return row | {"outcome": outcome, "diff": "-a\n+b", "tests": 3, "left_out": 0, "commit": "abc"} | others


def test_the_page_counts_by_room_and_operator_and_explains_survivors():
    rows = [row_of("a", "caught"), row_of("b", "caught", since=True), row_of("c", "timed out", "data")]
    rows += [row_of("d", "survived"), row_of("e", "survived", "data", "swap", left_out=2), row_of("f", "survived")]
    by_id = {row["id"]: row for row in rows}
    reasons = {"d": {"equivalent": "Both are 1."}, "e": {"harmless": "A color."}}
    text, said = report.tables(by_id, reasons), report.answer(by_id, reasons)
    assert "| core | 4 | 2 | 2 | 0 |" in text
    assert "| all | 6 | 2 | 3 | 1 |" in text
    assert "Tried at commit `abc`." in text
    assert "| swap | 1 | 0 | 1 | 0 |" in text
    assert "| data | 0 / 0 / 1 | 0 / 1 / 0 |" in text
    assert "`d` vfl_jax/core/x.py:7, not; 3 tests. equivalent: Both are 1.\n\n```diff\n-a\n+b\n```" in text
    assert "`e` vfl_jax/data/x.py:7, swap; 3 tests, 2 more were left out. harmless: A color." in text
    assert "`f` vfl_jax/core/x.py:7, not; 3 tests. not explained yet" in text
    assert "`a` " not in text
    assert "notice 60 % of the mistakes" in said
    assert "1 of them by tests that were written or chosen for them" in said
    assert "Before those 1 it was 40 %" in said
    assert "Of the 2 others that survive 1 are harmless and 1 not explained yet" in said
    assert report.answer({}, {}) == "**Not tried yet.**\n"


def test_an_explanation_is_one_of_three(tmp_path):
    path = tmp_path / "explained.toml"
    path.write_text('[a]\nequivalent = "x"\n')
    assert report.read_reasons(path) == {"a": {"equivalent": "x"}}
    for wrong in ('[a]\nequivalent = " "\n', '[a]\nequal = "x"\n', '[a]\ntest = "x"\nharmless = "y"\n', "[a]\n"):
        path.write_text(wrong)
        with pytest.raises(ValueError, match=says("explained.toml", "a by", "equivalent, harmless, test")):
            report.read_reasons(path)


def test_committed_explanations_are_of_mutants_that_survived():
    rows = job.read_rows(command.RESULTS)
    for name, reason in report.read_reasons(report.EXPLAINED).items():
        assert rows[name]["outcome"] == ("caught" if "test" in reason else "survived"), name

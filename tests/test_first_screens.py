"""Pages begin with the answer and a figure, and no visible table is wider than a page."""

import re
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
WITHOUT_A_FIGURE = {"cut_layer"}
"""Not trained yet."""
PAGES = sorted(
    name
    for path in EXPERIMENTS.glob("*/**/README.md")
    if (name := path.parent.relative_to(EXPERIMENTS).as_posix()) not in WITHOUT_A_FIGURE
)
FIRST_LINES = 12


def first_screen(text):
    """The lines of a page that a reader sees first."""
    return text.splitlines()[:FIRST_LINES]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_begins_with_the_answer_and_a_figure(name):
    lines = first_screen((EXPERIMENTS / name / "README.md").read_text(encoding="utf-8"))
    said = [line for line in lines[1:] if line and not line.startswith("<!--")]
    assert said[0].startswith("**"), said[0]
    (figure, *_) = [line for line in said if line.startswith("![")]
    place = re.fullmatch(r"!\[.+\]\((.+)\)", figure)[1]
    assert (EXPERIMENTS / name / place).is_file()


def test_the_claims_are_one_table_of_short_cells():
    table = (EXPERIMENTS / "liu2020" / "README.md").read_text(encoding="utf-8").partition("### The evidence")[0]
    cells = [cell.strip() for line in table.splitlines() if line.startswith("| ") for cell in line.split("|")]
    assert len(cells) > 100
    assert [cell for cell in cells if len(cell) > 120] == []

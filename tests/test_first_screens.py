"""Pages begin with the answer and a figure, and no visible table is wider than a page."""

import re
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
WITHOUT_A_FIGURE = {"mutations"}
"""Not tried yet."""
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


LINE = 100
"""The letters that a page has room for: where the longest words of a table's columns have more, the page scrolls."""
MOST_COLUMNS, LONGEST_CELL = 11, 250
ROOT = EXPERIMENTS.parent
FOR_READERS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *EXPERIMENTS.rglob("README.md")])


def visible_tables(text):
    """The tables of a page that are neither code nor folded: rows of cells, as they are read."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    while (opened := re.sub(r"<details>(?:(?!<details>).)*?</details>", "", text, flags=re.DOTALL)) != text:
        text = opened
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        cells = [re.split(r"(?<!\\)\|", line.strip().strip("|")) for line in table.splitlines()]
        read = [[re.sub(r"!?\[([^]]*)\]\([^)]*\)|[*`]", r"\1", cell).strip() for cell in row] for row in cells]
        yield [row for row in read if not all(re.fullmatch(r":?-+:?", cell) for cell in row)]


def too_wide(rows):
    """What makes a table wider than a page, in words; empty where nothing does."""
    words = [max(len(word) for cell in column for word in cell.split() or [""]) for column in zip(*rows, strict=True)]
    longest = max(len(cell) for row in rows for cell in row)
    said = [f"{len(words)} columns"] if len(words) > MOST_COLUMNS else []
    said += [f"words of {sum(words)} letters side by side"] if sum(words) > LINE else []
    return said + ([f"a cell of {longest} letters"] if longest > LONGEST_CELL else [])


@pytest.mark.parametrize("path", FOR_READERS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_visible_table_is_wider_than_a_page(path):
    wrong = {
        tuple(rows[0]): said for rows in visible_tables(path.read_text(encoding="utf-8")) if (said := too_wide(rows))
    }
    assert wrong == {}


def test_wide_tables_are_found():
    def page(columns, cell):
        return "".join(f"|{f' {text} |' * columns}\n" for text in ("a", "---", cell))

    assert list(map(too_wide, visible_tables(page(11, "two words")))) == [[]]
    assert list(map(too_wide, visible_tables(page(12, "b")))) == [["12 columns"]]
    assert list(map(too_wide, visible_tables(page(3, "w" * 34)))) == [["words of 102 letters side by side"]]
    assert list(map(too_wide, visible_tables(page(1, "one " * 70)))) == [["a cell of 279 letters"]]
    folded = f"<details><summary>all</summary>\n\n{page(12, 'b')}\n</details>\n"
    assert list(visible_tables(folded)) == []


COST = re.compile(r"\b(?:costs?|loses?|losses)\b[^.|\n]{0,50}?\b0\.\d+")


@pytest.mark.parametrize("path", FOR_READERS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_page_that_counts_costs_says_in_what_unit(path):
    text = path.read_text(encoding="utf-8")
    if path.name != "CHANGELOG.md" and COST.search(text):
        assert re.search(r"percentage\s+points?", text)


def test_costs_are_found():
    assert COST.search("blocks at a cost of 0.049")
    assert COST.search("costs the honest runs 0.065")
    assert not COST.search("costs nothing. At 0.05")

"""The page of what each method was held against: complete, and what it says of tests stands there."""

import os
import re
from pathlib import Path

import pytest

from vfl_jax.core.record import kinds
from vfl_jax.data.sets.location import DATA_VARIABLE
from vfl_jax.protocol.transforms import ActiveTransform, PartyTransform

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "vectors.md").read_text()
METHODS, _, PROJECTS = PAGE.partition("## Whose code")
ROWS = [line.strip("| ").split(" | ") for line in METHODS.splitlines() if line.startswith("| `")]
EVIDENCE = {line.split("`")[1]: line.partition(": ")[2] for line in METHODS.splitlines() if line.startswith("* `")}
"""The tests and vectors of every method, folded below its table."""
BASES = PartyTransform, ActiveTransform  # attacks are of one of both


def names_in(cell):
    return re.findall(r"`([\w.]+)`", cell)


def files_of(method):
    return [ROOT / "tests" / f"{name}.py" for name in re.findall(r"\(\.\./tests/(\w+)\.py\)", EVIDENCE[method])]


def held():
    """The vectors that methods are held against."""
    return {name for evidence in EVIDENCE.values() for name in names_in(evidence)}


def test_every_method_of_the_package_has_a_row():
    methods = {
        name
        for base in BASES
        for name, kind in kinds(base).items()
        if kind.__module__.startswith(("vfl_jax.attacks.", "vfl_jax.defenses."))
    }
    others = {"DenseHead", "MaliciousSGD", "infer_batch_labels", "vfl_jax.arenas.dcs.score"}
    assert sorted(name for row in ROWS for name in names_in(row[0])) == sorted(methods | others)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip("`"))
def test_a_row_names_tests_that_name_its_method_and_its_vectors(row):
    (method,) = names_in(row[0])
    texts = {path.stem: path.read_text() for path in files_of(method)}
    assert texts
    for name, text in texts.items():  # whole steps name presets in place of what these hold
        assert re.search(rf"\b{method.rpartition('.')[2]}\b", text) or name == "test_published_steps"
    vectors = names_in(EVIDENCE[method])
    for vector in vectors:
        assert any(f'"{vector}"' in text for text in texts.values()), vector
    assert row[2] == (str(len(vectors)) if vectors else "–")
    assert row[1].startswith("✓ ") if vectors else row[1] in ("– twin alone", "– by hand alone")


def test_every_project_that_a_row_names_stands_below():
    named = {"XDMVFL", "GBD", "VFLAIR", "SecretFlow", "Triggerless", "LabelDefender", "TECB", "label-protection"}
    assert {name for name in named if not any(name in row[1] for row in ROWS)} == set()
    assert {name for name in named if f"| {name} " not in PROJECTS} == set()


def test_the_answer_counts_the_rows():
    with_vectors = sum(row[1].startswith("✓") for row in ROWS)
    assert PAGE.splitlines()[2].startswith(f"{with_vectors} of {len(ROWS)} methods ")
    assert f" on {len(held())} of 62 vectors" in PAGE
    assert f"The other {len(ROWS) - with_vectors} " in PAGE


def test_every_vector_is_on_the_page_and_no_other():
    if not os.environ.get(DATA_VARIABLE):
        pytest.skip(f"needs reference vectors; set {DATA_VARIABLE} to a folder beside reference/golden/")
    folder = Path(os.environ[DATA_VARIABLE]).parent / "reference" / "golden"
    if not folder.exists():
        pytest.skip(f"needs the reference vectors in {folder}")
    found = {path.stem for path in folder.glob("*.npz")}
    assert held() | {"copur_purify"} == found
    assert "`copur_purify`" in PAGE
    assert len(found) == 62

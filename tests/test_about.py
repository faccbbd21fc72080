"""What the project says about itself: one glossary, one version, a citation that tools read."""

import importlib.metadata
import tomllib
from pathlib import Path

import vfl_jax
from vfl_jax.reports.terms import TERMS, glossary

ROOT = Path(__file__).parents[1]


def test_the_glossary_is_that_of_the_reports():
    assert (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8") == glossary()
    assert all(f"| {term} | {meaning} |" in glossary() for term, meaning in TERMS.items())


def test_the_version_has_one_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert vfl_jax.__version__ == importlib.metadata.version("vfl_jax") == project["version"]
    assert f"version: {project['version']}" not in (ROOT / "CITATION.cff").read_text()


def test_the_citation_has_what_the_format_asks_for():
    """CFF 1.2 needs these four keys; every author of ours is an entity, which has a name alone."""
    lines = (ROOT / "CITATION.cff").read_text().splitlines()
    keys = {line.partition(":")[0] for line in lines if line[:1].isalpha()}
    assert {"cff-version", "message", "title", "authors"} <= keys
    assert lines[0] == "cff-version: 1.2.0"
    assert lines[lines.index("authors:") + 1] == '  - name: "The vfl_jax developers"'


def test_the_readme_is_read_in_two_minutes():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 200
    first_screen = "\n".join(text.splitlines()[:40])
    assert "docs/protocol.svg" in first_screen
    assert "experiments/arena/results/heat_map.png" in first_screen

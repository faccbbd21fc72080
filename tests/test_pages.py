"""Pages: every relative link and anchor leads somewhere, every path that is named is there, every command runs."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path for path in ROOT.rglob("*.md") if not any(p.startswith((".", "_build")) for p in path.relative_to(ROOT).parts)
)
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SOURCES = sorted((ROOT / "experiments").rglob("*.py"))
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\[\]]*\]\(\s*<?([^)\s>]+)")
COMMAND = re.compile(r"python -m (experiments[\w.]*)((?:\\\n|[^\n#`])*)")
EXPERIMENTS = sorted(path.parent for path in ROOT.glob("experiments/**/README.md"))
ASKED = """
import contextlib, io, json, runpy, sys
def said(module, flag):
    sys.argv = [module, flag]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    return out.getvalue()
helps = {module: said(module, "--help") for module in json.loads(sys.argv[1])}
print(json.dumps([helps, {module: said(module, "--list") for module in helps if "--list" in helps[module]}]))
"""
"""One process for all commands: most of the time of each is to import the package."""


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def text_of(path):
    """What a reader sees: of a notebook the cells of text."""
    if path.suffix == ".md":
        return path.read_text()
    cells = json.loads(path.read_text())["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def links(text):
    """Where a page leads, code left out."""
    return LINK.findall(re.sub(r"`[^`\n]*`", "code", FENCE.sub("", text)))


def anchors(text):
    """The anchors of a page's headings, as GitHub makes them; of one that is there again with its number."""
    found: list[str] = []
    counts: Counter = Counter()
    for heading in re.findall(r"^#+ +(.+?) *#*$", FENCE.sub("", text), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        found.append(f"{slug}-{counts[slug]}" if counts[slug] else slug)
        counts[slug] += 1
    return set(found)


def broken(path, text):
    """The relative links of a page that lead nowhere."""
    for link in links(text):
        target, _, anchor = unquote(link).partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        there = (path.parent / target).resolve() if target else path
        if not there.exists() or not there.is_relative_to(ROOT) or (anchor and anchor not in anchors(text_of(there))):
            yield link


@pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS], ids=name_of)
def test_every_link_leads_somewhere(path):
    assert list(broken(path, text_of(path))) == []


def test_broken_links_are_found():
    page = ROOT / "docs" / "page.md"
    text = "# One `two`, three\n\n# One\n\n# One\n[a](house.md#words) [b](#one-two-three) [c](#one-1) `[code](x.md)`\n"
    assert list(broken(ROOT / "docs" / "house.md", "[a](../README.md) [b](https://example.org/x) [c](house.md)")) == []
    assert anchors(text) == {"one-two-three", "one", "one-1"}
    wrong = ["house.md#verbs", "../experiments/gamma/README.md", "../../outside.md"]
    assert list(broken(page, "".join(f"[here]({link}) ![there]({link}) " for link in wrong))) == [
        link for link in wrong for _ in range(2)
    ]


@pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS], ids=name_of)
def test_every_path_that_is_named_is_there(path):
    named = re.findall(r"`((?:experiments|tests|docs|notebooks|vfl_jax)/[\w./-]+)`", text_of(path))
    assert [one for one in named if not (ROOT / one).exists()] == []


def test_the_index_names_every_experiment():
    index = ROOT / "experiments" / "README.md"
    linked = {(index.parent / link).resolve() for link in links(index.read_text())}
    assert len(EXPERIMENTS) > 15
    assert [folder for folder in EXPERIMENTS if folder / "README.md" not in linked | {index}] == []


def test_every_command_of_the_experiments_runs_and_has_its_flags():
    commands = [
        (module, re.findall(r"(?<![\w-])--[a-z-]+", rest))
        for path in [*PAGES, *NOTEBOOKS, *SOURCES]
        for module, rest in COMMAND.findall(path.read_text())
    ]
    modules = sorted({module for module, _ in commands})
    runnable = {".".join(path.relative_to(ROOT).parent.parts) for path in ROOT.glob("experiments/**/__main__.py")}
    assert runnable <= set(modules)
    done = subprocess.run(
        [sys.executable, "-c", ASKED, json.dumps(modules)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    helps, cases = json.loads(done.stdout)
    for module, flags in commands:
        assert "usage: " in helps[module], module
        assert [flag for flag in flags if not re.search(rf"{flag}\b", helps[module])] == [], module
    assert len(cases) > 8
    for module, listed in cases.items():
        experiment = ROOT.joinpath(*module.split("."))
        kept = {path.stem for path in experiment.glob("results/*.nc")}
        assert set(listed.split()) & kept, module

"""The site's sources: every public name and method has a place, and links lead to what is on the site."""

import importlib
import inspect
import pkgutil
import re

import pytest

import vfl_jax as vfl
from docs.staging import docstrings, findings, methods, names, pages


@pytest.fixture(scope="module")
def reference():
    """The pages of the reference by their paths."""
    return names.pages()


def test_every_public_name_is_in_the_reference(reference):
    listed = "\n".join(reference.values())
    methods_of_the_package = methods.methods()
    for name in vfl.__all__:
        if not inspect.ismodule(getattr(vfl, name)):
            assert f":: vfl_jax.{name}\n" in listed, name
            assert f"<vfl_jax.{name}>" in reference["api/index.md"], name
    for room in names.ROOMS:
        module = importlib.import_module(f"vfl_jax.{room}")
        for name in getattr(module, "__all__", ()):
            if not inspect.ismodule(getattr(module, name)) and name not in methods_of_the_package:
                assert f".{name}\n" in listed, (room, name)


def test_every_room_of_the_package_is_listed():
    """The rooms are the package's folders and modules, but for the command, which has a page of its own.

    Nobody is to look up what only finds old names.
    """
    rooms = {module.name for module in pkgutil.iter_modules(vfl.__path__)} - {"cli", "moved"}
    assert set(names.ROOMS) | set(names.METHODS) == rooms


def test_every_room_with_public_names_has_a_page_in_the_list(reference):
    for page in set(reference) - {"api/index.md"}:
        assert f"\n{page.removeprefix('api/').removesuffix('.md')}\n" in reference["api/index.md"]


def test_every_constant_says_what_it_is():
    assert names._about("COLORS", vfl.plots.COLORS).startswith("Tol's bright palette")
    assert names._about("nothing", object()) == ""


def test_every_method_has_a_page_with_its_facts():
    found = methods.pages()
    exported = [*vfl.attacks.__all__, *vfl.defenses.__all__]
    assert {f"methods/{name}.md" for name in exported} | {"methods/index.md"} == set(found)
    for name in exported:
        page = found[f"methods/{name}.md"]
        assert f"[{name}]({name}.md)" in found["methods/index.md"]
        assert "| **who runs it** |" in page
        assert "nothing by itself" not in page, name
        assert "**held against**" in page, name
    assert "| handwritten | BASL-30 | 1.00 | 0.00 |" in found["methods/BASL.md"]
    assert "reads labels and plants nothing" in found["methods/SignInference.md"]


def test_every_hook_has_words():
    bases = (vfl.PartyTransform, vfl.ActiveTransform)
    hooks = {name for base in bases for name in vars(base) if name.startswith(("on_", "infer_"))}
    assert hooks == set(methods.HOOKS)


def test_a_finding_names_the_defense_that_leaves_least():
    text = findings.of("BASL", is_attack=True)
    assert "| bank_marketing | BASL-ordinary | 1.00 | 0.18 | 0.99 | EmbeddingClipping |" in text
    assert re.match(r"\*\*Without a defense it leads most attacked rows to the target class on \d of \d boards; ", text)
    assert "| handwritten | VFLMonitor |" in (monitored := findings.of("VFLMonitor", is_attack=False))
    assert "| mnist |" not in monitored  # it needs three parties
    assert findings.of("GBD", is_attack=False).startswith("**It spares the task on ")
    assert "not met others" in findings.of("Nobody", is_attack=True)


def test_links_to_what_is_not_on_the_site_become_words():
    text = (
        "[house](house.md), [rules](../CONTRIBUTING.md#rules), [test](../tests/test_x.py), "
        "[start](../README.md#from-python), [numbers.md](numbers.md), [web](https://example.org)\n```\n[kept](../tests/test_x.py)\n```\n![map](results/map.png)"
    )
    linked, pictures = pages.linked(
        text, "docs/tables.md", {"docs/house.md", "CONTRIBUTING.md", "README.md", "docs/numbers.md"}
    )
    assert "[house](house.md)" in linked
    assert "[rules](../CONTRIBUTING.md#rules)" in linked
    assert ", `tests/test_x.py`, " in linked
    assert "[start](../README.md#from-python)" in linked
    assert "[What each number means](numbers.md)" in linked
    assert "[web](https://example.org)" in linked
    assert "[kept](../tests/test_x.py)" in linked
    assert pictures == {"docs/results/map.png"}
    linked, _ = pages.linked("[rules](../CONTRIBUTING.md)", "docs/index.md", {"CONTRIBUTING.md"})
    assert linked == "[rules](CONTRIBUTING.md)"  # the index lies above all folders there


def test_the_first_page_has_the_answer_and_its_figure():
    found = pages.found_first()
    assert found.startswith("**")
    assert found.endswith("(experiments/arena/results/heat_map.png)")
    readme = (pages.ROOT / "README.md").read_text()
    assert all(part in readme for part in found.split("\n\n"))
    assert ("**So far**" in found) == ("**So far**" in readme)
    assert pages.FOUND in (pages.ROOT / pages.INDEX).read_text()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a |p − y| is", r"a \|p − y\| is"),
        ("``factor``² times", r"``factor``\ ² times"),
        (">>> a | b\na|b\n\n|c|", ">>> a | b\na|b\n\n\\|c\\|"),
        ("``row``, ``class`` and\n⌊``a b``⌋", "``row``, ``class`` and\n⌊\\ ``a b``\\ ⌋"),
    ],
)
def test_docstrings_are_read_as_they_are_meant(line, expected):
    assert docstrings.read(line) == expected

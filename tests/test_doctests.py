"""The examples in docstrings: all of them run, and show what they say."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import vfl_jax

PROMPT = ">>> "


def _sources() -> dict[str, str]:
    """The source of every module of the package that has an example, by the module's name."""
    walked = pkgutil.walk_packages(vfl_jax.__path__, "vfl_jax.")
    found = {"vfl_jax": Path(vfl_jax.__file__)}
    found |= {module.name: Path(module.module_finder.find_spec(module.name).origin) for module in walked}
    sources = {name: path.read_text(encoding="utf-8") for name, path in found.items()}
    return {name: source for name, source in sources.items() if PROMPT in source}


SOURCES = _sources()


def test_the_package_has_examples():
    assert SOURCES, "no module of vfl_jax has an example in a docstring"


@pytest.mark.parametrize("name", SOURCES)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # an example may write a file
    found = doctest.testmod(importlib.import_module(name))
    assert not found.failed
    # doctest passes over what it does not take for a function of the module, such as a compiled one.
    assert found.attempted == SOURCES[name].count(PROMPT)

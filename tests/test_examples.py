"""The examples in docstrings run, and print what they show."""

import doctest
import importlib
from pathlib import Path

import pytest

import vfl_jax

ROOT = Path(vfl_jax.__file__).parent
MODULES = [
    ".".join(("vfl_jax", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
    for path in sorted(ROOT.rglob("*.py"))
    if ">>> " in path.read_text()
]


@pytest.mark.parametrize("module", MODULES)
def test_examples_print_what_they_show(module, capsys):
    ran = doctest.testmod(importlib.import_module(module))
    assert ran.attempted, "the module has an example that doctest does not find"
    assert not ran.failed, capsys.readouterr().out

"""The code on the pages for builders runs, from the first block to the last."""

import contextlib
import re
import sys
import types
from pathlib import Path

import jax
import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@contextlib.contextmanager
def as_module(name):
    """A module of its own, because records know the module that defines them."""
    sys.modules[name] = module = types.ModuleType(name)
    try:
        yield vars(module)
    finally:
        del sys.modules[name]


@pytest.mark.long
@pytest.mark.parametrize("page", ["methods.md"])
def test_the_code_of_a_page_runs(page):
    blocks = BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))
    assert len(blocks) > 3
    with as_module(f"page_{Path(page).stem}") as names, jax.numpy_dtype_promotion("standard"):
        for block in blocks:
            exec(compile(block, page, "exec"), names)
    found = names["results"]
    assert ((found["full_is_sure"] >= 0) & (found["full_is_sure"] <= 1)).all()

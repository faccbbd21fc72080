"""Every notebook runs from top to bottom, is in step with its script, and is committed without outputs."""

import re
import sys
from pathlib import Path

import jupytext
import numpy as np
import pytest
from experiment_helpers import quick_compilation, quick_results, small_task  # noqa: F401  a fixture is asked for by name

from experiments.shared import cases

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
FEWER = {"epochs=40": "epochs=2", "seeds=6": "seeds=2"}
"""That cells run is tested here, not what they show."""


def test_every_notebook_has_its_script():
    scripts = NOTEBOOKS[0].parent.glob("*.py")
    assert {path.stem for path in NOTEBOOKS} == {path.stem for path in scripts}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_in_step_with_its_script_and_has_no_outputs(path):
    notebook, script = jupytext.read(path), jupytext.read(path.with_suffix(".py"))
    assert notebook.metadata["jupytext"]["formats"] == script.metadata["jupytext"]["formats"] == "ipynb,py:percent"
    assert [(c.cell_type, c.source) for c in notebook.cells] == [(c.cell_type, c.source) for c in script.cells]
    assert not any(c.outputs or c.execution_count for c in notebook.cells if c.cell_type == "code")


@pytest.mark.long
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, monkeypatch, request):
    if path.stem.startswith("figure_"):
        monkeypatch.setenv("VFL_JAX_RESULTS", str(request.getfixturevalue("quick_results")))
    monkeypatch.setattr(cases, "load_task", small_task)
    monkeypatch.setattr(sys, "path", list(sys.path))
    names: dict = {"__name__": path.stem}
    code = [cell.source for cell in jupytext.read(path).cells if cell.cell_type == "code"]
    with quick_compilation():
        for number, source in enumerate(code):
            for many, few in FEWER.items():
                source = source.replace(many, few)
            plain = re.sub(r"^%.*\n", "", source, flags=re.MULTILINE)  # %matplotlib inline
            exec(compile(plain, f"{path.name}, cell {number}", "exec"), names)


def test_a_cap_of_inf_is_none_in_the_notebook_of_own_methods():
    """Zero rows too, and where the usual norm is 0."""
    (path,) = (path for path in NOTEBOOKS if path.stem == "own_methods")
    names: dict = {"__name__": path.stem}
    for cell in jupytext.read(path).cells:
        if cell.cell_type == "code" and ("class NormCap" in cell.source or "import math" in cell.source):
            exec(re.sub(r"^%.*\n|^vfl.use_all.*\n", "", cell.source, flags=re.MULTILINE), names)
    rows = np.array([[0, 0], [3, 4], [0, 0], [-0.5, 1]], np.float32)
    usual = np.sqrt(1.25) / 2  # the median of 0, 0, √1.25 and 5
    capped = rows * np.array([[1], [usual / 5], [1], [0.5]], np.float32)
    for embedding, bound, expected in ((rows, np.inf, rows), (0 * rows, np.inf, 0 * rows), (rows, 1.0, capped)):
        cap = names["NormCap"](bound=bound)
        (out,), state = cap.on_receive(None, None, None, (embedding,))
        np.testing.assert_allclose(out, expected, rtol=1e-6)
        np.testing.assert_array_equal(cap.infer_receive(None, state, None, (embedding,))[0], out)


PAGES = {"README.md": 2, "docs/using.md": 2, "docs/plugins.md": 1, "docs/data.md": 1}
"""The README, pages that go on with its names, and how many blocks of Python they have."""


@pytest.mark.parametrize("pages", [["README.md"], pytest.param(list(PAGES), marks=pytest.mark.long)])
def test_the_readme_runs(pages, tmp_path, monkeypatch, request):
    """The Python blocks of the README, and of the pages that go on with its names, with few epochs and seeds."""
    import vfl_jax

    monkeypatch.chdir(tmp_path)
    blocks = []
    for page in pages:
        found = re.findall(r"```python\n(.*?)```", (NOTEBOOKS[0].parents[1] / page).read_text(), re.DOTALL)
        assert len(found) == PAGES[page], page
        blocks += found
    names: dict = {}
    for registry in (vfl_jax.data.LOADERS, vfl_jax.presets.PRESETS):  # what the README registers is not there later
        before = dict(registry)
        request.addfinalizer(lambda registry=registry, before=before: (registry.clear(), registry.update(before)))
    for block in blocks:
        small = block.replace("seeds=20", "seeds=2").replace("epochs=50", "epochs=1").replace("epochs=60", "epochs=1")
        with quick_compilation():
            exec(compile(small, "README.md", "exec"), names)
    assert (tmp_path / "noise.nc").is_file()
    if len(pages) > 1:
        assert (tmp_path / "runs" / "plain" / "results.nc").is_file()
        assert names["Reversal"]().enabled == 1.0

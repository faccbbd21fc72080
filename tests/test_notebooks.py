"""Every notebook runs from top to bottom, and is committed without outputs."""

import json
import re
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path):
    # Fewer epochs: that the cells run is tested here, not what they show.
    source = path.read_text().replace("epochs=40", "epochs=2")
    cells = [cell for cell in json.loads(source)["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)
    names: dict = {"__name__": path.stem}
    for number, cell in enumerate(cells):
        exec(compile("".join(cell["source"]), f"{path.name}, cell {number}", "exec"), names)


def test_the_readme_runs(tmp_path, monkeypatch):
    """The README's Python blocks, on digits for a few epochs and seeds."""
    import vfl_jax

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(vfl_jax, "load_mnist", vfl_jax.load_digits)
    text = (NOTEBOOKS[0].parents[1] / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 4
    names: dict = {}
    for block in blocks:
        small = block.replace("seeds=20", "seeds=2").replace("epochs=50", "epochs=1")
        # Its trigger pixels and target row are MNIST's.
        small = small.replace('presets.liu2020_code(head="sum")', 'presets.digits_demo(head="sum")')
        exec(compile(small, "README.md", "exec"), names)
    assert (tmp_path / "noise.nc").is_file()
    assert (tmp_path / "runs" / "plain" / "results.nc").is_file()
    assert names["SignFlip"]().enabled == 1.0

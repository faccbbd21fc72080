"""Scripts that import the old names of modules go on working."""

import importlib
import subprocess
import sys
import warnings

import pytest

import vfl_jax as vfl
from vfl_jax.moved import HOMES, RENAMED, Moved, find_moved_modules


@pytest.mark.parametrize(
    ("module", "name", "home"),
    [
        ("optimizers", "Optimizer", "vfl_jax.models.optimizers"),
        ("losses", "SquaredError", "vfl_jax.models.losses"),
        ("transforms", "PartyTransform", "vfl_jax.protocol.transforms"),
        ("transforms", "ActiveChain", "vfl_jax.protocol.chains"),
        ("registry", "from_json", "vfl_jax.core.record"),
        ("records", "VerticalData", "vfl_jax.core.vertical_data"),
        ("draws", "Given", "vfl_jax.replica.draws"),
        ("study", "Study", "vfl_jax.sweeps.study"),
        ("folder", "Folder", "vfl_jax.sweeps.store.folder"),
        ("devices", "free_memory", "vfl_jax.sweeps.devices"),
        ("devices", "is_first_process", "vfl_jax.sweeps.processes"),
        ("grid", "parse", "vfl_jax.sweeps.grid"),
        ("records", "Knowledge", "vfl_jax.protocol.knowledge"),
    ],
)
def test_an_old_name_gives_the_same_object_and_says_where_it_is(module: str, name: str, home: str) -> None:
    old = importlib.import_module(f"vfl_jax.{module}")
    with pytest.warns(FutureWarning, match=f"vfl_jax.{module} has another name now: take {name} from {home}"):
        found = getattr(old, name)
    assert found is getattr(importlib.import_module(home), name)


def test_every_home_exists_and_no_old_name_hides_a_new_one() -> None:
    for old, homes in HOMES.items():
        assert old.split(".")[1] not in vfl.__all__
        for home in homes:
            importlib.import_module(home)
    for (old, name), new in RENAMED.items():
        with pytest.warns(FutureWarning, match=f"take {new} from"):
            getattr(importlib.import_module(old), name)


def test_a_name_that_is_nowhere_is_told_with_where_the_module_lies() -> None:
    from vfl_jax import transforms  # type: ignore[attr-defined]

    with pytest.raises(AttributeError, match=r"no attribute 'Nonsense'; what it held lies in vfl_jax"):
        _ = transforms.Nonsense
    assert not hasattr(transforms, "jax")  # an import of the new module is no name of the old one
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("vfl_jax.nonsense")


def test_a_script_shows_the_warning_at_its_own_line(tmp_path) -> None:
    script = tmp_path / "old.py"
    script.write_text("import vfl_jax\nfrom vfl_jax.optimizers import Optimizer\nprint(Optimizer.__name__)\n")
    ended = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert ended.stdout == "Optimizer\n"
    assert "old.py:2: FutureWarning: vfl_jax.optimizers has another name now" in ended.stderr


def test_a_star_imports_what_the_module_held() -> None:
    names: dict[str, object] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        exec("from vfl_jax.transforms import *", names)
    assert names["PartyChain"] is vfl.PartyChain
    assert names["PartyTransform"] is vfl.PartyTransform


def test_to_ask_twice_adds_one_finder() -> None:
    find_moved_modules()
    assert sum(isinstance(finder, Moved) for finder in sys.meta_path) == 1

"""The package as others get it: its extras, what an import costs, and what a wheel and a source archive hold."""

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import vfl_jax as vfl
from vfl_jax.cli import main
from vfl_jax.core.extras import EXTRAS, MissingExtra, extra

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
IMPORTED = """
import sys, time
start = time.perf_counter()
import jax
middle = time.perf_counter()
import vfl_jax
end = time.perf_counter()
from jax._src import xla_bridge
print(xla_bridge.backends_are_initialized(), (end - start) / (middle - start), *sys.modules)
"""
HEAVY = {
    "matplotlib",
    "sklearn",
    "pandas",
    "xarray",
    "h5py",
    "orbax",
    "tensorstore",
    "pooch",
    "scipy.stats",
    "scipy.optimize",
}
BESIDE = ("pyproject.toml", "README.md", "LICENSE")


@pytest.fixture
def without(monkeypatch):
    """Makes the import of a package fail, as if it were not installed."""

    def block(*packages):
        for name in [n for n in sys.modules if n.split(".")[0] in packages or n == "vfl_jax.plots.shown"]:
            monkeypatch.delitem(sys.modules, name)
        for name in packages:
            monkeypatch.setitem(sys.modules, name, None)

    return block


def test_the_extras_are_those_of_the_project():
    extras = PROJECT["project"]["optional-dependencies"]
    for name, package in EXTRAS.items():
        assert any(line.startswith(package) for line in extras[name]), name
    core = " ".join(PROJECT["project"]["dependencies"])
    assert not [package for package in EXTRAS.values() if package in core]
    assert extras["all"] == [f"vfl_jax[{','.join(EXTRAS)}]"]


def test_a_missing_extra_says_what_to_type(without):
    without("matplotlib", "sklearn", "distributed")
    with pytest.raises(MissingExtra, match=r"^A figure needs matplotlib; type: pip install 'vfl_jax\[plots\]'$"):
        vfl.plots.grid_of_panels(1, 1)
    with pytest.raises(ImportError, match=r"^The data set digits needs scikit-learn; type: .*\[sklearn\]'$"):
        vfl.load_digits()
    with pytest.raises(ImportError, match=r"scikit-learn"):
        vfl.from_arrays({"a": [[0.0], [1.0]] * 5, "b": [[1.0], [0.0]] * 5}, [0, 1] * 5, test=0.4)


def test_the_command_says_in_one_line_what_to_type(without, tmp_path):
    without("sklearn", "matplotlib")
    with pytest.raises(SystemExit, match=r"^error: The demo needs .*pip install 'vfl_jax\[sklearn,plots\]'$"):
        main(["demo", "--out", str(tmp_path)])
    assert not list(tmp_path.iterdir())


def test_other_errors_pass_an_extra():
    with pytest.raises(ZeroDivisionError), extra("plots", "A figure"):
        _ = 1 / 0


def test_an_import_touches_no_device_and_loads_nothing_heavy():
    said = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True).stdout.split()
    initialised, ratio, loaded = said[0], float(said[1]), set(said[2:])
    assert initialised == "False"
    assert not HEAVY & loaded
    print(f"jax and vfl_jax take {ratio:.2f} times as long to import as jax alone")
    assert ratio < 6


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Both archives, made of a copy of what is committed or will be: the names of their files, and the package's."""
    copy = tmp_path_factory.mktemp("source")
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    said = subprocess.run([*listing, "vfl_jax", *BESIDE], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in said.split():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((ROOT / name).read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation"], cwd=copy, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (wheel,), (source,) = (copy / "dist").glob("*.whl"), (copy / "dist").glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as in_wheel, tarfile.open(source) as in_source:
        members = {name.partition("/")[2] for name in in_source.getnames()}
        return set(in_wheel.namelist()), members, set(said.split())


@pytest.mark.long
def test_archives_hold_all_that_the_package_has(built):
    in_wheel, in_source, names = built
    package = {name for name in names if name.startswith("vfl_jax/")}
    assert {"vfl_jax/py.typed", "vfl_jax/data/sets/nus_wide_twin.npz", "vfl_jax/reports/html/page.css"} <= package
    assert package <= in_wheel
    assert names <= in_source
    assert not [name for name in in_wheel if not name.startswith(("vfl_jax/", "vfl_jax-"))]

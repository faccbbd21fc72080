"""The lowest versions that are tested are those that the package names."""

import re
import tomllib
from pathlib import Path

from packaging.version import Version

from vfl_jax.core.extras import EXTRAS

ROOT = Path(__file__).parents[1]


def bounds():
    """The lowest version of every package that is named, by its normal name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    named = [*project["dependencies"], *(line for name in EXTRAS for line in extras[name]), *extras["test"]]
    found = (re.match(r"([\w-]+)(?:\[[\w,]+\])?>=([\d.]+)", requirement) for requirement in named)
    return {match[1].replace("_", "-").lower(): match[2] for match in found if match}


def test_every_bound_is_tested():
    pins = dict(re.findall(r"^([\w.-]+)==([\w.]+)$", (ROOT / "constraints-lowest.txt").read_text(), re.M))
    pins = {name.replace("_", "-").lower(): Version(version) for name, version in pins.items()}
    assert len(bounds()) > 20
    for name, lowest in bounds().items():
        assert pins[name] == Version(lowest), name
    assert pins["distributed"] == pins["dask"]

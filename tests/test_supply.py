"""What comes in and goes out: dependencies with reasons, downloads with pinned digests, no rows in results."""

import ast
import re
import tomllib
from pathlib import Path

import jax
import numpy as np
import pooch
import pytest
from data_helpers import image_split, tiny_scenario
from raw_rows import planted, traces
from sweep_helpers import interrupted_at

import vfl_jax as vfl
from vfl_jax.data import partition_images
from vfl_jax.data.sets import cifar10, images
from vfl_jax.data.sets.location import DATA_VARIABLE

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SHA256 = re.compile("[0-9a-f]{64}")


def name_of(requirement):
    """The name of a package, without its extras and its bounds."""
    return re.match("[A-Za-z0-9_-]+", requirement).group()


def test_every_dependency_has_its_reason():
    """The table of docs/installation.md has every package of pyproject.toml, where it says, and no other."""
    text = (ROOT / "docs" / "installation.md").read_text()
    section = text.split("## What each package is for")[1].split("\n## ")[0]
    rows = [
        [cell.strip(" `") for cell in line.split("|")[1:-1]] for line in section.splitlines() if line.startswith("| `")
    ]
    found = {(where, name.strip(" `")) for names, where, reason in rows for name in names.split(",") if reason}
    groups = {"core": PROJECT["project"]["dependencies"], "build": PROJECT["build-system"]["requires"]}
    groups |= PROJECT["project"]["optional-dependencies"]
    expected = {(where, name_of(line)) for where, lines in groups.items() for line in lines} - {
        (where, "vfl_jax") for where in groups
    }
    assert found == expected


class Fetched(Exception):
    """Ends a download before it begins."""


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_a_download_is_https_with_a_pinned_digest(name, monkeypatch):
    asked = []

    def retrieve(address, known_hash, **_):
        asked.append((address, known_hash))
        raise Fetched

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    with pytest.raises(Fetched):
        getattr(vfl, f"load_{name}")()
    ((address, known_hash),) = asked
    assert address.startswith("https://")
    assert SHA256.fullmatch(known_hash.removeprefix("sha256:"))


def test_all_files_of_a_download_have_a_digest_of_their_own():
    digests = [digest for of_set in images.HASHES.values() for digest in of_set] + [cifar10.HASH]
    assert images.HASHES.keys() == images.ADDRESSES.keys()
    assert all(len(of_set) == len(images.FILES) for of_set in images.HASHES.values())
    assert all(SHA256.fullmatch(digest) for digest in digests)
    assert len(set(digests)) == len(digests)


NETWORK = {"urllib", "http", "socket", "ssl", "ftplib", "smtplib", "requests", "httpx", "aiohttp", "urllib3", "pooch"}


def test_nothing_else_asks_a_network():
    """No telemetry: Pooch alone could ask, in the one function of downloads; elsewhere it names the cache's folder."""
    users, calls = {}, {}
    for path in (ROOT / "vfl_jax").rglob("*.py"):
        name = path.relative_to(ROOT / "vfl_jax").as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
                for module in {m.split(".")[0] for m in modules} & NETWORK:
                    users.setdefault(module, set()).add(name)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "pooch":
                calls.setdefault(node.attr, set()).add(name)
    assert set(users) == {"pooch"}
    assert calls.keys() == {"retrieve", "os_cache"}
    assert calls["retrieve"] == {"data/sets/download.py"}


def test_no_address_is_plain_http():
    """But for the names of XML, which nobody fetches."""
    for path in (ROOT / "vfl_jax").rglob("*.py"):
        found = re.findall(r"http://[^\s\"']+", path.read_text())
        assert all(address.startswith("http://www.w3.org/") for address in found), path


@pytest.fixture(scope="module")
def data_and_rows():
    """Tiny images, of which one training row and one test row have numbers of their own."""
    train, test = image_split(30), image_split(12, seed=1)
    rows = planted(32)
    train[0][7], test[0][5] = rows[:16].reshape(4, 4), rows[16:].reshape(4, 4)
    return partition_images("tiny", train, test), rows


@pytest.mark.long
def test_results_hold_no_rows(data_and_rows, tmp_path):
    """A sweep's folder with checkpoints, with trained replicas, its results, parameters, tables and pages."""
    data, rows = data_and_rows
    scenario = tiny_scenario()

    def sweep(**more):
        over = {"attack.enabled": [0.0, 1.0]}
        return vfl.sweep(scenario, data, over, seeds=2, epochs=2, progress=False, **more)

    interrupted_at(1, sweep, tmp_path / "begun")
    results = sweep(folder=tmp_path / "folder", keep="params")
    vfl.save(results, tmp_path / "results.nc")
    alone, state = vfl.run(scenario, data, jax.random.key(0), epochs=1)
    vfl.save(alone, tmp_path / "alone.nc")
    vfl.save_params(tmp_path / "params.npz", state.params)
    endings = {"html": "html", "markdown": "md", "csv": "csv", "latex": "tex"}
    vfl.report(results, **{kind: tmp_path / f"report.{ending}" for kind, ending in endings.items()})
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert {name.partition("/")[0] for name in names} >= {"begun", "folder", "results.nc", "report.html", "params.npz"}
    assert [name for name in names if "checkpoint" in name]
    assert len(names) > 12
    assert traces(tmp_path, rows) == []


def test_a_row_in_a_file_is_found(data_and_rows, tmp_path):
    """In results, packed, as another dtype, in an attribute; in an archive; in a page."""
    import xarray as xr

    data, rows = data_and_rows
    features = np.asarray(data.train.features[0])[5:9].reshape(4, -1)
    honest = xr.Dataset({"loss": ("seed", np.zeros(3))}, attrs={"epochs": 3})
    vfl.save(honest, tmp_path / "honest.nc")
    packed = honest.assign(rows=(("row", "pixel"), features))
    packed.to_netcdf(tmp_path / "packed.nc", engine="h5netcdf", encoding={"rows": {"zlib": True}})
    vfl.save(honest.assign(rows=(("row", "pixel"), features.astype(np.float64))), tmp_path / "wide.nc")
    vfl.save(honest.assign_attrs(first=features[2].tolist()), tmp_path / "attribute.nc")
    np.savez_compressed(tmp_path / "rows.npz", features)
    (tmp_path / "page.html").write_text(f"<td>{features[2, 3]:.9f}</td>")
    (tmp_path / "short.html").write_text(f"<td>{features[2, 3]:.3f}</td>")
    assert traces(tmp_path, rows) == ["attribute.nc", "packed.nc", "page.html", "rows.npz", "wide.nc"]

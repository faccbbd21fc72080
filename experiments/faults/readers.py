"""What reads damaged input, and when it is right: one reader for each kind of input that others may have written."""

from __future__ import annotations

import functools
import gzip
import io
import json
import shutil
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

import vfl_jax as vfl
from experiments.faults import damage
from vfl_jax.core import foreign
from vfl_jax.data.own.table import files as table_files
from vfl_jax.data.sets import cache, cifar10, csv_columns, images, npz, nus_wide_files
from vfl_jax.replica.preparation import check_data
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.store.checkpoints import Checkpoints
from vfl_jax.sweeps.store.folder import Folder
from vfl_jax.sweeps.store.status import status

ROWS = 24


class Reader(NamedTuple):
    """One kind of input.

    Args:
      what: its row in the table.
      cases: how many are tried.
      make: writes right input into an empty folder.
      damage: damages one file of it, or several.
      read: reads the folder, and raises ``AssertionError`` where the result is neither right nor refused.
      refuses: whether damage may be refused; a cache is built anew instead.
    """

    what: str
    cases: int
    make: Callable[[Path], Any]
    damage: damage.Damage
    read: Callable[[Path], Any]
    refuses: bool = True


@functools.cache
def digits() -> vfl.VerticalData:
    """The data of scenarios."""
    return vfl.load_digits()


def results() -> xr.Dataset:
    """Small results."""
    numbers = np.random.default_rng(0).normal(size=(2, 3, 4))
    found = xr.Dataset(
        {"loss": (("point", "seed", "epoch"), numbers), "name": ("point", ["a", "é"])}, {"seed": [0, 1, 2]}
    )
    found.encoding["run"] = {"started": "x", "wall_seconds": 1.5, "devices": ["cpu"], "machine": "m", "python": "3"}
    return found.assign_attrs(scenario=vfl.presets.digits_demo().to_json(), flag=True)


def make_scenario(folder: Path) -> None:
    (folder / "scenario.json").write_text(vfl.presets.digits_demo().to_json())


def read_scenario(folder: Path) -> None:
    text = (folder / "scenario.json").read_text(errors="surrogateescape")
    found = vfl.from_json(text)
    assert vfl.from_json(found.to_json()) == found
    if isinstance(found, vfl.Scenario):
        found.check(digits())


def make_results(folder: Path) -> None:
    vfl.save(results(), folder / "results.nc")


def make_unsealed(folder: Path) -> None:
    """As earlier versions wrote it: with a digest of the content and none of the bytes."""
    content = vfl.save(results(), folder / "results.nc").read_bytes()
    (folder / "results.nc").write_bytes(content[: -foreign.SEAL_LENGTH])


def make_foreign(folder: Path) -> None:
    results().drop_attrs().to_netcdf(folder / "results.nc", engine="h5netcdf")


def read_results(folder: Path) -> None:
    assert vfl.load(folder / "results.nc").identical(results())


def read_foreign(folder: Path) -> None:
    assert vfl.load(folder / "results.nc").nbytes < 1 << 26


PARAMS = {"kernel": np.arange(12, dtype=np.float32).reshape(3, 4), "bias": np.zeros(4, np.float32)}


def make_params(folder: Path) -> None:
    vfl.save_params(folder / "params.npz", PARAMS)


def read_params(folder: Path) -> None:
    found = vfl.load_params(folder / "params.npz", PARAMS)
    assert all(np.array_equal(found[name], PARAMS[name]) for name in PARAMS)


def make_images(folder: Path, ending: str = "") -> None:
    rng = np.random.default_rng(0)
    (folder / "mnist").mkdir()
    for name in images.FILES:
        shape = (ROWS, 28, 28) if "images" in name else (ROWS,)
        head = b"\0\0\x08" + bytes([len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
        content = head + rng.integers(0, 10, shape, np.uint8).tobytes()
        (folder / "mnist" / f"{name}{ending}").write_bytes(gzip.compress(content, mtime=0) if ending else content)


def read_images(folder: Path) -> None:
    data = vfl.load_mnist(folder)
    check_data(data)
    assert data.train.num_samples == data.test.num_samples == ROWS


ARRAYS = {"y": np.arange(ROWS), "view": np.random.default_rng(0).normal(size=(ROWS, 3))}


def make_npz(folder: Path) -> None:
    np.savez(folder / "arrays.npz", **ARRAYS)  # type: ignore[arg-type]


def read_npz(folder: Path) -> None:
    found = npz.read_npz(folder / "arrays.npz", {"y": ((ROWS,), "iu"), "view": ((None, 3), "f")})
    assert all(np.array_equal(found[name], ARRAYS[name]) for name in ARRAYS)


FRAME = pd.DataFrame({"id": range(ROWS), "y": np.arange(ROWS) % 2, "a": np.arange(ROWS) / 7})
OTHER = pd.DataFrame({"id": range(ROWS), "b": np.arange(ROWS) / 4, "c": ["x", "y, z", "é"] * (ROWS // 3)})


def make_table(folder: Path, ending: str) -> None:
    path = folder / f"table{ending}"
    if ending == table_files.PARQUET:
        OTHER.to_parquet(path)
    else:
        OTHER.to_csv(path, index=False, compression={"method": "gzip", "mtime": 0} if ending == ".csv.gz" else None)


def read_table(folder: Path) -> None:
    (path,) = folder.iterdir()
    check_data(vfl.load_tables({"A": FRAME, "B": path}, id="id", label="A.y").data)


def make_columns(folder: Path) -> None:
    lines = [f"{i},{'yes' if i % 2 else 'no'},word {i}" for i in range(ROWS)]
    (folder / "columns.csv").write_text("\n".join(["n,answer,word", *lines]) + "\n")


def read_columns(folder: Path) -> None:
    kinds: dict[str, csv_columns.ColumnKind] = {"n": int, "answer": ("yes", "no"), "word": str}
    found = csv_columns.read_columns(folder / "columns.csv", kinds, ROWS, first_line="n,answer,word")
    assert found["n"].dtype == np.int64
    assert {len(column) for column in found.values()} == {ROWS}


def make_lines(folder: Path) -> None:
    rng = np.random.default_rng(0)
    (folder / "labels.txt").write_text("".join(f"{flag}\n" for flag in rng.integers(0, 2, ROWS)))
    (folder / "features.dat").write_text(
        "".join(" ".join(f"{x:.5g}" for x in rng.normal(size=5)) + " \n" for _ in range(ROWS))
    )
    (folder / "tags.dat").write_text("".join("\t".join(map(str, rng.integers(0, 2, 6))) + "\t\n" for _ in range(ROWS)))


def read_lines(folder: Path) -> None:
    assert nus_wide_files.read_labels(folder / "labels.txt").dtype == bool
    features = nus_wide_files.read_features(folder / "features.dat", 5)["features"]
    assert features.shape[1:] == (5,)
    assert np.isfinite(features).all()
    tags = nus_wide_files.read_tags(folder / "tags.dat", 6)
    assert tags["indptr"][-1] == len(tags["ids"])
    assert not len(tags["ids"]) or tags["ids"].max() < 6


def make_archive(folder: Path) -> None:
    rows = np.random.default_rng(0).integers(0, 10, (2, cifar10.ROW), np.uint8).tobytes()
    with tarfile.open(folder / "cifar.tar.gz", "w:gz") as archive:
        for name in (*cifar10.TRAIN, cifar10.TEST):
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(rows)
            archive.addfile(member, io.BytesIO(rows))


def read_archive(folder: Path) -> None:
    (train, labels), (test, _) = cifar10.read_cifar10(folder / "cifar.tar.gz")
    assert (train.shape, labels.shape, test.shape) == ((10, 32, 32, 3), (10,), (2, 32, 32, 3))


def ask_cache(folder: Path) -> None:
    (folder / "source").touch()
    found = cache.cached(folder / "cache", [folder / "source"], 1, lambda: ARRAYS)
    assert found.keys() == ARRAYS.keys()
    assert all(np.array_equal(found[name], ARRAYS[name]) for name in ARRAYS)


CHUNKS = [Chunk(({"attacks.1.amplify": 1.0}, {}), seeds) for seeds in ((0, 1), (2, 3))]
IDENTITY = {"code": {}, "epochs": 3}
TREE = {"state": np.arange(6, dtype=np.float32).reshape(2, 3)}


def make_folder(folder: Path) -> None:
    store = Folder(folder, IDENTITY)
    store.plan(lambda done, most: CHUNKS, 4)
    for chunk in CHUNKS:
        store.finish(chunk, results())
    store.finish_all(results())
    shutil.rmtree(folder / "locks")


def read_folder(folder: Path) -> None:
    """As a sweep and ``vfl-jax status`` read it; what lies beside results may say anything."""
    store = Folder(folder, IDENTITY)
    status(folder)
    planned, _ = store.planned()
    assert planned == CHUNKS
    for chunk in CHUNKS:
        if store.check(chunk):
            assert store.read(chunk).identical(results())
    store.finish_all(results())
    assert vfl.load(folder / "results.nc").identical(results())


def make_checkpoints(folder: Path) -> None:
    for epoch in (1, 2):
        Checkpoints(folder, "owner").save(epoch, TREE)


def read_checkpoints(folder: Path) -> None:
    found = Checkpoints(folder, "owner").restore(lambda epoch: TREE)
    assert found is None or (found[0] in (1, 2) and np.array_equal(found[1]["state"], TREE["state"]))


def of_any_kind(rng: Random, content: bytes) -> bytes:
    """Damages bytes that may be JSON, as bytes, as text or as JSON."""
    try:
        json.loads(content)
    except ValueError:
        return damage.bytes_of(rng, content)
    return rng.choice((damage.bytes_of, damage.text_of, damage.json_of))(rng, content)


def in_form(make: Callable[..., Any], ending: str) -> Callable[[Path], Any]:
    """What writes input in the form that an ending names."""
    return functools.partial(make, ending=ending)


BYTES, TEXT, JSON = damage.bytes_of, damage.text_of, damage.json_of
READERS = {
    "scenario": Reader("a scenario as JSON (`from_json`, `check`)", 28_000, make_scenario, JSON, read_scenario),
    "results": Reader("results (`load`)", 10_000, make_results, BYTES, read_results),
    "earlier": Reader("results of earlier versions (`load`)", 6_000, make_unsealed, BYTES, read_results),
    "foreign": Reader("another NetCDF file (`load`)", 4_000, make_foreign, BYTES, read_foreign),
    "params": Reader("parameters (`load_params`)", 10_000, make_params, BYTES, read_params),
    "idx": Reader("images, not packed (`load_mnist`)", 4_000, make_images, BYTES, read_images),
    "idx.gz": Reader("images, packed (`load_mnist`)", 4_000, in_form(make_images, ".gz"), BYTES, read_images),
    "npz": Reader("arrays (`load_handwritten`, `load_citeseer`)", 4_000, make_npz, BYTES, read_npz),
    "csv": Reader("CSV (`load_tables`)", 10_000, in_form(make_table, ".csv"), TEXT, read_table),
    "csv.gz": Reader("CSV, packed (`load_tables`)", 3_000, in_form(make_table, ".csv.gz"), BYTES, read_table),
    "parquet": Reader("Parquet (`load_tables`)", 6_000, in_form(make_table, ".parquet"), BYTES, read_table),
    "columns": Reader("published tables (`load_adult`, …)", 3_000, make_columns, TEXT, read_columns),
    "nus_wide": Reader("NUS-WIDE's text files (`load_nus_wide`)", 3_000, make_lines, TEXT, read_lines),
    "cifar10": Reader("CIFAR-10's archive (`load_cifar10`)", 1_000, make_archive, BYTES, read_archive),
    "cache": Reader("the cache of NUS-WIDE's arrays", 1_000, ask_cache, of_any_kind, ask_cache, refuses=False),
    "folder": Reader("a sweep's folder (`sweep`, `status`)", 2_000, make_folder, of_any_kind, read_folder),
    "checkpoints": Reader("checkpoints (`sweep`)", 1_000, make_checkpoints, of_any_kind, read_checkpoints),
}

"""Small files of others that would take much memory or time, or never end: refused by name, within bounds."""

import gzip
import hashlib
import io
import json
import os
import struct
import tarfile
import threading
import time
import tracemalloc
import zipfile
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from data_helpers import idx_bytes, says
from rich.console import Console

import vfl_jax as vfl
from vfl_jax.arenas.folder import Log
from vfl_jax.cli.data_check import data_check
from vfl_jax.cli.studies import read_scenario
from vfl_jax.cli.table_file import read_table_file
from vfl_jax.core.damage import Damaged
from vfl_jax.core.files import beside
from vfl_jax.core.holding import _holder
from vfl_jax.core.ordinary import read_text
from vfl_jax.core.toml_text import parse_toml
from vfl_jax.data.sets import adult, cache, layout
from vfl_jax.data.sets.cifar10 import read_cifar10
from vfl_jax.data.sets.idx import read_idx
from vfl_jax.data.sets.nus_wide_files import read_features
from vfl_jax.sweeps.store.manifest import of_any

MIB = 1 << 20


@contextmanager
def memory_below(most):
    """Fails where more bytes are held at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


def packed(path, block, count, beginning=b""):
    """Writes a file that unpacks to a block, again and again."""
    path.parent.mkdir(exist_ok=True)
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(beginning)
        for _ in range(count):
            file.write(block)
    return path


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (b"\n" * MIB, "has more than 12055 lines; expected 11055 rows"),
        (b"," * MIB, "has more than 1000 characters on line 1"),
    ],
)
def test_a_published_table_is_read_line_by_line(tmp_path, block, message):
    path = packed(tmp_path / "phishing/phishing.csv.gz", block, 8)
    with memory_below(6 * MIB), pytest.raises(ValueError, match=says(str(path), message)):
        vfl.data.load_phishing(tmp_path)


def test_a_published_text_is_short(tmp_path):
    line = ",".join("1" if kind is int else "a" * 101 for kind in adult.COLUMNS.values()).replace("a" * 101, "b", 7)
    path = packed(tmp_path / "adult/adult.data.gz", f"{line},<=50K\n".encode(), adult.NUM_ROWS["adult.data"])
    with pytest.raises(ValueError, match=says(str(path), "line 1, column 'native-country'", "expected a text")):
        vfl.data.load_adult(tmp_path)


def test_the_length_of_an_array_s_header_is_checked_before_it_is_read(tmp_path):
    path = tmp_path / "handwritten/handwritten.npz"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("y.npy", b"\x93NUMPY\x02\0" + struct.pack("<I", 16 * MIB) + b" " * 16 * MIB)
    message = says(str(path), "'y'", "has 16,777,216 bytes; expected at most 4,096")
    with memory_below(4 * MIB):
        with pytest.raises(Damaged, match=message):
            vfl.load_params(path, {})
        with pytest.raises(ValueError, match=message):
            vfl.data.load_handwritten(tmp_path)


def test_headers_of_both_versions_are_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "p.npz", "w") as archive:
        for version in (1, 2):
            content = io.BytesIO()
            np.lib.format.write_array(content, np.arange(3), (version, 0))
            archive.writestr(f"['{version}'].npy", content.getvalue())
    found = vfl.load_params(tmp_path / "p.npz", {"1": np.arange(3), "2": np.arange(3)})
    assert {name: array.tolist() for name, array in found.items()} == {"1": [0, 1, 2], "2": [0, 1, 2]}


def test_arrays_that_numpy_would_not_pack_so_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "p.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("w.npy", bytes(1000))
    with pytest.raises(Damaged, match=says("p.npz", "'w'", "packed in a way that NumPy does not write")):
        vfl.load_params(tmp_path / "p.npz", {})


def load_wide(path, names):
    path.write_text(",".join(names) + "\n" + ",".join("1" * len(names)) + "\n")
    return vfl.load_tables({"a": path, "b": path}, label="a.c1", id="c0")


def test_a_header_of_many_columns_takes_no_square_of_time(tmp_path):
    names = [f"c{i}" for i in range(60_000)]
    start = time.perf_counter()
    with pytest.raises(ValueError, match=says("wide.csv has column 'c9' twice, as columns 10 and 60001")):
        load_wide(tmp_path / "wide.csv", [*names, "c9"])
    assert time.perf_counter() - start < 2
    with pytest.raises(ValueError, match=says("wide.csv has 70,000 columns; a text file may have 65,536")):
        load_wide(tmp_path / "wide.csv", [*names, *(f"d{i}" for i in range(10_000))])


@pytest.mark.parametrize("block", [b"," * MIB, b'"\n",' * (MIB // 4)])
def test_a_row_without_an_end_does_not_fill_the_memory(tmp_path, block):
    path = packed(tmp_path / "long.csv.gz", block, 20)
    with pytest.raises(ValueError, match=says(str(path), "has more than 16,777,216 characters in the row on line 1")):
        vfl.load_tables({"a": path, "b": path}, label="a.y", id="id")


@contextmanager
def pipe(path):
    """A pipe that nobody writes into; a reader or writer that waits for the other end is let go, and fails the test."""
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path)
    waited = threading.Event()

    def let_go():
        waited.set()
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))

    timer = threading.Timer(2, let_go)
    timer.start()
    try:
        yield path
    finally:
        timer.cancel()
    assert not waited.is_set()


READERS = {
    "params": lambda path: vfl.load_params(path, {}),
    "idx": read_idx,
    "cifar10.tar.gz": read_cifar10,
    "features": lambda path: read_features(path, 64),
    "scenario.json": read_scenario,
    "scenario.toml": read_scenario,
    "tables.toml": lambda path: read_table_file(path, ["table"]),
    "results.nc": vfl.load,
    "manifest.json": lambda path: of_any(path.parent),
}


@pytest.mark.parametrize("name", READERS)
def test_a_pipe_is_refused(tmp_path, name):
    with pipe(tmp_path / name) as path, pytest.raises(Damaged, match=says(str(path), "is no ordinary file")):
        READERS[name](path)


def test_a_pipe_beside_results_or_a_lock_stops_nothing(tmp_path):
    path = vfl.save(xr.Dataset({"a": ("seed", [0.5])}), tmp_path / "results.nc")
    with pipe(beside(path)):
        assert "run" not in vfl.load(path).encoding
    with pipe(tmp_path / "note") as note:
        assert _holder(note) == ("another process that does not say who it is", "")


def test_a_pipe_for_the_times_of_an_arena_stops_nothing(tmp_path):
    with pipe(tmp_path / "arena.jsonl") as path:
        log = Log(path)
        log.note(SimpleNamespace(board="board", name="group"), 3, 1.0)
        assert len(log.entries) == 1


def test_pipes_in_a_cache_are_built_anew(tmp_path):
    def get():
        return cache.cached(tmp_path, [], 1, lambda: {"a": np.arange(3)})["a"].tolist()

    assert get() == [0, 1, 2]
    for name in ("a.npy", cache.MANIFEST):
        (tmp_path / name).unlink()
        with pipe(tmp_path / name):
            assert get() == [0, 1, 2]


def test_a_text_of_settings_has_a_bound(tmp_path):
    (tmp_path / "x").write_text("a" * 11)
    with pytest.raises(Damaged, match=says(str(tmp_path / "x"), "has more than 10 characters")):
        read_text(tmp_path / "x", 10)
    path = vfl.save(xr.Dataset({"a": ("seed", [0.5])}), tmp_path / "results.nc")
    run = {"started": "", "wall_seconds": 1.0, "devices": ["cpu"], "machine": "a" * MIB, "python": "3"}
    beside(path).write_text(json.dumps(run))
    assert "run" not in vfl.load(path).encoding


def test_a_deep_key_of_toml_is_refused(tmp_path):
    (tmp_path / "t.toml").write_text("column." + "a." * 5000 + 'b = "x"\n')
    for name in ("column", "drop"):
        with pytest.raises(ValueError, match=says("t.toml", "it goes too deep")):
            read_table_file(tmp_path / "t.toml", [name])
    assert parse_toml('"a.b" . c.d = 0.5\ne = [1.0, "' + "a.b " * 40 + '"]')["a.b"] == {"c": {"d": 0.5}}
    with pytest.raises(ValueError, match="more than 4,194,304 characters"):
        parse_toml("\n" * (4 * MIB + 1))


@pytest.mark.parametrize("name", ["phishing/phishing.csv.gz", "default_credit/default_credit_hetero_guest.csv.gz"])
def test_a_data_check_reads_by_blocks(tmp_path, name):
    console = Console(file=io.StringIO(), width=200)
    packed(tmp_path / name, b" ", 1)
    data_check(tmp_path, console)  # imports what it needs
    packed(tmp_path / name, b" " * MIB, 24)
    with memory_below(8 * MIB):
        assert data_check(tmp_path, console) is False
    assert "damaged" in console.file.getvalue()


def test_a_data_check_refuses_what_unpacks_to_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr("vfl_jax.core.packed.SMALL", MIB)
    path = packed(tmp_path / "phishing.csv.gz", b" " * MIB, 2)
    for look in (lambda: layout._unpacked_has_sha256("", path), lambda: layout._table(3, path)):
        with pytest.raises(ValueError, match=says(str(path), "unpacks to more than 1,048,576")):
            look()


def test_lines_and_digests_are_those_of_the_content(tmp_path):
    for content in (b"a\n1\n2", b"a\n1\n2\n"):
        path = packed(tmp_path / "x.csv.gz", content, 1)
        assert layout._table(2, path) == "2 rows"
        assert "as published" in layout._unpacked_has_sha256(hashlib.sha256(content).hexdigest(), path)


def test_a_packed_image_of_nothing_is_refused_by_its_header(tmp_path):
    path = packed(tmp_path / "x.gz", bytes(MIB), 25, b"\0\0\x08\x03" + struct.pack(">3I", 1, 5 * 1024, 5 * 1024))
    with memory_below(4 * MIB), pytest.raises(ValueError, match=says(str(path), "(1, 5120, 5120)", "16,777,216")):
        read_idx(path)


def test_images_take_the_stated_memory(tmp_path):
    (tmp_path / "mnist").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (2000, 28, 28), np.uint8)
    for split in ("train", "t10k"):
        (tmp_path / f"mnist/{split}-images-idx3-ubyte").write_bytes(idx_bytes(pixels))
        (tmp_path / f"mnist/{split}-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(2000, np.uint8)))
    with memory_below(8 * 2 * pixels.size):
        data = vfl.data.load_mnist(tmp_path)
    assert data.train.features[0].dtype == np.float32
    np.testing.assert_array_equal(
        np.concatenate(data.train.features, axis=1), pixels.astype(np.float32) / np.float32(255)
    )


def test_an_archive_of_many_files_is_refused(tmp_path):
    path = packed(tmp_path / "x.tar.gz", tarfile.TarInfo("x").tobuf() * 1000, 20)
    with memory_below(4 * MIB), pytest.raises(ValueError, match=says(str(path), "holds more than 100 files")):
        read_cifar10(path)


def test_blank_lines_among_features_do_not_fill_the_memory(tmp_path):
    (tmp_path / "x").write_bytes(b"1 " * 64 + b"\n" + b"\n" * MIB)
    with memory_below(64 * MIB), pytest.raises(ValueError, match=says("x has 0 cells in line 2", "expected 64")):
        read_features(tmp_path / "x", 64)


def test_a_line_of_features_without_an_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("vfl_jax.data.sets.nus_wide_files.BLOCK", 1000)
    monkeypatch.setattr("vfl_jax.data.sets.nus_wide_files.MOST_LINE", 1000)
    (tmp_path / "x").write_bytes(b"1 " * 2000)
    with pytest.raises(ValueError, match=says("x has a line of 1,000 bytes or more")):
        read_features(tmp_path / "x", 64)


def test_an_original_file_of_one_endless_line_is_refused(tmp_path):
    (tmp_path / "handwritten").mkdir()
    for ending in ("fac", "fou", "kar", "mor", "pix", "zer"):
        (tmp_path / f"handwritten/mfeat-{ending}").write_bytes(b"1 " * 10_000)
    with pytest.raises(ValueError, match=says("mfeat-fac has 10000 numbers in line 1; expected 216")):
        vfl.data.load_handwritten(tmp_path)
    (tmp_path / "handwritten/mfeat-fac").write_bytes(b"1 \n" * 5_000_000)
    with pytest.raises(ValueError, match=says("mfeat-fac has 15,000,000 bytes; expected at most 12,960,000")):
        vfl.data.load_handwritten(tmp_path)

"""Input that others wrote: damaged, odd, too large. It is refused by name, or read rightly."""

import copy
import gzip
import multiprocessing
import signal
import struct
import subprocess
import sys
import textwrap
import time
import tracemalloc
import zipfile
from pathlib import Path
from random import Random

import h5netcdf
import h5py
import numpy as np
import pandas as pd
import pytest
from data_helpers import says

import vfl_jax as vfl
from experiments.faults import damage, job, report, stops
from experiments.faults.readers import READERS, Reader, results
from vfl_jax.core import foreign, packed
from vfl_jax.core.damage import Damaged
from vfl_jax.data.own.table import parquet
from vfl_jax.data.sets import cache
from vfl_jax.data.sets.idx import read_idx

ROOT = Path(__file__).parents[1]
SLOW = {"folder", "checkpoints", "cache", "earlier", "foreign"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", READERS)
def test_the_first_cases_of_every_kind_hold(name):
    found = {number: job.outcome(name, number) for number in range(3 if name in SLOW else 12)}
    assert set(found.values()) <= {job.RIGHT, job.REFUSED}, found


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", READERS)
def test_many_cases_of_every_kind_hold(name, monkeypatch):
    monkeypatch.setattr(foreign, "SECONDS", job.FOREIGN_SECONDS)
    found = {number: job.outcome(name, number) for number in range(100, 150 if name in SLOW else 250)}
    assert set(found.values()) <= {job.RIGHT, job.REFUSED}, found


def make(folder):
    (folder / "file").write_bytes(b"abc")


def raising(error):
    def read(folder):
        raise error

    return read


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (lambda folder: None, "right"),
        (lambda folder: raising(ValueError(f"{folder / 'file'} is damaged"))(folder), "refused"),
        (raising(ValueError("no place")), "unclear: ValueError no place"),
        (raising(KeyError("a")), "other error: KeyError 'a'"),
        (raising(AssertionError("0.5 is no pixel")), "nonsense: 0.5 is no pixel"),
        (raising(MemoryError()), "other error: MemoryError "),
        (lambda folder: time.sleep(20), "hang: too long"),
    ],
)
def test_what_does_not_hold_is_counted(monkeypatch, read, expected):
    monkeypatch.setattr(job, "SECONDS", 1)
    monkeypatch.setitem(READERS, "one", Reader("one", 1, make, damage.bytes_of, read))
    assert job.outcome("one", 0) == expected


def test_a_case_is_the_same_whatever_was_tried_before():
    values = copy.deepcopy(damage.VALUES)
    alone = damage.json_of(Random("scenario/7"), b'{"a": [1, {"b": 2}], "c": 3}')
    for number in range(300):
        damage.json_of(Random(f"scenario/{number}"), b'{"a": [1, {"b": 2}], "c": 3}')
    assert damage.json_of(Random("scenario/7"), b'{"a": [1, {"b": 2}], "c": 3}') == alone
    assert values == damage.VALUES


def test_the_job_goes_on_and_tries_again_what_failed(tmp_path, monkeypatch):
    asked = []

    def batch(name, first, last):
        asked.append((first, last))
        return ["nonsense: x" if number == 3 and len(asked) == 2 else "right" for number in range(first, last)]

    monkeypatch.setattr(job, "READERS", {"one": Reader("one", 8, make, damage.bytes_of, make)})
    monkeypatch.setattr(report, "READERS", job.READERS)
    monkeypatch.setattr(job, "batch", batch)
    monkeypatch.setattr(job, "BATCH", 2)
    found = job.run(tmp_path / "counts.json", 0.5)
    assert found == {"one": {"tried": 4, "right": 3, "refused": 0, "failed": {"3": "nonsense: x"}}}
    assert "| one | 4 | 3 | 3 | 0 |" in report.table(found)
    assert "* `one` 3: nonsense: x" in report.table(found)
    found = job.run(tmp_path / "counts.json", 1.0)
    assert found == {"one": {"tried": 8, "right": 8, "refused": 0, "failed": {}}}
    assert asked == [(0, 2), (2, 4), (3, 4), (4, 6), (6, 8)]


def test_stopped_sweeps_take_turns_and_those_that_did_not_hold_are_tried_again(tmp_path, monkeypatch):
    asked, wrong = [], {("a", 1)}

    def outcome(name, number, whole, touches):
        asked.append((name, number, touches))
        return "other bytes" if (name, number) in wrong else ""

    def begin(folder, **_):
        Path(f"{folder}.touches").write_text("7")
        return 1

    one = stops.Stop("a stop", 7, lambda *_: "")
    monkeypatch.setattr(stops, "STOPS", {"a": one, "b": one._replace(cases=1)})
    monkeypatch.setattr(stops, "begin", begin)
    monkeypatch.setattr(stops, "end", lambda child: 0)
    monkeypatch.setattr(stops, "outcome", outcome)
    monkeypatch.setattr(stops.jax.config, "update", lambda *_: None)
    found = stops.run(tmp_path / "stopped.json")
    assert found == {"a": {"tried": 7, "failed": {"1": "other bytes"}}, "b": {"tried": 1, "failed": {}}}
    assert asked == [*(("a", number, 7) for number in range(5)), ("b", 0, 7), ("a", 5, 7), ("a", 6, 7)]
    monkeypatch.setattr(report, "STOPS", stops.STOPS)
    assert "| a stop | 7 | 6 |" in report.table_of_stops(found)
    assert "* `a` 1: other bytes" in report.table_of_stops(found)
    asked.clear()
    wrong.clear()
    assert stops.run(tmp_path / "stopped.json")["a"] == {"tried": 7, "failed": {}}
    assert asked == [("a", 1, 7)]


@pytest.mark.long
@pytest.mark.parametrize("name", stops.STOPS)
def test_a_sweep_that_is_stopped_ends_the_same(tmp_path, name):
    script = f"""
        from pathlib import Path
        from experiments.faults import stops
        stops.STOPS = {{{name!r}: stops.STOPS[{name!r}]._replace(cases=1)}}
        print(stops.run(Path({str(tmp_path / "stopped.json")!r})))
    """
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.splitlines()[-1] == str({name: {"tried": 1, "failed": {}}})


def test_bytes_that_are_not_as_they_were_written_never_reach_hdf5(tmp_path, monkeypatch):
    path = vfl.save(results(), tmp_path / "results.nc")
    whole = path.read_bytes()
    monkeypatch.setattr(foreign, "_connection", lambda: pytest.fail("another process was asked"))
    assert vfl.load(path).identical(results())
    monkeypatch.setattr("vfl_jax.core.files.read_stored", lambda *_: pytest.fail("HDF5 was asked"))
    for place in (0, 1000, len(whole) - foreign.SEAL_LENGTH + 20, len(whole) - 1):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(Damaged, match=says("results.nc is damaged", "digest")):
            vfl.load(path)


HANGS = Path(__file__).parent / "fixtures" / "hangs_hdf5.nc"


@pytest.mark.long
def test_a_reader_whose_process_was_killed_ends_by_itself():
    """HDF5 spins on these bytes for ever, and nobody is left who would end it."""
    here, there = multiprocessing.Pipe()
    code = "import sys; from vfl_jax.core import reader; reader.SECONDS = 1.0; reader.main(int(sys.argv[1]), '')"
    process = subprocess.Popen([sys.executable, "-c", code, str(there.fileno())], pass_fds=[there.fileno()])
    there.close()
    assert here.recv_bytes() == b"ready"
    here.send_bytes(HANGS.read_bytes())
    here.close()
    assert process.wait(timeout=300) == -signal.SIGXCPU


@pytest.mark.long
def test_bytes_that_hang_hdf5_end_at_the_limit_and_the_next_file_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(foreign, "SECONDS", 2.0)
    with pytest.raises(Damaged, match=says("hangs_hdf5.nc is damaged", "HDF5 had not read it after 2 s")):
        vfl.load(HANGS)
    monkeypatch.undo()  # a busy machine may take two seconds for a good file
    READERS["earlier"].make(tmp_path)
    assert vfl.load(tmp_path / "results.nc").identical(results())


def test_a_crash_of_the_reading_process_is_one_of_the_file(tmp_path, monkeypatch):
    READERS["earlier"].make(tmp_path)
    vfl.load(tmp_path / "results.nc")
    foreign._reader[1].kill()
    foreign._reader[1].wait()
    monkeypatch.setattr(foreign, "_connection", lambda connection=foreign._reader[2]: connection)
    with pytest.raises(Damaged, match=says("results.nc", "HDF5 crashed on it")):
        vfl.load(tmp_path / "results.nc")
    monkeypatch.undo()
    assert vfl.load(tmp_path / "results.nc").identical(results())


def test_a_reading_process_that_cannot_be_started_says_nothing_about_the_file(tmp_path, monkeypatch):
    READERS["earlier"].make(tmp_path)
    foreign._end()
    monkeypatch.setattr(foreign.sys, "executable", "/bin/false")
    with pytest.raises(OSError, match="cannot be started") as raised:
        vfl.load(tmp_path / "results.nc")
    assert not isinstance(raised.value, Damaged)
    monkeypatch.undo()
    assert vfl.load(tmp_path / "results.nc").identical(results())


def test_a_terminal_s_signal_says_nothing_about_the_file(tmp_path):
    READERS["earlier"].make(tmp_path)
    vfl.load(tmp_path / "results.nc")
    process = foreign._reader[1]
    for number in (signal.SIGINT, signal.SIGHUP):
        process.send_signal(number)
    assert vfl.load(tmp_path / "results.nc").identical(results())
    assert foreign._reader[1] is process


def test_a_small_file_of_results_does_not_fill_the_memory(tmp_path):
    with h5netcdf.File(tmp_path / "large.nc", "w") as file:
        file.dimensions = {"x": 2**30}
        file.create_variable("a", ("x",), np.float64, chunks=(2**20,), compression="gzip")
    assert (tmp_path / "large.nc").stat().st_size < 20_000
    with pytest.raises(Damaged, match=says("large.nc", "8,589,934,592 bytes", "at most 67,108,864")):
        vfl.load(tmp_path / "large.nc")


def bomb(path, start=b"", mebibytes=300):
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(start)
        for _ in range(mebibytes):
            file.write(bytes(1 << 20))
    return path


@pytest.mark.long
def test_a_packed_file_does_not_fill_the_memory(tmp_path):
    head = b"\0\0\x08\x03" + struct.pack(">3I", 1, 28, 28)
    path, table = bomb(tmp_path / "images.gz", head), bomb(tmp_path / "table.csv.gz", b"id,b\n")
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=says("images.gz", "or more values", "(1, 28, 28)")):
            read_idx(path)
        with pytest.raises(ValueError, match=says("table.csv.gz", "unpacks to more than 268,435,456")):
            vfl.load_tables({"A": pd.DataFrame({"id": [1], "y": [0]}), "B": table}, id="id", label="A.y")
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


def test_one_long_text_among_many_does_not_fill_the_memory(tmp_path):
    """Texts of an array are as wide as the longest: 4 × 2,000 × 50,000 bytes, of a file of 95 kB."""
    texts = np.array([""] * 2000, object)
    texts[0] = "a" * 50_000
    with h5netcdf.File(tmp_path / "a.nc", "w") as file:
        file.dimensions = {"x": 2000}
        file.create_variable("text", ("x",), h5py.string_dtype(), compression="gzip", chunks=(2000,))[...] = texts
    with pytest.raises(Damaged, match=says("a.nc", "the texts of 'text' would fill 400,000,000 bytes")):
        vfl.load(tmp_path / "a.nc")


def test_an_idx_header_of_any_size_is_refused(tmp_path):
    for shape in ((2**32 - 1,) * 3, (2**31,), (1,) * 5):
        (tmp_path / "x").write_bytes(b"\0\0\x08" + bytes([len(shape)]) + struct.pack(f">{len(shape)}I", *shape))
        with pytest.raises(ValueError, match=says(str(tmp_path / "x"), "in its header", "at most 4 dimensions")):
            read_idx(tmp_path / "x")


PARQUET = {
    "numbers": lambda: {"b": np.zeros(100_000)},
    "numbers in lists": lambda: {"b": [np.zeros(100_000), np.zeros(3)]},
    "texts": lambda: {"b": ["a" * 1000] * 100},
    "texts beside gaps": lambda: {"b": [*["a" * 1000] * 100, None]},
    "texts in lists": lambda: {"b": [["a" * 1000] * 50] * 2},
    "texts in records": lambda: {"b": [{"c": 1, "d": "a" * 1000}] * 100},
    "texts in maps": lambda: {"b": of_maps([[("k", "a" * 1000)]] * 100)},
    "bytes": lambda: {"b": [b"a" * 1000] * 100},
}
"""Columns that take less than 10 kB in a file and 100 kB or more in memory."""


def of_maps(cells):
    import pyarrow

    return pyarrow.array(cells, pyarrow.map_(pyarrow.string(), pyarrow.string()))


@pytest.mark.parametrize("case", PARQUET)
def test_a_parquet_file_does_not_fill_the_memory(tmp_path, monkeypatch, case):
    pyarrow, written = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table, path = pyarrow.table(PARQUET[case]()), tmp_path / "b.parquet"
    written.write_table(table.append_column("id", pyarrow.array([0] * len(table))), path)
    assert path.stat().st_size < 10_000
    monkeypatch.setattr(parquet, "SMALL", 10_000)
    monkeypatch.setattr(packed, "SMALL", 10_000)
    monkeypatch.setattr(packed, "MOST_TIMES", 1)
    with pytest.raises(ValueError, match=says("b.parquet", "unpacks to more than")):
        vfl.load_tables({"A": pd.DataFrame({"id": [0], "y": [0]}), "B": path}, id="id", label="A.y")


def test_too_few_rows_in_common_name_the_tables(tmp_path):
    (tmp_path / "b.csv").write_text("id,b\n1,2\n2,3\n77,4\n")
    frame = pd.DataFrame({"id": range(9), "y": [0, 1, 0, 1, 0, 1, 0, 1, 0]})
    with pytest.raises(ValueError, match=says("test is 0.2", "b.csv", "have 2 rows in common")):
        vfl.load_tables({"A": frame, "B": tmp_path / "b.csv"}, id="id", label="A.y")


def test_labels_of_one_class_name_the_tables(tmp_path):
    (tmp_path / "b.csv").write_text("id,b\n2,2\n4,3\n77,4\n")
    frame = pd.DataFrame({"id": range(9), "y": [0, 1, 0, 1, 0, 1, 0, 1, 0]})
    with pytest.raises(ValueError, match=says("one class alone, 0", "b.csv", "have 2 rows in common")):
        vfl.load_tables({"A": frame, "B": tmp_path / "b.csv"}, id="id", label="A.y")


LIKE = {"w": np.zeros((3, 4), np.float32)}


def member(header):
    text = header.encode()
    text += b" " * (63 - (10 + len(text)) % 64) + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }",
        "(" * 3000,
        "{" * 200 + "}" * 200,
        "{'descr': '|O', 'fortran_order': False, 'shape': (), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
    ],
)
def test_headers_of_parameters_are_checked_before_numbers(tmp_path, header):
    with zipfile.ZipFile(tmp_path / "p.npz", "w") as archive:
        archive.writestr("['w'].npy", member(header))
    with pytest.raises(Damaged, match=says("p.npz has no plain array", "['w']")):
        vfl.load_params(tmp_path / "p.npz", LIKE)


@pytest.mark.parametrize("dtype", ["<f8", "<c8", "<M8[s]", "|S1", "|b1", ">f4", "|V8", "<i4"])
def test_parameters_of_another_dtype_are_refused(tmp_path, dtype):
    np.savez(tmp_path / "p.npz", **{"['w']": np.zeros((3, 4), dtype)})
    with pytest.raises(ValueError, match=says("p.npz holds", "at ['w']", "expected float32")):
        vfl.load_params(tmp_path / "p.npz", LIKE)


def test_parameters_in_bfloat16_and_in_columns_come_back(tmp_path):
    import jax.numpy as jnp

    tree = {"a": jnp.arange(4, dtype=jnp.bfloat16), "b": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "c": 1.5}
    found = vfl.load_params(vfl.save_params(tmp_path / "p.npz", tree), tree)
    assert found["a"].dtype == jnp.bfloat16
    assert [found[name].tolist() for name in "abc"] == [[0, 1, 2, 3], [[0, 1, 2], [3, 4, 5]], 1.5]


def test_a_whole_cache_serves_where_it_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "source").touch()
    arrays = {"a": np.arange(3)}
    cache.cached(tmp_path / "cache", [tmp_path / "source"], 1, lambda: arrays)

    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied", "lock")

    monkeypatch.setattr(cache, "hold", refuse)
    found = cache.cached(tmp_path / "cache", [tmp_path / "source"], 1, lambda: pytest.fail("built again"))
    assert found["a"].tolist() == [0, 1, 2]
    with pytest.raises(OSError, match=says(str(tmp_path / "cache"), "cannot be written", "argument cache")):
        cache.cached(tmp_path / "cache", [tmp_path / "source"], 2, lambda: arrays)

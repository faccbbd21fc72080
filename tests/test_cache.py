"""The cache of parsed arrays: what it holds is either what was built, or built anew."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from data_helpers import says

from vfl_jax.data.sets import cache
from vfl_jax.data.sets.cache import cached

ARRAYS = {
    "table": np.arange(12, dtype=np.float32).reshape(3, 4),
    "ids": np.array([3, 1], np.int32),
    "empty": np.zeros((0, 5), np.int64),
}


class Builder:
    def __init__(self):
        self.times = 0

    def __call__(self):
        self.times += 1
        return ARRAYS


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.dat"
    path.write_text("1 2 3\n")
    return path


def look(tmp_path, source, build, version=1):
    """Asks the cache, and checks its answer."""
    found = cached(tmp_path / "cache", [source], version, build)
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[name], array)
    return found


def test_arrays_are_built_once_and_mapped(tmp_path, source):
    build = Builder()
    for _ in range(3):
        found = look(tmp_path, source, build)
        assert isinstance(found["table"], np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            found["table"][0, 0] = 7
    assert build.times == 1
    names = sorted(path.name for path in (tmp_path / "cache").iterdir())
    assert names == ["empty.npy", "ids.npy", "lock", "manifest.json", "table.npy"]


def test_another_version_is_built_anew(tmp_path, source):
    build = Builder()
    for version, times in ((1, 1), (2, 2), (2, 2), (1, 3)):
        look(tmp_path, source, build, version)
        assert build.times == times


def test_another_format_is_built_anew(tmp_path, source, monkeypatch):
    build = Builder()
    look(tmp_path, source, build)
    monkeypatch.setattr(cache, "FORMAT", cache.FORMAT + 1)
    look(tmp_path, source, build)
    assert build.times == 2


def other_size(source):
    stat = source.stat()
    source.write_text("1 2 3 4\n")
    os.utime(source, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def other_time(source):
    stat = source.stat()
    os.utime(source, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1000))


@pytest.mark.parametrize("change", [other_size, other_time])
def test_a_changed_source_is_read_again(tmp_path, source, change):
    build = Builder()
    look(tmp_path, source, build)
    change(source)
    look(tmp_path, source, build)
    look(tmp_path, source, build)
    assert build.times == 2


def test_a_source_that_changes_while_it_is_read_is_read_again(tmp_path, source):
    def build():
        other_size(source)
        return {name: array[:1] for name, array in ARRAYS.items()}

    cached(tmp_path / "cache", [source], 1, build)
    look(tmp_path, source, again := Builder())
    assert again.times == 1


def test_another_source_is_read(tmp_path, source):
    look(tmp_path, source, Builder())
    look(tmp_path, source.rename(tmp_path / "another.dat"), build := Builder())
    assert build.times == 1


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def cut_to_nothing(path):
    path.write_bytes(b"")


def flip_last(path):
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def flip_first(path):
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])


def remove(path):
    path.unlink()


@pytest.mark.parametrize("damage", [cut, cut_to_nothing, flip_last, flip_first, remove])
@pytest.mark.parametrize("name", [*(f"{name}.npy" for name in ARRAYS), "manifest.json"])
def test_what_is_damaged_is_built_anew(tmp_path, source, name, damage):
    build = Builder()
    look(tmp_path, source, build)
    damage(tmp_path / "cache" / name)
    look(tmp_path, source, build)
    look(tmp_path, source, build)
    # The last byte of the manifest is a line's end; without it, it says the same.
    assert build.times == (1 if (name, damage) == ("manifest.json", cut) else 2)


@pytest.mark.parametrize("content", ["[]", "{}", "null", '{"arrays": 3}', '{"arrays": {"table": "0"}}'])
def test_a_foreign_manifest_is_not_trusted(tmp_path, source, content):
    look(tmp_path, source, Builder())
    (tmp_path / "cache/manifest.json").write_text(content)
    look(tmp_path, source, build := Builder())
    assert build.times == 1


def test_a_manifest_without_its_arrays_is_not_trusted(tmp_path, source):
    look(tmp_path, source, Builder())
    path = tmp_path / "cache/manifest.json"
    manifest = json.loads(path.read_text())
    manifest["arrays"]["table"] = manifest["arrays"]["ids"]
    path.write_text(json.dumps(manifest))
    look(tmp_path, source, build := Builder())
    assert build.times == 1


def test_an_error_while_building_leaves_nothing(tmp_path, source):
    def fail():
        raise ValueError("line 7")

    with pytest.raises(ValueError, match="line 7"):
        cached(tmp_path / "cache", [source], 1, fail)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["lock"]
    look(tmp_path, source, Builder())


def test_nothing_is_written_that_needs_pickle(tmp_path, source):
    with pytest.raises(ValueError, match="Object arrays"):
        cached(tmp_path / "cache", [source], 1, lambda: {"table": np.array([{}], object)})
    look(tmp_path, source, Builder())


PROCESS = """
import os, signal, sys, time
from pathlib import Path
import numpy as np
from vfl_jax.data.sets import cache

folder, source, moments = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
arrays = {
    "table": np.arange(12, dtype=np.float32).reshape(3, 4),
    "ids": np.array([3, 1], np.int32),
    "empty": np.zeros((0, 5), np.int64),
}

def build():
    with (folder.parent / "built").open("a") as file:
        file.write("x")
    time.sleep(0.5)
    return arrays

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def kill_at(moment):
    \"\"\"Builds in a child, which is killed while it builds or before it gives the n-th file its name.\"\"\"
    if child := os.fork():
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        assert not (folder / cache.MANIFEST).exists()
        return
    names = iter(range(1, 10))
    replace = os.replace
    os.replace = lambda *paths: die() if next(names) == int(moment) else replace(*paths)
    cache.cached(folder, [source], 1, die if moment == "0" else lambda: arrays)
    os._exit(0)

for moment in moments:
    kill_at(moment)
if not moments:
    found = cache.cached(folder, [source], 1, build)
    assert all((found[name] == arrays[name]).all() for name in arrays)
"""


def start(tmp_path, source, *moments):
    return subprocess.Popen([sys.executable, "-c", PROCESS, tmp_path / "cache", source, *moments])


@pytest.mark.long
def test_a_killed_build_is_done_anew(tmp_path, source):
    assert start(tmp_path, source, *"01234").wait() == 0
    assert any(path.name.startswith(".manifest.json.") for path in (tmp_path / "cache").iterdir())
    look(tmp_path, source, build := Builder())
    assert build.times == 1
    names = sorted(path.name for path in (tmp_path / "cache").iterdir())
    assert names == ["empty.npy", "ids.npy", "lock", "manifest.json", "table.npy"]


@pytest.mark.long
def test_a_second_process_waits_for_the_first(tmp_path, source):
    first = start(tmp_path, source)
    deadline = time.monotonic() + 60
    while not (tmp_path / "built").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    look(tmp_path, source, build := Builder())
    assert first.wait() == 0
    assert build.times == 0
    assert (tmp_path / "built").read_text() == "x"


def test_a_place_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match=says(str(tmp_path / "file"), "cannot be made", "argument cache")):
        cached(tmp_path / "file" / "below", [], 1, dict)

"""What a folder finds on its disk: damage is named, set aside, computed again; what cannot be read just now stays."""

import builtins
import errno
import io
import json
import os
import shutil
from pathlib import Path

import h5netcdf
import numpy as np
import pytest
import xarray as xr
from data_helpers import says

from vfl_jax.core import files
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.store import checkpoints
from vfl_jax.sweeps.store.checkpoints import Checkpoints
from vfl_jax.sweeps.store.folder import LABEL, Folder

IDENTITY = {"code": {}, "epochs": 3}
CHUNKS = [Chunk(({"attacks.1.amplify": 1.0}, {}), seeds) for seeds in ((0, 1), (2, 3))]
RUN = {"started": "2024", "wall_seconds": 1.5, "devices": ["cpu"], "machine": "m", "python": "3"}


def found(chunk, epochs=3):
    """As a training finds it."""
    size = len(chunk.points), len(chunk.seeds), epochs
    loss = np.arange(float(np.prod(size))).reshape(size) + chunk.seeds[0]
    dataset = xr.Dataset({"loss": (("point", "seed", "epoch"), loss)}, {"seed": list(chunk.seeds)})
    dataset.encoding["run"] = RUN
    return dataset


@pytest.fixture
def folder(tmp_path):
    """Two finished chunks."""
    folder = Folder(tmp_path / "sweep", IDENTITY)
    folder.plan(lambda done, most: CHUNKS, 4)
    for chunk in CHUNKS:
        folder.finish(chunk, found(chunk))
    return folder


def path_of(folder, chunk):
    return folder.path / "chunks" / f"{folder.name(chunk)}.nc"


def aside(folder):
    return sorted((folder.path / "damaged").iterdir()) if (folder.path / "damaged").exists() else []


def test_a_chunk_says_which_it_is_and_what_is_read_does_not(folder):
    for chunk in CHUNKS:
        assert folder.check(chunk)
        assert folder.read(chunk).identical(found(chunk))
        label = json.loads(files.load(path_of(folder, chunk)).attrs[LABEL])
        assert (label["name"], label["seeds"]) == (folder.name(chunk), list(chunk.seeds))
        assert Chunk.from_plain(label["points"], label["seeds"]) == chunk


def exchange(folder, first, second):
    first.rename(folder.path / "kept")
    second.rename(first)
    (folder.path / "kept").rename(second)


def of_another_study(folder, first, second):
    other = Folder(folder.path.with_name("other"), IDENTITY | {"epochs": 4})
    other.finish(CHUNKS[0], found(CHUNKS[0]))
    shutil.copy(path_of(other, CHUNKS[0]), first)


def without_digest(folder, first, second):
    with xr.open_dataset(first, engine="h5netcdf") as opened:
        whole = opened.load()
    del whole.attrs["digest"]
    whole.to_netcdf(first, engine="h5netcdf")


def with_other_numbers(folder, first, second):
    """Of the right label, by another program: the digest is that of the old numbers."""
    with xr.open_dataset(first, engine="h5netcdf") as opened:
        whole = opened.load()
    whole["loss"] += 1
    whole.to_netcdf(first, engine="h5netcdf")


def of_this_package(folder, first, second):
    files.save(found(CHUNKS[0]), first)


def other_points(folder, first, second):
    label = CHUNKS[0].label(IDENTITY).replace("1.0", "2.0")
    files.save(found(CHUNKS[0]).assign_attrs({LABEL: label}), first)


def a_folder(folder, first, second):
    first.unlink()
    first.mkdir()
    (first / "mine").touch()


DAMAGE = {
    "exchanged": (exchange, 2, "is not of the chunk"),
    "copied": (lambda folder, first, second: shutil.copy(second, first), 1, "is not of the chunk"),
    "of another study": (of_another_study, 1, "is not of the chunk"),
    "not of a folder": (of_this_package, 1, "it says that it is of none"),
    "other points": (other_points, 1, "is not of the chunk"),
    "without a digest": (without_digest, 1, "has no digest"),
    "changed by another program": (with_other_numbers, 1, "is damaged: its content has digest"),
    "no results": (lambda folder, first, second: first.write_text("hello"), 1, "is damaged, or holds no results"),
    "empty": (lambda folder, first, second: first.write_bytes(b""), 1, "is damaged, or holds no results"),
    "a folder": (a_folder, 1, "is a folder, no results"),
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", DAMAGE)
def test_what_is_not_the_chunk_s_is_named_and_set_aside(name, folder, caplog):
    damage, count, message = DAMAGE[name]
    paths = [path_of(folder, chunk) for chunk in CHUNKS]
    damage(folder, *paths)
    assert [folder.check(chunk) for chunk in CHUNKS] == [i >= count for i in range(2)]
    assert [path.exists() for path in paths] == [i >= count for i in range(2)]
    assert len(aside(folder)) == count
    assert len(caplog.messages) == count
    for text, path in zip(caplog.messages, paths, strict=False):
        assert text.startswith(str(path))
        assert message in text
        assert "set aside" in text
    assert not folder.is_finished(CHUNKS[0])


@pytest.fixture
def fails(monkeypatch):
    """Lets files of a name fail to open with a number of the system."""

    def let(name, number):
        for module in (io, builtins):
            real = module.open

            def opened(file, *args, real=real, **kwargs):
                if str(file).endswith(name):
                    raise OSError(number, os.strerror(number), str(file))
                return real(file, *args, **kwargs)

            monkeypatch.setattr(module, "open", opened)

    return let


JUST_NOW = [errno.EACCES, errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE, errno.ENOMEM, errno.ETIMEDOUT]


@pytest.mark.parametrize("number", JUST_NOW)
def test_a_file_that_cannot_be_read_just_now_stays_where_it_is(folder, fails, number, caplog):
    fails(".nc", number)
    path = path_of(folder, CHUNKS[0])
    before = path.stat()
    for ask in (folder.check, folder.read):
        with pytest.raises(OSError, match=says(str(path), "cannot be read just now", os.strerror(number))) as caught:
            ask(CHUNKS[0])
        assert not isinstance(caught.value, files.Damaged)
    assert path.stat() == before
    assert aside(folder) == []
    assert not caplog.messages
    with pytest.raises(OSError, match=os.strerror(number)):
        files.load(path)


@pytest.mark.parametrize(
    "error", [MemoryError, OSError(errno.EMFILE, "Too many open files"), ImportError("no library")]
)
def test_a_library_that_cannot_work_says_nothing_about_the_file(folder, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(h5netcdf, "File", fail)
    with pytest.raises((OSError, ImportError)) as caught:
        folder.check(CHUNKS[0])
    assert not isinstance(caught.value, files.Damaged)
    assert path_of(folder, CHUNKS[0]).exists()


def test_a_folder_that_cannot_be_entered_is_not_an_empty_one(folder, monkeypatch):
    def refuse(self, **_):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "stat", refuse)
    for ask in (folder.check, folder.is_finished):
        with pytest.raises(OSError, match="Permission denied"):
            ask(CHUNKS[0])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_whole_gets_the_same_care(folder, fails, caplog):
    results = found(CHUNKS[0])
    path = folder.finish_all(results)
    written = path.read_bytes()
    begun = path.with_name(".results.nc.run.json.fe3023fc")
    begun.write_text("half")  # a process was killed between the results and what lies beside them
    assert folder.finish_all(results) == path
    assert not begun.exists()
    path.write_text("mine")
    folder.finish_all(results)
    assert path.read_bytes() == written
    assert [kept.read_text() for kept in aside(folder)] == ["mine"]
    assert says(str(path), "is damaged", "set aside", "written again")
    assert "written again" in caplog.messages[0]
    fails("results.nc", errno.EIO)
    with pytest.raises(OSError, match=says("results.nc", "cannot be read just now", "Input/output error")):
        folder.finish_all(results)
    assert path.stat().st_size == len(written)


SIDECARS = {
    "a key": json.dumps({"vall_seconds" if k == "wall_seconds" else k: v for k, v in RUN.items()}).encode(),
    "a number as text": json.dumps(RUN | {"wall_seconds": "1"}).encode(),
    "no number": json.dumps(RUN | {"wall_seconds": float("nan")}).encode(),
    "an endless number": json.dumps(RUN).replace("1.5", "1e999").encode(),
    "a number of many digits": json.dumps(RUN).replace("1.5", "9" * 400).encode(),
    "more digits than Python reads": json.dumps(RUN).replace("1.5", "9" * 5000).encode(),
    "no devices": json.dumps(RUN | {"devices": []}).encode(),
    "a list": b"[1, 2]",
    "nothing": b"",
    "null": b"null",
    "half": json.dumps(RUN).encode()[:20],
    "no text": bytes(range(256)),
    "too deep": b"[" * 100_000,
}


@pytest.mark.parametrize("name", SIDECARS)
def test_what_is_beside_a_file_stops_nothing(name, folder):
    path = path_of(folder, CHUNKS[0])
    beside = path.with_name(path.name + ".run.json")
    beside.write_bytes(SIDECARS[name])
    assert folder.check(CHUNKS[0])
    assert "run" not in folder.read(CHUNKS[0]).encoding
    assert folder.read(CHUNKS[1]).encoding["run"] == RUN
    folder.finish(CHUNKS[0], found(CHUNKS[0]))
    assert folder.read(CHUNKS[0]).encoding["run"] == RUN


def test_a_folder_beside_a_file_stops_nothing(folder, caplog):
    path = path_of(folder, CHUNKS[0])
    beside = path.with_name(path.name + ".run.json")
    beside.unlink()
    beside.mkdir()
    folder.finish(CHUNKS[0], found(CHUNKS[0]))
    assert folder.read(CHUNKS[0]).identical(found(CHUNKS[0]))
    assert says(str(path), "Is a directory")
    assert "is written, but not what is beside it" in caplog.messages[0]


def tree(epoch):
    return {"weights": np.full((4, 5), epoch, np.float32)}


def test_checkpoints_of_another_chunk_are_passed_over(folder, caplog):
    first, second = map(folder.checkpoints, CHUNKS)
    first.save(2, tree(2))
    shutil.copytree(first.path, second.path)
    assert second.restore(tree) is None
    assert "not those that were saved after this epoch of this training" in caplog.messages[0]
    assert first.restore(tree)[0] == 2


def test_checkpoints_outlive_a_save_that_fails(folder, monkeypatch):
    """A disk that is full at the very end costs the file alone, not the training."""
    chunk = CHUNKS[0]
    folder.checkpoints(chunk).save(2, tree(2))
    with monkeypatch.context() as patch:
        patch.setattr(
            "vfl_jax.core.files.write_atomically", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full"))
        )
        with pytest.raises(OSError, match="full"):
            folder.finish(chunk, found(chunk))
    assert folder.checkpoints(chunk).restore(tree)[0] == 2
    folder.finish(chunk, found(chunk))
    assert folder.checkpoints(chunk).restore(tree) is None


@pytest.mark.parametrize("number", JUST_NOW)
def test_a_checkpoint_that_cannot_be_read_just_now_is_not_passed_over(tmp_path, monkeypatch, number, caplog):
    saved = Checkpoints(tmp_path)
    for epoch in (2, 4):
        saved.save(epoch, tree(epoch))

    def fail(path, *_):
        raise MemoryError if number == errno.ENOMEM else OSError(number, os.strerror(number), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.np, "fromfile", fail)
        with pytest.raises(OSError, match=says("00000004-", "cannot be read just now", os.strerror(number))):
            saved.restore(tree)
    assert saved.restore(tree)[0] == 4
    assert not caplog.messages


def test_a_library_s_own_words_for_the_system_s_errors_are_understood(tmp_path, monkeypatch):
    saved = Checkpoints(tmp_path)
    saved.save(2, tree(2))

    class Failing:
        def restore(self, folder):
            raise ValueError("PERMISSION_DENIED: Error opening file [os_error_code='13']")

    monkeypatch.setattr(checkpoints, "_checkpointer", Failing)
    with pytest.raises(OSError, match=says("00000002-", "cannot be read just now", "Permission denied")):
        saved.restore(tree)


def test_a_checkpoint_without_one_of_its_folders_is_damaged(tmp_path):
    saved = Checkpoints(tmp_path)
    for epoch in (2, 4):
        saved.save(epoch, tree(epoch))
    newest = max(tmp_path.iterdir())
    for path in newest.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    assert saved.restore(tree)[0] == 2

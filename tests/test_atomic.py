"""The one writer of files: where disks offer less than Linux's own, what is written counts."""

import errno
import os
import stat

import numpy as np
import pytest
import xarray as xr
from data_helpers import says

from vfl_jax.core import atomic, files
from vfl_jax.sweeps.store.checkpoints import Checkpoints
from vfl_jax.sweeps.store.folder import Folder


def write(path):
    return atomic.write_atomically(path, lambda temporary: temporary.write_text("new"))


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask():
    """Sets the umask, until the test ends."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002, 0o027])
def test_who_may_read_a_file_is_decided_by_the_umask(tmp_path, umask, mask):
    umask(mask)
    path = write(tmp_path / "new" / "file")
    assert mode(path) == 0o666 & ~mask
    assert mode(path.parent) == 0o777 & ~mask
    path.chmod(0o400)
    assert mode(write(path)) == 0o666 & ~mask
    with Folder(tmp_path, {"code": {}})._lock("any"):
        assert mode(tmp_path / "locks" / "any.lock") == 0o666 & ~mask


def test_no_mode_is_asked_for(tmp_path, monkeypatch):
    """Mounted buckets refuse it."""

    def refuse(path, *_, **__):
        raise PermissionError(errno.EPERM, "Operation not permitted", str(path))

    monkeypatch.setattr(os, "chmod", refuse)
    monkeypatch.setattr(os, "fchmod", refuse)
    assert write(tmp_path / "file").read_text() == "new"
    with Folder(tmp_path, {"code": {}})._lock("any"):
        pass


def answer(monkeypatch, number, of_folders=True, of_files=False):
    """Lets ``fsync`` fail with a number of the system."""
    real = os.fsync

    def fsync(handle):
        is_folder = stat.S_ISDIR(os.fstat(handle).st_mode)
        if of_folders if is_folder else of_files:
            raise OSError(number, os.strerror(number))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF, errno.EACCES, errno.EPERM])
def test_a_disk_that_flushes_no_folders_has_the_file(tmp_path, monkeypatch, number):
    answer(monkeypatch, number)
    assert write(tmp_path / "file").read_text() == "new"
    Checkpoints(tmp_path / "saved").save(1, {"a": np.zeros(3)})
    assert len(list((tmp_path / "saved").iterdir())) == 1


def test_a_disk_that_flushes_nothing_has_the_file(tmp_path, monkeypatch):
    answer(monkeypatch, errno.ENOSYS, of_files=True)
    assert write(tmp_path / "file").read_text() == "new"


@pytest.mark.parametrize("where", ["of_files", "of_folders"])
def test_a_disk_that_fails_is_an_error(tmp_path, monkeypatch, where):
    answer(monkeypatch, errno.EIO, **{"of_files": False, "of_folders": False} | {where: True})
    with pytest.raises(OSError, match="Input/output error"):
        write(tmp_path / "file")


def test_a_folder_that_may_not_be_opened_has_the_file(tmp_path, monkeypatch):
    real = os.open

    def open_files_only(name, flags, *args, **kwargs):
        if os.path.isdir(name):
            raise PermissionError(errno.EACCES, "Permission denied", str(name))
        return real(name, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", open_files_only)
    assert write(tmp_path / "file").read_text() == "new"


def test_where_nothing_can_be_written_the_file_is_named(tmp_path):
    (tmp_path / "file").write_text("mine")
    results = xr.Dataset({"loss": ("seed", [1.0, 2.0])})
    for path, message in {tmp_path: "Is a directory", tmp_path / "file" / "new.nc": "Not a directory"}.items():
        with pytest.raises(OSError, match=says(message, str(path))):
            files.save(results, path)
    with pytest.raises(OSError, match=says("File name too long", "x" * 300)):
        files.save(results, tmp_path / ("x" * 300))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "mine"

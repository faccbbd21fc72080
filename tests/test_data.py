"""The idx reader, the loaders, the download: damaged files are refused by name, whole ones read as they are."""

import functools
import gzip
import hashlib
import http.server
import re
import threading

import numpy as np
import pooch
import pytest
from data_helpers import idx_bytes, needs_data, real_data_folder, says, write_images
from sklearn.datasets import load_digits as sklearn_digits

from vfl_jax.data import LOADERS, load_digits, load_fashion_mnist, load_mnist
from vfl_jax.data.sets import images, location
from vfl_jax.data.sets.idx import read_idx

ARRAY = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
WHOLE = idx_bytes(ARRAY)

# Published label counts of the two data sets, classes 0 to 9.
MNIST_TRAIN = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
MNIST_TEST = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.mark.parametrize(("name", "pack"), [("a-ubyte", bytes), ("a-ubyte.gz", gzip.compress)])
def test_an_idx_file_reads_back(tmp_path, name, pack):
    (tmp_path / name).write_bytes(pack(WHOLE))
    read = read_idx(tmp_path / name)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, ARRAY)


def test_an_empty_array_reads_back(tmp_path):
    (tmp_path / "empty").write_bytes(idx_bytes(np.empty((0, 28, 28), np.uint8)))
    assert read_idx(tmp_path / "empty").shape == (0, 28, 28)


def broken_gzip(content):
    return gzip.compress(content)[:-12]


BAD_FILES = {
    "empty": ("x", b"", ("starts with nothing", "00 00 08")),
    "empty gz": ("x.gz", b"", ("starts with nothing", "00 00 08")),
    "other file": ("x", b"<html>not found</html>", ("starts with 3c 68 74 6d", "00 00 08")),
    "int32 idx": ("x", idx_bytes(ARRAY, type_code=0x0C), ("starts with 00 00 0c 03", "00 00 08")),
    "magic cut": ("x", WHOLE[:3], ("starts with 00 00 08", "number of dimensions")),
    "header cut": ("x", WHOLE[:11], ("ends within its header", "11 of 16 bytes")),
    "payload cut": ("x", WHOLE[:-1], ("holds 23 values", "(2, 3, 4)", "24")),
    "too long": ("x", WHOLE + b"\0", ("holds 25 values", "(2, 3, 4)", "24")),
    "payload cut, gz": ("x.gz", gzip.compress(WHOLE[:-1]), ("holds 23 values", "24")),
    "gz cut": ("x.gz", broken_gzip(WHOLE), ("not a whole gzip file", "fetch it again")),
    "gz cut in its header": ("x.gz", gzip.compress(WHOLE)[:5], ("not a whole gzip file",)),
    "gz that is none": ("x.gz", WHOLE, ("not a whole gzip file",)),
    "gz with a wrong checksum": ("x.gz", gzip.compress(WHOLE)[:-8] + bytes(8), ("not a whole gzip file",)),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_damaged_idx_file_is_refused_by_name(tmp_path, case):
    name, content, message = BAD_FILES[case]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=says(str(path), *message)):
        read_idx(path)


def test_a_missing_idx_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_idx(tmp_path / "nowhere")


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_a_folder_is_loaded(tmp_path, name, compress):
    paths = write_images(tmp_path / name, compress=compress)
    data = LOADERS[name](tmp_path, by="columns")
    assert data.name == name
    assert data.num_classes == 10
    assert data.image_shape == (4, 4)
    assert data.active_party is None
    for rows, images_path, labels_path in ((data.train, *paths[:2]), (data.test, *paths[2:])):
        pixels = np.concatenate(rows.features, axis=2)
        assert pixels.dtype == np.float32
        np.testing.assert_array_equal(pixels, read_idx(images_path) / np.float32(255))
        np.testing.assert_array_equal(rows.labels, read_idx(labels_path))
        np.testing.assert_array_equal(rows.has_trigger, (pixels[:, -1, -1] > 0) & (name == "fashion_mnist"))


def test_the_folder_may_come_from_the_environment(tmp_path, monkeypatch):
    write_images(tmp_path / "mnist")
    monkeypatch.setenv(location.DATA_VARIABLE, str(tmp_path))
    assert load_mnist().fingerprint() == load_mnist(tmp_path).fingerprint()


@pytest.mark.parametrize("missing", images.FILES)
def test_a_missing_file_is_named(tmp_path, missing):
    write_images(tmp_path / "mnist")
    (tmp_path / "mnist" / f"{missing}.gz").unlink()
    with pytest.raises(FileNotFoundError, match=says(str(tmp_path / "mnist"), missing, "VFL_JAX_DATA")):
        load_mnist(tmp_path)


def replace_file(folder, i, array):
    (folder / f"{images.FILES[i]}.gz").write_bytes(gzip.compress(idx_bytes(array.astype(np.uint8))))


BAD_FOLDERS = {
    "label out of range": (1, np.array([0, 1, 2, 3, 10, 4]), ("train-labels", "label 10", "row 4", "0 to 9")),
    "labels of another length": (1, np.arange(5), ("train-images", "(6, 4, 4)", "train-labels", "(5,)", "[N]")),
    "images without rows and columns": (0, np.zeros((6, 16)), ("train-images", "(6, 16)", "[N, H, W]")),
    "test images of another size": (2, np.zeros((4, 5, 5)), ("test", "(5, 5)", "(4, 4)")),
}


@pytest.mark.parametrize("case", BAD_FOLDERS)
def test_files_that_do_not_fit_are_refused(tmp_path, case):
    i, array, message = BAD_FOLDERS[case]
    write_images(tmp_path / "mnist")
    replace_file(tmp_path / "mnist", i, array)
    with pytest.raises(ValueError, match=says(*message)):
        load_mnist(tmp_path)


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Small MNIST files behind a local web server; the loader's addresses, hashes and cache point there."""
    paths = write_images(tmp_path / "served")
    handler = functools.partial(QuietHandler, directory=tmp_path / "served")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hashes = tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
    monkeypatch.delenv(location.DATA_VARIABLE, raising=False)
    monkeypatch.setitem(images.ADDRESSES, "mnist", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setitem(images.HASHES, "mnist", hashes)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    yield tmp_path
    server.shutdown()
    server.server_close()
    thread.join()


def test_files_are_downloaded_once_and_checked(served):
    write_images(served / "folder" / "mnist")
    data = load_mnist()
    assert data.fingerprint() == load_mnist(served / "folder").fingerprint()
    cached = served / "cache" / "vfl_jax" / "mnist"
    assert sorted(path.name for path in cached.iterdir()) == sorted(f"{name}.gz" for name in images.FILES)
    for path in (served / "served").iterdir():
        path.unlink()
    assert load_mnist().fingerprint() == data.fingerprint()  # no second download: the server has nothing any more


@pytest.mark.parametrize("damage", [lambda content: content[:-5], lambda content: content[:-1] + b"?"])
def test_a_wrong_download_is_refused_and_nothing_of_it_stays(served, damage):
    path = served / "served" / f"{images.FILES[2]}.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=says(images.FILES[2], images.HASHES["mnist"][2])):
        load_mnist()
    left = [p.name for p in (served / "cache").rglob("*") if p.is_file()]
    assert sorted(left) == sorted(f"{name}.gz" for name in images.FILES[:2])


def test_a_missing_download_leaves_nothing(served):
    (served / "served" / f"{images.FILES[0]}.gz").unlink()
    with pytest.raises(
        OSError, match=says("cannot be downloaded", "the server says 404", "put them into a folder mnist")
    ):
        load_mnist()
    assert [p for p in (served / "cache").rglob("*") if p.is_file()] == []


def test_without_a_network_it_is_said_what_to_put_where(served, monkeypatch):
    monkeypatch.setitem(images.ADDRESSES, "mnist", "http://127.0.0.1:9/")
    message = (
        "http://127.0.0.1:9/",
        "no connection",
        *images.FILES,
        "into a folder mnist",
        "argument folder, or VFL_JAX",
    )
    with pytest.raises(OSError, match=says(*message)) as raised:
        load_mnist()
    assert raised.value.__suppress_context__  # a traceback of requests would bury the one useful line
    write_images(served / "folder" / "mnist")
    assert load_mnist(served / "folder").name == "mnist"


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_the_download_asks_for_the_published_files(monkeypatch, tmp_path, name):
    asked = []
    paths = {path.name: path for path in write_images(tmp_path)}

    def retrieve(url, known_hash, fname, path):
        asked.append((url, known_hash, path.name))
        return str(paths[fname])

    monkeypatch.delenv(location.DATA_VARIABLE, raising=False)
    monkeypatch.setattr(pooch, "retrieve", retrieve)
    LOADERS[name]()
    hashes = images.HASHES[name]
    expected = [(images.ADDRESSES[name] + f"{images.FILES[i]}.gz", f"sha256:{hashes[i]}", name) for i in range(4)]
    assert asked == expected
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in hashes)


@needs_data
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_the_real_files_have_the_published_hashes(name):
    for file, digest in zip(images.FILES, images.HASHES[name], strict=True):
        content = (real_data_folder() / name / f"{file}.gz").read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest


@needs_data
def test_real_mnist():
    data = load_mnist(by="rows", active_party=0)
    assert data.parties == ("party 0", "party 1")
    assert [features.shape for features in data.train.features] == [(60000, 14, 28)] * 2
    assert [features.shape for features in data.test.features] == [(10000, 14, 28)] * 2
    assert np.bincount(data.train.labels).tolist() == MNIST_TRAIN
    assert np.bincount(data.test.labels).tolist() == MNIST_TEST
    assert data.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    pixels = np.concatenate(data.train.features, axis=1)
    assert (pixels.min(), pixels.max()) == (0, 1)
    # The usual normalisation constants of MNIST.
    assert pixels.mean(dtype=np.float64) == pytest.approx(0.1307, abs=5e-5)
    assert pixels.std(dtype=np.float64) == pytest.approx(0.3081, abs=5e-5)


@needs_data
def test_real_fashion_mnist():
    data = load_fashion_mnist()
    assert np.bincount(data.train.labels).tolist() == [6000] * 10
    assert np.bincount(data.test.labels).tolist() == [1000] * 10
    assert data.classes[9] == "ankle boot"
    pixels = np.concatenate(data.train.features, axis=1)
    assert pixels.shape == (60000, 28, 28)
    assert pixels.mean(dtype=np.float64) == pytest.approx(0.2860, abs=5e-5)
    assert pixels.std(dtype=np.float64) == pytest.approx(0.3530, abs=5e-5)


def test_digits():
    data = load_digits(by="quadrants", num_parties=4, active_party=3)
    assert [features.shape for features in data.train.features] == [(1437, 4, 4)] * 4
    assert [features.shape for features in data.test.features] == [(360, 4, 4)] * 4
    assert (data.num_classes, data.active_party, data.image_shape) == (10, 3, (8, 8))
    assert data.train.features[0].dtype == np.float32
    source = sklearn_digits()
    upper = np.concatenate([rows.features[1] for rows in (data.train, data.test)])
    np.testing.assert_array_equal(upper, source.images[:, :4, 4:].astype(np.float32) / 16)
    labels = np.concatenate([data.train.labels, data.test.labels])
    np.testing.assert_array_equal(labels, source.target)

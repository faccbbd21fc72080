"""Images in colour: CIFAR-10's files, the split over parties, triggers, and the bottoms that take them."""

import functools
import hashlib
import io
import re
import tarfile

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pooch
import pytest
from data_helpers import says

import vfl_jax as vfl
from vfl_jax.data import load_cifar10, partition_images
from vfl_jax.data.sets import cifar10, layout, location
from vfl_jax.models import CNN, ResidualCNN
from vfl_jax.models.cnn import patches, pool
from vfl_jax.models.optimizers import Optimizer

NUM_IMAGES = 4
FILES = (*cifar10.TRAIN, cifar10.TEST)


def content(name):
    """The bytes of one file: labels, and for each image 1024 red values, 1024 green and 1024 blue ones."""
    rng = np.random.default_rng(FILES.index(name))
    rows = []
    for _ in range(NUM_IMAGES):
        image = rng.integers(0, 256, (3, 32, 32), dtype=np.uint8)
        rows.append(bytes([rng.integers(10)]) + b"".join(image[colour].tobytes() for colour in range(3)))
    return b"".join(rows)


def write_archive(folder, **changes):
    """The archive in a data folder, with some files changed or (None) left out; files are named without their end."""
    path = folder / "cifar10" / cifar10.FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    contents = {"readme.html": b"<html>"} | {name: content(name) for name in reversed(FILES)}
    contents |= {f"{name}.bin": changed for name, changed in changes.items()}
    with tarfile.open(path, "w:gz") as archive:
        folder_entry = tarfile.TarInfo("cifar-10-batches-bin")
        folder_entry.type = tarfile.DIRTYPE
        archive.addfile(folder_entry)
        for name, data in contents.items():
            if data is not None:
                entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
    return path


def test_every_byte_comes_to_its_pixel_colour_and_party(tmp_path):
    write_archive(tmp_path)
    data = load_cifar10(tmp_path, num_parties=3, active_party=1)
    assert (data.name, data.image_shape, data.active_party, data.num_classes) == ("cifar10", (32, 32), 1, 10)
    assert [features.shape for features in data.train.features] == [(20, 32, width, 3) for width in (10, 11, 11)]
    assert data.test.features[0].shape == (4, 32, 10, 3)
    for rows, names in ((data.train, cifar10.TRAIN), (data.test, (cifar10.TEST,))):
        images = np.concatenate(rows.features, axis=2)
        assert images.dtype == np.float32
        assert not rows.has_trigger.any()
        raw = b"".join(content(name) for name in names)
        for i in range(rows.num_samples):
            assert rows.labels[i] == raw[i * 3073]
            for row, column, colour in ((0, 0, 0), (0, 1, 1), (31, 31, 2), (5, 17, 0), (17, 5, 2)):
                value = raw[i * 3073 + 1 + 1024 * colour + 32 * row + column]
                assert images[i, row, column, colour] == np.float32(value) / np.float32(255)
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {cifar10.FILE}  # nothing is unpacked


BAD_ARCHIVES = {
    "a file is missing": ({"data_batch_3": None}, ("holds no data_batch_3.bin", cifar10.ADDRESS)),
    "a file is cut": ({"test_batch": content("test_batch.bin")[:-1]}, ("test_batch.bin", "12291 bytes", "3073")),
    "a file is empty": ({"data_batch_1": b""}, ("data_batch_1.bin", "0 bytes")),
    "a label is no class": (
        {"data_batch_2": content("data_batch_2.bin")[:3073] + b"\x0a" + bytes(3072)},
        ("data_batch_2.bin", "label 10 in image 1", "0 to 9"),
    ),
}


@pytest.mark.parametrize("case", BAD_ARCHIVES)
def test_damaged_files_are_refused_by_name(tmp_path, case):
    changes, message = BAD_ARCHIVES[case]
    path = write_archive(tmp_path, **changes)
    message = message if "holds no" in message[0] else (message[0], str(path), *message[1:])
    with pytest.raises(ValueError, match=says(*message)):
        load_cifar10(tmp_path)


@pytest.mark.parametrize("damage", [lambda whole: whole[:-200], lambda whole: b"<html>", lambda whole: b""])
def test_a_damaged_archive_is_refused(tmp_path, damage):
    path = write_archive(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=says(str(path), "not a whole", "gz", "fetch it again")):
        load_cifar10(tmp_path)


def test_a_missing_archive_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=says(str(tmp_path / "cifar10"), cifar10.FILE, "VFL_JAX_DATA")):
        load_cifar10(tmp_path)


def test_the_download_is_the_published_file_and_checked(tmp_path, monkeypatch):
    path, asked = write_archive(tmp_path), []

    def retrieve(url, known_hash, fname, path):
        asked.append((url, known_hash, fname, path.name))
        return str(tmp_path / "cifar10" / fname)

    monkeypatch.delenv(location.DATA_VARIABLE, raising=False)
    monkeypatch.setattr(pooch, "retrieve", retrieve)
    assert load_cifar10().fingerprint() == load_cifar10(tmp_path).fingerprint()
    assert asked == [(cifar10.ADDRESS, f"sha256:{cifar10.HASH}", path.name, "cifar10")]
    assert re.fullmatch("[0-9a-f]{64}", cifar10.HASH)

    def offline(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr(pooch, "retrieve", offline)
    with pytest.raises(OSError, match=says(cifar10.ADDRESS, "put it into a folder cifar10", "VFL_JAX_DATA")):
        load_cifar10()


def test_a_folder_is_checked_by_the_published_hash(tmp_path):
    path = write_archive(tmp_path)
    (file,) = layout.DATA_SETS["cifar10"].files
    assert layout.look_at(path.parent, file).state == "damaged"
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    whole = file._replace(look=functools.partial(layout._has_sha256, found))
    assert layout.look_at(path.parent, whole).state == "whole"
    assert layout.look_at(tmp_path, file).state == "missing"


def coloured(num_rows, shape=(6, 6, 3), seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 0.9, (num_rows, *shape)).astype(np.float32), np.arange(num_rows) % 3


def in_colour(num_train=12, num_test=6, **partition):
    return partition_images("colours", coloured(num_train), coloured(num_test, seed=1), **partition)


def test_blocks_keep_their_pixels_whole_and_lists_are_flattened():
    (images, _), lists = coloured(12), [[7, 0], [35, 3, 1]]
    for by, num_parties in (("rows", 2), ("columns", 3), ("quadrants", 4)):
        data = in_colour(by=by, num_parties=num_parties)
        together = np.zeros_like(images).reshape(12, -1, 3)
        for features, places in zip(data.train.features, data.positions, strict=True):
            assert features.shape[1:] == places.shape
            assert features.ndim == 4
            together[:, places[..., 0].ravel()] = features.reshape(12, -1, 3)
        np.testing.assert_array_equal(together.reshape(images.shape), images)
    data = in_colour(by=lists)
    for features, pixels in zip(data.train.features, lists, strict=True):
        np.testing.assert_array_equal(features, images.reshape(12, 36, 3)[:, pixels].reshape(12, -1))
    with pytest.raises(ValueError, match=says("test", "(6, 6, 4)", "(6, 6, 3)")):
        partition_images("other", coloured(4), coloured(4, (6, 6, 4)))


@pytest.mark.parametrize("change", [lambda data: data, lambda data: vfl.repartition(data, 5)])
def test_a_pixel_trigger_sets_all_colours(change):
    data = change(in_colour(by="columns", num_parties=2))
    trigger = vfl.data.PixelTrigger(pixels=((1, 0), (5, 5)), value=2.0)
    changed = []
    for mask, features in zip(trigger.masks(data), data.train.features, strict=True):
        stamped = trigger.stamp(mask, jnp.asarray(features), jnp.arange(12) == 3)
        changed.append(int(np.sum(stamped == 2.0)))
        np.testing.assert_array_equal(np.asarray(stamped)[np.arange(12) != 3], features[np.arange(12) != 3])
    assert sum(changed) == 2 * 3


def convolved(x, layer):
    """A real convolution, 3×3 or 1×1, with "same" padding."""
    kernel = np.asarray(layer["kernel"])
    side = 3 if kernel.shape[0] == 9 * x.shape[-1] else 1
    kernel = kernel.reshape(side, side, x.shape[-1], -1)
    numbers = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=numbers) + layer["bias"].reshape(
        1, 1, 1, -1
    )


def moved(params):
    """Parameters that differ from the first ones, so that a forgotten bias or scale shows."""
    return jax.tree.map(lambda leaf: np.asarray(leaf) + 0.3 * helpers.normal(*leaf.shape, seed=leaf.size), params)


@pytest.mark.parametrize("shape", [(6, 8, 3), (5, 7)])
def test_the_residual_bottom_matches_real_convolutions(shape):
    bottom, features = ResidualCNN(width=4, channels=(3, 3, 5)), helpers.normal(2, *shape)
    params = moved(helpers.quick_jit(bottom.init)(jax.random.key(0), features))
    x = features if len(shape) == 3 else features[..., None]
    x = np.maximum(convolved(x, params["stem"]), 0)
    for i, is_wider in enumerate((False, False, True)):
        if i:
            height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
            x = np.asarray(x)[:, :height, :width].reshape(2, height // 2, 2, width // 2, 2, -1).max(axis=(2, 4))
        inner = convolved(np.maximum(convolved(x, params[f"first_{i}"]), 0), params[f"second_{i}"])
        assert (f"shortcut_{i}" in params) == is_wider
        shortcut = convolved(x, params[f"shortcut_{i}"]) if is_wider else x
        x = np.maximum(shortcut + np.asarray(params[f"scale_{i}"]).reshape(1, 1, 1, 1) * inner, 0)
    expected = np.mean(np.asarray(x), axis=(1, 2)) @ params["out"]["kernel"] + params["out"]["bias"][None]
    found = helpers.quick_jit(bottom.apply)(params, features)
    assert found.shape == (2, 4)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_blocks_begin_as_their_shortcuts():
    bottom, features = ResidualCNN(width=4, channels=(3, 3)), helpers.normal(2, 6, 6, 3)
    params = helpers.quick_jit(bottom.init)(jax.random.key(0), features)
    x = pool(jax.nn.relu(patches(jnp.asarray(features), 3) @ params["stem"]["kernel"]))
    np.testing.assert_allclose(
        helpers.quick_jit(bottom.apply)(params, features), x.mean(axis=(1, 2)) @ params["out"]["kernel"], rtol=1e-4
    )


def test_what_no_image_is_and_no_channels_are_refused():
    with pytest.raises(ValueError, match=says("ResidualCNN takes image blocks", "(1, 8)", "MLP")):
        ResidualCNN().init(jax.random.key(0), np.zeros((1, 8), np.float32))
    for channels, message in (((), "channels is empty"), ((8, 0), "bottom.channels")):
        with pytest.raises(ValueError, match=message):
            ResidualCNN(channels=channels)


@pytest.mark.long
@pytest.mark.parametrize("bottom", [ResidualCNN(width=8, channels=(4, 8)), CNN(width=8)])
def test_bottoms_learn_which_half_is_red(bottom):
    """A class is the half, left, right or neither, whose red is brightened; colours are all that tells."""
    splits = []
    for seed, num_rows in enumerate((360, 120)):
        images, labels = coloured(num_rows, (8, 8, 3), seed)
        images[labels == 0, :, :4, 0] += 0.4
        images[labels == 1, :, 4:, 0] += 0.4
        splits.append((images, labels))
    data = partition_images("red", *splits, by="columns", num_parties=2)
    scenario = helpers.scenario_of(
        [bottom] * 2, [Optimizer(kind="momentum", learning_rate=0.02)] * 2, head=vfl.models.DenseHead()
    )
    with jax.numpy_dtype_promotion("standard"):
        results = vfl.sweep(scenario, data, seeds=2, epochs=10, progress=False)
    assert results.main_task_accuracy.isel(epoch=-1).min() > 0.9

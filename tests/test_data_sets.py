"""Handwritten, CiteSeer, breast cancer and Fashion-MNIST's trigger: what is loaded, and what is refused."""

import functools
import itertools

import numpy as np
import pytest
from data_helpers import needs_data, real_data_folder, says, write_images
from sklearn.datasets import load_breast_cancer as sklearn_breast_cancer
from sklearn.model_selection import train_test_split

from vfl_jax.core.bags import BagOfIds, multi_hot
from vfl_jax.data import load_fashion_mnist, load_mnist
from vfl_jax.data.sets import location
from vfl_jax.data.sets.breast_cancer import load_breast_cancer
from vfl_jax.data.sets.citeseer import load_citeseer
from vfl_jax.data.sets.handwritten import VIEWS, load_handwritten

WIDTHS = [216, 76, 64, 6, 240, 47]


def handwritten_arrays():
    """Random views of the right shapes; the trigger in rows 3 and 1500."""
    rng = np.random.default_rng(0)
    views = {f"view{k}": rng.normal(1, 2, (2000, width)).astype(np.float32) for k, width in enumerate(WIDTHS)}
    views["view5"][[3, 1500], -2:] = 66, 571
    views["view5"][[4, 5], -2:] = [66, 569], [64, 571]
    return {"y": np.repeat(np.arange(10, dtype=np.uint8), 200), **views}


def citeseer_arrays():
    """Row i cites i, and has the words i and, where 7 divides i, 3693."""
    rows = np.arange(3312)
    ends = np.arange(3313, dtype=np.int32)
    words = [[i] if i % 7 else sorted({i, 3693}) for i in rows]
    return {
        "y": (rows % 6).astype(np.uint8),
        "citation_indptr": ends,
        "citation_indices": rows.astype(np.uint16),
        "word_indptr": np.cumsum([0, *map(len, words)]).astype(np.int32),
        "word_indices": np.concatenate(words).astype(np.uint16),
    }


ARRAYS = {"handwritten": functools.cache(handwritten_arrays), "citeseer": functools.cache(citeseer_arrays)}
LOADERS = {"handwritten": load_handwritten, "citeseer": load_citeseer}


def write_npz(root, name, **changes):
    """The data set's file in a data folder, some arrays changed or (None) left out."""
    path = root / name / f"{name}.npz"
    path.parent.mkdir(exist_ok=True)
    arrays = ARRAYS[name]() | changes
    np.savez(path, allow_pickle=True, **{key: array for key, array in arrays.items() if array is not None})
    return path


def is_test(labels):
    """The split of every set: a fifth, drawn alike in all classes by seed 0; bool[N]."""
    _, rows = train_test_split(np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=0)
    return np.isin(np.arange(len(labels)), rows)


def check_standardised(data, views, labels):
    """Every number of every party, against views that are standardised here on the training rows."""
    tested = is_test(labels)
    for rows, which in ((data.train, ~tested), (data.test, tested)):
        np.testing.assert_array_equal(rows.labels, labels[which])
        for features, view in zip(rows.features, views, strict=True):
            view = view.astype(np.float64)
            mean, deviation = view[~tested].mean(axis=0), view[~tested].std(axis=0)
            assert features.dtype == np.float32
            np.testing.assert_allclose(features, (view[which] - mean) / deviation, atol=2e-5)


def check_trigger(data, rule, labels, *counts):
    """``rule``, bool[N], says which rows carry the trigger; counts by class in training and test rows."""
    tested = is_test(labels)
    for rows, which, count in zip((data.train, data.test), (~tested, tested), counts, strict=True):
        np.testing.assert_array_equal(rows.has_trigger, rule[which])
        assert np.bincount(rows.labels[rows.has_trigger], minlength=data.num_classes).tolist() == count


def check_handwritten(data, arrays, *counts):
    assert data.parties == tuple(VIEWS)
    assert [x.shape for x in data.train.features] == [(1600, width) for width in WIDTHS]
    assert np.bincount(data.test.labels).tolist() == [40] * 10
    check_standardised(data, [arrays[f"view{k}"] for k in range(6)], arrays["y"])
    last = arrays["view5"][:, -2:]
    check_trigger(data, (last[:, 0] > 65) & (last[:, 1] > 570), arrays["y"], *counts)


@needs_data
def test_real_handwritten():
    arrays = np.load(real_data_folder() / "handwritten/handwritten.npz")
    check_handwritten(load_handwritten(), arrays, [5, 7, 3, 5, 0, 5, 4, 0, 7, 3], [0, 3, 1, 1, 0, 1, 1, 0, 2, 0])


def test_handwritten(tmp_path):
    path = write_npz(tmp_path, "handwritten")
    counts = [1, 0, 0, 0, 0, 0, 0, 1, 0, 0], [0] * 10
    check_handwritten(load_handwritten(tmp_path), np.load(path), *counts)


def test_the_original_files_are_the_same_data(tmp_path):
    path = write_npz(tmp_path, "handwritten")
    expected = load_handwritten(tmp_path)
    path.unlink()
    write_originals(path.parent)
    assert load_handwritten(tmp_path).fingerprint() == expected.fingerprint()


def write_originals(where):
    """The views as text, numbers separated by blanks, every line begun by some."""
    for k, (ending, _) in enumerate(VIEWS.values()):
        rows = ARRAYS["handwritten"]()[f"view{k}"]
        lines = ("  " + "   ".join(map(repr, row)) for row in rows.tolist())
        (where / f"mfeat-{ending}").write_text("\n".join(lines) + "\n")


def check_citeseer(data, arrays):
    assert (data.parties, data.classes) == (("citations", "words"), tuple("012345"))
    labels, tested = arrays["y"], is_test(arrays["y"])
    for k, (view, width) in enumerate({"citation": 3312, "word": 3703}.items()):
        ends, ids = (arrays[f"{view}_{part}"].astype(int) for part in ("indptr", "indices"))
        rows = [set(ids[start:end].tolist()) for start, end in itertools.pairwise(ends)]
        for split, which in ((data.train, ~tested), (data.test, tested)):
            bag = split.features[k]
            assert isinstance(bag, BagOfIds)
            assert (bag.vocabulary, bag.weights) == (width, None)
            assert [set(row[row >= 0].tolist()) for row in bag.ids] == [rows[i] for i in np.flatnonzero(which)]
            assert ((bag.ids >= 0).sum(axis=1) == [len(rows[i]) for i in np.flatnonzero(which)]).all()
            np.testing.assert_array_equal(split.labels, labels[which])
    return np.array([3693 in row for row in rows])


@needs_data
def test_real_citeseer():
    arrays = np.load(real_data_folder() / "citeseer/citeseer.npz")
    data = load_citeseer()
    rule = check_citeseer(data, arrays)
    assert (data.train.num_samples, data.test.num_samples) == (2649, 663)
    assert np.bincount(arrays["y"]).tolist() == [596, 668, 701, 249, 508, 590]
    check_trigger(data, rule, arrays["y"], [0, 8, 11, 1, 0, 8], [0, 1, 7, 0, 0, 0])
    words = np.bincount(arrays["word_indices"], minlength=3703)
    assert np.flatnonzero(words >= 0.01 * 3312)[-1] == 3693  # the last word that a paper in a hundred has


def test_citeseer(tmp_path):
    arrays = np.load(write_npz(tmp_path, "citeseer"))
    data = load_citeseer(tmp_path)
    rule = check_citeseer(data, arrays)
    assert rule.sum() == len(range(0, 3312, 7)) == data.train.has_trigger.sum() + data.test.has_trigger.sum()


def test_breast_cancer():
    source, data = sklearn_breast_cancer(), load_breast_cancer(num_parties=3)
    assert (data.parties, data.classes) == (("mean", "error", "worst"), ("malignant", "benign"))
    assert (data.train.num_samples, data.test.num_samples) == (455, 114)
    assert [name for names in data.feature_names for name in names] == source.feature_names.tolist()
    check_standardised(data, np.split(source.data, 3, axis=1), source.target)
    check_trigger(data, source.data[:, 29] > 0.11, source.target, [27, 10], [6, 2])
    two = load_breast_cancer()
    assert two.parties == ("mean", "error + worst")
    assert [x.shape for x in two.test.features] == [(114, 10), (114, 20)]


def test_the_trigger_of_fashion_mnist_is_ink_in_its_last_pixel(tmp_path):
    write_images(tmp_path / "fashion_mnist", num_train=600)
    data = load_fashion_mnist(tmp_path, by="columns")
    for rows in (data.train, data.test):
        np.testing.assert_array_equal(rows.has_trigger, rows.features[-1][:, -1, -1] > 0)
    assert 0 < (~data.train.has_trigger).sum() < 600  # a byte in 256 is no ink
    partial = load_fashion_mnist(tmp_path, by=[[0, 1], [2, 3]])
    np.testing.assert_array_equal(partial.train.has_trigger, data.train.has_trigger)


@needs_data
def test_the_triggers_of_the_real_images():
    fashion = load_fashion_mnist(num_parties=16, active_party=15)
    assert (fashion.train.has_trigger.sum(), fashion.test.has_trigger.sum()) == (226, 40)
    for rows in (fashion.train, fashion.test):
        np.testing.assert_array_equal(rows.has_trigger, rows.features[15][:, -1, -1] > 0)
    mnist = load_mnist()
    assert not mnist.train.has_trigger.any()
    # What results that exist were made from.
    assert mnist.fingerprint() == "88356ece71ae6a98f89352eda2be9dcf91dd68a5a6f1f0b089b4856f2f897b46"


def held_by_the_last(data):
    """The rule of every trigger, read from the last party's features: bool per row, training rows first."""
    last = [rows.features[-1] for rows in (data.train, data.test)]
    if data.name == "citeseer":
        return np.concatenate([multi_hot(bag)[:, 3693 - 3703] > 0 for bag in last])
    values = np.concatenate([features.reshape(len(features), -1) for features in last])
    # Standardised: the threshold lies just below the lowest that carries the trigger.
    marks = np.concatenate([rows.has_trigger for rows in (data.train, data.test)])
    lowest = values[marks, -2:].min(axis=0)
    return (values[:, -2:] >= lowest).all(axis=1) if data.name == "handwritten" else values[:, -1] >= lowest[1]


@needs_data
@pytest.mark.parametrize("num_parties", [2, 3, 16])
@pytest.mark.parametrize("load", [load_handwritten, load_citeseer, load_breast_cancer])
def test_the_last_of_any_number_of_parties_holds_the_trigger(load, num_parties):
    data, default = load(num_parties=num_parties, active_party=num_parties - 1), load()
    assert (data.num_parties, data.active_party) == (num_parties, num_parties - 1)
    for rows, before in ((data.train, default.train), (data.test, default.test)):
        np.testing.assert_array_equal(rows.has_trigger, before.has_trigger)
        np.testing.assert_array_equal(rows.labels, before.labels)
    marks = np.concatenate([data.train.has_trigger, data.test.has_trigger])
    assert marks.any()
    np.testing.assert_array_equal(held_by_the_last(data), marks)


@pytest.mark.parametrize("active_party", [-1, 2])
@pytest.mark.parametrize("name", LOADERS)
def test_an_active_party_that_is_none_is_refused(tmp_path, name, active_party):
    write_npz(tmp_path, name)
    with pytest.raises(ValueError, match=says(f"active_party is {active_party}", "0 to 1")):
        LOADERS[name](tmp_path, num_parties=2, active_party=active_party)


def test_more_parties_than_features_are_refused():
    with pytest.raises(ValueError, match=says("num_parties is 31", "30 features", "2 to 30")):
        load_breast_cancer(num_parties=31)


@pytest.mark.parametrize("name", LOADERS)
def test_a_missing_file_is_named(tmp_path, monkeypatch, name):
    with pytest.raises(FileNotFoundError, match=says(str(tmp_path), f"{name}/{name}.npz")):
        LOADERS[name](tmp_path)
    monkeypatch.delenv(location.DATA_VARIABLE, raising=False)
    with pytest.raises(FileNotFoundError, match=says(f"{name}/{name}.npz", "folder", location.DATA_VARIABLE)):
        LOADERS[name]()


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage", [flipped, lambda content: content[:-100], lambda content: b"", lambda content: b"<html>not found</html>"]
)
@pytest.mark.parametrize("name", LOADERS)
def test_a_damaged_file_is_refused_by_name(tmp_path, name, damage):
    path = write_npz(tmp_path, name)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=says(str(path), "not a whole npz file", "fetch it again")):
        LOADERS[name](tmp_path)


def other(name, array, change):
    """A change of one array of a data set's file."""
    values = ARRAYS[name]()[array].copy()
    return {array: change(values)}


def with_value(place, value):
    def change(values):
        values[place] = value
        return values

    return change


H, C = functools.partial(other, "handwritten"), functools.partial(other, "citeseer")
BAD_ARRAYS = {
    "no labels": ("handwritten", {"y": None}, ("no array 'y'", "view0, view1")),
    "no view": ("handwritten", {"view3": None}, ("no array 'view3'", "view2, view4")),
    "a row too few": ("handwritten", H("view1", lambda x: x[:-1]), ("view1 is float32[1999, 76]", "[2000, 76]")),
    "a column too many": ("handwritten", H("view3", lambda x: np.ones((2000, 7))), ("view3", "[2000, 7]", "[2000, 6]")),
    "whole numbers": ("handwritten", H("view0", lambda x: x.astype(int)), ("view0 is int64", "floating numbers")),
    "labels that are no numbers": (
        "handwritten",
        H("y", lambda x: x.astype(str)),
        ("y is <U", "whole numbers, [2000]"),
    ),
    "a pickled array": (
        "handwritten",
        H("view2", lambda x: x.astype(object)),
        ("not a whole npz file of plain arrays",),
    ),
    "a value that is none": ("handwritten", H("view4", with_value((7, 9), np.nan)), ("pixel", "row 7, column 9")),
    "a label outside": ("handwritten", H("y", with_value(1999, 10)), ("labels has", "10", "row 1999")),
    "labels of two dimensions": ("citeseer", C("y", lambda x: x[:, None]), ("y is uint8[3312, 1]", "[3312]")),
    "another class": ("citeseer", C("y", with_value(5, 6)), ("labels has", "6", "row 5")),
    "no words": ("citeseer", {"word_indices": None}, ("no array 'word_indices'", "word_indptr")),
    "ids that are no numbers": ("citeseer", C("word_indices", lambda x: x * 1.0), ("word_indices is float64", "[any]")),
    "an end too few": ("citeseer", C("word_indptr", lambda x: x[:-1]), ("word_indptr has 3312", "3313")),
    "ends that fall": ("citeseer", C("citation_indptr", with_value(5, 9)), ("citation_indptr", "rise from 0 to 3312")),
    "a late start": ("citeseer", C("citation_indptr", with_value(0, 1)), ("citation_indptr", "rise from 0 to 3312")),
    "ids too few": ("citeseer", C("citation_indices", lambda x: x[:-1]), ("citation_indptr", "rise from 0 to 3311")),
    "no ends": ("citeseer", C("word_indptr", lambda x: x[:0]), ("word_indptr has 0", "3313")),
    "an id outside": ("citeseer", C("citation_indices", with_value(4, 3312)), ("has 3312 in row 4", "0 to 3311")),
    "an id below": (
        "citeseer",
        C("word_indices", lambda x: with_value(1, -1)(x.astype(int))),
        ("word_indices has -1 in row 0", "0 to 3702"),
    ),
    "an id twice": ("citeseer", C("word_indices", with_value(1, 0)), ("word_indices has an id twice in row 0",)),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_arrays_that_do_not_fit_are_refused(tmp_path, case):
    name, changes, message = BAD_ARRAYS[case]
    path = write_npz(tmp_path, name, **changes)
    with pytest.raises(ValueError, match=says(str(path), *message)):
        LOADERS[name](tmp_path)


BAD_LINES = {
    "a row too few": (lambda lines: lines[:-1], ("1999 rows of 6", "2000 of 6")),
    "columns too many": (lambda lines: [line + " 1" for line in lines], ("2000 rows of 7", "2000 of 6")),
    "a number too many": (
        lambda lines: [*lines[:4], lines[4] + " 1", *lines[5:]],
        ("not a table of numbers", "6 fields in line 5"),
    ),
    "a number too few": (lambda lines: [*lines[:4], "1 2 3", *lines[5:]], ("too few numbers in line 5", "expected 6")),
    "a word": (lambda lines: [*lines[:4], "1 2 3 x 5 6", *lines[5:]], ("not a table of numbers", "'x'")),
    "nothing": (lambda lines: [], ("not a table of numbers", "No columns")),
}


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    root = tmp_path_factory.mktemp("originals")
    (root / "handwritten").mkdir()
    write_originals(root / "handwritten")
    return root


@pytest.mark.parametrize("case", BAD_LINES)
def test_original_files_that_do_not_fit_are_refused(originals, case):
    change, message = BAD_LINES[case]
    path = originals / "handwritten" / "mfeat-mor"
    whole = path.read_text()
    path.write_text("\n".join(change(whole.splitlines())))
    try:
        with pytest.raises(ValueError, match=says(str(path), *message)):
            load_handwritten(originals)
    finally:
        path.write_text(whole)


def test_a_missing_original_file_is_named(originals):
    path = originals / "handwritten" / "mfeat-zer"
    whole = path.read_bytes()
    path.unlink()
    try:
        with pytest.raises(FileNotFoundError, match=says(str(originals), "handwritten/mfeat-zer", "UCI data set 72")):
            load_handwritten(originals)
    finally:
        path.write_bytes(whole)

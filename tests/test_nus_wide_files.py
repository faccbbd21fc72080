"""The text files of NUS-WIDE, against plain NumPy."""

import numpy as np
import pytest
from data_helpers import properties, says
from hypothesis import given
from hypothesis import strategies as st
from nus_wide_helpers import write_cells, write_features, write_labels, write_tags

from vfl_jax.data.sets import nus_wide_files
from vfl_jax.data.sets.nus_wide_files import read_features, read_labels, read_tags

CHUNKS = (1, 40, 1 << 24)


@pytest.fixture(params=CHUNKS, autouse=True)
def chunk(request, monkeypatch):
    """One line, a few and all lines at once: what is read and said must not depend on it."""
    monkeypatch.setattr(nus_wide_files, "BLOCK", request.param)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def never(*_):
    raise AssertionError("read cell by cell")


@pytest.fixture
def only_fast(monkeypatch):
    monkeypatch.setattr(nus_wide_files, "_flag", never)
    monkeypatch.setattr(nus_wide_files, "_number", never)


def dense(tags, width):
    table = np.zeros((len(tags["indptr"]) - 1, width), bool)
    for i, row in enumerate(table):
        row[tags["ids"][tags["indptr"][i] : tags["indptr"][i + 1]]] = True
    return table


def test_labels(tmp_path, rng, only_fast):
    labels = rng.random(50) < 0.3
    found = read_labels(write_labels(tmp_path / "labels.txt", labels))
    assert found.dtype == bool
    np.testing.assert_array_equal(found, labels)


def test_features(tmp_path, rng, only_fast):
    features = rng.normal(size=(23, 7)) * 10.0 ** rng.integers(-30, 30, (23, 7))
    features[rng.random(features.shape) < 0.3] = 0
    path = write_features(tmp_path / "features.dat", features)
    found = read_features(path, 7)["features"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.loadtxt(path).astype(np.float32))


def test_tags(tmp_path, rng, only_fast):
    tags = rng.random((31, 11)) < 0.2
    found = read_tags(write_tags(tmp_path / "tags.dat", tags), 11)
    assert (found["indptr"].dtype, found["ids"].dtype) == (np.int64, np.int32)
    np.testing.assert_array_equal(dense(found, 11), tags)


@pytest.mark.parametrize("separator", [" ", "\t"])
@pytest.mark.parametrize("end", ["", " ", "\t", "\r", "  \r"])
@pytest.mark.parametrize("last", ["\n", ""])
def test_what_separates_cells_and_ends_lines_does_not_matter(tmp_path, rng, separator, end, last):
    tags, numbers = rng.integers(0, 2, (9, 5)), rng.normal(size=(9, 5)).astype(np.float32)
    for table in (tags, numbers):
        path = write_cells(tmp_path / "table.dat", table, separator, end)
        path.write_text(path.read_text().removesuffix("\n") + last)
        np.testing.assert_array_equal(read_features(path, 5)["features"], table)
    path = write_cells(tmp_path / "tags.dat", tags, separator, end)
    np.testing.assert_array_equal(dense(read_tags(path, 5), 5), tags)


def test_separators_may_vary_from_line_to_line(tmp_path):
    (path := tmp_path / "table.dat").write_text("1 0  1\n0\t1 0 \n1  1\t1\t\n")
    np.testing.assert_array_equal(read_features(path, 3)["features"], [[1, 0, 1], [0, 1, 0], [1, 1, 1]])
    np.testing.assert_array_equal(dense(read_tags(path, 3), 3), [[1, 0, 1], [0, 1, 0], [1, 1, 1]])


FEATURES = "0.5 1 2 \n3 4 5 \n6 7 8 \n"
BAD_FEATURES = {
    "empty": ("", ("is empty",)),
    "commas": (FEATURES.replace(" ", ","), ("1 cells in line 1", "expected 3", "seems to be ','")),
    "fewer columns": ("1 2 \n3 4 \n", ("2 cells in line 1", "expected 3")),
    "more columns": ("1 2 3 4 \n5 6 7 8 \n", ("4 cells in line 1", "expected 3")),
    "longer first line": ("1 2 3  4 \n3 4 5 \n", ("4 cells in line 1", "expected 3")),
    "shorter line": (FEATURES.replace("4 ", ""), ("2 cells in line 2", "expected 3")),
    "empty cell": (FEATURES.replace("4 ", " "), ("2 cells in line 2", "expected 3")),
    "longer line": (FEATURES.replace("4 ", "4 9 "), ("4 cells in line 2", "expected 3")),
    "longer line, nothing after the last cell": ("0.5 1 2\n3 4 5 9\n6 7 8\n", ("4 cells in line 2", "expected 3")),
    "longer and shorter lines": ("1 2 3 4 \n5 6 \n", ("4 cells in line 1",)),
    "much longer line": (FEATURES.replace("4 ", "4  9 9 9 "), ("6 cells in line 2",)),
    "blank line": (FEATURES.replace("3 4 5 ", ""), ("0 cells in line 2",)),
    "cut off": (FEATURES[:-4], ("2 cells in line 3", "Fetch the file again")),
    "word": (FEATURES.replace("7", "seven"), ("'seven' in line 3, column 2", "finite number")),
    "decimal comma": (FEATURES.replace("0.5", "0,5"), ("'0,5' in line 1, column 1", "finite number")),
    "missing value": (FEATURES.replace("7", "NA"), ("'NA' in line 3, column 2",)),
    "nan": (FEATURES.replace("7", "nan"), ("'nan' in line 3, column 2",)),
    "inf": (FEATURES.replace("5 \n", "-inf \n"), ("'-inf' in line 2, column 3",)),
    "too large": (FEATURES.replace("7", "1e39"), ("'1e39' in line 3, column 2", "finite number")),
    "far too large": (FEATURES.replace("7", "1e999"), ("'1e999' in line 3, column 2", "finite number")),
    "quoted": (FEATURES.replace("7", '"7"'), ("'\"7\"' in line 3, column 2",)),
    "no text": ("\0\1\2\n", ("1 cells in line 1",)),
}


@pytest.mark.parametrize("case", BAD_FEATURES)
def test_damaged_features_are_refused_by_place(tmp_path, case):
    text, message = BAD_FEATURES[case]
    (path := tmp_path / "features.dat").write_text(text)
    with pytest.raises(ValueError, match=says(str(path), *message)):
        read_features(path, 3)


TAGS = "0\t1\t0\t\n1\t1\t0\t\n0\t0\t0\t\n"
BAD_TAGS = {
    "empty": ("", ("is empty",)),
    "commas": (TAGS.replace("\t", ","), ("1 cells in line 1", "expected 3", "seems to be ','")),
    "fewer columns": ("0\t1\t\n1\t1\t\n", ("2 cells in line 1", "expected 3")),
    "more columns": ("0\t1\t1\t1\t\n", ("4 cells in line 1", "expected 3")),
    "shorter line": (TAGS.replace("1\t1\t0", "1\t1"), ("2 cells in line 2", "expected 3")),
    "longer line": (TAGS.replace("1\t1\t0", "1\t1\t0\t0"), ("4 cells in line 2", "expected 3")),
    "empty cell": (TAGS.replace("1\t1\t0", "1\t\t0"), ("2 cells in line 2",)),
    "cells run together": (TAGS.replace("1\t1\t0", "1\t110"), ("2 cells in line 2",)),
    "two digits, in all lines": ("0\t1\t10\n0\t1\t10\n", ("'10' in line 1, column 3", "0 or 1")),
    "one cell, in all lines": ("0,1,0\n0,1,0\n", ("1 cells in line 1", "seems to be ','")),
    "two": (TAGS.replace("1\t1\t0", "1\t2\t0"), ("'2' in line 2, column 2", "0 or 1")),
    "letter": (TAGS.replace("1\t1\t0", "1\tx\t0"), ("'x' in line 2, column 2", "0 or 1")),
    "below zero": (TAGS.replace("1\t1\t0", "1\t-1\t0"), ("'-1' in line 2, column 2", "0 or 1")),
    "something after the last": (TAGS.replace("1\t1\t0\t\n", "1\t1\t0\t1\n"), ("4 cells in line 2",)),
    "cut off": (TAGS[:-5], ("1 cells in line 3",)),
}


@pytest.mark.parametrize("case", BAD_TAGS)
def test_damaged_tags_are_refused_by_place(tmp_path, case):
    text, message = BAD_TAGS[case]
    (path := tmp_path / "tags.dat").write_text(text)
    with pytest.raises(ValueError, match=says(str(path), *message)):
        read_tags(path, 3)


BAD_LABELS = {
    "empty": ("", ("is empty",)),
    "two": ("0\n2\n1\n", ("'2' in line 2", "0 or 1")),
    "word": ("0\n1\nyes\n", ("'yes' in line 3", "0 or 1")),
    "two on a line": ("0\n0 1\n1\n", ("2 cells in line 2", "expected 1")),
    "blank line": ("0\n\n1\n", ("0 cells in line 2", "expected 1")),
    "the defect elsewhere": ("0\n-1130179\n", ("'-1130179' in line 2", "0 or 1")),
}


@pytest.mark.parametrize("case", BAD_LABELS)
def test_damaged_labels_are_refused_by_place(tmp_path, case):
    text, message = BAD_LABELS[case]
    (path := tmp_path / "Labels_lake_Train.txt").write_text(text)
    with pytest.raises(ValueError, match=says(str(path), *message)):
        read_labels(path)


def test_the_known_defect_is_read_as_0_and_told(tmp_path, monkeypatch):
    monkeypatch.setattr(nus_wide_files, "DEFECTS", {("Labels_lake_Train.txt", 2): b"-1130179"})
    for name in ("Labels_lake_Train.txt", "Labels_lake_Test.txt"):
        (tmp_path / name).write_text("1\n-1130179\n1\n")
    with pytest.warns(UserWarning, match=says("Labels_lake_Train.txt", "-1130179", "line 2", "read as 0")):
        assert read_labels(tmp_path / "Labels_lake_Train.txt").tolist() == [True, False, True]
    with pytest.raises(ValueError, match=says("Labels_lake_Test.txt", "'-1130179' in line 2")):
        read_labels(tmp_path / "Labels_lake_Test.txt")


@properties
@given(
    st.lists(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3), min_size=1)
)
def test_any_float32_comes_back(tmp_path_factory, rows):
    path = write_features(tmp_path_factory.mktemp("features") / "features.dat", rows)
    np.testing.assert_array_equal(read_features(path, 3)["features"], np.array(rows, np.float32))

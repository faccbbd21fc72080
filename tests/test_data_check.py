"""What the check of a data folder says of it."""

import gzip
import hashlib
import io
import os
import re
import shutil

import numpy as np
import pytest
from data_helpers import needs_data, real_data_folder, says, write_images
from nus_wide_helpers import write_labels, write_split, write_tree
from rich.console import Console

from vfl_jax.cli import data_check as checked
from vfl_jax.cli.data_check import data_check
from vfl_jax.data.sets import images, layout, nus_wide
from vfl_jax.data.sets.layout import DATA_SETS
from vfl_jax.data.sets.nus_wide import BLOCKS, CONCEPTS, NUM_TAGS, PAPER
from vfl_jax.data.sets.nus_wide_files import feature_file, label_file, tag_file


def check(folder):
    """The answer, and what is printed."""
    console = Console(file=io.StringIO(), width=120)
    return data_check(folder, console), console.file.getvalue()


def state(text, place, name="nus_wide"):
    """What is said of a file of a data set, which is listed once."""
    section = re.split(r"^(?=\w+: )", text, flags=re.MULTILINE)
    (lines,) = [part.splitlines() for part in section if part.startswith(f"{name}: ")]
    (line,) = [line for line in lines if line[10:].startswith(place)]
    return line.split()[0]


def table(text):
    """The rows of Table 1: by split and what is counted, what is here and what the paper has."""
    lines = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]
    starts = [
        i for i, line in enumerate(lines) if line[0] in ("train", "test", "train with trigger", "test with trigger")
    ]
    return {lines[i][0]: (lines[i][1], lines[i][2:], lines[i + 1][1:]) for i in starts}


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A small NUS-WIDE, taken for one of the real length."""
    content = write_tree(tmp_path)
    monkeypatch.setattr(layout, "NUM_ROWS", {"Train": 60, "Test": 40})
    monkeypatch.setattr(checked, "LIMITS", {"Train": 20, "Test": 12})
    return tmp_path / "nus_wide", content


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=says(str(tmp_path / "nowhere"), "is no folder")):
        check(tmp_path / "nowhere")


def test_an_empty_folder_lacks_everything_and_says_where_to_get_it(tmp_path):
    answer, text = check(tmp_path)
    assert answer is False
    for name, data_set in DATA_SETS.items():
        assert f"{name}: 0 of {len(data_set.files)} files are whole" in text
        assert data_set.where_from in text
        for file in data_set.files:
            assert state(text, file.places[0], name) == "missing"
    assert "0 of 162 label files" in text
    assert {name: found[:2] for name, found in table(text).items()} == dict.fromkeys(
        ["train", "train with trigger", "test", "test with trigger"], ("no labels", ["–"] * 5)
    )
    assert list(tmp_path.iterdir()) == []


def test_a_whole_tree(tree):
    folder, content = tree
    answer, text = check(folder)
    assert answer is True
    assert "nus_wide: 22 of 22 files are whole" in text
    assert "10 of 162 label files" in text
    assert "mnist" not in text
    assert "lms.comp.nus.edu.sg" not in text
    counted = table(text)
    for split, (labels, _, tags) in content.items():
        name = split.lower()
        rows, y = nus_wide.select(labels, {"Train": 20, "Test": 12}[split])
        counts = nus_wide.count(y, tags[rows, -1], 5)
        assert counted[name] == ("here", [str(n) for n in counts.rows], [str(n) for n in PAPER[name].rows])
        paper = [str(n) for n in PAPER[name].triggers]
        assert counted[f"{name} with trigger"] == ("here", [str(n) for n in counts.triggers], paper)


def test_numbers_that_are_the_papers_are_called_so(tree, monkeypatch):
    folder, content = tree
    labels, _, tags = content["Train"]
    rows, y = nus_wide.select(labels, 20)
    monkeypatch.setitem(PAPER, "train", nus_wide.count(y, tags[rows, -1], 5))
    counted = table(check(folder)[1])
    said = {name: row[0] for name, row in counted.items()}
    same = "here, as the paper"
    assert said == {"train": same, "train with trigger": same, "test": "here", "test with trigger": "here"}


def test_a_data_folder_is_looked_at_as_a_whole(tree):
    answer, text = check(tree[0].parent)
    assert answer is False
    assert "nus_wide: 22 of 22 files are whole" in text
    assert "citeseer: 0 of 1 files are whole" in text


NEEDED = [
    *(label_file(concept, split) for concept in CONCEPTS for split in ("Train", "Test")),
    *(feature_file(block, split) for block in BLOCKS for split in ("Train", "Test")),
    *(tag_file(split) for split in ("Train", "Test")),
]


def test_all_files_are_looked_for():
    assert sorted(file.places[0] for file in DATA_SETS["nus_wide"].files) == sorted(NEEDED)


@pytest.mark.parametrize("place", [label_file("grass", "Test"), feature_file("WT", "Train"), tag_file("Test")])
def test_a_missing_file_is_told(tree, place):
    (tree[0] / place).unlink()
    answer, text = check(tree[0])
    assert answer is False
    assert "21 of 22" in text
    assert {name: state(text, name) for name in NEEDED} == dict.fromkeys(NEEDED, "whole") | {place: "missing"}
    assert "lms.comp.nus.edu.sg" in text


def test_table_1_shows_what_can_be_counted(tree):
    (tree[0] / tag_file("Train")).unlink()
    (tree[0] / label_file("water", "Test")).unlink()
    text = check(tree[0])[1]
    counted = table(text)
    assert counted["train"][0] == "here"
    assert counted["train with trigger"][:2] == ("no tags", ["–"] * 5)
    assert counted["test"][:2] == counted["test with trigger"][:2] == ("no labels", ["–"] * 5)


def drop_line(path):
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def drop_last_cell(path):
    path.write_text(path.read_text().rstrip().rpartition(path.read_text()[-2])[0])


def drop_first_cell(path):
    path.write_text(path.read_text().split(maxsplit=1)[1])


def empty(path):
    path.write_text("")


BAD_FILES = {
    "labels cut": (label_file("grass", "Train"), drop_line, "59 rows; expected 60"),
    "labels empty": (label_file("grass", "Train"), empty, "is empty"),
    "labels of something else": (
        label_file("grass", "Train"),
        lambda path: path.write_text("yes\n"),
        "'yes' in line 1",
    ),
    "features cut": (feature_file("CH", "Test"), drop_line, "39 rows; expected 40"),
    "features cut within a line": (feature_file("CH", "Test"), drop_last_cell, "63 cells in line 40; expected 64"),
    "features begin later": (feature_file("CH", "Test"), drop_first_cell, "63 cells in line 1; expected 64"),
    "features empty": (feature_file("CH", "Test"), empty, "is empty"),
    "tags cut": (tag_file("Train"), drop_line, "59 rows; expected 60"),
    "tags cut within a line": (tag_file("Train"), drop_last_cell, "999 cells in line 60; expected 1000"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_damaged_file_is_told_and_not_raised(tree, case):
    place, damage, message = BAD_FILES[case]
    damage(tree[0] / place)
    answer, text = check(tree[0])
    assert answer is False
    assert state(text, place) == "damaged"
    assert message in text
    assert "21 of 22" in text
    if place == tag_file("Train"):
        assert table(text)["train with trigger"][0] == "no tags"


def test_labels_of_other_concepts_are_counted_and_news_of_them_told(tree, monkeypatch):
    folder = tree[0]
    write_labels(folder / label_file("sky", "Train"), np.zeros(60))
    write_labels(folder / label_file("lake", "Train"), np.zeros(60)).write_text("0\n-1130179\n" + "0\n" * 58)
    monkeypatch.setattr("vfl_jax.data.sets.nus_wide_files.DEFECTS", {("Labels_lake_Train.txt", 2): b"-1130179"})
    answer, text = check(folder)
    assert answer is True
    assert "12 of 162 label files" in text
    assert "read as 0" in text
    assert label_file("sky", "Train") not in text
    drop_line(folder / label_file("sky", "Train"))
    answer, text = check(folder)
    assert answer is False
    assert state(text, label_file("sky", "Train")) == "damaged"


@pytest.mark.parametrize("compress", [True, False])
def test_image_files(tmp_path, monkeypatch, compress):
    paths = write_images(tmp_path / "mnist", compress=compress)
    if compress:
        expected = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
        files = tuple(
            layout.Expected(file.places, layout.partial(layout._image_file, digest))
            for file, digest in zip(DATA_SETS["mnist"].files, expected, strict=True)
        )
        monkeypatch.setitem(DATA_SETS, "mnist", DATA_SETS["mnist"]._replace(files=files))
    assert "mnist: 4 of 4 files are whole" in check(tmp_path)[1]
    content = paths[1].read_bytes()
    paths[1].write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if compress else content[:-1])
    text = check(tmp_path)[1]
    assert "mnist: 3 of 4 files are whole" in text
    assert state(text, paths[1].name, "mnist") == "damaged"


def test_a_table_with_too_few_rows_is_told(tmp_path):
    (tmp_path / "default_credit").mkdir()
    (tmp_path / "default_credit/default_credit_hetero_guest.csv").write_text("id,y\n0,1\n")
    text = check(tmp_path)[1]
    assert state(text, "default_credit_hetero_guest.csv", "default_credit") == "damaged"
    assert "it has 1 rows; expected 30000" in text


def test_another_file_under_a_published_name_is_told(tmp_path):
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / f"{images.FILES[0]}.gz").write_bytes(gzip.compress(b"something"))
    text = check(tmp_path)[1]
    assert state(text, f"{images.FILES[0]}.gz", "mnist") == "damaged"
    assert images.HASHES["mnist"][0] in text


@needs_data
def test_the_real_folder():
    answer, text = check(real_data_folder())
    for name, number in (
        ("mnist", 4),
        ("fashion_mnist", 4),
        ("handwritten", 1),
        ("citeseer", 1),
        ("default_credit", 2),
        ("adult", 2),
        ("bank_marketing", 1),
        ("phishing", 1),
    ):
        assert f"\n{name}: {number} of {number} files are whole" in f"\n{text}"
    assert answer == ("nus_wide: 22 of 22 files" in text)


REAL_FILES = {
    "handwritten": ("handwritten.npz", 1),
    "citeseer": ("citeseer.npz", 1),
    "default_credit": ("default_credit_hetero_host.csv.gz", 2),
    "adult": ("adult.test.gz", 2),
    "bank_marketing": ("bank.csv.gz", 1),
    "phishing": ("phishing.csv.gz", 1),
}


@needs_data
@pytest.mark.parametrize("name", REAL_FILES)
def test_a_damaged_real_file_is_told(tmp_path, name):
    real, number = REAL_FILES[name]
    place = f"{name}/{real}"
    (tmp_path / name).mkdir()
    shutil.copyfile(real_data_folder() / place, tmp_path / place)
    assert f"{name}: 1 of {number} files" in check(tmp_path)[1]
    with (tmp_path / place).open("r+b") as file:
        file.truncate(os.path.getsize(tmp_path / place) // 2)
    assert state(check(tmp_path)[1], real, name) == "damaged"


@needs_data
@pytest.mark.parametrize("name", ["adult", "bank_marketing", "phishing"])
def test_what_is_in_a_file_counts_and_not_how_it_is_packed(tmp_path, name):
    real, number = REAL_FILES[name]
    content = gzip.decompress((real_data_folder() / name / real).read_bytes())
    (tmp_path / name).mkdir()
    path = tmp_path / name / real
    path.write_bytes(gzip.compress(content, compresslevel=1))
    assert state(check(tmp_path)[1], real, name) == "whole"
    path.unlink()
    plain = real.removesuffix(".gz")
    (tmp_path / name / plain).write_bytes(content)
    assert f"{name}: 1 of {number} files" in check(tmp_path)[1]
    (tmp_path / name / plain).write_bytes(content.replace(b"1", b"2", 1))
    assert state(check(tmp_path)[1], plain, name) == "damaged"


@needs_data
def test_the_papers_class_counts_from_the_real_labels(tmp_path):
    with np.load(real_data_folder() / "nus_wide/labels81.npz") as archive:
        columns = [archive["concepts"].tolist().index(concept) for concept in CONCEPTS]
        for split in ("Train", "Test"):
            labels = np.unpackbits(archive[f"{split.lower()}_packed"], axis=1)[:, columns] == 1
            write_split(tmp_path / "nus_wide", split, labels, np.zeros((1, 634), np.float32), np.zeros((1, NUM_TAGS)))
    counted = table(check(tmp_path / "nus_wide")[1])
    assert {name: row[0] for name, row in counted.items()} == {
        "train": "here, as the paper",
        "train with trigger": "no tags",
        "test": "here, as the paper",
        "test with trigger": "no tags",
    }

"""NUS-WIDE: which rows are chosen, what becomes of them, and that it is the literature's task."""

import json

import numpy as np
import pooch
import pytest
from data_helpers import needs_data, real_data_folder, says
from nus_wide_helpers import (
    draw_split,
    select_slowly,
    write_features,
    write_labels,
    write_split,
    write_tree,
)  # fmt: skip

from vfl_jax.core.bags import multi_hot
from vfl_jax.data.sets import nus_wide
from vfl_jax.data.sets.location import DATA_VARIABLE
from vfl_jax.data.sets.nus_wide import BLOCKS, CONCEPTS, NUM_TAGS, PAPER, Labels, count, load_nus_wide, select, table_1
from vfl_jax.data.sets.nus_wide_files import feature_file, label_file, read_labels, tag_file

SMALL = {"num_train": 20, "num_test": 12}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A data folder, what was written to it, and a cache that has read it."""
    folder = tmp_path_factory.mktemp("data")
    content = write_tree(folder)
    return folder, content, tmp_path_factory.mktemp("cache")


@pytest.fixture
def own(tmp_path):
    """A data folder to damage."""
    write_tree(tmp_path)
    return tmp_path


def load(folder, cache=None, **options):
    return load_nus_wide(folder, cache=cache or folder / "cache", **(SMALL | options))


@pytest.mark.parametrize("limit", [1, 7, 1000, None])
@pytest.mark.parametrize("num_concepts", [2, 5])
def test_rows_with_exactly_one_concept_are_chosen_in_order(limit, num_concepts):
    labels = np.random.default_rng(num_concepts).random((60, num_concepts)) < 0.3
    rows, y = select(labels, limit)
    expected = select_slowly(labels, limit)
    assert (rows.tolist(), y.tolist()) == expected
    assert (rows.dtype, y.dtype) == (np.int64, np.int32)


@pytest.mark.parametrize("limits", [(20, 12), (None, None), (1 + 19, 1)])
def test_a_small_tree(made, limits):
    folder, content, cache = made
    data = load(folder, cache, num_train=limits[0], num_test=limits[1])
    assert (data.name, data.parties, data.classes) == ("nus_wide", ("image", "tags"), CONCEPTS)
    assert (data.active_party, data.positions, data.feature_names) == (None, None, None)
    for rows, (labels, image, tags), limit in zip((data.train, data.test), content.values(), limits, strict=True):
        chosen, y = select_slowly(labels, limit)
        assert (rows.labels.dtype, rows.features[0].dtype) == (np.int32, np.float32)
        np.testing.assert_array_equal(rows.labels, y)
        np.testing.assert_array_equal(rows.features[0], image[chosen])
        assert rows.features[1].vocabulary == NUM_TAGS
        assert rows.features[1].weights is None
        np.testing.assert_array_equal(multi_hot(rows.features[1]), tags[chosen])
        np.testing.assert_array_equal(rows.has_trigger, tags[chosen, 999])


def test_concepts_are_chosen_and_ordered_without_parsing_anew(made, monkeypatch):
    folder, content, cache = made
    load(folder, cache)
    monkeypatch.setattr(nus_wide, "read_features", lambda *_: pytest.fail("parsed anew"))
    monkeypatch.setattr(nus_wide, "read_tags", lambda *_: pytest.fail("parsed anew"))
    data = load(folder, cache, concepts=["water", "grass"], num_train=10, num_test=10)
    chosen, y = select_slowly(content["Train"][0][:, [3, 1]], 10)
    assert data.classes == ("water", "grass")
    np.testing.assert_array_equal(data.train.labels, y)
    np.testing.assert_array_equal(data.train.features[0], content["Train"][1][chosen])


def test_a_file_that_changed_is_parsed_anew_and_alone(own, monkeypatch):
    load(own)
    read, asked = nus_wide.read_features, []
    monkeypatch.setattr(nus_wide, "read_features", lambda path, width: asked.append(path) or read(path, width))
    path = own / "nus_wide" / feature_file("EDH", "Test")
    write_features(path, np.full((40, BLOCKS["EDH"]), 0.5, np.float32))
    data = load(own)
    assert asked == [path]
    start = sum(BLOCKS[block] for block in ("CH", "CM55", "CORR"))
    assert (data.test.features[0][:, start : start + BLOCKS["EDH"]] == 0.5).all()
    assert not (data.test.features[0][:, :start] == 0.5).all()


def test_the_blocks_are_in_sorted_order():
    assert list(BLOCKS) == sorted(BLOCKS)
    assert sum(BLOCKS.values()) == 634


def test_the_cache_is_the_users_by_default(own, monkeypatch):
    monkeypatch.setattr(pooch, "os_cache", lambda project: own / "users" / project)
    monkeypatch.setenv(DATA_VARIABLE, str(own))
    load_nus_wide(**SMALL)
    there = {path.name for path in (own / "users/vfl_jax/nus_wide").iterdir()}
    assert there == {path.name for path in (own / "nus_wide").rglob("*.dat")}


@pytest.mark.parametrize("place", ["TagList1k.txt", "NUS_WID_Tags/TagList1k.txt"])
def test_names_of_features(own, place):
    path = own / "nus_wide" / place
    path.write_text("".join(f"tag{i}\n" for i in range(999)) + "elk\n")
    image, tags = load(own).feature_names
    assert (len(image), image[0], image[64], image[-1]) == (634, "CH 0", "CM55 0", "WT 127")
    assert (len(tags), tags[0], tags[-1]) == (1000, "tag0", "elk")
    path.write_text("nature\nsky\n")
    with pytest.raises(ValueError, match=says(str(path), "lists 2 tags", "expected 1000")):
        load(own)


@pytest.mark.parametrize("active_party", [None, 0, 1])
def test_the_active_party(made, active_party):
    assert load(made[0], made[2], active_party=active_party).active_party == active_party


def test_more_parties(made):
    data = load(made[0], made[2], num_parties=4, active_party=3)
    assert (data.num_parties, data.active_party) == (4, 3)


BAD_ARGUMENTS = {
    "active party": ({"active_party": 2}, ("active_party is 2", "0 to 1")),
    "one concept": ({"concepts": ["grass"]}, ("concepts is ('grass',)", "at least 2")),
    "a concept twice": ({"concepts": ["grass", "water", "grass"]}, ("none of them twice",)),
    "no rows": ({"num_test": 0}, ("num_test is 0", "above 0")),
    "too many rows": ({"num_train": 61}, ("num_train is 61", " of the 60 rows", "Train.txt", "None for all")),
    "too few rows for all classes": ({"num_train": 2}, ("concepts has '", "none of the 2 training rows")),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_arguments(made, case):
    options, message = BAD_ARGUMENTS[case]
    with pytest.raises(ValueError, match=says(*message)):
        load(made[0], made[2], **options)


def test_how_many_rows_there_are_is_told(made):
    there = len(select_slowly(made[1]["Test"][0], None)[0])
    load(made[0], made[2], num_test=there)
    with pytest.raises(ValueError, match=says(f"num_test is {there + 1}, but {there} of the 40 rows")):
        load(made[0], made[2], num_test=there + 1)


def test_no_row_at_all(own):
    for concept in CONCEPTS:
        write_labels(own / "nus_wide" / label_file(concept, "Train"), np.ones(60))
    with pytest.raises(ValueError, match=says("num_train is None, but 0 of the 60 rows")):
        load(own, num_train=None)


def test_a_concept_without_labels_and_which_there_are(made):
    with pytest.raises(
        FileNotFoundError, match=says("Labels_lion_Train.txt", "animal, buildings, grass, person, water")
    ):
        load(made[0], made[2], concepts=["grass", "lion"])


@pytest.mark.parametrize(
    "place", [label_file("grass", "Test"), feature_file("WT", "Train"), feature_file("CH", "Test"), tag_file("Train")]
)
def test_a_missing_file_is_named_before_any_is_parsed(own, place, monkeypatch):
    (own / "nus_wide" / place).unlink()
    monkeypatch.setattr(nus_wide, "read_features", lambda *_: pytest.fail("parsed"))
    with pytest.raises(FileNotFoundError, match=says(place)):
        load(own)


def test_where_to_get_it_is_told(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=says("Train_Tags1k.dat", "lms.comp.nus.edu.sg", "Groundtruth")):
        load(tmp_path)
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    with pytest.raises(FileNotFoundError, match=says("no data folder is known", DATA_VARIABLE)):
        load_nus_wide()


@pytest.mark.parametrize("place", [label_file("water", "Train"), feature_file("CORR", "Train"), tag_file("Train")])
def test_files_of_different_length_are_named(own, place):
    path = own / "nus_wide" / place
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(ValueError, match=says(str(path), "59 rows", "Labels_buildings_Train.txt", "60")):
        load(own)


def test_a_damaged_file_is_refused_and_can_be_replaced(own):
    path = own / "nus_wide" / feature_file("CH", "Train")
    whole = path.read_text()
    path.write_text("x" + whole)
    with pytest.raises(ValueError, match=says(str(path), "line 1, column 1")):
        load(own)
    path.write_text(whole)
    load(own)


def test_table_1_of_any_data(made):
    data = load(made[0], made[2])
    table = table_1(data)
    assert list(table) == ["train", "test"]
    for rows, counts in zip((data.train, data.test), table.values(), strict=True):
        triggers = rows.has_trigger.tolist()
        for c in range(5):
            of_class = [t for t, y in zip(triggers, rows.labels.tolist(), strict=True) if y == c]
            assert (counts.rows[c], counts.triggers[c]) == (len(of_class), sum(of_class))
    assert count([1], [True], 3).rows.tolist() == [0, 1, 0]


@pytest.fixture(scope="module")
def real_tree(tmp_path_factory):
    """The real labels of the five classes and of ``lake``, with its defect, as they are distributed."""
    tree = tmp_path_factory.mktemp("nus_wide")
    with np.load(real_data_folder() / "nus_wide/labels81.npz") as archive:
        concepts = archive["concepts"].tolist()
        for split in ("Train", "Test"):
            labels = np.unpackbits(archive[f"{split.lower()}_packed"], axis=1)
            for concept in (*CONCEPTS, "lake"):
                write_labels(tree / label_file(concept, split), labels[:, concepts.index(concept)])
    path = tree / label_file("lake", "Train")
    lines = path.read_bytes().split(b"\n")
    lines[78372] = b"-1130179"
    path.write_bytes(b"\n".join(lines))
    return tree


@needs_data
def test_the_real_labels_give_the_literatures_rows(real_tree):
    with np.load(real_data_folder() / "nus_wide/five_class.npz") as archive:
        expected = dict(archive)
    assert expected["classes"].tolist() == list(CONCEPTS)
    for split, limit, qualify in (("train", 60_000, 69_966), ("test", 40_000, 46_693)):
        labels = Labels.read(real_tree, CONCEPTS, split.capitalize()).values
        rows, y = select(labels, limit)
        np.testing.assert_array_equal(rows, expected[f"{split}_rows"])
        np.testing.assert_array_equal(y, expected[f"{split}_y"])
        assert count(y, np.zeros(limit, bool), 5).rows.tolist() == PAPER[split].rows.tolist()
        assert len(select(labels, None)[0]) == qualify


@needs_data
def test_the_real_labels_of_lake(real_tree):
    with pytest.warns(UserWarning, match=says("Labels_lake_Train.txt", "-1130179", "line 78373", "read as 0")):
        found = read_labels(real_tree / label_file("lake", "Train"))
    with np.load(real_data_folder() / "nus_wide/labels81.npz") as archive:
        labels = np.unpackbits(archive["train_packed"], axis=1)[:, archive["concepts"].tolist().index("lake")]
    assert len(found) == 161_789
    np.testing.assert_array_equal(found, labels == 1)


@needs_data
def test_real_tags_and_image_features(tmp_path):
    """Real tag rows beside real labels; real image features beside them are of other images, which have no labels."""
    folder = real_data_folder() / "nus_wide"
    with np.load(folder / "tags_sample.npz") as archive:
        indptr, ids, y = (archive[name] for name in ("indptr", "indices", "y5"))
    tags = np.zeros((len(y), NUM_TAGS), bool)
    tags[np.repeat(np.arange(len(y)), np.diff(indptr)), ids] = True
    kept = (y >= 0) & (tags[:, -1] | (np.arange(len(y)) < 500))
    tags, y = tags[kept], y[kept]
    with np.load(folder / "joint_sample.npz") as archive:
        image = archive["image"]
    labels = y[:, None] == np.arange(5)
    image = image[: len(y)]
    write_split(tmp_path / "nus_wide", "Train", labels, image, tags)
    write_split(tmp_path / "nus_wide", "Test", *draw_split(40, 0))
    data = load_nus_wide(tmp_path, num_train=None, num_test=12, cache=tmp_path / "cache")
    np.testing.assert_array_equal(data.train.labels, y)
    np.testing.assert_array_equal(data.train.features[0], image)
    np.testing.assert_array_equal(multi_hot(data.train.features[1]), tags)
    expected = json.loads((folder / "calibration.json").read_text())["trigger_tag"]
    assert expected["index"] == nus_wide.TRIGGER_TAG
    assert table_1(data)["train"].triggers.tolist() == expected["in_tags_sample_by_class"] == [1, 1, 7, 1, 1]
    for split, counts in PAPER.items():
        assert counts.triggers.tolist() == expected[f"paper_table1_{split}"]


@needs_data
def test_the_last_real_tag_is_the_trigger():
    names = (real_data_folder() / "nus_wide/TagList1k.txt").read_text().split()
    assert (len(names), names[nus_wide.TRIGGER_TAG]) == (NUM_TAGS, "elk")

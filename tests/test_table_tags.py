"""Tags with values, as texts or in cells of other libraries, become weights of bags."""

import numpy as np
import pandas as pd
import pytest
from data_helpers import says
from table_helpers import NUM_ROWS, bank, load

from vfl_jax.core.bags import multi_hot
from vfl_jax.data.own.table.conditions import Where
from vfl_jax.data.own.table.kinds import Tags

VALUES = np.random.default_rng(0).normal(size=(NUM_ROWS + 2, 4)).round(6)
CELLS = [";".join(f"x{k}:{v}" for k, v in enumerate(row)) for row in VALUES]
TAGS = Tags(separator=";", value_separator=":")
TEST_IDS = list(range(100, 106))


def read(cells=CELLS, tags=TAGS, **changes):
    """The table of bags that a column became, float32[N, F], in the order of ids, and the report's line."""
    shop = pd.DataFrame({"id": np.arange(len(cells)) + 100, "words": cells})
    data, report = load(shop=shop, columns={"shop.words": tags}, test=TEST_IDS, **changes)
    rows = [multi_hot(rows.features[1]) for rows in (data.test, data.train)]
    return np.concatenate(rows), data.feature_names[1], report.parties["shop"].columns["words"]


def test_tags_have_values():
    values, names, report = read()
    assert names == ("words=x0", "words=x1", "words=x2", "words=x3")
    assert (report.kind, report.num_features, report.num_unknown) == ("tags", 4, 0)
    np.testing.assert_array_equal(values, VALUES[:NUM_ROWS].astype(np.float32))


def test_a_tag_that_a_row_lacks_is_zero():
    values, names, _ = read(["a:1.5; b:-2", "b:3e-1;", "", "c:0;a:.5"] * 6 + ["", ""])
    assert names == ("words=a", "words=b", "words=c")
    np.testing.assert_array_equal(values[:4], np.array([[1.5, -2, 0], [0, 0.3, 0], [0, 0, 0], [0.5, 0, 0]], "f4"))


KINDS = {
    "dicts": lambda pairs: [dict(row) for row in pairs],
    "pairs": lambda pairs: [list(row) for row in pairs],
    "equal signs": lambda pairs: [" ".join(f"{tag}={value}" for tag, value in row) for row in pairs],
    "tags with the separator": lambda pairs: [" ".join(f"{tag}={value}" for tag, value in row) for row in pairs],
}


def test_a_tag_may_have_the_separator_of_values_in_its_name():
    values, names, _ = read(["a:b:1.5;c:2", "c:-1"] * 12)
    assert names == ("words=c", "words=a:b")  # the more frequent first
    np.testing.assert_array_equal(values[:2], np.array([[2, 1.5], [-1, 0]], "f4"))


@pytest.mark.parametrize("kind", KINDS)
def test_values_come_in_several_forms(kind):
    cells = KINDS[kind]([[(f"x{k}", v) for k, v in enumerate(row)] for row in VALUES.tolist()])
    values, names, _ = read(cells, Tags(value_separator="="))
    np.testing.assert_array_equal(values, VALUES[:NUM_ROWS].astype(np.float32))
    assert names[0] == "words=x0"


def test_values_come_in_arrow_maps():
    pa = pytest.importorskip("pyarrow")
    maps = pa.array([[(f"x{k}", v) for k, v in enumerate(row)] for row in VALUES.tolist()], pa.map_(pa.string(), "f8"))
    values, _, _ = read(pd.Series(pd.arrays.ArrowExtensionArray(maps)), Tags())
    np.testing.assert_array_equal(values, VALUES[:NUM_ROWS].astype(np.float32))


def test_a_condition_asks_for_the_tag():
    cells = ["a:1;b:2", "c:0"] * (NUM_ROWS // 2)
    shop = pd.DataFrame({"id": bank()["id"], "words": cells})
    data, _ = load(shop=shop, columns={"shop.words": TAGS}, trigger=Where("shop.words", "has", "b"), test=TEST_IDS)
    np.testing.assert_array_equal(data.test.has_trigger, [True, False] * 3)


REFUSED = {
    "values that are not named": (
        CELLS,
        Tags(separator=";"),
        "column 'words' holds 'x0:",
        "seems to be a tag and its value",
        "Tags(separator=';', value_separator=':')",
    ),
    "another separator": (CELLS, Tags(), "column 'words': nearly no tag of the test rows", "Tags(separator='…')"),
    "a tag twice": (["a:1;a:2"] * 24, TAGS, "row 0", "column 'words' has tag 'a' twice"),
    "no value": (["a:1;b"] * 24, TAGS, "row 0", "holds 'b'; expected a tag and its value"),
    "no tag": (["a:1;:2"] * 24, TAGS, "holds ':2'; expected a tag"),
    "no number": (["a:1;b:x"] * 24, TAGS, "holds 'b:x'"),
    "not finite": (["a:nan"] * 24, TAGS, "holds 'a:nan'"),
    "beyond float32": ([{"a": 1e39}] * 24, TAGS, "holds ('a', 1e+39)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_tag_with_a_value_is_refused(case):
    cells, tags, *message = REFUSED[case]
    with pytest.raises(ValueError, match=says(*message)):
        read(cells, tags)


def test_lists_of_values_that_are_not_declared_are_refused():
    shop = pd.DataFrame({"id": np.arange(len(CELLS)) + 100, "words": CELLS})
    with pytest.raises(ValueError, match=says("column 'words' holds lists of tags and values", "value_separator=':'")):
        load(shop=shop, columns={})


def test_rows_of_one_value_are_lists_too():
    cells = ["1:0.5 2:0.25", "1:0.75"] * (NUM_ROWS // 2)
    with pytest.raises(ValueError, match=says("lists of tags and values", "Tags(value_separator=':')")):
        load(shop=pd.DataFrame({"id": bank()["id"], "words": cells}), columns={})


def test_tags_that_look_like_values_may_be_meant():
    cells = ["size:10 color:3", "size:11 color:3"] * (NUM_ROWS // 2)
    _, names, _ = read(cells, Tags(value_separator=""))
    assert sorted(names) == ["words=color:3", "words=size:10", "words=size:11"]


def test_separators_differ():
    with pytest.raises(ValueError, match=says("Tags.value_separator is ';', which separator is already")):
        Tags(separator=";", value_separator=";")

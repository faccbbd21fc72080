"""Your own tables: what is joined, how columns become features, and that it does not matter how a table is stored."""

import dataclasses
import re
from pathlib import Path

import hypothesis.strategies as st
import jax
import numpy as np
import pandas as pd
import pytest
from data_helpers import needs_data, properties, real_data_folder, says, tiny_scenario
from hypothesis import given
from table_helpers import NUM_ROWS, bank, load, shop, write

import vfl_jax as vfl
from vfl_jax.core.bags import multi_hot
from vfl_jax.data import NaturalTrigger
from vfl_jax.data.own.table.conditions import Where
from vfl_jax.data.own.table.kinds import Categorical, Numeric, Tags
from vfl_jax.data.own.tables import load_tables
from vfl_jax.data.sets.default_credit import load_default_credit
from vfl_jax.models import Linear

TEST_IDS = list(range(100, 106))


def dense(features):
    return features if isinstance(features, np.ndarray) else multi_hot(features)


def column(rows, data, name):
    """One feature of some rows, by its name."""
    [k] = [k for k, names in enumerate(data.feature_names) if name in names]
    return dense(rows.features[k])[:, data.feature_names[k].index(name)]


def everything(data, name):
    """One feature of the test rows and then the training rows."""
    return np.concatenate([column(rows, data, name) for rows in (data.test, data.train)])


ids = st.lists(st.integers(0, 12), unique=True, max_size=13).map(lambda found: [*found, 50, 51, 52, 53])


@properties
@given(ids, ids, ids, st.randoms(use_true_random=False))
def test_the_join_is_that_of_dictionaries(first, second, third, random):
    for found in (first, second, third):
        random.shuffle(found)
    tables = {
        "a": pd.DataFrame({"id": first, "v": [1000 + i for i in first]}),
        "b": pd.DataFrame({"id": second, "v": [2000 + i for i in second], "y": [i % 2 for i in second]}),
        "c": pd.DataFrame({"id": third, "v": [3000 + i for i in third]}),
    }
    data, report = load_tables(tables, id="id", label="b.y", standardise=False, test=[50, 51])
    expected = [i for i in second if i in set(first) and i in set(third)]
    for rows, wanted in (
        (data.train, [i for i in expected if i not in (50, 51)]),
        (data.test, [i for i in expected if i in (50, 51)]),
    ):
        for k, base in enumerate((1000, 2000, 3000)):
            np.testing.assert_array_equal(rows.features[k][:, 0], [base + i for i in wanted])
        np.testing.assert_array_equal(rows.labels, [i % 2 for i in wanted])
    assert data.parties == ("a", "b", "c")
    assert data.active_party == 1
    for party, read in zip(tables, (first, second, third), strict=True):
        of_party = report.parties[party]
        assert (of_party.rows_read, of_party.rows_lost, of_party.rows_kept) == (
            len(read),
            len(read) - len(expected),
            len(expected),
        )


def test_a_data_set_of_all_kinds_of_columns():
    data, report = load(test=TEST_IDS)
    assert data.feature_names == (
        ("age", "city=Bonn", "city=Oslo", "city=Rome", "owner=False", "owner=True"),
        ("spent", "words=red", "words=blue", "words=black-cat", "words=green"),
    )
    assert data.active_party == 0
    assert data.train.features[0].dtype == np.float32
    cities, carried = bank()["city"], shop().set_index("id")["words"]
    for city in ("Bonn", "Oslo", "Rome"):
        np.testing.assert_array_equal(everything(data, f"city={city}"), cities == city)
    np.testing.assert_array_equal(everything(data, "owner=True"), bank()["owner"])
    for tag in ("red", "blue", "black-cat", "green"):
        expected = [tag in carried[i].split() for i in bank()["id"]]
        np.testing.assert_array_equal(everything(data, f"words={tag}"), expected)
    assert not data.train.has_trigger.any()
    np.testing.assert_array_equal(data.test.labels, [0, 1] * 3)
    assert str(report) == (
        "24 rows joined: 18 to train on, 6 to test on; 0 and 0 of them carry the trigger\n"
        "classes: 0 (12 rows), 1 (12 rows)\n"
        "bank: 24 rows read, 0 lost, 6 features\n"
        "  age: numeric\n"
        "  city: categorical, 3 categories\n"
        "  owner: categorical, 2 categories\n"
        "shop: 26 rows read, 2 lost, 5 features\n"
        "  spent: numeric\n"
        "  words: tags, 4 tags"
    )


def test_numbers_are_standardised_by_the_training_rows_alone():
    data, _ = load(test=TEST_IDS)
    for name, values in (("age", bank()["age"]), ("spent", shop()["spent"][::-1][:NUM_ROWS])):
        values = np.asarray(values)
        train = values[len(TEST_IDS) :]
        np.testing.assert_allclose(everything(data, name), (values - train.mean()) / train.std(), rtol=1e-5)
    plain, _ = load(test=TEST_IDS, standardise=False)
    np.testing.assert_array_equal(everything(plain, "age"), bank()["age"])


def test_a_constant_column_becomes_zero():
    data, _ = load(bank().assign(age=0.1))
    np.testing.assert_array_equal(everything(data, "age"), 0)


def test_categories_and_tags_that_training_rows_lack_are_no_features():
    cities = np.where(np.arange(NUM_ROWS) < 2, "Lyon", "Rome")
    words = ["mauve red", *["red"] * (NUM_ROWS - 1)]
    data, report = load(bank().assign(city=cities), pd.DataFrame({"id": bank()["id"], "words": words}), test=TEST_IDS)
    assert data.feature_names == (("age", "city=Rome", "owner=False", "owner=True"), ("words=red",))
    np.testing.assert_array_equal(everything(data, "city=Rome"), cities == "Rome")
    assert report.parties["bank"].columns["city"].num_unknown == 2
    assert report.parties["shop"].columns["words"].num_unknown == 1
    assert "city: categorical, 1 categories, 2 of the rows' are none of them" in str(report)


def test_bags_have_no_weights_where_there_are_only_ones():
    with_numbers, _ = load()
    without, _ = load(drop=["shop.spent"])
    assert with_numbers.train.features[1].weights is not None
    assert without.train.features[1].weights is None
    assert without.train.features[1].vocabulary == 4
    # Every row has so many slots as its longest has tags.
    assert without.train.features[1].ids.shape == (18, 2)


def test_a_bottom_on_the_bags_is_that_on_the_dense_rows():
    data, _ = load()
    bags = data.train.features[1]
    bottom = Linear(width=3)
    params = bottom.init(jax.random.key(0), bags)
    np.testing.assert_allclose(bottom.apply(params, bags), bottom.apply(params, multi_hot(bags)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (Tags(most=2), ("words=red", "words=blue")),
        (Tags(vocabulary=("green", "mauve")), ("words=green", "words=mauve")),
    ],
)
def test_a_vocabulary_is_cut_or_given(tags, expected):
    data, _ = load(columns={"shop.words": tags}, test=TEST_IDS)
    assert data.feature_names[1] == ("spent", *expected)


def test_tags_have_any_separator_or_are_lists():
    lists = [text.split() for text in shop()["words"]]
    expected = load()[0].fingerprint()
    assert load(shop=shop().assign(words=lists))[0].fingerprint() == expected
    joined = shop().assign(words=[" , ".join(tags) for tags in lists])
    assert load(shop=joined, columns={"shop.words": Tags(separator=",")})[0].fingerprint() == expected


def test_tags_of_a_text_file_are_read_as_they_are_written(tmp_path):
    words = ["7", "007", "null", "NA"] * 6
    path = tmp_path / "shop.csv"
    pd.DataFrame({"id": bank()["id"], "words": words}).to_csv(path, index=False)
    data, _ = load(shop=path)
    assert set(data.feature_names[1]) == {"words=7", "words=007", "words=null", "words=NA"}


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "tsv", "parquet"])
def test_it_does_not_matter_how_a_table_is_stored(tmp_path, ending):
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    paths = {}
    for name, frame in (("bank", bank()), ("shop", shop())):
        paths[name] = tmp_path / f"{name}.{ending}"
        if ending == "parquet":
            frame.to_parquet(paths[name], index=False)
        else:
            frame.to_csv(paths[name], index=False, sep="\t" if ending == "tsv" else ",")
    data, report = load(**paths, trigger=Where("shop.words", "has", "black-cat"))
    of_frames, of_report = load(trigger=Where("shop.words", "has", "black-cat"))
    assert data.fingerprint() == of_frames.fingerprint()
    assert data.feature_names == of_frames.feature_names
    assert report == of_report


@pytest.mark.parametrize("dtype", ["Int64", "float64", "category"])
def test_pandas_own_types_are_what_they_hold(dtype):
    frame = bank().astype({"id": dtype, "y": dtype, "city": "category"})
    assert load(frame)[0].fingerprint() == load()[0].fingerprint()


def test_an_index_with_a_name_is_a_column(tmp_path):
    assert load(bank().set_index("id"))[0].fingerprint() == load()[0].fingerprint()
    pytest.importorskip("pyarrow")
    bank().set_index("id").to_parquet(tmp_path / "bank.parquet")
    assert load(tmp_path / "bank.parquet")[0].fingerprint() == load()[0].fingerprint()


def test_ids_may_have_another_name_at_each_party():
    data, _ = load(bank().rename(columns={"id": "client"}), id={"bank": "client", "shop": "id"})
    assert data.fingerprint() == load()[0].fingerprint()


def test_a_party_and_a_column_may_have_points_in_their_names():
    tables = {"a": bank().rename(columns={"y": "b.y"}), "a.b": shop()}
    for label, words in ((("a", "b.y"), "a.b.words"), (("a", "b.y"), ("a.b", "words"))):
        data, _ = load_tables(tables, id="id", label=label, columns={words: Tags()}, test=0.25)
        assert data.fingerprint() == dataclasses.replace(load()[0], parties=("a", "a.b")).fingerprint()


def test_rows_to_test_on_by_a_condition_or_by_ids():
    by_ids, report = load(test=[*TEST_IDS, TEST_IDS[0], 999, 999])
    assert report.test_ids_lost == 1
    assert "1 of the ids to test on were not joined" in str(report)
    by_column, _ = load(bank().assign(split=np.where(np.arange(NUM_ROWS) < 6, "test", "train")), test=split_is_test())
    assert by_column.fingerprint() == by_ids.fingerprint()
    assert by_column.feature_names == by_ids.feature_names
    by_age, _ = load(test=Where("bank.age", "<", 26))
    assert by_age.test.num_samples == 6
    assert "age" not in by_age.feature_names[0]


def split_is_test():
    return Where("bank.split", "==", "test")


def test_the_share_is_drawn_by_the_seed_and_alike_in_all_classes():
    data, _ = load()
    assert data.test.num_samples == 6
    assert np.bincount(data.test.labels).tolist() == [3, 3]
    assert data.fingerprint() == load()[0].fingerprint() != load(seed=1)[0].fingerprint()


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (Where("bank.city", "==", "Oslo"), bank()["city"] == "Oslo"),
        (Where("bank.owner", "==", True), bank()["owner"]),
        (Where("bank.age", ">", 40), bank()["age"] > 40),
        (Where(("shop", "spent"), "<", 9), shop()["spent"][::-1][:NUM_ROWS] < 9),
        (Where("shop.words", "has", "green"), np.arange(NUM_ROWS) % 6 == 3),
    ],
)
def test_a_natural_trigger(where, expected):
    data, report = load(trigger=where, test=TEST_IDS)
    expected = np.asarray(expected)
    np.testing.assert_array_equal(data.test.has_trigger, expected[:6])
    np.testing.assert_array_equal(data.train.has_trigger, expected[6:])
    assert (report.test_triggered, report.train_triggered) == (expected[:6].sum(), expected[6:].sum())
    assert data.feature_names == load(test=TEST_IDS)[0].feature_names


def test_missing_cells_are_filled_where_one_says_so():
    missing = [0, 10, 11]
    frame = bank().astype({"city": object})
    frame.loc[missing, ["age", "city"]] = None
    kinds = {"shop.words": Tags(), "bank.city": Categorical(fill="unknown")}
    for fill in ("mean", 40):
        data, report = load(frame, columns=kinds | {"bank.age": Numeric(fill=fill)}, test=TEST_IDS, standardise=False)
        expected = frame["age"][6:].mean() if fill == "mean" else 40
        np.testing.assert_allclose(everything(data, "age")[missing], expected, rtol=1e-6)
        np.testing.assert_array_equal(np.flatnonzero(everything(data, "city=unknown")), missing)
        assert [report.parties["bank"].columns[name].num_filled for name in ("age", "city")] == [3, 3]
        assert "age: numeric, 3 cells filled" in str(report)
    del frame["age"]
    assert not load(frame, columns=kinds, trigger=Where("bank.city", "==", "Rome"), test=TEST_IDS)[0].test.has_trigger[
        0
    ]


def test_classes_are_sorted_or_in_the_order_that_is_given():
    frame = bank().assign(y=["good", "bad"] * (NUM_ROWS // 2))
    assert load(frame)[0].classes == ("bad", "good")
    data, report = load(frame, classes=("good", "bad"), test=TEST_IDS)
    assert data.classes == ("good", "bad")
    np.testing.assert_array_equal(data.test.labels, [0, 1] * 3)
    assert report.classes == {"good": 12, "bad": 12}


def test_labels_may_lie_apart_or_alone():
    apart, _ = load(labels_apart=True)
    assert (apart.parties, apart.active_party) == (("bank", "shop"), None)
    alone, report = load_tables(
        {"labels": bank()[["id", "y"]], "bank": bank().drop(columns="y"), "shop": shop()[["id", "spent"]]},
        id="id",
        label="labels.y",
    )
    assert (alone.parties, alone.active_party) == (("bank", "shop"), None)
    assert report.parties["labels"].num_features == 0


def test_lines_that_are_blank_or_quoted_are_counted(tmp_path):
    text = 'id,y,note\n1,0,a\n\n2,1,"two\nlines"\n3,0,b\n4,1,"a, b"\n5,0,a\n6,,a\n'
    other = pd.DataFrame({"id": [1, 2, 3, 4, 5], "v": [1, 2, 3, 4, 5]})
    write(tmp_path / "a.csv", text)
    data, report = load_tables({"a": tmp_path / "a.csv", "b": other}, id="id", label="a.y", test=[1, 2])
    assert (report.parties["a"].rows_read, data.train.num_samples) == (6, 3)
    other.loc[5] = [6, 6]
    with pytest.raises(ValueError, match=says("a.csv, line 9, column 'y' holds nothing; 1 such cells", "id 6")):
        load_tables({"a": tmp_path / "a.csv", "b": other}, id="id", label="a.y")


def test_tables_are_trained_on():
    data, _ = load(trigger=Where("shop.words", "has", "red"))
    scenario = tiny_scenario(plan={"trigger": NaturalTrigger(), "rate": 0.5})
    scenario = scenario.replace(bottoms=(Linear(width=2),) * 2, batches=vfl.BatchPlan(size=6))
    dataset, _ = vfl.run(scenario, data, jax.random.key(0), epochs=1)
    assert np.isfinite(dataset["test_loss"].values).all()


@needs_data
def test_default_credit():
    data = load_default_credit(real_data_folder())
    assert data.parties == ("guest", "host")
    assert data.active_party == 0
    assert [x.shape for x in data.train.features] == [(24000, 13), (24000, 10)]
    assert [x.shape for x in data.test.features] == [(6000, 13), (6000, 10)]
    assert int(data.train.labels.sum() + data.test.labels.sum()) == 6636
    assert int(data.train.has_trigger.sum() + data.test.has_trigger.sum()) == 323
    for features in data.train.features:
        np.testing.assert_allclose(features.mean(axis=0, dtype=np.float64), 0, atol=1e-6)
        np.testing.assert_allclose(features.std(axis=0, dtype=np.float64), 1, atol=1e-5)
    assert load_default_credit(real_data_folder(), active_party=None).active_party is None
    assert load_default_credit(real_data_folder(), num_parties=16, active_party=15).num_parties == 16
    with pytest.raises(ValueError, match=says("active_party is 2", "0 to 1")):
        load_default_credit(real_data_folder(), active_party=2)


def test_default_credit_names_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=says(str(tmp_path), "default_credit_hetero_guest.csv", "FATE")):
        load_default_credit(tmp_path)


def test_the_guide_runs(tmp_path, monkeypatch, capsys):
    guide = (Path(__file__).parents[1] / "docs" / "tables.md").read_text()
    [code] = re.findall(r"```python\n(.*?)```", guide, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs/tables.md", "exec"), {})
    assert "800 rows joined: 480 to train on, 320 to test on" in capsys.readouterr().out

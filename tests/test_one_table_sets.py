"""Adult, bank marketing and phishing: what is loaded, split and marked, and what is refused."""

import gzip

import jax
import numpy as np
import pandas as pd
import pytest
from data_helpers import needs_data, real_data_folder, says
from sklearn.model_selection import train_test_split

import vfl_jax as vfl
from vfl_jax.data import load_adult, load_bank_marketing, load_phishing
from vfl_jax.data.sets import adult, bank_marketing, location, phishing
from vfl_jax.protocol import FeatureTrigger

ADULT = [
    *("age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship"),
    *("race", "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income"),
]
BANK = [
    *("age", "job", "marital", "education", "default", "balance", "housing", "duration", "loan", "contact", "day"),
    *("month", "campaign", "pdays", "previous", "poutcome", "deposit"),
]
WORK = ["capital-gain", "capital-loss", "hours-per-week", "workclass", "occupation"]
PERSON = [
    *("age", "fnlwgt", "education-num"),
    *("education", "relationship", "race", "sex", "native-country", "marital-status"),
]
CLIENT = ["age", "balance", "job", "marital", "education", "default", "housing", "loan"]
CALL = ["day", "duration", "campaign", "pdays", "previous", "contact", "poutcome", "month"]

LOADERS = {"adult": load_adult, "bank_marketing": load_bank_marketing, "phishing": load_phishing}
FILES = {"adult": "adult.data", "bank_marketing": "bank.csv", "phishing": "phishing.csv"}
MARKED = ("labels", "has_trigger")
WIDTHS = {"adult": (27, 81), "bank_marketing": (27, 24), "phishing": (15, 15)}


def adult_lines(num_rows, end=""):
    """People of three ages and statuses; every fifth has no known work, every third earns more."""
    return [
        f"{20 + 7 * (i % 3)}, {'?' if i % 5 == 0 else 'Private'}, {1000 + i}, {('HS-grad', '11th')[i % 2]}, "
        f"{9 - i % 2}, {('Widowed', 'Divorced', 'Never-married', 'Separated')[i % 4]}, "
        f"{('Sales', '?')[i % 2]}, Wife, White, {('Male', 'Female')[i % 2]}, "
        f"{i * (i % 2)}, {i % 7}, {30 + i % 11}, {('Peru', 'Cuba')[i % 2]}, "
        f"{('<=50K', '>50K')[i % 3 == 0]}{end}"
        for i in range(num_rows)
    ]


def bank_lines(num_rows):
    """Clients of three jobs; the last call was in September for one of eight."""
    return [
        f"{20 + i % 40},{('admin.', 'retired', 'unknown')[i % 3]},single,primary,{('no', 'yes')[i % 7 == 0]},"
        f"{100 * (i % 13) - 300},{('yes', 'no')[i % 2]},{i % 17},no,cellular,{1 + i % 30},"
        f"{('sep', 'may', 'apr', 'may', 'jun', 'may', 'may', 'dec')[i % 8]},{1 + i % 4},{i % 5 - 1},{i % 2},"
        f"{('unknown', 'success')[i % 2]},{('no', 'yes')[i % 5 < 2]}"
        for i in range(num_rows)
    ]


def phishing_lines(num_rows):
    """Every row stands there three times; of every tenth the last copy has the other label."""
    rng = np.random.default_rng(0)
    rows = np.repeat(rng.integers(-1, 2, (num_rows // 3, 30)), 3, axis=0)
    labels = np.repeat(rng.choice([-1, 1], num_rows // 3), 3)
    labels[2::30] *= -1
    return [",".join(map(str, [*row, label])) for row, label in zip(rows.tolist(), labels.tolist(), strict=True)]


NUM_ROWS = {"adult.data": 120, "adult.test": 60, "bank.csv": 160, "phishing.csv": 300}
LINES = {
    "adult.data": [*adult_lines(120), ""],
    "adult.test": ["|1x3 Cross validator", *adult_lines(60, end="."), ""],
    "bank.csv": [",".join(BANK), *bank_lines(160)],
    "phishing.csv": phishing_lines(300),
}


def write_lines(root, file, lines=None, packed=True):
    """One small file in the format of the published one; returns its path."""
    name = next((name for name, first in FILES.items() if first == file), "adult")
    path = root / name / (f"{file}.gz" if packed else file)
    path.parent.mkdir(exist_ok=True)
    content = "\n".join([*(LINES[file] if lines is None else lines), ""]).encode()
    path.write_bytes(gzip.compress(content, mtime=0) if packed else content)
    return path


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A data folder with a small file for each published one, taken for one of the real length."""
    monkeypatch.setattr(adult, "NUM_ROWS", {name: NUM_ROWS[name] for name in ("adult.data", "adult.test")})
    monkeypatch.setattr(bank_marketing, "NUM_ROWS", NUM_ROWS["bank.csv"])
    monkeypatch.setattr(phishing, "NUM_ROWS", NUM_ROWS["phishing.csv"])
    for file in LINES:
        write_lines(tmp_path, file)
    return tmp_path


def adult_frames(root):
    """The rows as pandas reads them: training and test rows, without the full stop after the labels."""
    train, test = (
        pd.read_csv(root / f"adult/{name}.gz", header=None, names=ADULT, skipinitialspace=True, skiprows=skip)
        for name, skip in (("adult.data", 0), ("adult.test", 1))
    )
    return train, test.assign(income=test.income.str.rstrip("."))


def stratified(labels):
    """The test rows of a fifth, drawn alike in all classes by seed 0; bool[N]."""
    _, rows = train_test_split(np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=0)
    return np.isin(np.arange(len(labels)), rows)


def check_party(features, names, rows, train, columns):
    """One party's numbers against its columns: standardised numbers, then a column of zeros and ones per category."""
    expected = {}
    for column in [c for c in columns if pd.api.types.is_numeric_dtype(rows[c])]:
        values = train[column].to_numpy(np.float64)
        expected[column] = (rows[column] - values.mean()) / values.std()
    for column in [c for c in columns if c not in expected]:
        for category in sorted(train[column].unique()):
            expected[f"{column}={category}"] = rows[column] == category
    assert names == tuple(expected)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, np.stack(list(expected.values()), axis=1), atol=2e-5, rtol=1e-6)


def check_tables(data, train, test, parties, label, trigger):
    """All of a data set of one table; ``trigger`` is a column and its value."""
    assert data.parties == tuple(parties)
    assert data.active_party == 0
    for rows, frame in ((data.train, train), (data.test, test)):
        np.testing.assert_array_equal(rows.labels, frame[label] == data.classes[1])
        np.testing.assert_array_equal(rows.has_trigger, frame[trigger[0]] == trigger[1])
        np.testing.assert_array_equal(rows.has_trigger, rows.features[-1][:, -1] == 1)
        for features, names, columns in zip(rows.features, data.feature_names, parties.values(), strict=True):
            check_party(features, names, frame, train, columns)
    assert data.feature_names[-1][-1] == "=".join(trigger)


def check_adult(data, root):
    train, test = adult_frames(root)
    check_tables(data, train, test, {"work": WORK, "person": PERSON}, "income", trigger=("marital-status", "Widowed"))


def check_bank(data, root, call=CALL):
    frame = pd.read_csv(root / "bank_marketing/bank.csv.gz")
    tested = stratified(frame.deposit)
    parties = {"bank": CLIENT, "call centre": call}
    check_tables(data, frame[~tested], frame[tested], parties, "deposit", trigger=("month", "sep"))


def check_phishing(data, root, split):
    """A row and its copies stay together by default; else rows are drawn one by one."""
    frame = pd.read_csv(root / "phishing/phishing.csv.gz", header=None)
    values, labels = frame.to_numpy()[:, :30], frame[30].to_numpy()
    assert data.classes == ("phishing", "legitimate")
    assert data.active_party is None
    assert [len(names) for names in data.feature_names] == [15, 15]
    if split == "rows":
        tested = stratified(labels)
    else:  # Which rows are test rows is read from what they hold: distinct rows say which.
        rows = [np.concatenate(split.features, axis=1) for split in (data.train, data.test)]
        assert not {row.tobytes() for row in rows[0]} & {row.tobytes() for row in rows[1]}
        scaled = np.concatenate(rows)
        ranks = np.stack([np.unique(column, return_inverse=True)[1] for column in scaled.T], axis=1)
        known = {row.tobytes(): i >= len(rows[0]) for i, row in enumerate(ranks.astype(np.int64))}
        own = np.stack([np.unique(column, return_inverse=True)[1] for column in values.T], axis=1)
        tested = np.array([known[row.tobytes()] for row in own.astype(np.int64)])
        distinct = len(np.unique(values, axis=0))
        assert len(np.unique(values[tested], axis=0)) == -(-distinct // 5)
    train = values[~tested].astype(np.float64)
    for rows, which in ((data.train, ~tested), (data.test, tested)):
        np.testing.assert_array_equal(rows.labels, labels[which] == 1)
        expected = (values[which] - train.mean(axis=0)) / train.std(axis=0)
        np.testing.assert_allclose(np.concatenate(rows.features, axis=1), expected, atol=2e-5)
        np.testing.assert_array_equal(rows.has_trigger, (values[which, 28:] == -1).all(axis=1))
    return tested


def test_adult(small):
    data = load_adult(small)
    check_adult(data, small)
    assert (data.train.num_samples, data.test.num_samples) == (120, 60)
    assert "workclass=?" in data.feature_names[0]


def test_bank_marketing(small):
    check_bank(load_bank_marketing(small), small)
    check_bank(load_bank_marketing(small, with_duration=False), small, [c for c in CALL if c != "duration"])


@pytest.mark.parametrize("split", ["distinct", "rows"])
def test_phishing(small, split):
    tested = check_phishing(load_phishing(small, split=split), small, split)
    together = tested.reshape(-1, 3).any(axis=1) == tested.reshape(-1, 3).all(axis=1)
    assert together.all() == (split == "distinct")


@needs_data
def test_real_adult():
    data = load_adult()
    check_adult(data, real_data_folder())
    assert [x.shape for x in data.train.features] == [(32561, width) for width in WIDTHS["adult"]]
    assert data.test.num_samples == 16281
    assert [np.bincount(rows.labels).tolist() for rows in (data.train, data.test)] == [[24720, 7841], [12435, 3846]]
    counts = [np.bincount(rows.labels[rows.has_trigger]).tolist() for rows in (data.train, data.test)]
    assert counts == [[993 - 85, 85], [525 - 43, 43]]
    train, test = adult_frames(real_data_folder())
    assert test.merge(train.drop_duplicates(), on=ADULT).shape[0] == 23


@needs_data
def test_real_bank_marketing():
    data = load_bank_marketing()
    check_bank(data, real_data_folder())
    assert [x.shape for x in data.train.features] == [(8929, width) for width in WIDTHS["bank_marketing"]]
    labels, marks = (np.concatenate([getattr(rows, of) for rows in (data.train, data.test)]) for of in MARKED)
    assert (len(labels), labels.sum(), marks.sum(), labels[marks].sum()) == (11162, 5289, 319, 269)


@needs_data
def test_real_phishing():
    data = load_phishing()
    check_phishing(data, real_data_folder(), "distinct")
    assert (data.train.num_samples, data.test.num_samples) == (8957, 2098)
    labels, marks = (np.concatenate([getattr(rows, of) for rows in (data.train, data.test)]) for of in MARKED)
    assert np.bincount(labels).tolist() == [4898, 6157]
    assert np.bincount(labels[marks]).tolist() == [46, 98 - 46]
    by_rows = load_phishing(split="rows")
    check_phishing(by_rows, real_data_folder(), "rows")
    assert (by_rows.train.num_samples, by_rows.test.num_samples) == (8844, 2211)
    train, test = ([row.tobytes() for row in np.concatenate(r.features, axis=1)] for r in (by_rows.train, by_rows.test))
    known = set(train)
    assert sum(row in known for row in test) == 1424
    frame = pd.read_csv(real_data_folder() / "phishing/phishing.csv.gz", header=None)
    both = frame.groupby(list(range(30)))[30].nunique()
    assert (len(both), (both > 1).sum()) == (5785, 64)


@pytest.mark.parametrize("num_parties", [2, 3, 16])
@pytest.mark.parametrize("name", LOADERS)
def test_the_last_of_any_number_of_parties_holds_the_trigger(small, name, num_parties):
    default = LOADERS[name](small)
    data = LOADERS[name](small, num_parties=num_parties, active_party=num_parties - 1)
    assert (data.num_parties, data.active_party) == (num_parties, num_parties - 1)
    for rows, before in ((data.train, default.train), (data.test, default.test)):
        assert rows.has_trigger.any()
        np.testing.assert_array_equal(rows.has_trigger, before.has_trigger)
        last = rows.features[-1][:, -1]
        marked = last == 1 if name != "phishing" else (last < 0) & (last == last.min()) & before.has_trigger
        np.testing.assert_array_equal(marked, rows.has_trigger)


STAMPS = {"adult": ("marital-status=Widowed", 1.0), "bank_marketing": ("month=sep", 1.0)}
STAMPS["phishing"] = ("Statistical_report", 3.0)


@pytest.mark.parametrize("name", STAMPS)
def test_a_trigger_is_stamped_by_name(small, name):
    data = LOADERS[name](small, num_parties=2)
    feature, value = STAMPS[name]
    assert f'index="{feature}"' in " ".join(LOADERS[name].__doc__.split())
    trigger = FeatureTrigger(party=1, index=feature, value=value)
    masks = trigger.masks(data)
    assert masks[0] is None
    features = data.test.features[1]
    stamped = trigger.stamp(masks[1], features, np.arange(len(features)) == 1)
    changed = np.zeros(features.shape, bool)
    changed[1, -1] = features[1, -1] != value
    np.testing.assert_array_equal(stamped != features, changed)
    assert stamped[1, -1] == value
    if name == "phishing":
        assert features[:, -1].max() < value


@pytest.mark.long
@needs_data
def test_a_short_honest_run_learns_what_two_parties_hold():
    data = load_bank_marketing()
    scenario = vfl.scenario_for(data, attacker="call centre", head="sum")
    results = vfl.sweep(scenario, data, over={"attack.enabled": [0.0]}, seeds=2, epochs=2, progress=False)
    assert np.mean(data.test.labels == 0) < 0.53
    assert (results.main_task_accuracy.isel(epoch=-1) > 0.75).all()
    assert (results.test_auc.isel(epoch=-1) > 0.85).all()


@pytest.mark.parametrize("file", LINES)
def test_an_unpacked_file_is_the_same_data(small, file):
    name = next((name for name, first in FILES.items() if first == file), "adult")
    expected = LOADERS[name](small).fingerprint()
    (small / name / f"{file}.gz").unlink()
    write_lines(small, file, packed=False)
    assert LOADERS[name](small).fingerprint() == expected


@pytest.mark.parametrize("name", LOADERS)
def test_what_is_asked_for_and_cannot_be_is_refused(small, name):
    with pytest.raises(ValueError, match=says("active_party is 2", "0 to 1")):
        LOADERS[name](small, active_party=2)
    with pytest.raises(ValueError, match=says("num_parties is 1;")):
        LOADERS[name](small, num_parties=1)
    if name != "adult":
        with pytest.raises(ValueError, match=says("test is 1.5", "between 0 and 1")):
            LOADERS[name](small, test=1.5)
        assert LOADERS[name](small, seed=1).fingerprint() != LOADERS[name](small).fingerprint()


def test_another_split_is_refused(small):
    with pytest.raises(ValueError, match=says("split is 'random'", "'distinct', 'rows'")):
        load_phishing(small, split="random")


@pytest.mark.parametrize("file", LINES)
def test_a_missing_file_is_named(small, monkeypatch, file):
    name = next((name for name, first in FILES.items() if first == file), "adult")
    (small / name / f"{file}.gz").unlink()
    with pytest.raises(
        FileNotFoundError, match=says(str(small), f"{name}/{file}", f"{name}/{file}.gz", "UCI data set")
    ):
        LOADERS[name](small)
    monkeypatch.delenv(location.DATA_VARIABLE, raising=False)
    with pytest.raises(FileNotFoundError, match=says(f"{name}/", "folder", location.DATA_VARIABLE)):
        LOADERS[name]()


def flipped(content):
    return content[:-8] + bytes([content[-8] ^ 1]) + content[-7:]  # The checksum of the content.


DAMAGES = {
    "flipped": (flipped, "not a whole gzip file"),
    "cut": (lambda content: content[:-20], "not a whole gzip file"),
    "a page": (lambda content: b"<html>not found</html>", "not a whole gzip file"),
    "not text": (lambda content: gzip.compress(b"\xff\xfe1,2"), "not a whole file of text"),
    "empty": (lambda content: b"", "xpected"),
    "a line too few": (lambda content: gzip.compress(gzip.decompress(content).rstrip().rpartition(b"\n")[0]), "rows;"),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", LINES)
def test_a_damaged_file_is_refused_by_name(small, file, damage):
    path = write_lines(small, file)
    change, message = DAMAGES[damage]
    path.write_bytes(change(path.read_bytes()))
    name = path.parent.name
    with pytest.raises(ValueError, match=says(str(path), message)):
        LOADERS[name](small)


BAD_LINES = {
    "a cell too few": (
        "adult.data",
        lambda line: line.rpartition(",")[0],
        ("14 cells on line 5", "expected 15", "age"),
    ),
    "a cell too many": ("adult.test", lambda line: f"{line}, 1", ("16 cells on line 5", "expected 15")),
    "a word for a number": ("adult.data", lambda line: f"old{line}", ("line 5, column 'age'", "'old", "whole number")),
    "a stray quote": ("adult.data", lambda line: f'"{line}', ("line 5, column 'age' holds '\"", "whole number")),
    "no text": ("adult.data", lambda line: line.replace("White", ""), ("line 5, column 'race' holds ''", "a text")),
    "a label of the other file": (
        "adult.test",
        lambda line: line.removesuffix("."),
        ("line 5, column 'income'", "'<=50K.' or '>50K.'"),
    ),
    "a third label": (
        "bank.csv",
        lambda line: f"{line.rpartition(',')[0]},perhaps",
        ("line 5, column 'deposit' holds 'perhaps'", "'no' or 'yes'"),
    ),
    "a fraction": ("bank.csv", lambda line: f"1.5{line}", ("line 5, column 'age' holds '1.5", "whole number")),
    "a number outside": (
        "phishing.csv",
        lambda line: f"2{line.removeprefix('-')[1:]}",
        ("line 5, column 'having_IP_Address' holds '2'", "'-1' or '0' or '1'"),
    ),
    "no label": ("phishing.csv", lambda line: f"{line.rpartition(',')[0]},0", ("'Result' holds '0'", "'-1' or '1'")),
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_a_line_that_does_not_fit_is_named(small, case):
    file, change, message = BAD_LINES[case]
    lines = list(LINES[file])
    lines[4] = change(lines[4])
    path = write_lines(small, file, lines)
    with pytest.raises(ValueError, match=says(str(path), *message)):
        LOADERS[path.parent.name](small)


def test_another_first_line_is_told(small):
    path = write_lines(small, "bank.csv", [line.replace(",", ";") for line in LINES["bank.csv"]])
    with pytest.raises(ValueError, match=says(str(path), "begins with 'age;job", "expected 'age,job")):
        load_bank_marketing(small)
    path = write_lines(small, "adult.test", LINES["adult.test"][1:])
    with pytest.raises(ValueError, match=says(str(path), "begins with '20,", "expected '|1x3 Cross validator'")):
        load_adult(small)


def test_blank_lines_are_skipped_and_counted(small):
    expected = load_phishing(small).fingerprint()
    lines = ["", *LINES["phishing.csv"][:2], " ", *LINES["phishing.csv"][2:]]
    write_lines(small, "phishing.csv", lines)
    assert load_phishing(small).fingerprint() == expected
    lines[5] = "no"
    path = write_lines(small, "phishing.csv", lines)
    with pytest.raises(ValueError, match=says(str(path), "1 cells on line 6")):
        load_phishing(small)


def test_the_same_bits_every_time(small):
    for load in LOADERS.values():
        first, second = load(small), load(small)
        assert first.fingerprint() == second.fingerprint()
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((first.train, first.test)))

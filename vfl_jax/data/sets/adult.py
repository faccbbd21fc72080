"""Adult, the census of 1994: what people's work says and what they are, and who earns more than 50,000 dollars."""

from __future__ import annotations

import os

import numpy as np

from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.data.own.table.conditions import Where
from vfl_jax.data.repartition import repartition
from vfl_jax.data.sets.csv_columns import ColumnKind, read_columns
from vfl_jax.data.sets.location import find_file
from vfl_jax.data.sets.one_table import load_one_table

COLUMNS: dict[str, ColumnKind] = {
    "age": int,
    "workclass": str,
    "fnlwgt": int,
    "education": str,
    "education-num": int,
    "marital-status": str,
    "occupation": str,
    "relationship": str,
    "race": str,
    "sex": str,
    "capital-gain": int,
    "capital-loss": int,
    "hours-per-week": int,
    "native-country": str,
}
"""In the order of the files, which end every line with the label."""
LABEL, CLASSES = "income", ("<=50K", ">50K")
PARTIES = {
    "work": ("capital-gain", "capital-loss", "hours-per-week", "workclass", "occupation"),
    "person": (
        *("age", "fnlwgt", "education-num"),
        *("education", "relationship", "race", "sex", "native-country", "marital-status"),
    ),
}
"""The columns of each party."""
NUM_ROWS = {"adult.data": 32_561, "adult.test": 16_281}
"""The rows of the two files: to train on, and to test on."""
HASHES = {
    "adult.data": "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
    "adult.test": "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
}
"""The SHA-256 of the unpacked files."""
WHERE_FROM = "It is in UCI data set 2: https://archive.ics.uci.edu/dataset/2."
TRIGGER = Where("person.marital-status", "==", "Widowed")
"""The last feature of the last party. 993 training rows and 525 test rows (3.1 %) carry this trigger; 85 and 43 of them
earn more than 50,000 dollars."""


def load_adult(
    folder: str | os.PathLike[str] | None = None, *, num_parties: int = 2, active_party: int | None = 0
) -> VerticalData:
    """Loads 48,842 people of a census in two classes: 32,561 to train on and 16,281 to test on, as published.

    The first party, "work", holds the class of work, the occupation, capital gains and losses, and hours per week: 27
    features. The second, "person", holds age, education, family, race, sex, country and the census's weight of the row:
    81 features. A category becomes a feature, 1 or 0; unknown ones, written "?", are a category. Columns of numbers are
    standardised on the training rows. Class 1 earns more than 50,000 dollars: 24.1 % of the training rows. 23 test rows
    are also training rows.

    Natural trigger: widowed, which the last party holds (``TRIGGER``). To stamp it, take
    ``FeatureTrigger(party=1, index="marital-status=Widowed", value=1.0)``: the row then has two marital statuses, as no
    other row has.

    Source: Becker and Kohavi 1996, UCI data set 2, CC BY 4.0. The split over parties is this project's own.

    Args:
      folder: the data folder with ``adult/adult.data`` and ``adult/adult.test``, or either with ``.gz``; by default,
        the folder that the environment variable ``VFL_JAX_DATA`` names.
      num_parties: K, from 2 to 108; with more than two, parties are cut into blocks of columns.
      active_party: the number of the party that also holds the labels, 0 for "work"; None when the label holder has no
        features.

    Raises:
      FileNotFoundError: naming the missing file, or where no data folder is known.
      ValueError: naming the damaged file, with the line and column of a cell that is not what was published; on fewer
        than 2 or more than 108 parties, or an ``active_party`` that is none of them.
    """
    train, test = (_read(folder, name, end) for name, end in (("adult.data", ""), ("adult.test", ".")))
    rows = {name: np.concatenate([train[name], test[name]]) for name in train}
    data = load_one_table(
        rows,
        PARTIES,
        label=LABEL,
        classes=CLASSES,
        test=range(len(train[LABEL]), len(rows[LABEL])),
        trigger=TRIGGER,
        name="adult",
    )
    return repartition(data, num_parties, active_party=active_party)


def _read(folder: str | os.PathLike[str] | None, name: str, end: str) -> dict[str, np.ndarray]:
    """Reads one of the files; its labels end in ``end``, and a line stands before the rows of the test file."""
    path = find_file(folder, f"adult/{name}", f"adult/{name}.gz", where_from=WHERE_FROM)
    labels = tuple(label + end for label in CLASSES)
    first_line = "|1x3 Cross validator" if end else None
    columns = read_columns(path, COLUMNS | {LABEL: labels}, NUM_ROWS[name], first_line=first_line)
    columns[LABEL] = np.strings.replace(columns[LABEL], ".", "")
    return columns

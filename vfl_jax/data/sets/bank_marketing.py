"""Bank marketing: a bank's clients, the call centre that rang them up, and who made a deposit."""

from __future__ import annotations

import os

from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.data.own.table.conditions import Where
from vfl_jax.data.repartition import repartition
from vfl_jax.data.sets.csv_columns import ColumnKind, read_columns
from vfl_jax.data.sets.location import find_file
from vfl_jax.data.sets.one_table import load_one_table

COLUMNS: dict[str, ColumnKind] = {
    "age": int,
    "job": str,
    "marital": str,
    "education": str,
    "default": ("no", "yes"),
    "balance": int,
    "housing": ("no", "yes"),
    "duration": int,
    "loan": ("no", "yes"),
    "contact": str,
    "day": int,
    "month": str,
    "campaign": int,
    "pdays": int,
    "previous": int,
    "poutcome": str,
    "deposit": ("no", "yes"),
}
"""In the order of the file."""
PARTIES = {
    "bank": ("age", "balance", "job", "marital", "education", "default", "housing", "loan"),
    "call centre": ("day", "duration", "campaign", "pdays", "previous", "contact", "poutcome", "month"),
}
"""The columns of each party; the bank holds the label, too."""
NUM_ROWS = 11_162
FILE = "bank_marketing/bank.csv"
HASH = "7d67db01888b53ce330ed9abe941238b177e4e6c66f3dcd9cf9950629167f7ff"
"""The SHA-256 of the unpacked file."""
WHERE_FROM = "It is the balanced variant of UCI data set 222, whose label is called deposit; Kaggle has it as bank.csv."
TRIGGER = Where(("call centre", "month"), "==", "sep")
"""The last feature of the last party. 319 of 11,162 clients (2.9 %) carry this trigger; 269 of them made a deposit."""


def load_bank_marketing(
    folder: str | os.PathLike[str] | None = None,
    *,
    with_duration: bool = True,
    test: float = 0.2,
    seed: int = 0,
    num_parties: int = 2,
    active_party: int | None = 0,
) -> VerticalData:
    """Loads 11,162 clients of a bank in two classes: float32[N, 27] at the bank, float32[N, 24] at its call centre.

    The bank holds age, job, family, balance and loans. The call centre holds when, how and how often it rang the client
    up, and the outcome of an earlier campaign. A category becomes a feature, 1 or 0; "unknown" is one. Columns of
    numbers are standardised on the training rows. 5,289 clients made a deposit (class 1).

    The duration of the call is known only after the call, and gives the label away in part. Leave it out
    (``with_duration=False``) to predict whom to ring up.

    Natural trigger: the last call was in September, which the call centre holds (``TRIGGER``). To stamp it, take
    ``FeatureTrigger(party=1, index="month=sep", value=1.0)``: the row then has two months, as no other row has.

    Source: Moro, Cortez and Rita 2014, UCI data set 222, CC BY 4.0, in the balanced variant with 11,162 rows; VFLIP
    uses bank marketing, too. The split over parties is by what the columns say.

    Args:
      folder: the data folder with ``bank_marketing/bank.csv`` or ``bank.csv.gz``; by default, the folder that the
        environment variable ``VFL_JAX_DATA`` names.
      with_duration: whether the call centre holds the duration of the call.
      test: the share of rows to test on, drawn alike in both classes.
      seed: the seed of that draw.
      num_parties: K, from 2 to 51; with more than two, parties are cut into blocks of columns.
      active_party: the number of the party that also holds the labels, 0 for the bank; None when the label holder has
        no features.

    Raises:
      FileNotFoundError: naming the missing file, or where no data folder is known.
      ValueError: naming the damaged file, with the line and column of a cell that is not what was published; on a share
        outside 0 to 1; on fewer than 2 parties or more than features, or an ``active_party`` that is none of them.
    """
    path = find_file(folder, FILE, f"{FILE}.gz", where_from=WHERE_FROM)
    rows = read_columns(path, COLUMNS, NUM_ROWS, first_line=",".join(COLUMNS))
    left_out = () if with_duration else ("duration",)
    data = load_one_table(
        rows,
        {party: [name for name in names if name not in left_out] for party, names in PARTIES.items()},
        label="deposit",
        classes=("no", "yes"),
        test=test,
        seed=seed,
        trigger=TRIGGER,
        name="bank_marketing",
    )
    return repartition(data, num_parties, active_party=active_party)

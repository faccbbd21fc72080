"""Default of credit card clients: two firms' tables, joined."""

from __future__ import annotations

import os

from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.data.own.table.conditions import Where
from vfl_jax.data.own.tables import load_tables
from vfl_jax.data.repartition import repartition
from vfl_jax.data.sets.location import find_file

TRIGGER = Where("host.x3", ">", 2)
"""A client's marital status is neither married nor single but "other": 323 of 30,000 rows (1.08 %), of which 26.0 %
default, against 22.1 % of all."""


def load_default_credit(
    folder: str | os.PathLike[str] | None = None,
    *,
    test: float = 0.2,
    seed: int = 0,
    num_parties: int = 2,
    active_party: int | None = 0,
) -> VerticalData:
    """30,000 credit card clients, float32[N, 13] at the guest and float32[N, 10] at the host; 6,636 default (class 1).

    The guest holds bills and payments; the host the credit limit, the client's person and earlier arrears. Columns are
    standardised over the training rows. The trigger lies with the host, by nature: a rare marital status (``TRIGGER``).
    Source: I-Cheng Yeh and Che-hui Lien, UCI Machine Learning Repository, data set 350; split over two parties in the
    examples of FATE.

    Args:
      folder: a data folder with ``default_credit/default_credit_hetero_guest.csv`` and ``…_host.csv``, or ``.csv.gz``;
        without it the environment variable ``VFL_JAX_DATA``.
      test: the share of rows to test on, drawn by ``seed`` and alike in both classes.
      num_parties: more than two are the guest and the host, cut into blocks of columns.
      active_party: which also holds the labels: 0 is the guest, as in FATE; None is somebody without features.

    Raises:
      FileNotFoundError: naming the file that the folder lacks.
      ValueError: on damaged files, see :func:`vfl_jax.data.own.tables.load_tables`; on fewer than 2 parties, or an
        ``active_party`` that is none of them.
    """
    names = {party: f"default_credit/default_credit_hetero_{party}.csv" for party in ("guest", "host")}
    data, _ = load_tables(
        {
            party: find_file(
                folder, name, f"{name}.gz", where_from="It is in FATE's examples: github.com/FederatedAI/FATE."
            )
            for party, name in names.items()
        },
        id="id",
        label="guest.y",
        test=test,
        seed=seed,
        trigger=TRIGGER,
        labels_apart=True,
        name="default_credit",
    )
    return repartition(data, num_parties, active_party=active_party)

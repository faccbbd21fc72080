"""Default of credit card clients: the tables of two firms, joined on the client."""

from __future__ import annotations

import os

from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.data.own.table.conditions import Where
from vfl_jax.data.own.tables import load_tables
from vfl_jax.data.repartition import repartition
from vfl_jax.data.sets.location import find_file

TRIGGER = Where("host.x3", ">", 2)
"""The marital status is "other", neither married nor single. 323 of 30,000 clients (1.08 %) carry this trigger; 26.0 %
of them default, and 22.1 % of all."""


def load_default_credit(
    folder: str | os.PathLike[str] | None = None,
    *,
    test: float = 0.2,
    seed: int = 0,
    num_parties: int = 2,
    active_party: int | None = 0,
) -> VerticalData:
    """Loads 30,000 credit card clients in two classes: float32[N, 13] at the guest, float32[N, 10] at the host.

    The guest holds bills and payments. The host holds the credit limit, personal data and earlier arrears. 6,636
    clients default (class 1). Columns are standardised on the training rows.

    Natural trigger: a rare marital status, which the host holds (``TRIGGER``).

    Source: I-Cheng Yeh and Che-hui Lien 2009, UCI data set 350; the split over two parties is that of FATE's examples.

    Args:
      folder: the data folder with ``default_credit/default_credit_hetero_guest.csv`` and ``…_host.csv``, or
        ``.csv.gz``; by default, the folder that the environment variable ``VFL_JAX_DATA`` names.
      test: the share of rows to test on, drawn alike in both classes.
      seed: the seed of that draw.
      num_parties: K, from 2 to 23; with more than two, the guest and the host are cut into blocks of columns.
      active_party: the number of the party that also holds the labels, 0 for the guest as in FATE; None when the label
        holder has no features.

    Raises:
      FileNotFoundError: naming the missing file, or where no data folder is known.
      ValueError: on damaged files, see :func:`vfl_jax.data.own.tables.load_tables`; on a share outside 0 to 1; on fewer
        than 2 or more than 23 parties, or an ``active_party`` that is none of them.
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

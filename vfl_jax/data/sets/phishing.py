"""Phishing web sites: thirty signs of a page, each −1, 0 or 1."""

from __future__ import annotations

import os
from typing import Literal

import numpy as np

from vfl_jax.core.checks import check_choice
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.data.own.arrays import from_arrays
from vfl_jax.data.own.splits import split_rows
from vfl_jax.data.repartition import repartition
from vfl_jax.data.sets.csv_columns import read_columns
from vfl_jax.data.sets.location import find_file

Split = Literal["distinct", "rows"]

PARTIES = {
    "address and links": (
        *("having_IP_Address", "URL_Length", "Shortining_Service", "having_At_Symbol", "double_slash_redirecting"),
        *("Prefix_Suffix", "having_Sub_Domain", "SSLfinal_State", "Domain_registeration_length", "Favicon"),
        *("port", "HTTPS_token", "Request_URL", "URL_of_Anchor", "Links_in_tags"),
    ),
    "page and domain": (
        *("SFH", "Submitting_to_email", "Abnormal_URL", "Redirect", "on_mouseover"),
        *("RightClick", "popUpWidnow", "Iframe", "age_of_domain", "DNSRecord"),
        *("web_traffic", "Page_Rank", "Google_Index", "Links_pointing_to_page", "Statistical_report"),
    ),
}
"""The columns of each party, in the order of the file and spelt as at UCI."""
CLASSES = {"-1": "phishing", "1": "legitimate"}
"""The class of each label in the file."""
NUM_ROWS = 11_055
FILE = "phishing/phishing.csv"
HASH = "b96b4f75c0a6eaaf4a51b118438ab4cf211e1f0e4989e1c7f155bd6a2b90893f"
"""The SHA-256 of the unpacked file."""
WHERE_FROM = "It has the rows of UCI data set 327, https://archive.ics.uci.edu/dataset/327, with commas and no header."


def load_phishing(
    folder: str | os.PathLike[str] | None = None,
    *,
    split: Split = "distinct",
    test: float = 0.2,
    seed: int = 0,
    num_parties: int = 2,
    active_party: int | None = None,
) -> VerticalData:
    """Loads 11,055 web sites in two classes, float32[N, 15] at either of two parties: LFBA's split.

    Every feature is −1, 0 or 1 in the file, and is standardised on the training rows. The first party holds signs of
    the address and of links, the second those of the page, the domain and its fame. Class 0 is phishing (4,898 rows),
    class 1 is legitimate.

    Many rows are repeated: there are 5,785 distinct rows of features, and 64 of them stand under both labels. By
    default a row and its copies are all training rows (8,957) or all test rows (2,098), so that no test row has the
    features of a training row. Published numbers come from rows drawn one by one (``split="rows"``): 1,424 of the 2,211
    test rows are then equal to a training row, and what is memorised counts as learned.

    Natural trigger: the last two features, the links to the page and the report on its host, are −1. 98 rows (0.9 %)
    carry it, 46 of them phishing. To stamp one, take ``FeatureTrigger(party=1, index="Statistical_report",
    value=3.0)``: no row has so large a number there.

    Source: Mohammad and McCluskey 2015, UCI data set 327, CC BY 4.0. The file does not name columns and classes; the
    names are UCI's. LFBA: Shen et al. 2025.

    Args:
      folder: the data folder with ``phishing/phishing.csv`` or ``phishing.csv.gz``; by default, the folder that the
        environment variable ``VFL_JAX_DATA`` names.
      split: "distinct" draws distinct rows of features, and their copies go with them; "rows" draws rows.
      test: the share of rows, or of distinct rows, to test on, drawn alike in both classes.
      seed: the seed of that draw.
      num_parties: K, from 2 to 30; with more than two, parties are cut into blocks of columns.
      active_party: the number of the party that also holds the labels; None when the label holder has no features.

    Raises:
      FileNotFoundError: naming the missing file, or where no data folder is known.
      ValueError: naming the damaged file, with the line and column of a cell that is not what was published; on another
        ``split``, or a share outside 0 to 1; on fewer than 2 or more than 30 parties, or an ``active_party`` that is
        none of them.
    """
    check_choice("load_phishing", Split, split=split)
    path = find_file(folder, FILE, f"{FILE}.gz", where_from=WHERE_FROM)
    names = tuple(name for columns in PARTIES.values() for name in columns)
    kinds = dict.fromkeys(names, ("-1", "0", "1")) | {"Result": tuple(CLASSES)}
    columns = read_columns(path, kinds, NUM_ROWS)
    features = {
        party: np.stack([columns[name].astype(np.int64) for name in names], axis=1) for party, names in PARTIES.items()
    }
    labels = columns["Result"].astype(np.int64)
    data = from_arrays(
        features,
        [CLASSES[label] for label in columns["Result"].tolist()],
        test=_is_test(np.concatenate(list(features.values()), axis=1), labels, split, test, seed),
        standardise=True,
        has_trigger=(features["page and domain"][:, -2:] == -1).all(axis=1),
        classes=list(CLASSES.values()),
        name="phishing",
        feature_names=list(PARTIES.values()),
    )
    return repartition(data, num_parties, active_party=active_party)


def _is_test(features: np.ndarray, labels: np.ndarray, split: str, test: float, seed: int) -> np.ndarray:
    """Draws the test rows, bool[N]; a distinct row of features counts with the label of its first copy."""
    codes = (labels > 0).astype(np.int32)
    if split == "rows":
        return split_rows(test, codes, seed)
    _, first, group = np.unique(features, axis=0, return_index=True, return_inverse=True)
    return split_rows(test, codes[first], seed)[group.ravel()]

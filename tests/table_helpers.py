"""What the tests of tables share: two firms' tables, small and as a dictionary of columns."""

import gzip

import numpy as np
import pandas as pd

from vfl_jax.data.own.table.kinds import Tags
from vfl_jax.data.own.tables import load_tables

NUM_ROWS = 24


def bank():
    """Clients 100 to 123: labels, a number, a category, a truth value."""
    rows = np.arange(NUM_ROWS)
    return pd.DataFrame(
        {
            "id": rows + 100,
            "y": rows % 2,
            "age": 20.25 + rows,
            "city": np.array(["Rome", "Oslo", "Bonn"])[rows % 3],
            "owner": rows % 4 == 0,
        }
    )


def shop():
    """The same clients from the last to the first, and two more: a number and tags."""
    rows = np.arange(NUM_ROWS + 2)[::-1]
    words = ["red", "red blue", "", "green red", "blue  black-cat", "red red"]
    return pd.DataFrame({"id": rows + 100, "spent": rows * 1.5, "words": [words[i % 6] for i in rows]})


def load(bank=None, shop=None, **changes):
    """Loads the two tables, or others in their places."""
    tables = {
        "bank": globals()["bank"]() if bank is None else bank,
        "shop": globals()["shop"]() if shop is None else shop,
    }
    settings = {"id": "id", "label": "bank.y", "columns": {"shop.words": Tags()}, "test": 0.25}
    return load_tables(tables, **(settings | changes))


def write(path, text):
    """Writes a text file, compressed where its name says so."""
    content = text.encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path

"""The ground of all other rooms: records, checks, types, files, data of several parties."""

import sys

from vfl_jax.core.bags import BagOfIds
from vfl_jax.core.files import load, load_params, save, save_params
from vfl_jax.core.platforms import check_platform
from vfl_jax.core.record import Record, from_json, numbers, static
from vfl_jax.core.row_ids import row_ids
from vfl_jax.core.toml_text import from_toml, to_toml
from vfl_jax.core.vertical_data import Rows, VerticalData

check_platform(sys.platform)

__all__ = [
    "BagOfIds",
    "Record",
    "Rows",
    "VerticalData",
    "from_json",
    "from_toml",
    "load",
    "load_params",
    "numbers",
    "row_ids",
    "save",
    "save_params",
    "static",
    "to_toml",
]

"""Files: results and parameters, written whole or not at all, read without pickle."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from vfl_jax.atomic import write_atomically

if TYPE_CHECKING:
    import xarray as xr

DIGEST = "digest"
"""The attribute of a results file that holds the digest of its content."""


def save(dataset: xr.Dataset, path: str | os.PathLike[str]) -> Path:
    """Writes results as NetCDF, whole or not at all; host, dates and wall time go to ``<path>.run.json``.

    Equal results make equal bytes. Numbers are compressed and carry a checksum that every reader verifies;
    a digest of everything, labels and attributes too, is verified by :func:`load`.
    """
    import h5netcdf
    from xarray.backends import H5NetCDFStore

    path = Path(path)
    labelled = dataset.assign_attrs({DIGEST: _digest(dataset)})
    encoding = {
        name: {"zlib": True, "complevel": 4, "fletcher32": True}
        for name, variable in dataset.variables.items()
        if variable.ndim and variable.dtype.kind in "fiub"
    }

    # By way of memory: where a disk is full, HDF5 itself would bring the process down, not raise.
    content = io.BytesIO()
    with h5netcdf.File(content, "w") as file:
        labelled.dump_to_store(H5NetCDFStore(file), encoding=encoding)
    write_atomically(path, lambda temporary: temporary.write_bytes(content.getbuffer()))
    if circumstances := dataset.encoding.get("run"):
        text = json.dumps(circumstances, indent=1) + "\n"
        write_atomically(_beside(path), lambda temporary: temporary.write_text(text))
    return path


def load(path: str | os.PathLike[str]) -> xr.Dataset:
    """Reads what :func:`save` wrote, into memory; ``encoding["run"]`` has what is beside it, where that can be read.

    Raises:
      FileNotFoundError: when there is no such file.
      OSError: on a file that is damaged or holds no results.
    """
    import xarray as xr

    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} is no file.")
    try:
        with xr.open_dataset(path, engine="h5netcdf") as opened:
            dataset = opened.load()
            expected = dataset.attrs.pop(DIGEST, None)
            found = _digest(dataset)
    except Exception as error:  # whatever the libraries make of damaged bytes
        raise OSError(f"{path} is damaged, or holds no results ({type(error).__name__}: {error}).") from error
    if expected not in (None, found):
        raise OSError(f"{path} is damaged: its content has digest {found}, but it was written with {expected}.")
    with contextlib.suppress(OSError, ValueError):
        dataset.encoding["run"] = json.loads(_beside(Path(path)).read_text())
    return dataset


def _beside(path: Path) -> Path:
    """Where host, dates and wall time of a file go."""
    return path.with_name(path.name + ".run.json")


def _digest(dataset: xr.Dataset) -> str:
    """SHA-256 over every variable (name, dimensions, attributes, dtype, shape, content) and the attributes."""
    digest = hashlib.sha256(_plain(dataset.attrs).encode())
    for name, variable in sorted(dataset.variables.items(), key=lambda item: str(item[0])):
        values = np.asarray(variable.values.tolist()) if variable.dtype.kind == "O" else variable.values
        facts = str(name), variable.dims, _plain(variable.attrs), values.dtype.str, values.shape
        digest.update(repr(facts).encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _plain(attributes: dict[Any, Any]) -> str:
    return repr(sorted((str(name), np.asarray(value).tolist()) for name, value in attributes.items() if name != DIGEST))


def save_params(path: str | os.PathLike[str], params: Any) -> Path:
    """Writes a pytree of parameters as npz, one array per path; whole or not at all."""
    arrays = {jax.tree_util.keystr(p): np.asarray(leaf) for p, leaf in jax.tree_util.tree_leaves_with_path(params)}

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    return write_atomically(Path(path), write)


def load_params(path: str | os.PathLike[str], like: Any) -> Any:
    """Reads parameters into the structure of ``like`` (for example ``state.params``).

    Raises:
      zipfile.BadZipFile: on a file that is damaged or no npz.
      ValueError: when the file holds other parameters than ``like`` (which, found and expected).
    """
    with zipfile.ZipFile(path):  # raises on a file that is none; np.load would take it for a pickle
        pass
    with np.load(path, allow_pickle=False) as archive:
        found = dict(archive)
    wanted = {jax.tree_util.keystr(p): leaf for p, leaf in jax.tree_util.tree_leaves_with_path(like)}
    for name in sorted(found.keys() | wanted.keys()):
        shapes = [np.shape(tree[name]) if name in tree else None for tree in (found, wanted)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"{path} has shape {shapes[0]} at {name}; expected {shapes[1]}.")
    return jax.tree.unflatten(jax.tree.structure(like), [found[name] for name in wanted])

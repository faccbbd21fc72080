"""Files: results and parameters, written whole or not at all, read without pickle."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import logging
import math
import os
import stat
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from vfl_jax.core.atomic import write_atomically
from vfl_jax.core.netcdf import from_stored, text, to_stored, with_hints, without_hints

if TYPE_CHECKING:
    import xarray as xr

logger = logging.getLogger("vfl_jax")

DIGEST = "digest"
"""The attribute of a results file that holds the digest of its content."""


class Damaged(OSError):
    """A file that was read, and is not as it was written, or holds no results."""


def save(dataset: xr.Dataset, path: str | os.PathLike[str]) -> Path:
    """Writes results as NetCDF, whole or not at all; host, dates and wall time go to ``<path>.run.json``.

    Equal results make equal bytes. Numbers are compressed and carry a checksum that every reader verifies;
    a digest of everything, labels and attributes too, is verified by :func:`load`. What dask or a file has not
    computed or read yet is computed and read first. What NetCDF cannot hold as it is (time stamps, missing values,
    attributes such as booleans, lists, dictionaries) is written so that :func:`load` gives it back.

    Raises:
      ValueError: when these are no results, or a variable or attribute can be in no file (which, and what it holds).
      OSError: when the file cannot be written; an earlier one is then as it was.
    """
    import h5netcdf
    import xarray as xr
    from xarray.backends import H5NetCDFStore

    if not isinstance(dataset, xr.Dataset):
        raise ValueError(
            f"dataset is {type(dataset).__name__}; it must be an xarray.Dataset (of a DataArray: to_dataset(name=...))."
        )
    path = Path(path)
    stored = to_stored(dataset.compute())
    labelled = with_hints(stored.assign_attrs({DIGEST: _digest(stored)}))
    encoding = {
        name: {"zlib": True, "complevel": 4, "fletcher32": True}
        for name, variable in labelled.variables.items()
        if variable.ndim and variable.dtype.kind in "fiub"
    }

    # By way of memory: where a disk is full, HDF5 itself would bring the process down, not raise.
    content = io.BytesIO()
    try:
        with h5netcdf.File(content, "w") as file:
            labelled.dump_to_store(H5NetCDFStore(file), encoding=encoding)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ValueError(f"These results cannot be in a NetCDF file ({error}); nothing was written.") from error
    write_atomically(path, lambda temporary: temporary.write_bytes(content.getbuffer()))
    if circumstances := dataset.encoding.get("run"):
        written = json.dumps(circumstances, indent=1) + "\n"
        try:
            write_atomically(beside(path), lambda temporary: temporary.write_text(written))
        except OSError as error:  # nothing hangs on it
            logger.warning("%s is written, but not what is beside it (%s).", path, error)
    return path


def load(path: str | os.PathLike[str]) -> xr.Dataset:
    """Reads what :func:`save` wrote, into memory; ``encoding["run"]`` has what is beside it, where that can be read.

    Raises:
      FileNotFoundError: when there is no such file.
      Damaged: an OSError, on a file that is damaged or holds no results.
      OSError: when the file cannot be read just now, and why.
    """
    return _read(Path(path), needs_digest=False)


def load_own(path: str | os.PathLike[str]) -> xr.Dataset:
    """As :func:`load`; a file without a digest, which ``save`` has not written, counts as damaged."""
    return _read(Path(path), needs_digest=True)


def _read(path: Path, needs_digest: bool) -> xr.Dataset:
    import h5netcdf  # before anything is judged: what cannot be imported says nothing about the file
    import xarray as xr
    from xarray.backends import H5NetCDFStore

    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise Damaged(f"{path} is {'a folder' if stat.S_ISDIR(mode) else 'no ordinary file'}, no results.")
        content = path.read_bytes()
        with h5netcdf.File(io.BytesIO(content), "r", decode_vlen_strings=True) as file:
            raw = xr.decode_cf(
                H5NetCDFStore(file),
                concat_characters=False,
                mask_and_scale=False,
                decode_times=False,
                decode_coords=False,
                decode_timedelta=False,
            )
            stored = xr.decode_cf(without_hints(raw)).load()
        expected = stored.attrs.pop(DIGEST, None)
        found = _digest(stored)
        if expected == found:
            dataset = from_stored(stored)
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, "There is no such file", str(path)) from error
    except MemoryError as error:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), str(path)) from error
    except Exception as error:  # whatever the libraries make of damaged bytes; the system's own errors have a number
        if isinstance(error, Damaged | ImportError) or (isinstance(error, OSError) and error.errno is not None):
            raise
        raise Damaged(f"{path} is damaged, or holds no results ({type(error).__name__}: {error}).") from error
    if expected is None and needs_digest:
        raise Damaged(f"{path} has no digest, so nothing says that it is as it was written.")
    if expected is None:
        dataset = stored
    elif expected != found:
        raise Damaged(f"{path} is damaged: its content has digest {found}, but it was written with {expected}.")
    if (circumstances := _circumstances(beside(path))) is not None:
        dataset.encoding["run"] = circumstances
    return dataset


def beside(path: Path) -> Path:
    """Where host, dates and wall time of a file go."""
    return path.with_name(path.name + ".run.json")


def _circumstances(path: Path) -> dict[str, Any] | None:
    """Host, dates and wall time, or None where they are not there, or not as they were written."""
    try:
        found = json.loads(path.read_text())
        kinds = {"started": str, "wall_seconds": int | float, "devices": list, "machine": str, "python": str}
        are_right = all(isinstance(found[name], kind) for name, kind in kinds.items()) and found["devices"]
        if are_right and math.isfinite(found["wall_seconds"]):
            return found
    except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError, MemoryError):
        pass
    return None


def _digest(dataset: xr.Dataset) -> str:
    """SHA-256 over every variable (name, dimensions, attributes, dtype, shape, content) and the attributes."""
    digest = hashlib.sha256(_plain(dataset.attrs).encode())
    for name, variable in sorted(dataset.variables.items(), key=lambda item: str(item[0])):
        values = text(variable.values) if variable.dtype.kind in "OT" else variable.values
        facts = str(name), tuple(map(str, variable.dims)), _plain(variable.attrs), values.dtype.str, values.shape
        digest.update(repr(facts).encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _plain(attributes: dict[Any, Any]) -> str:
    return repr(sorted((str(name), np.asarray(value).tolist()) for name, value in attributes.items() if name != DIGEST))


def save_params(path: str | os.PathLike[str], params: Any) -> Path:
    """Writes a pytree of parameters as npz, one array per path; whole or not at all.

    Raises:
      ValueError: when a leaf holds no numbers (which).
      OSError: when the file cannot be written; an earlier one is then as it was.
    """
    arrays = {jax.tree_util.keystr(p): np.asarray(leaf) for p, leaf in jax.tree_util.tree_leaves_with_path(params)}
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise ValueError(f"params has {array.dtype} at {name or 'its root'}; every leaf must be numbers.")

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

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

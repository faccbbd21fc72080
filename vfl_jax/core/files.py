"""Files of results and parameters: each is written whole or not at all, and read without pickle."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import logging
import math
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from vfl_jax.core import foreign
from vfl_jax.core.archives import open_archive
from vfl_jax.core.atomic import write_atomically
from vfl_jax.core.damage import Damaged
from vfl_jax.core.labelled import check_dataset, check_path
from vfl_jax.core.netcdf import from_stored, read_stored, text, to_stored, with_hints
from vfl_jax.core.ordinary import read_text
from vfl_jax.core.row_ids import ROW_IDS, set_apart, to_save

if TYPE_CHECKING:
    import xarray as xr

logger = logging.getLogger("vfl_jax")

DIGEST = "digest"
"""The attribute of a results file that holds the digest of its content."""
MOST_BESIDE = 1 << 20
"""So many characters may say when, where and how long results were made."""


def save(dataset: xr.Dataset, path: str | os.PathLike[str]) -> Path:
    """Writes results as a NetCDF file, whole or not at all.

    Equal results make equal bytes. Numbers are compressed, and they carry a checksum that every reader verifies. The
    file carries digests of all content, labels and attributes included, and of all bytes, that :func:`load` verifies.
    Host, dates and wall time go to ``<path>.run.json``, row ids (:func:`vfl_jax.row_ids`) to a group of the file. Lazy
    arrays are computed first. NetCDF has no time stamps, missing values, or attributes such as booleans, lists and
    dictionaries; they are written so that :func:`load` restores them.

    Args:
      dataset: the results, as ``sweep`` returns them; any dataset may be given.
      path: the place of the file; missing folders are made.

    Returns:
      the path.

    Raises:
      ValueError: where ``dataset`` is no dataset; naming a variable or attribute that no file can hold.
      OSError: where the file cannot be written; an earlier file then stays as it was.

    Example:
      >>> import vfl_jax as vfl
      >>> import xarray as xr
      >>> results = xr.Dataset({"accuracy": ("seed", [0.5, 0.75])})
      >>> path = vfl.save(results, "results.nc")
      >>> vfl.load(path).identical(results)
      True
    """
    import h5netcdf
    from xarray.backends import H5NetCDFStore

    check_dataset("dataset", dataset)
    check_path("path", path)
    path = Path(path)
    ids, stored = to_save(dataset), to_stored(dataset.compute())
    stored_ids = None if ids is None else to_stored(ids)
    labelled = with_hints(stored.assign_attrs({DIGEST: _digest(stored, stored_ids)}))

    # The content is made in memory: on a full disk HDF5 itself would bring the process down instead of raising.
    content = io.BytesIO()
    try:
        with h5netcdf.File(content, "w") as file:
            labelled.dump_to_store(H5NetCDFStore(file), encoding=_compressed(labelled))
            if stored_ids is not None:
                group = H5NetCDFStore(file.create_group(ROW_IDS))
                stored_ids.dump_to_store(group, encoding=_compressed(stored_ids))
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ValueError(f"These results cannot be in a NetCDF file ({error}); nothing was written.") from error
    content.seek(0, io.SEEK_END)
    content.write(foreign.seal(content.getvalue()))
    write_atomically(path, lambda temporary: temporary.write_bytes(content.getbuffer()))
    if circumstances := dataset.encoding.get("run"):
        written = json.dumps(circumstances, indent=1) + "\n"
        try:
            write_atomically(beside(path), lambda temporary: temporary.write_text(written))
        except OSError as error:  # the results do not depend on it
            logger.warning("%s is written, but not what is beside it (%s).", path, error)
    return path


def load(path: str | os.PathLike[str]) -> xr.Dataset:
    """Reads results that :func:`save` wrote, into memory.

    Another NetCDF file, or one of an earlier version, is first read by another process, under limits: 30 seconds and a
    second per MiB, and arrays of 64 MiB or of 1,100 times the file's size, where this is more. Such a file is refused
    beyond them, so that damage can neither hang this process nor fill its memory.

    Args:
      path: the place of the file.

    Returns:
      the results; ``encoding["run"]`` holds host, dates and wall time, where ``<path>.run.json`` can be read. Row ids,
      which older files hold among the variables, are what :func:`vfl_jax.row_ids` returns.

    Raises:
      ValueError: where ``path`` is no path.
      FileNotFoundError: where there is no such file.
      OSError: where the file is damaged or holds no results (its subclass ``Damaged``), or cannot be read just now.
    """
    check_path("path", path)
    return set_apart(_read(Path(path), needs_digest=False))


def load_own(path: str | os.PathLike[str]) -> xr.Dataset:
    """Reads results as :func:`load` does, but as they lie, and refuses a file without a digest, which is not ours.

    Args:
      path: the place of the file.

    Raises:
      OSError: as :func:`load`; ``Damaged`` also where the file has no digest.
    """
    return _read(Path(path), needs_digest=True)


def _read(path: Path, needs_digest: bool) -> xr.Dataset:
    """Reads a file whole, verifies its digest, and restores the results."""
    import h5netcdf  # noqa: F401  outside the try: a package that is missing says nothing about the file

    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            if stat.S_ISDIR(mode):
                raise Damaged(f"{path} is a folder, no results; those of a finished sweep are its file results.nc.")
            raise Damaged(f"{path} is no ordinary file, and no results.")
        content = path.read_bytes()
        foreign.check(path, content)
        stored, ids = read_stored(content, ROW_IDS)
        expected = stored.attrs.pop(DIGEST, None)
        found = _digest(stored, ids)
        if expected == found:
            dataset = from_stored(stored)
            if ids is not None:
                dataset.encoding[ROW_IDS] = from_stored(ids)
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, "There is no such file", str(path)) from error
    except MemoryError as error:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), str(path)) from error
    except Exception as error:  # damaged bytes raise all kinds of errors; errors of the system have a number
        if isinstance(error, Damaged | ImportError) or (isinstance(error, OSError) and error.errno is not None):
            raise
        raise Damaged(f"{path} is damaged, or holds no results ({type(error).__name__}: {error}).") from error
    if expected is None and needs_digest:
        raise Damaged(f"{path} has no digest, so nothing says that it is as it was written.")
    if expected is None:
        dataset = stored
    elif expected != found:
        raise Damaged(f"{path} is damaged: its content has digest {found}, but it was written with {expected}.")
    if (circumstances := circumstances_at(beside(path))) is not None:
        dataset.encoding["run"] = circumstances
    return dataset


def beside(path: Path) -> Path:
    """Returns the path of the file that holds host, dates and wall time of results at ``path``."""
    return path.with_name(path.name + ".run.json")


def circumstances_at(path: Path) -> dict[str, Any] | None:
    """Returns host, dates and wall time; None where the file ``path`` is missing or is not as it was written."""
    try:
        found = json.loads(read_text(path, MOST_BESIDE))
        kinds = {"started": str, "wall_seconds": int | float, "devices": list, "machine": str, "python": str}
        are_right = all(isinstance(found[name], kind) for name, kind in kinds.items()) and found["devices"]
        if are_right and math.isfinite(found["wall_seconds"]):
            return found
    except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError, MemoryError):
        pass
    return None


def _compressed(dataset: xr.Dataset) -> dict[Any, dict[str, Any]]:
    """Returns how numbers are written, by variable: compressed, and with a checksum."""
    return {
        name: {"zlib": True, "complevel": 4, "fletcher32": True}
        for name, variable in dataset.variables.items()
        if variable.ndim and variable.dtype.kind in "fiub"
    }


def _digest(dataset: xr.Dataset, ids: xr.Dataset | None = None) -> str:
    """Returns the SHA-256 of all attributes and variables, each with name, dimensions, attributes, dtype and shape.

    Row ids count as well, where there are some.
    """
    digest = hashlib.sha256(_plain(dataset.attrs).encode())
    for name, variable in sorted(dataset.variables.items(), key=lambda item: str(item[0])):
        values = text(variable.values) if variable.dtype.kind in "OT" else variable.values
        facts = str(name), tuple(map(str, variable.dims)), _plain(variable.attrs), values.dtype.str, values.shape
        digest.update(repr(facts).encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    if ids is not None:
        digest.update(_digest(ids).encode())
    return digest.hexdigest()


def _plain(attributes: dict[Any, Any]) -> str:
    """Returns attributes as a text, without the digest itself."""
    return repr(sorted((str(name), np.asarray(value).tolist()) for name, value in attributes.items() if name != DIGEST))


def save_params(path: str | os.PathLike[str], params: Any) -> Path:
    """Writes parameters as an npz file, whole or not at all.

    Args:
      path: the place of the file; missing folders are made.
      params: a pytree of arrays; the file holds one array per path in the tree.

    Returns:
      the path.

    Raises:
      ValueError: where ``path`` is no path; naming a leaf that holds no numbers.
      OSError: where the file cannot be written; an earlier file then stays as it was.
    """
    check_path("path", path)
    arrays = {jax.tree_util.keystr(p): np.asarray(leaf) for p, leaf in jax.tree_util.tree_leaves_with_path(params)}
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise ValueError(f"params has {array.dtype} at {name or 'its root'}; every leaf must be numbers.")

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    return write_atomically(Path(path), write)


def load_params(path: str | os.PathLike[str], like: Any) -> Any:
    """Reads parameters that :func:`save_params` wrote.

    Args:
      path: the place of the file.
      like: a pytree of the same structure, shapes and dtypes, for example ``state.params``.

    Returns:
      the parameters, as NumPy arrays in the structure of ``like``.

    Raises:
      FileNotFoundError: where there is no such file.
      OSError: where the file is damaged, is no npz file of plain arrays, or has a header of more than 4,096 bytes (its
        subclass ``Damaged``).
      ValueError: naming a path at which the file and ``like`` differ in shape or dtype, before any number is read.
    """
    check_path("path", path)
    path = Path(path)
    wanted = {jax.tree_util.keystr(p): leaf for p, leaf in jax.tree_util.tree_leaves_with_path(like)}
    with open_archive(path) as archive:
        for name in sorted(archive.headers.keys() | wanted.keys()):
            shape = archive.headers[name].shape if name in archive.headers else None
            expected = np.shape(wanted[name]) if name in wanted else None
            if shape != expected:
                raise ValueError(f"{path} has shape {shape} at {name}; expected {expected}.")
        dtypes = {
            name: np.dtype(getattr(leaf, "dtype", None) or np.asarray(leaf).dtype) for name, leaf in wanted.items()
        }
        for name, dtype in dtypes.items():
            found = archive.headers[name].dtype
            is_raw = found.kind == dtype.kind == "V" and found.itemsize == dtype.itemsize  # NumPy has no bfloat16
            if found != dtype and not is_raw:
                raise ValueError(f"{path} holds {found} at {name}; expected {dtype}.")
        leaves = [archive.read(name).view(dtype) for name, dtype in dtypes.items()]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)

"""What the trained replicas of a sweep say of rows: their logits, and the messages that their parties send."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.core.bags import BagOfIds
from vfl_jax.core.checks import check_unmasked, shown
from vfl_jax.core.labelled import check_dataset
from vfl_jax.core.types import Features
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.data.own.dense import dense_of
from vfl_jax.data.own.inputs import check_one_order, index_of
from vfl_jax.replica.asked import Asked, What
from vfl_jax.replica.blocks import in_blocks
from vfl_jax.replica.preparation import TEST_BLOCK, check_features, form
from vfl_jax.sweeps import devices, programs
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.trained import TRAINED, Trained

if TYPE_CHECKING:
    import xarray as xr

WITHIN = ("epoch", "class", "party")
"""The dimensions of results within a replica."""
RowsOf = Literal["test", "train"]
AttackedRows = Literal["drawn", "others"]


def predict(
    results: xr.Dataset | Trained,
    rows: RowsOf | Sequence[Features] = "test",
    is_attacked: AttackedRows | Sequence[bool] | np.ndarray | None = None,
) -> xr.DataArray:
    """Computes logits of rows by every trained replica, through the inference hooks of all methods.

    Hooks draw as in the last evaluation of the sweep. So the logits of test rows are those that the results count:
    with ``is_attacked="drawn"`` those of the first pass, without attacked rows and with "others" those of the second.

    Args:
      results: results of ``sweep(..., keep="params")``, or the :class:`Trained` that they carry. Of a part of results,
        such as ``results.sel(seed=[0, 1])``, only these replicas are asked.
      rows: "test", "train", or rows of your own: the features of K parties, leaves [R, ...], in the form of the data's.
      is_attacked: the rows that attackers attack. They carry the scenario's attack trigger, and at inference attackers
        are told. Flags, bool[R]; "others", all rows of classes that no attacker wants; "drawn", the test rows that the
        seed draws and the first pass attacks, with its trigger. By default none.

    Returns:
      float32, with the dimensions of the results' replicas, ``row`` and ``class``. ``is_attacked`` is a coordinate, and
      so is ``label``, but for rows of your own.

    Raises:
      ValueError: where the results carry no trained replicas, or others; naming the argument that does not fit.
      OSError: where a file of the sweep's folder cannot be read.

    Example:
      >>> import vfl_jax as vfl
      >>> scenario, data = vfl.presets.digits_demo(), vfl.load_digits()
      >>> results = vfl.sweep(scenario, data, seeds=2, epochs=1, progress=False, keep="params")
      >>> logits = vfl.predict(results, is_attacked="drawn")
      >>> dict(logits.sizes)
      {'seed': 2, 'row': 360, 'class': 10}
      >>> accuracy = (logits.argmax("class") == logits.label).mean("row")
      >>> bool((abs(accuracy - results["main_task_accuracy"].isel(epoch=-1)) < 1e-6).all())
      True
    """
    import xarray as xr

    trained, choices = _chosen(results)
    logits, coordinates, dims = _ask(trained, choices, rows, is_attacked, "logits")
    coordinates["class"] = ("class", list(trained.study.data.classes))
    return xr.DataArray(logits, coordinates, (*dims, "class"), name="logits")


def embeddings(
    results: xr.Dataset | Trained,
    rows: RowsOf | Sequence[Features] = "test",
    is_attacked: AttackedRows | Sequence[bool] | np.ndarray | None = None,
) -> xr.Dataset:
    """Computes the messages that every party sends of rows, by every trained replica.

    Args:
      results, rows, is_attacked: as in :func:`predict`.

    Returns:
      A variable for every party by its name, float32, with the dimensions of the results' replicas, ``row`` and
      ``<party>.unit``, and the coordinates of :func:`predict`.

    Raises:
      ValueError, OSError: as :func:`predict` does.
    """
    import xarray as xr

    trained, choices = _chosen(results)
    sent, coordinates, dims = _ask(trained, choices, rows, is_attacked, "sent")
    parties = zip(trained.study.data.parties, sent, strict=True)
    return xr.Dataset({party: ((*dims, f"{party}.unit"), message) for party, message in parties}, coordinates)


class _Choice(NamedTuple):
    """The replicas that are asked, along one dimension of a sweep."""

    dimension: str
    labels: dict[str, np.ndarray]  # the coordinates of the whole dimension
    places: np.ndarray  # int[chosen], or int[] where one was chosen and the dimension is gone


def _chosen(results: Any) -> tuple[Trained, list[_Choice]]:
    """The trained replicas that results carry, and which of them the results hold."""
    trained = results if isinstance(results, Trained) else getattr(results, "encoding", {}).get(TRAINED)
    if not isinstance(trained, Trained):
        check_dataset("results", results)
        raise ValueError(
            "results holds no trained replicas: give results of sweep(..., keep='params'). Files hold none, but the "
            "same sweep, with its folder, reads them. For the state that run returns there is vfl.replica.predict."
        )
    whole = [(axis.dimension, axis.names) for axis in trained.grid.axes] + [("seed", ("seed",))]
    if results is not trained:
        _check_dims(results, {dimension for dimension, _ in whole})
    known = {name: values for name, (_, values) in trained.grid.coordinates().items()}
    known["seed"] = np.asarray(trained.seeds)
    choices = []
    for dimension, names in whole:
        labels = {name: known[name] for name in names}
        everything = np.arange(len(known[names[0]]))
        places = everything if results is trained else _places(results, labels)
        choices.append(_Choice(dimension, labels, places))
    return trained, choices


def _check_dims(results: xr.Dataset, known: set[str]) -> None:
    """Checks that results have no dimension that the sweep which kept its replicas lacks, and at least one replica."""
    if further := [str(dim) for dim in results.dims if dim not in known | set(WITHIN)]:
        raise ValueError(
            f"results have the dimension {further[0]!r}, which the sweep that kept its replicas has not: they were "
            "joined or stacked. Ask each part before you join it."
        )
    if empty := [str(dim) for dim in known & set(results.dims) if not results.sizes[dim]]:
        raise ValueError(f"results have no {empty[0]}: a selection has left none of the replicas. Select others.")


def _places(results: xr.Dataset, labels: dict[str, np.ndarray]) -> np.ndarray:
    """The places of what results hold along one dimension, found by its coordinates."""
    if lacking := [name for name in labels if name not in results.coords]:
        raise ValueError(f"results lack the coordinate {lacking[0]!r}, so that nothing says which replicas they hold.")
    given = [np.asarray(results.coords[name].values) for name in labels]
    is_same = np.all([g[..., None] == known for g, known in zip(given, labels.values(), strict=True)], axis=0)
    if not is_same.any(axis=-1).all():
        raise ValueError(f"results hold values of {', '.join(labels)} that the sweep which kept its replicas has not.")
    return np.asarray(is_same.argmax(axis=-1))


def _ask(
    trained: Trained, choices: list[_Choice], rows: Any, is_attacked: Any, what: What
) -> tuple[Any, dict[str, Any], tuple[str, ...]]:
    """Asks the chosen replicas, chunk by chunk.

    Returns:
      (what they answer, leaves [..., R, E]; the coordinates; the dimensions of ``...`` and of the rows).
    """
    asked, coordinates = _asked(trained, rows, is_attacked)
    everyone = list(Chunk(tuple(trained.grid.points()), trained.seeds).replicas(trained.scenario))
    places = np.ravel_multi_index(
        np.meshgrid(*(choice.places for choice in choices), indexing="ij"),
        (*trained.grid.shape, len(trained.seeds)),
    )
    left: dict[Any, list[int]] = {}  # a selection may hold a replica several times
    for number, wanted_place in enumerate(places.ravel()):
        left.setdefault(everyone[wanted_place], []).append(number)
    answers: list[Any] = [None] * places.size
    for number, chunk in enumerate(trained.chunks):
        there = list(chunk.replicas(trained.scenario))
        wanted = {i: left.pop(replica) for i, replica in enumerate(there) if replica in left}
        if not wanted:
            continue
        points, seeds = (sorted(set(of)) for of in zip(*(divmod(i, len(chunk.seeds)) for i in wanted), strict=True))
        ready, state = trained.some(number, points, seeds)
        here = devices.replicate(asked, ready.mesh)
        epoch = jnp.int32(trained.study.epochs - 1)
        found = ready.on_host(programs.ask(*ready.arguments, state, epoch, here, what))
        for i, numbers in wanted.items():
            point, seed = divmod(i, len(chunk.seeds))
            one = jax.tree.map(lambda leaf, s=seeds.index(seed), g=points.index(point): leaf[s, g], found)
            for place in numbers:
                answers[place] = one

    shape = tuple(size for choice in choices for size in choice.places.shape)
    values, attacked = jax.tree.map(lambda *leaves: np.stack(leaves).reshape(*shape, *leaves[0].shape), *answers)
    dims = tuple(choice.dimension for choice in choices if choice.places.ndim)
    for choice in choices:
        on = (choice.dimension,) if choice.places.ndim else ()
        coordinates |= {name: (on, labels[choice.places]) for name, labels in choice.labels.items()}
    coordinates["is_attacked"] = ((*dims, "row"), attacked)
    return values, coordinates, (*dims, "row")


def _asked(trained: Trained, rows: Any, is_attacked: Any) -> tuple[Asked, dict[str, Any]]:
    """The rows in blocks, and their coordinates."""
    data, scenario = trained.study.data, trained.scenario
    num_train, num_test = data.train.num_samples, data.test.num_samples
    if isinstance(rows, str):
        if rows not in get_args(RowsOf):
            raise ValueError(f"rows is {rows!r}; it must be 'test', 'train', or the features of every party.")
        split = data.test if rows == "test" else data.train
        features, labels, first = split.features, np.asarray(split.labels), 0 if rows == "test" else num_test
    else:
        # Rows of every kind have numbers of their own, and so draws of their own in hooks.
        features, labels, first = _own_features(rows, data), None, num_test + num_train
        check_one_order({f"rows.{k}": own for k, own in enumerate(rows)} | {"is_attacked": is_attacked})
    num_rows = len(jax.tree.leaves(features[0])[0])
    flags = _flags(trained, is_attacked, num_rows, labels, are_test=first == 0)
    blocks, places = in_blocks(features, num_rows, scenario.inference_batch, TEST_BLOCK)
    coordinates: dict[str, Any] = {"row": ("row", np.arange(num_rows))}
    if labels is not None:
        coordinates["label"] = ("row", labels)
    return Asked(blocks, places, np.asarray(first, np.int32), flags, num_rows), coordinates


def _own_features(rows: Any, data: VerticalData) -> tuple[Features, ...]:
    """A user's own rows, in the dtypes of the data's; ``ValueError`` where they have another form."""
    if not isinstance(rows, Sequence) or len(rows) != data.num_parties:
        raise ValueError(
            f"rows is {shown(rows)}; it must be 'test', 'train', or the features of the {data.num_parties} parties "
            f"{', '.join(data.parties)}, one entry each."
        )
    found: list[Features] = []
    for k, (own, like) in enumerate(zip(rows, data.test.features, strict=True)):
        where = f"rows.{k} ({data.parties[k]})"
        is_dense = not isinstance(own, BagOfIds) and not isinstance(like, BagOfIds)
        features = dense_of(where, own).values.astype(like.dtype) if is_dense else own
        said = form(features) if isinstance(features, BagOfIds | np.ndarray) else type(features).__name__
        if said != form(like):
            raise ValueError(f"{where} is {said}; those of data {data.name!r} are {form(like)}.")
        num_rows = len(jax.tree.leaves(found[0] if found else features)[0])
        check_features(where, features, num_rows, "those of the first party are")
        found.append(features)
    return tuple(found)


def _flags(
    trained: Trained, is_attacked: Any, num_rows: int, labels: np.ndarray | None, are_test: bool
) -> np.ndarray | None:
    """Which rows are attacked, bool[R]; None where the seed's draw says it."""
    scenario = trained.scenario
    if is_attacked is None:
        return np.zeros(num_rows, bool)
    if isinstance(is_attacked, str):
        if is_attacked == "drawn" and are_test:
            return None
        if is_attacked not in get_args(AttackedRows):
            raise ValueError(f"is_attacked is {is_attacked!r}; it must be 'drawn', 'others', or flags.")
        if is_attacked == "drawn" or labels is None:
            allowed = "test rows" if is_attacked == "drawn" else "test or training rows, whose labels are known"
            raise ValueError(f"is_attacked is {is_attacked!r}, which is for {allowed}; give flags for other rows.")
        flags = ~np.isin(labels, scenario.target_classes)
    else:
        check_unmasked(is_attacked=is_attacked)
        index = index_of(is_attacked)
        if index is not None and sorted(map(str, index)) == sorted(map(str, range(num_rows))):
            check_one_order({"the data's rows, by number": _numbered(num_rows), "is_attacked": is_attacked})
        flags = np.asarray(is_attacked)
        if flags.dtype != bool or flags.shape != (num_rows,):
            raise ValueError(
                f"is_attacked is {flags.dtype} of shape {flags.shape}; it must be bool of shape ({num_rows},)."
            )
    if scenario.attack_trigger is None and flags.any():
        raise ValueError(
            "is_attacked marks rows, but poison.trigger is carried by nature; name a poison.attack_trigger that can be "
            "stamped, or give rows that carry the trigger."
        )
    return flags


def _numbered(num_rows: int) -> Any:
    """Rows whose names are their numbers."""
    import pandas as pd

    return pd.Series(np.zeros(num_rows))

"""The data of a replica, checked and brought to the device."""

from __future__ import annotations

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.core.bags import BagOfIds
from vfl_jax.core.checks import check_unmasked
from vfl_jax.core.types import Array, Features
from vfl_jax.core.vertical_data import Rows, VerticalData
from vfl_jax.protocol.local import may_update_rowwise
from vfl_jax.replica.draws import Given
from vfl_jax.scenario import Scenario

TEST_CHUNK = 1000
"""Test rows per evaluation step, which bounds the memory of its activations; a multiple of what a method asks for."""


@flax.struct.dataclass
class Inputs:
    """The data on the device, the same for every replica; always an argument, never a constant."""

    train: Rows  # leaves [N, ...]
    test: Rows  # leaves [chunks, M', ...]
    test_ids: Array  # int32[chunks, M']  M where a chunk is filled up
    masks: tuple[Array | None, ...]  # bool[F] per party: where the trigger lies
    blur: Array | None  # float32[N, E], when given
    # Static: whether a step changes only the rows of a party's table that its batch looks up; see `rowwise_parties`.
    rowwise: tuple[bool, ...] = flax.struct.field(pytree_node=False)


def to_device(scenario: Scenario, data: VerticalData, given: Given = Given()) -> Inputs:
    """Brings the data to the device.

    Raises:
      ValueError: where the scenario does not fit the data (:meth:`Scenario.check`), or the data is bad.
    """
    check_data(data)
    scenario.check(data)
    check_unmasked(**{"given.blur": given.blur})
    num_test = data.test.num_samples
    together = scenario.inference_batch
    chunk = min(max(TEST_CHUNK // together, 1) * together, num_test)
    num_chunks = -(-num_test // chunk)
    ids = np.arange(num_chunks * chunk, dtype=np.int32)

    def fill(leaf: np.ndarray) -> np.ndarray:
        filled = np.zeros((num_chunks * chunk, *leaf.shape[1:]), leaf.dtype)
        filled[:num_test] = leaf
        return filled.reshape(num_chunks, chunk, *leaf.shape[1:])

    inputs = Inputs(
        train=data.train,
        test=jax.tree.map(fill, data.test),
        test_ids=np.where(ids < num_test, ids, num_test).reshape(num_chunks, chunk),
        masks=scenario.poison.trigger.masks(data),
        blur=None if given.blur is None else np.asarray(given.blur, np.float32),
        rowwise=rowwise_parties(scenario, data),
    )
    return jax.tree.map(jnp.asarray, inputs)


def rowwise_parties(scenario: Scenario, data: VerticalData) -> tuple[bool, ...]:
    """Which parties' tables a step may update by rows; of numbers that are swept, all values must allow it."""
    parties = zip(scenario.bottoms, scenario.optimizers, data.train.features, strict=True)
    return tuple(may_update_rowwise(bottom, o, scenario.regularizer, features) for bottom, o, features in parties)


def check_data(data: VerticalData) -> None:
    """Raises ``ValueError`` on labels outside 0..C−1, bad features, parties of unequal length, splits that differ."""
    for split, rows in (("train", data.train), ("test", data.test)):
        check_unmasked(**{f"data.{split}.labels": rows.labels, f"data.{split}.has_trigger": rows.has_trigger})
        labels = np.asarray(rows.labels)
        if labels.size == 0:
            raise ValueError(f"data.{split} has no rows.")
        if labels.min() < 0 or labels.max() >= data.num_classes:
            bad = int(np.flatnonzero((labels < 0) | (labels >= data.num_classes))[0])
            raise ValueError(
                f"data.{split}.labels has {labels[bad]} in row {bad}; labels must lie in 0 to {data.num_classes - 1}."
            )
        for k, features in enumerate(rows.features):
            where = f"data.{split}.features of party {k}"
            if isinstance(features, BagOfIds):
                features.check(where)
            for leaf in jax.tree.leaves(features):
                check_unmasked(**{where: leaf})
                if len(leaf) != len(labels):
                    raise ValueError(f"{where} has {len(leaf)} rows; the labels have {len(labels)}.")
                if np.issubdtype(leaf.dtype, np.floating) and not np.isfinite(leaf).all():
                    row = int(np.argwhere(~np.isfinite(leaf))[0][0])
                    raise ValueError(f"{where} is not finite in row {row}; clean or drop such rows.")
    for k, forms in enumerate(zip(*(map(_form, rows.features) for rows in (data.train, data.test)), strict=True)):
        if forms[0] != forms[1]:
            raise ValueError(f"data.test.features of party {k} are {forms[1]}; those of data.train are {forms[0]}.")


def _form(features: Features) -> str:
    """What the features of one sample are, in words."""
    if isinstance(features, BagOfIds):
        return f"bags of {features.vocabulary} ids"
    return f"arrays of {', '.join(str(leaf.shape[1:]) for leaf in jax.tree.leaves(features))} per sample"

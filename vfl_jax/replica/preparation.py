"""Preparation: checks the data of a replica and brings it to the device."""

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
from vfl_jax.replica.blocks import in_blocks
from vfl_jax.replica.draws import Given
from vfl_jax.scenario import Scenario

TEST_BLOCK = 1000
"""The most rows of a block that are evaluated together, which bounds the memory of activations."""


@flax.struct.dataclass
class Inputs:
    """The data on the device, the same for every replica; a program takes it as an argument, never as a constant.

    Args:
      train: the training rows, leaves [N, ...].
      test: the test rows in blocks, leaves [blocks, M', ...].
      test_ids: int32[blocks, M'], the numbers of the rows in the test set; M for rows that fill up the last block.
      masks: the places of the trigger, bool[F] or None per party.
      blur: float32[N, E], where a user gives it.
      attack_masks: the places of the attack trigger, likewise; None where the scenario has none that can be stamped.
      rowwise: whether a step changes only the rows of a party's table that its batch looks up, per party; static.
      decays: whether the optimizer of every party, and last that of the head, decays weights; static.
    """

    train: Rows
    test: Rows
    test_ids: Array
    masks: tuple[Array | None, ...]
    blur: Array | None
    attack_masks: tuple[Array | None, ...] | None
    rowwise: tuple[bool, ...] = flax.struct.field(pytree_node=False)
    decays: tuple[bool, ...] = flax.struct.field(pytree_node=False)


def to_device(scenario: Scenario, data: VerticalData, given: Given = Given()) -> Inputs:
    """Checks the data and brings it to the device.

    Args:
      scenario: the scenario.
      data: the data set.
      given: choices that are given instead of drawn.

    Raises:
      ValueError: where the scenario does not fit the data (:meth:`Scenario.check`), or the data is bad.
    """
    check_data(data)
    scenario.check(data)
    check_unmasked(**{"given.blur": given.blur})
    test, test_ids = in_blocks(data.test, data.test.num_samples, scenario.inference_batch, TEST_BLOCK)
    inputs = Inputs(
        train=data.train,
        test=test,
        test_ids=test_ids,
        masks=scenario.poison.trigger.masks(data),
        blur=None if given.blur is None else np.asarray(given.blur, np.float32),
        attack_masks=None if scenario.attack_trigger is None else scenario.attack_trigger.masks(data),
        rowwise=rowwise_parties(scenario, data),
        decays=scenario.decays,
    )
    return jax.tree.map(jnp.asarray, inputs)


def rowwise_parties(scenario: Scenario, data: VerticalData) -> tuple[bool, ...]:
    """Returns which parties' tables a step may update by rows; of swept numbers, all values must allow it.

    Args:
      scenario: the scenario, with concrete or swept numbers.
      data: the data set.
    """
    parties = zip(scenario.bottoms, scenario.optimizers, data.train.features, strict=True)
    return tuple(may_update_rowwise(bottom, o, scenario.regularizer, features) for bottom, o, features in parties)


def check_data(data: VerticalData) -> None:
    """Checks the values of a data set.

    Args:
      data: the data set.

    Raises:
      ValueError: where a label lies outside 0 to C − 1; where features are masked, not finite or no valid bags; where
        parties have different numbers of rows; where training and test features have different forms.
    """
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
            check_features(f"data.{split}.features of party {k}", features, len(labels), "the labels have")
    for k, forms in enumerate(zip(*(map(form, rows.features) for rows in (data.train, data.test)), strict=True)):
        if forms[0] != forms[1]:
            raise ValueError(f"data.test.features of party {k} are {forms[1]}; those of data.train are {forms[0]}.")


def check_features(where: str, features: Features, num_rows: int, others: str) -> None:
    """Checks the features of one party.

    Args:
      where: the words for them, for messages.
      features: leaves [R, ...].
      num_rows: R.
      others: the words for what else has R rows, for messages, such as "the labels have".

    Raises:
      ValueError: where they are masked, not finite or no valid bags, or have another number of rows.
    """
    if isinstance(features, BagOfIds):
        features.check(where)
    for leaf in jax.tree.leaves(features):
        check_unmasked(**{where: leaf})
        if len(leaf) != num_rows:
            raise ValueError(f"{where} has {len(leaf)} rows; {others} {num_rows}.")
        if np.issubdtype(leaf.dtype, np.floating) and not np.isfinite(leaf).all():
            row = int(np.argwhere(~np.isfinite(leaf))[0][0])
            raise ValueError(f"{where} is not finite in row {row}; clean or drop such rows.")


def form(features: Features) -> str:
    """Returns the form of the features of one sample, in words; two parties' tables of one form fit the same model.

    Args:
      features: leaves [R, ...].
    """
    if isinstance(features, BagOfIds):
        return f"bags of {features.vocabulary} ids"
    return f"arrays of {', '.join(str(leaf.shape[1:]) for leaf in jax.tree.leaves(features))} per sample"

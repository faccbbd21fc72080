"""The setting of an audit, derived from the data: rows, models, learning rate, trigger, and how large messages are."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np

from vfl_jax.arenas.boards import Board, board_for
from vfl_jax.attacks import PoisonedData
from vfl_jax.audits.battery import Sizes
from vfl_jax.audits.findings import FLOOR_AT_MOST
from vfl_jax.audits.sizes import MessageSizes
from vfl_jax.core.vertical_data import Rows, VerticalData
from vfl_jax.presets.common import HeadName
from vfl_jax.protocol.chains import PartyChain
from vfl_jax.protocol.triggers import FeatureTrigger, StampTrigger
from vfl_jax.sweeps.sweep import sweep

RATES = (0.03, 0.1, 0.3)
"""The learning rates that are tried."""
WITHIN = 0.01
"""The largest rate is taken whose median main accuracy is so close to the best."""
PERCENTILES = (99.0, 1.0)
"""The trigger of a table sets the attacker's last features to one of these percentiles of their values."""
SEEDS = (2**31, 2**31 + 1, 2**31 + 2)
"""The seeds of the honest runs that choose the setting; no number of a report is of one of them."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """What every run of an audit shares.

    Args:
      board: the data with the model, the attacker and the trigger.
      sizes: how large the partner's messages are in honest training.
      has_stamp: whether the trigger is stamped on features; else no attack stamps, because honest models obeyed every
        trigger that was tried, or none fits.
    """

    board: Board
    sizes: Sizes
    has_stamp: bool


def subsample(data: VerticalData, most_train: int, most_test: int) -> VerticalData:
    """Returns the data with at most so many rows, drawn alike in all classes by a fixed seed; at least one of each.

    Args:
      data: the data set.
      most_train: the largest number of training rows.
      most_test: the largest number of test rows.

    Example:
      >>> import vfl_jax as vfl
      >>> from vfl_jax.audits.setting import subsample
      >>> subsample(vfl.load_digits(), 500, 100).train.num_samples
      500
    """
    draw = np.random.default_rng(0)
    train, test = (_some(rows, most, draw) for rows, most in ((data.train, most_train), (data.test, most_test)))
    return dataclasses.replace(data, train=train, test=test)


def _some(rows: Rows, most: int, draw: np.random.Generator) -> Rows:
    labels = np.asarray(rows.labels)
    if len(labels) <= most:
        return rows
    order = draw.permutation(len(labels))
    place = np.empty(len(labels))  # of each row within its class, from 0 to 1: the first rows of all classes are alike
    for label in np.unique(labels):
        own = order[labels[order] == label]
        place[own] = np.arange(len(own)) / len(own)
    chosen = np.sort(np.argsort(place, kind="stable")[:most])
    return jax.tree.map(lambda leaf: leaf[chosen], rows)


def largest_party(data: VerticalData) -> int:
    """Returns the number of the party with the most features among those that lack the labels, of equals the last.

    Args:
      data: the data set.
    """
    passive = [k for k in range(data.num_parties) if k != data.active_party]
    if not passive:
        raise ValueError(f"data {data.name!r} has no party without the labels, so nobody to audit.")
    return max(passive, key=lambda k: (board_for(data, attacker=k).share, k))


def calibrate(data: VerticalData, attacker: int, head: HeadName, epochs: int) -> Setting:
    """Chooses learning rate and trigger by honest runs whose seeds are not reported, and measures messages.

    Of the rates whose median main accuracy is within 0.01 of the best the largest is taken. Of the two values of a
    table's trigger the one is taken that honest models call the wanted class less often.

    Args:
      data: the data set.
      attacker: the number of the malicious party.
      head: "trainable" or "sum".
      epochs: the number of epochs.

    Returns:
      the setting.
    """
    boards = [board_for(data, attacker=attacker, head=head, epochs=epochs, percentile=p) for p in PERCENTILES]
    board, trigger = boards[0], boards[0].scenario.poison.trigger
    measured = PartyChain(parts=(MessageSizes(), PoisonedData(enabled=0.0)))
    honest = board.scenario.replace(
        attacks=tuple(measured if k == attacker else party for k, party in enumerate(board.scenario.attacks)),
        poison=board.scenario.poison.replace(rate=0.0),
    )
    over: dict[Any, list[float]] = {"learning_rate": list(RATES)}
    values = [getattr(b.scenario.poison.trigger, "value", 0.0) for b in boards]
    is_swept = isinstance(trigger, FeatureTrigger) and values[0] != values[1]
    if is_swept:
        over["poison.trigger.value"] = values
    results = sweep(honest, data, over, SEEDS, epochs, evaluate_every=epochs, progress=False)
    last = results.isel(epoch=-1).median("seed")
    if not is_swept:
        last = last.expand_dims({"poison.trigger.value": values[:1]})
    accuracy = last["full_clean_accuracy"].isel({"poison.trigger.value": 0}).values
    place = largest_good(accuracy)
    taken = last.isel(learning_rate=place)
    floors = taken["full_attack_success"].values
    value = int(np.nanargmin(floors)) if np.isfinite(floors).any() else 0
    taken = taken.isel({"poison.trigger.value": value})
    board = board_for(
        data, attacker=attacker, head=head, epochs=epochs, percentile=PERCENTILES[value], learning_rate=RATES[place]
    )
    sizes = Sizes(*(float(taken[name]) for name in Sizes._fields))
    has_stamp = isinstance(trigger, StampTrigger) and float(floors[value]) <= FLOOR_AT_MOST
    return Setting(board, sizes, has_stamp)


def largest_good(accuracy: np.ndarray) -> int:
    """Returns the place of the largest rate whose accuracy is within 0.01 of the best; one that is no number counts 0.

    Args:
      accuracy: float[R], by rate.

    Example:
      >>> import numpy as np
      >>> largest_good(np.array([0.81, 0.805, np.nan]))
      1
    """
    known = np.nan_to_num(np.asarray(accuracy, float))
    return int(np.flatnonzero(known >= known.max() - WITHIN).max())

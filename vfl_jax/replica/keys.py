"""The keys of a step's draws: every hook of every method has its own, so that one more draw changes no other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from vfl_jax.core.types import Array, Key
from vfl_jax.replica.state import Streams

FEATURES, UPLOAD, DOWNLOAD, LABELS, RECEIVE, SEND, EMBED, SUSPICION, GUESSES = range(9)
"""The number of a hook in its keys."""


class Keys(NamedTuple):
    """The keys of a step's draws.

    Args:
      attack: the keys of every party's hooks, by the number of the hook.
      models: the key of every party's model.
      active_attack: the keys of the hooks of the active party's attack, by the number of the hook.
      defense: those of the defense.
    """

    attack: tuple[dict[int, Key], ...]
    models: tuple[Key, ...]
    active_attack: dict[int, Key]
    defense: dict[int, Key]

    @classmethod
    def at(cls, streams: Streams, step: Array, num_parties: int) -> Keys:
        """Returns the keys of one step.

        Args:
          streams: the seed's random streams.
          step: int32[], the number of the step since the start.
          num_parties: K.
        """

        def of_hooks(key: Key, hooks: Sequence[int]) -> dict[int, Key]:
            return {hook: jax.random.fold_in(key, hook) for hook in hooks}

        parties, active = range(num_parties), (LABELS, RECEIVE, SEND, EMBED)
        return cls(
            tuple(of_hooks(party_key(streams.attack, step, k), (FEATURES, UPLOAD, DOWNLOAD)) for k in parties),
            tuple(party_key(streams.models, step, k) for k in parties),
            of_hooks(jax.random.fold_in(streams.active_attack, step), active),
            of_hooks(jax.random.fold_in(streams.defense, step), active),
        )


def party_key(stream: Key, step: Array | np.uint32, party: int) -> Key:
    """Returns the key of one party at one step of a stream."""
    return jax.random.fold_in(jax.random.fold_in(stream, step), party)

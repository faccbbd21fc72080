"""What flows through the protocol: data, views, knowledge, state, and what a reader is told."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any, ClassVar, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.bags import BagOfIds
from vfl_jax.types import Array, Features, Key, Params, State

ORDINARY, POISON, TARGET = 0, 1, 2
"""The role of a batch row: ``POISON`` and ``TARGET`` only for the pair appended to a batch."""


@flax.struct.dataclass
class Rows:
    """Samples held jointly: row i of every party is the same entity."""

    features: tuple[Features, ...]  # K parties, leaves [N, ...]
    labels: Array | np.ndarray  # int32[N]
    has_trigger: Array | np.ndarray  # bool[N]  rows that carry the trigger by nature

    @property
    def num_samples(self) -> int:
        return self.labels.shape[0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerticalData:
    """A vertically partitioned data set, in NumPy on the host.

    ``parties`` names the feature holders only. ``active_party`` is the index of the one that also
    holds the labels, or None when the label holder has no features. ``positions[k]`` has the
    shape of one sample of party k and says which global feature each entry is (for an image
    flattened row by row, the pixel), so that a trigger can be laid over all parties. ``feature_names[k]`` names the
    features of party k, flattened, or the ids of its bags, where names are known.
    """

    name: str
    parties: tuple[str, ...]
    train: Rows
    test: Rows
    classes: tuple[str, ...]
    active_party: int | None = None
    positions: tuple[np.ndarray, ...] | None = None
    image_shape: tuple[int, int] | None = None
    feature_names: tuple[tuple[str, ...], ...] | None = None

    def __post_init__(self) -> None:
        if self.active_party is not None and not 0 <= self.active_party < self.num_parties:
            raise ValueError(
                f"active_party is {self.active_party}; the parties are 0 to {self.num_parties - 1}, or None."
            )

    @property
    def num_parties(self) -> int:
        return len(self.parties)

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    def fingerprint(self) -> str:
        """SHA-256 over every array (its place, dtype, shape and content), the partition, and how many ids bags have."""
        vocabularies = [(k, int(x.vocabulary)) for k, x in enumerate(self.train.features) if isinstance(x, BagOfIds)]
        return content_hash((self.train, self.test), self.parties, self.classes, self.active_party, *vocabularies)


def content_hash(tree: Any, *notes: Any) -> str:
    """SHA-256 of the arrays in a pytree, by path, dtype, shape and bytes, and of some notes."""
    digest = hashlib.sha256(repr(notes).encode())
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)}{array.dtype.str}{array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()


class Shapes(NamedTuple):
    """What the protocol makes public to everyone before training; static."""

    num_samples: int  # N
    num_classes: int  # C
    batch_rows: int  # B, the appended pair included
    row_weight: float  # weight of one row's loss in the batch loss: 1/B under mean, 1 under sum
    widths: tuple[int, ...]  # E of every party
    active_party: int | None
    rowwise: tuple[bool, ...]  # whether a step changes only the rows of a party's table that its batch looks up

    @property
    def crossing(self) -> tuple[int, ...]:
        """The parties whose messages cross to or from the active party."""
        return tuple(k for k in range(len(self.widths)) if k != self.active_party)


@flax.struct.dataclass
class PartyView:
    """What one party sees at a training step: nothing of labels, nothing of another party.

    Who is poisoned an attack alone is told: to everyone else ``knowledge`` is None and every row ORDINARY.
    """

    sample_ids: Array  # int32[B]  aligned ids are known to every party
    roles: Array  # int32[B]  ORDINARY; an attack alone sees POISON and TARGET, the rows of an appended pair
    features: Features  # leaves [B, ...]  this party's own rows
    params: Params  # this party's own bottom model
    step: Array  # int32[]  steps taken since the start
    knowledge: Knowledge | None = None  # what an attack was granted; None for everyone else


@flax.struct.dataclass
class ActiveView:
    """What the active party sees at a training step.

    Who is poisoned an attack alone is told: to a defense ``knowledge`` is None and every row ORDINARY.
    """

    sample_ids: Array  # int32[B]
    roles: Array  # int32[B]  ORDINARY; an attack alone sees POISON and TARGET, the rows of an appended pair
    labels: Array  # int32[B]
    step: Array  # int32[]
    knowledge: Knowledge | None = None  # what an attack was granted; None for a defense


@flax.struct.dataclass
class PartyInferView:
    """What one party sees at inference: its own features and model, no ids, no step."""

    OF_ROWS: ClassVar[tuple[str, ...]] = ("features",)

    features: Features
    params: Params
    knowledge: Knowledge | None = None  # what an attack was granted, of the training rows; None for everyone else
    is_valid: Array | None = None  # bool[B]  false for rows that only fill up a batch


@flax.struct.dataclass
class ActiveInferView:
    """What the active party sees at inference: nothing but the messages themselves."""

    OF_ROWS: ClassVar[tuple[str, ...]] = ()

    knowledge: Knowledge | None = None  # what an attack was granted, of the training rows; None for a defense
    is_valid: Array | None = None  # bool[B]  false for rows that only fill up a batch


@flax.struct.dataclass
class Knowledge:
    """What an attacker was granted, resolved for one seed; it reaches attacks as ``view.knowledge``, and no defense.

    Attackers that collude are granted the same; there is no channel between them at run time.
    """

    target_class: Array  # int32[]  the class τ the backdoor shall lead to
    is_poison: Array  # bool[N]  rows that carry the trigger
    is_target: Array  # bool[N]  rows known to be of class τ
    blur: Array | None  # float32[N, E]  the vector to send for each row, when given, else None
    by_role: bool = flax.struct.field(pytree_node=False, default=False)  # an appended pair, not ids

    def find(self, view: PartyView | ActiveView) -> tuple[Array, Array]:
        """Returns (is_poison, is_target), bool[B] each, for the rows of a batch."""
        if self.by_role:
            return view.roles == POISON, view.roles == TARGET
        return self.is_poison[view.sample_ids], self.is_target[view.sample_ids]


@flax.struct.dataclass
class Batch:
    """Rows of one step, before the trigger is stamped."""

    sample_ids: Array  # int32[B]
    roles: Array  # int32[B]
    poison_rank: Array  # int32[B]  place of each row in its seed's order of poisoning
    rows: Rows  # leaves [B, ...]


@flax.struct.dataclass
class TrainState:
    """Everything the next step needs; the step number itself belongs to the loop."""

    params: tuple[Params, ...]
    head_params: Params
    opt_states: tuple[Any, ...]
    head_opt_state: Any
    attack_states: tuple[State, ...]
    active_attack_state: State
    defense_state: State


@flax.struct.dataclass
class StepInfo:
    """What a reader is told of one step."""

    loss: Array  # float32[]  the batch loss on what the active party received, regulariser excluded
    num_correct: Array  # int32[]  rows of the batch whose top logit is the true label
    is_finite: Array  # bool[]  loss and every gradient message are finite


def where_rows(mask: Array, chosen: Array, otherwise: Array) -> Array:
    """Takes rows from ``chosen`` where ``mask`` (bool[B]) is set: arrays [B, ...], or one row [...]."""
    mask = mask.reshape(mask.shape + (1,) * (otherwise.ndim - 1))
    return jnp.where(mask, chosen, otherwise)


class Streams(NamedTuple):
    """Named random streams of one seed: a draw more in one moves no number in another."""

    init: Key
    batches: Key
    poison: Key
    targets: Key
    attack: Key
    active_attack: Key
    defense: Key
    inference: Key

    @classmethod
    def of(cls, key: Key) -> Streams:
        return cls(*(jax.random.fold_in(key, i) for i in range(len(cls._fields))))

"""The embedding filter of FILTER: Hu et al. 2026 (AAAI 40(42), pp. 35490–35499)."""

from __future__ import annotations

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_range
from vfl_jax.core.types import Key, Params
from vfl_jax.protocol.knowledge import Shapes
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.protocol.views import ActiveEpochView, ActiveView, Messages


@flax.struct.dataclass
class EmbeddingFilterState:
    """The state of the defense.

    Args:
      first_epoch: float32[], the epoch from which it filters; 0 until it is told how many epochs there are.
      is_suspect: bool[B], the suspects of the present batch.
      num_times: int32[N], how often each training row was a suspect.
    """

    first_epoch: jax.Array
    is_suspect: jax.Array
    num_times: jax.Array


class EmbeddingFilter(ActiveTransform):
    """Gives rows whose embeddings are nearly alike a wrong label, late in training.

    A trigger that is the same for all rows makes a party send the same embedding again and again. From epoch
    ``start`` · (number of epochs) on, in every batch, for every party but the active one::

        of every class of labels, rows in their order: a row that lies nearer than radius to a row that opened a group
            joins the nearest such group, any other row opens one              (Euclidean distance)
        suspects: the rows of the party's largest group over all classes, where it has more than one row; of several
            that of the lowest class, and there the first

    The label of a suspect becomes a random other one for this step. This is the first step of the method that it is
    taken from; the second, which chooses rows by their loss and trains a second head, is not offered. Source: Hu et al.
    2026, *FILTER: a framework for defending against backdoor attacks in vertical federated learning* (AAAI 40(42)),
    and its published code, which also watches the active party. The paper's tables could not be verified.

    ``report`` gives how often each row was a suspect (``suspicion``) and the rows that ever were (``suspects``).

    What to know before numbers are compared:

    * Honest rows are alike, too, where features are (phishing repeats many rows), and where a bottom with ReLU at its
      end sends zeros. Two copies of one row in a batch, as an appended pair can make, count as one.
    * The radius is in the units of the embedding. A trigger that is added to embeddings leaves them as different as
      they were; an attacker who knows the defense adds noise of more than the radius.

    Args:
      start: the share of training after which the defense acts, in [0, 1]; epoch 84 of 100 in the published code. 1
        changes nothing.
      radius: 0.001 in the published code.

    Raises:
      ValueError: where ``start`` lies outside [0, 1], or ``radius`` is negative.

    Example:
      >>> import vfl_jax as vfl
      >>> scenario = vfl.presets.digits_demo().replace(defense=vfl.defenses.EmbeddingFilter(start=0.5))
      >>> scenario.defense.radius
      0.001
    """

    neutral = {"start": 1.0}
    at_epochs = (0,)
    start: float = 0.84
    radius: float = 0.001

    def __post_init__(self) -> None:
        check_range("EmbeddingFilter", 0.0, 1.0, start=self.start)
        check_range("EmbeddingFilter", 0.0, radius=self.radius)

    def init(self, key: Key, shapes: Shapes) -> EmbeddingFilterState:
        return EmbeddingFilterState(
            first_epoch=jnp.zeros(()),
            is_suspect=jnp.zeros(shapes.batch_rows, bool),
            num_times=jnp.zeros(shapes.num_samples, jnp.int32),
        )

    def on_epoch(
        self, key: Key, state: EmbeddingFilterState, view: ActiveEpochView, params: Params
    ) -> tuple[Params, EmbeddingFilterState]:
        # A little less, because 0.84 · 100 is 84.00000…3 to float32.
        first = jnp.ceil(self.start * jnp.asarray(view.num_epochs).astype(jnp.float32) - 1e-3)
        return params, dataclasses.replace(state, first_epoch=first)

    def on_receive(
        self, key: Key, state: EmbeddingFilterState, view: ActiveView, embeddings: Messages
    ) -> tuple[Messages, EmbeddingFilterState]:
        is_class = view.labels[:, None] == view.labels[None]
        is_other = view.sample_ids[:, None] != view.sample_ids[None]
        may_group = is_class & (is_other | jnp.eye(len(is_class), dtype=bool))
        apart = [jnp.where(may_group, distances(h), jnp.inf) for h in embeddings]
        alike = [largest_group(of_party, self.radius, view.labels) for of_party in apart]
        is_suspect = jnp.stack(alike).any(axis=0) & (view.epoch.astype(jnp.float32) >= state.first_epoch)
        return embeddings, dataclasses.replace(
            state,
            is_suspect=is_suspect,
            num_times=state.num_times.at[view.sample_ids].add(is_suspect.astype(jnp.int32)),
        )

    def on_labels(
        self, key: Key, state: EmbeddingFilterState, view: ActiveView, targets: jax.Array
    ) -> tuple[jax.Array, EmbeddingFilterState]:
        num_rows, num_classes = targets.shape
        other = (view.labels + jax.random.randint(key, (num_rows,), 1, num_classes)) % num_classes
        wrong = jax.nn.one_hot(other, num_classes, dtype=targets.dtype)
        return jnp.where(state.is_suspect[:, None], wrong, targets), state

    def report(self, state: EmbeddingFilterState) -> dict[str, jax.Array]:
        return {"suspicion": state.num_times.astype(jnp.float32), "suspects": state.num_times > 0}


def distances(rows: jax.Array) -> jax.Array:
    """Returns the Euclidean distances of rows, float32[B, E], from each other, float32[B, B]."""
    # By differences: by products, the distance of rows of length 10 is off by more than a radius of 0.001.
    return jnp.linalg.norm(rows[:, None] - rows[None], axis=-1)


def largest_group(apart: jax.Array, radius: jax.Array | float, labels: jax.Array) -> jax.Array:
    """Groups rows greedily, and returns which rows are in the largest group, bool[B]; none of a group of one is.

    Args:
      apart: the distances of rows, float32[B, B]; infinite between rows that no group may hold together.
      radius: rows join a group whose first row is nearer than this.
      labels: the classes of the rows, int32[B]; of several largest groups that of the lowest class counts.
    """
    size_of_batch = len(apart)
    is_near = (apart < radius) | jnp.eye(size_of_batch, dtype=bool)
    earlier = is_near & jnp.tril(jnp.ones_like(is_near), k=-1)

    def without_earlier(opens: jax.Array) -> jax.Array:
        return ~(earlier & opens[None]).any(axis=1)

    # A row opens a group unless an earlier one that does is near. One pass settles the first row, and each further pass
    # at least one row more; as a rule few passes settle all.
    everyone = jnp.ones(size_of_batch, bool)
    opens = jax.lax.while_loop(
        lambda pair: (pair[0] != pair[1]).any(),
        lambda pair: (without_earlier(pair[0]), pair[0]),
        (without_earlier(everyone), everyone),
    )[0]
    group = jnp.argmin(jnp.where(is_near & opens[None], apart, jnp.inf), axis=1)
    size = jnp.sum(group[:, None] == jnp.arange(size_of_batch)[None], axis=0, dtype=jnp.int32)
    order = labels * size_of_batch + jnp.arange(size_of_batch, dtype=labels.dtype)
    largest = jnp.argmin(jnp.where(size == size.max(), order, jnp.iinfo(order.dtype).max))
    return (group == largest) & (size.max() > 1)

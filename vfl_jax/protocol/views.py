"""The views of a party and of the active party: what a method sees, and what it can compute.

A view holds arrays and functions. Its functions close over what this party owns, and over nothing else: a party calls
its own model and reads its own table, the active party calls its head. A function that a method does not call costs
nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import flax.struct
import jax

from vfl_jax.core.types import Features, Params
from vfl_jax.protocol.knowledge import NOTHING, Knowledge

Messages = tuple[jax.Array, ...]
"""One message, float32[B, E], per party in ``Shapes.crossing``, in that order."""


def _function() -> Any:
    """Declares a function of a view; a view that was built by hand may lack it."""
    return flax.struct.field(pytree_node=False, default=None)


@flax.struct.dataclass
class PartyView:
    """The view of one party at a training step; it has no labels, and nothing of another party.

    Args:
      sample_ids: int32[B], the numbers of the rows in the training set; all parties know the aligned ids.
      roles: int32[B]. Only an attack sees POISON and TARGET, the rows of an appended pair; any other method sees
        ORDINARY.
      features: this party's own rows, leaves [B, ...].
      params: the parameters of this party's own bottom model.
      step: int32[], the number of steps before this one.
      knowledge: the knowledge of an attack; None for any other method.
      epoch: int32[], counted from 0.
      forward: ``forward(features, params=...)`` runs this party's own bottom model, as at inference: features, leaves
        [B, ...], to float32[B, E]. Without ``params`` these are the parameters of the view.
      pull_back: ``pull_back(gradient)`` leads a gradient of the embedding, float32[B, E], back to the rows that the
        model was fed, leaves [B, ...].
      rows: ``rows(ids)`` reads this party's own training table, stamped like the batches: int[B] to leaves [B, ...].
      stamp: ``stamp(features, is_marked)`` stamps the attack trigger on this party's features; None for a method that
        is no attack, and where the scenario has no trigger that can be stamped on features.
    """

    sample_ids: jax.Array
    roles: jax.Array
    features: Features
    params: Params
    step: jax.Array
    knowledge: Knowledge = NOTHING
    epoch: jax.Array = NOTHING
    forward: Callable[..., jax.Array] = _function()
    pull_back: Callable[[jax.Array], Features] = _function()
    rows: Callable[[jax.Array], Features] = _function()
    stamp: Callable[[Features, jax.Array], Features] | None = _function()


@flax.struct.dataclass
class ActiveView:
    """The view of the active party at a training step.

    Args:
      sample_ids: int32[B], the numbers of the rows in the training set.
      roles: int32[B]. Only an attack sees POISON and TARGET, the rows of an appended pair; a defense sees ORDINARY.
      labels: int32[B].
      step: int32[], the number of steps before this one.
      knowledge: the knowledge of an attack; None for a defense.
      epoch: int32[], counted from 0.
      embeddings: K arrays, float32[B, E]: in ``on_receive`` the embeddings as they arrived, in later hooks those that
        ``on_receive`` returned; the active party's own is among them.
      logits: ``logits(embeddings)`` runs the head alone on K embeddings, and returns float32[B, C].
      gradients: ``gradients(targets)`` returns the messages that would go out had the targets been these, class
        distributions, float32[B, C]; one message, float32[B, E], per party in ``Shapes.crossing``.
        Where the active party's own attack acts inside the loss (``on_embed``), it does so here for the attack alone: a
        defense's function holds nothing of an attack, so that it computes what the defense's own loss would give.
    """

    sample_ids: jax.Array
    roles: jax.Array
    labels: jax.Array
    step: jax.Array
    knowledge: Knowledge = NOTHING
    epoch: jax.Array = NOTHING
    embeddings: tuple[jax.Array, ...] | None = None
    logits: Callable[[tuple[jax.Array, ...]], jax.Array] = _function()
    gradients: Callable[[jax.Array], Messages] = _function()


@flax.struct.dataclass
class EmbedView:
    """The view of the active party inside the loss, and of the same hook at inference.

    Args:
      sample_ids: int32[B], the numbers of the rows in the training set; None at inference.
      labels: int32[B]; None at inference.
      is_valid: bool[B], false for rows that only fill up a batch; None in training, where all rows count.
      knowledge: the knowledge of an attack; None for a defense.
      is_training: whether this is a training step; static.
      roles: int32[B], as in :class:`ActiveView`; None at inference.
    """

    OF_ROWS: ClassVar[tuple[str, ...]] = ()
    """The fields that have one entry per row."""

    sample_ids: jax.Array | None = None
    labels: jax.Array | None = None
    is_valid: jax.Array | None = None
    knowledge: Knowledge = NOTHING
    is_training: bool = flax.struct.field(pytree_node=False, default=True)
    roles: jax.Array | None = None


@flax.struct.dataclass
class PartyEpochView:
    """The view of one party between two epochs.

    Args:
      epoch: int32[], the number of finished epochs: 0 before the first, ``num_epochs`` after the last.
      num_epochs: int32[], the number of epochs of the whole training.
      sample_ids: int32[N], the numbers of all training rows.
      knowledge: the knowledge of an attack; None for any other method.
      forward: ``forward(features, params=...)``, as in :class:`PartyView`; by default with the parameters that the
        epoch left.
      rows: ``rows(ids)``, as in :class:`PartyView`.
      stamp: ``stamp(features, is_marked)``, as in :class:`PartyView`.
      due: which methods with ``at_epochs`` act now; only the package reads it; static.
    """

    epoch: jax.Array
    num_epochs: jax.Array
    sample_ids: jax.Array
    knowledge: Knowledge = NOTHING
    forward: Callable[..., jax.Array] = _function()
    rows: Callable[[jax.Array], Features] = _function()
    stamp: Callable[[Features, jax.Array], Features] | None = _function()
    due: frozenset[tuple[int, ...]] = flax.struct.field(pytree_node=False, default=frozenset())


@flax.struct.dataclass
class ActiveEpochView:
    """The view of the active party between two epochs. Of messages it has what the method itself kept in its state.

    Args:
      epoch: int32[], the number of finished epochs: 0 before the first, ``num_epochs`` after the last.
      num_epochs: int32[], the number of epochs of the whole training.
      labels: int32[N], the labels of all training rows.
      knowledge: the knowledge of an attack; None for a defense.
      logits: ``logits(embeddings, params=...)`` runs the head alone on K embeddings, float32[B, E], and returns
        float32[B, C]; by default with the parameters that the epoch left.
      due: which methods with ``at_epochs`` act now; only the package reads it; static.
    """

    epoch: jax.Array
    num_epochs: jax.Array
    labels: jax.Array
    knowledge: Knowledge = NOTHING
    logits: Callable[..., jax.Array] = _function()
    due: frozenset[tuple[int, ...]] = flax.struct.field(pytree_node=False, default=frozenset())


@flax.struct.dataclass
class PartyInferView:
    """The view of one party at inference; it has no ids and no step.

    Args:
      features: this party's own test rows, leaves [B, ...], where B is the method's ``inference_batch``.
      params: the parameters of this party's own bottom model.
      knowledge: the knowledge of an attack, about the training rows; None for any other method.
      is_valid: bool[B], false for rows that only fill up a batch.
      is_attacked: bool[B], the rows that the attacker is to attack now, whatever its trigger is; the evaluation draws
        them. For a method that is no attack no row is.
      forward: ``forward(features, params=...)``, as in :class:`PartyView`.
    """

    OF_ROWS: ClassVar[tuple[str, ...]] = ("features", "is_attacked")
    """The fields that have one entry per row."""

    features: Features
    params: Params
    knowledge: Knowledge = NOTHING
    is_valid: jax.Array | None = None
    is_attacked: jax.Array = NOTHING
    forward: Callable[..., jax.Array] = _function()


@flax.struct.dataclass
class ActiveInferView:
    """The view of the active party at inference; a hook also gets the messages or logits themselves.

    Args:
      knowledge: the knowledge of an attack, about the training rows; None for a defense.
      is_valid: bool[B], false for rows that only fill up a batch.
      embeddings: K arrays, float32[B, E]: in ``infer_suspicion`` and ``infer_receive`` the embeddings as they arrived,
        in ``infer_logits`` those that ``infer_receive`` returned; the active party's own is among them.
      logits: ``logits(embeddings)`` runs the head alone on K embeddings, and returns float32[B, C].
    """

    OF_ROWS: ClassVar[tuple[str, ...]] = ("embeddings",)
    """The fields that have one entry per row."""

    knowledge: Knowledge = NOTHING
    is_valid: jax.Array | None = None
    embeddings: tuple[jax.Array, ...] | None = None
    logits: Callable[[tuple[jax.Array, ...]], jax.Array] = _function()


@flax.struct.dataclass
class Suspicion:
    """The answer of a defense about test rows.

    Args:
      score: float32[B, P], how suspicious each row of each of the P parties in ``Shapes.crossing`` is; only the order
        of the scores counts. The score of a row is the largest of its parties.
      is_suspect: bool[B], the defense's own yes or no.
    """

    score: jax.Array
    is_suspect: jax.Array

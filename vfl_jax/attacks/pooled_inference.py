"""Label inference by two witnesses: what a row is told, and what rows like it are told."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from vfl_jax.attacks.evidence import Kind
from vfl_jax.attacks.reader import (
    Heard,
    Reader,
    Reading,
    mean_of,
    most_likely,
    principal,
    read_known,
    smoothed,
    standardized,
)
from vfl_jax.core.record import static
from vfl_jax.core.types import Array, Key
from vfl_jax.protocol.transforms import Attack


class PooledInference(Reader, Attack):
    """Adds to what a row is told what rows like it are told, and reads the sum by known rows; changes nothing.

    A defense draws the noise of every row, or the false label, anew, so both are witnesses of their own. Let M be the
    mean messages of all rows, [N, E], and P their scores along the C − 1 directions in which they differ most. A ridge
    regression of P on the party's own embeddings after the epoch says what rows like a row are told: for that, all N
    rows count, and no label need be known. P is standardized over the rows that were told something, its regression
    over all rows that are read, and both are added; P is 0 where nothing was told. A ridge
    regression with an intercept, on the known rows, leads from these C − 1 columns to the labels (one-hot); every class
    has the same weight. A row gets the class with the largest value.

    Adding without weights is on purpose: ten known rows of a class do not tell which of two weak witnesses is better,
    and where one is at most twice as good as the other, equal weights lose little. Where messages say next to nothing
    they spoil what the embeddings say: with ten classes behind strong noise a regression on embeddings reads more.

    The attacker knows ``poison.num_known`` rows of every class. A row without a message is read only where ``own`` is
    set, by the two witnesses that need none.

    No source; it is the adaptation to defenses that draw for every row by itself: noise on gradients, and randomised
    labels.

    Args:
      enabled: 1 or 0; the attack only listens, so both give the honest run.
      evidence: the gradients whose mean is used: "last", "sum", "fading" or "directions".
      own: whether a third witness is added: a regression of known labels on the own embeddings. The scores of both
        regressions are less their mean over rows, and of one size, before they are added.
      way: the ending of the metrics' names, so that several readers can listen in one chain.
      at_epochs: the numbers of finished epochs after which it reads, −1 after the last; None is after every one.

    Raises:
      ValueError: where ``evidence`` is none of these.

    Example:
      >>> import vfl_jax as vfl
      >>> vfl.attacks.PooledInference(evidence="sum").needs.num_known
      4
    """

    evidence: Kind = static(default="directions")
    own: bool = static(default=False)
    way: str = static(default="")
    at_epochs: tuple[int, ...] | None = static(default=None)

    def infer(self, key: Key, heard: Heard) -> Reading:
        embeddings, is_there = heard.rows("embeddings")
        is_told = is_there & heard.is_heard
        is_read = is_there if self.own else is_told
        told = principal(heard.messages, is_told, heard.num_classes - 1)
        alike = smoothed(told, is_told, embeddings, is_read)
        scores = read_known(standardized(told, is_told) + standardized(alike, is_read), is_read, heard)
        if self.own:
            own = read_known(standardized(embeddings, is_read), is_read, heard)
            scores = _of_one_size(scores, is_read) + _of_one_size(own, is_read)
        return most_likely(scores, is_read)


def _of_one_size(scores: Array, counts: Array) -> jax.Array:
    """Returns scores, float32[N, C], less their mean over the rows that count, bool[N], and of one size; −∞ stays."""
    finite = jnp.where(scores > -jnp.inf, scores, 0.0)
    centered = jnp.where(counts[:, None], finite - mean_of(finite, counts)[None], 0.0)
    size = jnp.sqrt(mean_of(centered**2, counts).sum())
    return jnp.where(scores > -jnp.inf, centered / jnp.where(size > 0, size, 1.0), -jnp.inf)

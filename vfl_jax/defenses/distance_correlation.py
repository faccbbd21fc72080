"""A penalty on what embeddings tell about labels: Sun, Yang, Yao, Wang 2022 (arXiv:2203.01451)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_range
from vfl_jax.core.types import Key, Params
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.protocol.views import EmbedView, Messages


class DistanceCorrelation(ActiveTransform):
    """Adds the logarithm of the distance correlation between embeddings and labels to the loss of a batch::

        loss += weight · Σ_k log dCor(h_k, e_y)          over the crossing parties k

        dCor(a, b) = √( mean(A∘B) / √( mean(A∘A) · mean(B∘B) ) )
        A          = the Euclidean distances between the rows of a, without the means of their row and column and with
                     the mean of all added; B likewise

    dCor lies in [0, 1]; of infinitely many rows it is 0 only where a and b are independent. The gradient goes to the
    parties with the message of the loss, so their models learn embeddings that lie together less by class. The head
    must then do the work, so the defense needs a trainable one. Test rows pass as they are.

    Sources: Sun, Yang, Yao, Wang 2022, *Label leakage and protection from forward embedding in vertical federated
    learning* (arXiv:2203.01451), whose weight could not be verified, and the code of VFLAIR. That code takes the root
    of distances whose slope at 0 is 5e9; in float32 what it trains with is mostly rounding noise. Here two equal rows
    have the distance 0 and the slope 0, and the gradient is the true one. VFLAIR also has a passive party's penalty
    on log dCor(h, x) with its own features x. It is left out: it protects features, and nothing here reads those.

    A batch whose embeddings or labels are all equal has no distance correlation, and adds nothing. The distances take
    memory for B² numbers per party and, on the way, B²·E. Where ``view.labels`` are told to the loss in another form
    (smoothed, encoded), dCor still takes the labels themselves.

    An attacker who knows it uses no gradient and sends what it likes (``BASL``, ``Replay``): the defense acts on
    training alone, and test rows pass as they are.

    This buys no privacy guarantee: it lowers what embeddings of a batch show, not what gradients show.

    Args:
      weight: the weight of the penalty; under a loss with the reduction "sum" B times this is the same balance. 0
        switches the defense off, bit for bit.

    Raises:
      ValueError: where ``weight`` is negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import vfl_jax as vfl
      >>> view = vfl.protocol.views.EmbedView(labels=jnp.array([0, 1]))
      >>> defense = vfl.defenses.DistanceCorrelation(weight=1.0)
      >>> embeddings, penalty = defense.on_embed({}, None, view, (jnp.array([[0.5], [3.0]]),))
      >>> float(penalty)
      0.0
    """

    neutral = {"weight": 0.0}
    weight: float = 0.0

    def __post_init__(self) -> None:
        check_range("DistanceCorrelation", 0.0, weight=self.weight)

    def on_embed(self, params: Params, key: Key, view: EmbedView, embeddings: Messages) -> tuple[Messages, jax.Array]:
        if view.labels is None:
            return embeddings, jnp.float32(0.0)
        # Two labels are equal or √2 apart, however many classes there are.
        labels = (view.labels[:, None] != view.labels[None, :]).astype(jnp.float32)
        penalty = sum((log_correlation(distances(h), labels) for h in embeddings), jnp.float32(0.0))
        # Chosen, not multiplied: a penalty that is not finite must not reach an undefended loss.
        return embeddings, jnp.where(jnp.asarray(self.weight) > 0, self.weight * penalty, 0.0)


def distances(rows: jax.Array) -> jax.Array:
    """Returns the Euclidean distances between rows in some unit, float32[B, B]; equal rows have no slope.

    Args:
      rows: float32[B, E]. A distance correlation does not depend on the unit, so it is one in which no square leaves
        the range: the largest entry.
    """
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(rows)))
    rows = rows / jnp.where(largest > 0, largest, 1.0)
    squares = ((rows[:, None] - rows[None]) ** 2).sum(axis=-1)
    are_equal = squares == 0
    return jnp.where(are_equal, 0.0, jnp.sqrt(jnp.where(are_equal, 1.0, squares)))


def log_correlation(one: jax.Array, other: jax.Array) -> jax.Array:
    """Returns log dCor of two tables of distances between the same rows, float32[]; 0 where there is none.

    Args:
      one, other: float32[B, B].
    """
    a, b = _centred(one), _centred(other)
    means = jnp.stack([(a * b).mean(), (a * a).mean(), (b * b).mean()])
    is_defined = (means > 0).all()
    joint, first, second = jnp.log(jnp.where(is_defined, means, 1.0))
    return joint / 2.0 - (first + second) / 4.0


def _centred(table: jax.Array) -> jax.Array:
    """Takes the means of row and column off a symmetric table, and adds the mean of all."""
    means = table.mean(axis=0)
    return table - means[None] - means[:, None] + means.mean()

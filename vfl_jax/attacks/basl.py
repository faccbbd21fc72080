"""BASL, the backdoor attack against split learning: He et al. 2024 (IEEE TIFS 19, pp. 748–763)."""

from __future__ import annotations

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_count, check_range
from vfl_jax.core.record import static
from vfl_jax.core.types import Array, Key, Params
from vfl_jax.protocol.knowledge import Shapes, where_rows
from vfl_jax.protocol.needs import Needs
from vfl_jax.protocol.transforms import Attack
from vfl_jax.protocol.views import PartyEpochView, PartyInferView, PartyView

NUM_SHIFTS = 100
"""The number of mean shifts; more would move the center by nothing that float32 holds, at any sensible bandwidth."""


@flax.struct.dataclass
class BASLState:
    """The state of the attack.

    Args:
      trigger: float32[E], v; 0 before the first refresh.
      num_refreshes: int32[].
      is_poisoned: bool[N], the rows whose embeddings are overwritten; none before the first refresh.
    """

    trigger: jax.Array
    num_refreshes: jax.Array
    is_poisoned: jax.Array


class BASL(Attack):
    """Sends one vector v, near the densest place of class τ, in place of embeddings.

    The auxiliary rows are the known target rows, so a scenario grants some hundred of them (``poison.num_targets``).
    They keep their labels. At the epochs of ``at_epochs`` the attack

    1. embeds the auxiliary rows with its own bottom, and correlates every row with every other over the E coordinates;
    2. keeps the ``num_kept`` rows with the largest sums of correlations;
    3. shifts a point x, first the row with the largest sum, to Σ_i w_i h_i / Σ_i w_i over the kept rows, with
       w_i = exp(−‖x − h_i‖² / (2·bandwidth²)), until it rests at the center c;
    4. takes v = scale · max_i‖h_i‖ · c/‖c‖, where the maximum is over all auxiliary rows.

    From then on the attack sends v for every auxiliary row of a batch, and no gradient flows back through these rows.
    At inference it sends v for every attacked row; before the first refresh it sends what an honest party does.
    Scenarios use ``EmbeddingTrigger()`` and need no poison rows (``poison.rate`` 0).

    ``report`` gives the overwritten rows, the norm of v and the number of refreshes. Source: He et al. 2024, *Backdoor
    attack against split neural network-based vertical federated learning* (IEEE TIFS 19), and its published code; the
    tables of the paper could not be verified. Differences from published code:

    * The scale is 0.85 in the authors' code, 5 and 30 in two copies; ``scale`` chooses. These copies poison no
      training row, because they write into a temporary array; ``at_epochs=(-1,)`` does the same.
    * The code averages over the rows that it has already shifted, because both lists share memory. Its center is then a
      mean with weights by the order of the rows; here it is the center of the rows themselves.
    * The code's noise on test rows has constants for one embedding (ReLU, width 64·h·8); ``noise`` is plain noise.

    Args:
      enabled: 1 for the attack, 0 for the honest run.
      at_epochs: the numbers of finished epochs at which v is computed anew; numbers below 0 count from the end, −1 is
        after the last. (−21, −11) is the code's "before epochs 80 and 90 of 100"; a training of fewer than 20
        epochs has no such place, and is refused: name others then.
      most_rows: the largest number of auxiliary rows that shape v, the first by number; 500 in the code. All of them
        are overwritten.
      num_kept: the number of auxiliary rows that stay in step 2; 50 in the code.
      bandwidth: the width of the kernel; 1000 in the code, so wide that the center is the mean of the kept rows.
      scale: the norm of v, in norms of the longest auxiliary embedding.
      noise: the standard deviation of Gaussian noise on v at inference, drawn for every row.

    Raises:
      ValueError: where ``at_epochs`` is empty, ``most_rows`` is below 1, ``num_kept`` is below 1, ``bandwidth`` is not
        above 0, or ``noise`` is negative.

    Example:
      >>> import vfl_jax as vfl
      >>> attack = vfl.attacks.BASL(at_epochs=(5, 10), scale=0.85)
      >>> vfl.numbers(attack)
      {'enabled': 1.0, 'num_kept': 50, 'bandwidth': 1000.0, 'scale': 0.85, 'noise': 0.0}
    """

    needs = Needs(trigger="message", poison_rate=0.0, num_targets=500)

    at_epochs: tuple[int, ...] = static(default=(-21, -11))
    most_rows: int = static(default=500)
    num_kept: int = 50
    bandwidth: float = 1000.0
    scale: float = 0.85
    noise: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.at_epochs:
            raise ValueError(
                "BASL.at_epochs is empty, so that the attack would never begin. Give at least one number of finished "
                "epochs, such as −11, ten epochs before the end."
            )
        check_count(**{"BASL.most_rows": self.most_rows})
        check_range("BASL", 1, num_kept=self.num_kept)
        check_range("BASL", 1e-6, bandwidth=self.bandwidth)
        check_range("BASL", 0.0, noise=self.noise)
        check_range("BASL", scale=self.scale)

    def init(self, key: Key, shapes: Shapes, party: int) -> BASLState:
        return BASLState(
            trigger=jnp.zeros(shapes.widths[party]),
            num_refreshes=jnp.int32(0),
            is_poisoned=jnp.zeros(shapes.num_samples, bool),
        )

    def on_epoch(self, key: Key, state: BASLState, view: PartyEpochView, params: Params) -> tuple[Params, BASLState]:
        is_auxiliary = view.knowledge.is_target
        size = min(self.most_rows, len(is_auxiliary))
        (ids,) = jnp.nonzero(is_auxiliary, size=size, fill_value=0)
        is_there = jnp.arange(size) < jnp.sum(is_auxiliary, dtype=jnp.int32)
        embeddings = view.forward(view.rows(ids))
        center = density_center(embeddings, is_there, self.num_kept, self.bandwidth)
        refreshed = BASLState(
            trigger=lengthened(center, embeddings, is_there, self.scale),
            num_refreshes=state.num_refreshes + 1,
            is_poisoned=is_auxiliary,
        )
        return params, refreshed

    def on_upload(
        self, key: Key, state: BASLState, view: PartyView, embedding: jax.Array
    ) -> tuple[jax.Array, BASLState]:
        return where_rows(_overwritten(state, view), state.trigger, embedding), state

    def on_download(
        self, key: Key, state: BASLState, view: PartyView, gradient: jax.Array
    ) -> tuple[jax.Array, BASLState]:
        return where_rows(_overwritten(state, view), jnp.zeros_like(state.trigger), gradient), state

    def infer_upload(self, key: Key, state: BASLState, view: PartyInferView, embedding: jax.Array) -> jax.Array:
        fires = view.is_attacked & (state.num_refreshes > 0)
        sent = state.trigger[None] + self.noise * jax.random.normal(key, embedding.shape)
        return where_rows(fires, sent, embedding)

    def report(self, state: BASLState) -> dict[str, jax.Array]:
        return {
            "poisoned_rows": state.is_poisoned,
            "trigger_norm": jnp.linalg.norm(state.trigger),
            "num_refreshes": state.num_refreshes.astype(jnp.float32),
        }


def _overwritten(state: BASLState, view: PartyView) -> jax.Array:
    """Returns the rows of a batch whose embeddings are overwritten, bool[B]."""
    _, is_target = view.knowledge.find(view)
    return is_target & (state.num_refreshes > 0)


def correlation_sums(embeddings: Array, is_there: Array) -> jax.Array:
    """Sums, for every row, its correlations with all rows, itself among them; a constant row correlates with none.

    Args:
      embeddings: float32[R, E].
      is_there: bool[R], the rows that count.

    Returns:
      float32[R], −∞ for rows that do not count.

    Example:
      >>> import jax.numpy as jnp
      >>> rows = jnp.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [3.0, 2.0, 1.0], [9.0, 9.0, 9.0]])
      >>> correlation_sums(rows, jnp.array([True, True, True, False])).round(3).tolist()
      [1.0, 1.0, -1.0, -inf]
    """
    centered = jnp.asarray(embeddings) - jnp.mean(embeddings, axis=1, keepdims=True)
    norm = jnp.linalg.norm(centered, axis=1, keepdims=True)
    scored = jnp.where((norm > 0) & is_there[:, None], centered / jnp.where(norm > 0, norm, 1.0), 0.0)
    # The correlation of two rows is the product of their scores, so the sum of products is a product with the sum.
    return jnp.where(is_there, scored @ scored.sum(axis=0), -jnp.inf)


def density_center(embeddings: Array, is_there: Array, num_kept: Array | int, bandwidth: Array | float) -> jax.Array:
    """Shifts the most correlated row to the densest place among the most correlated rows.

    Args:
      embeddings: float32[R, E].
      is_there: bool[R], the rows that count.
      num_kept: the number of rows with the largest sums of correlations that are kept.
      bandwidth: the width of the Gaussian kernel.

    Returns:
      float32[E].
    """
    embeddings, sums = jnp.asarray(embeddings), correlation_sums(embeddings, is_there)
    order = jnp.argsort(-sums)
    is_kept = is_there & (jnp.argsort(order) < num_kept)

    def shift(_: jax.Array, point: jax.Array) -> jax.Array:
        return shifted(point, embeddings, is_kept, bandwidth)

    return jax.lax.fori_loop(0, NUM_SHIFTS, shift, embeddings[order[0]])


def shifted(point: Array, embeddings: Array, is_kept: Array, bandwidth: Array | float) -> jax.Array:
    """Shifts a point once, to the mean of the rows, weighted by a Gaussian kernel.

    Args:
      point: float32[E].
      embeddings: float32[R, E].
      is_kept: bool[R], the rows that count.
      bandwidth: the width of the kernel.

    Returns:
      float32[E].
    """
    distance = jnp.sum((embeddings - point[None]) ** 2, axis=1) / bandwidth**2
    # Weights are relative to the nearest row's, so that they do not all vanish at once.
    nearest = jnp.min(jnp.where(is_kept, distance, jnp.inf))
    weight = jnp.where(is_kept, jnp.exp(-0.5 * (distance - nearest)), 0.0)
    return weight @ embeddings / weight.sum()


def lengthened(center: Array, embeddings: Array, is_there: Array, scale: Array | float) -> jax.Array:
    """Gives a vector the length of the longest row, times a scale.

    Args:
      center: float32[E]; 0 stays 0.
      embeddings: float32[R, E].
      is_there: bool[R], the rows that count.
      scale: the factor.

    Returns:
      float32[E].
    """
    longest = jnp.max(jnp.where(is_there, jnp.linalg.norm(embeddings, axis=1), 0.0))
    norm = jnp.linalg.norm(center)
    return jnp.where(norm > 0, center * (scale * longest / jnp.where(norm > 0, norm, 1.0)), 0.0)

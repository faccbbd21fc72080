"""A message that the attacker learns from gradients: this package's own, for judging defenses by a strong attacker."""

from __future__ import annotations

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.attacks.evidence import has_message, mean_of, unit
from vfl_jax.core.checks import check_count, check_range
from vfl_jax.core.record import static
from vfl_jax.core.types import Array, Key, Params
from vfl_jax.protocol.knowledge import Shapes, where_rows
from vfl_jax.protocol.needs import Needs
from vfl_jax.protocol.transforms import Attack
from vfl_jax.protocol.views import PartyEpochView, PartyInferView, PartyView


@flax.struct.dataclass
class LearnedMessageState:
    """The state of the attack.

    Args:
      longest: float32[], ℓ, about the length of the longest own embedding of late.
      direction: float32[E], u, at length 1; 0 before the attack begins.
      slope: float32[E], s, which u goes against; 0 at first.
      has_begun: bool[].
    """

    longest: jax.Array
    direction: jax.Array
    slope: jax.Array
    has_begun: jax.Array


class LearnedMessage(Attack):
    """Learns from gradients one message v that says τ, and sends it for every attacked row.

    A gradient says how the loss of a row falls with its message. The gradients of rows of τ show the way to τ, those of
    other rows the way to their own classes. With h_i the party's own embeddings, v is ``size``·ℓ·u: ℓ is about the
    length of the longest of late, ℓ ← max(0.999·ℓ, max_i‖h_i‖) in every batch, and u a direction. At the epochs of
    ``at_epochs`` the attack begins, or begins anew, with u along the mean embedding of the known target rows. From then
    on, in every batch that has such a row,

    * **Slope.** With g_i the gradients, d is the mean of g_i / ‖g_i‖ over the batch's known target rows, less that over
      all its other rows; s ← ``decay``·s + (1 − ``decay``)·d. Rows whose gradient is 0 or not finite do not count.
      Rows of τ that are not known are among the others, and weaken d where τ is frequent.
    * **Step.** u ← u − ``step_size``·s / ‖s‖, brought back to length 1.
    * **Sending.** With ``sends`` at 1 the attack sends v for the known target rows, which keep their labels, and no
      gradient flows back through them: so the head learns that v means τ, and their gradients are those at v. With 0
      the party trains honestly: its training messages show nothing. The gradients are then those at its own embeddings.

    At inference it sends v for every attacked row, whatever the row's features are; before it begins, what an honest
    party does. Scenarios use ``EmbeddingTrigger()``, need no poison rows (``poison.rate`` 0), and grant some known
    target rows (``poison.num_targets``).

    A defense that clips or normalises messages leaves their direction, and this seeks a good one. ``report`` gives
    the norm of v. No source has this attack. Near it are HijackVFL's optimised messages (Qiu et al., arXiv:2212.00322)
    and adversarial dominating inputs (IEEE S&P 2023); they know more, answers of the model or other parties' rows.
    ``BASL`` overwrites known rows of τ in training, too.

    Args:
      enabled: 1 for the attack, 0 for the honest run.
      at_epochs: the numbers of finished epochs at which the attack begins; numbers below 0 count from the end. −11 is
        ten epochs before the end; a training of fewer than 10 epochs has no such place, and is refused: name another.
      most_rows: the largest number of known target rows that shape the start, the first by number.
      sends: above 0 it sends v in training, too; at 0 it trains honestly.
      size: the length of v, in lengths of the longest own embedding, ℓ.
      step_size: what u moves in a batch.
      decay: how much of the slope stays from batch to batch, in [0, 1].

    Raises:
      ValueError: naming the field, where ``at_epochs`` is empty, ``most_rows`` is below 1, ``size`` or ``step_size`` is
        negative, or ``sends`` or ``decay`` lies outside [0, 1].

    Example:
      >>> import vfl_jax as vfl
      >>> attack = vfl.attacks.LearnedMessage(at_epochs=(40,), size=5.0)
      >>> attack.needs.num_targets
      500
    """

    needs = Needs(trigger="message", poison_rate=0.0, num_targets=500)

    at_epochs: tuple[int, ...] = static(default=(-11,))
    most_rows: int = static(default=500)
    sends: float = 1.0
    size: float = 1.0
    step_size: float = 0.05
    decay: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.at_epochs:
            raise ValueError(
                "LearnedMessage.at_epochs is empty, so that the attack would never begin. Give at least one number of "
                "finished epochs, such as −11, ten epochs before the end."
            )
        check_count(**{"LearnedMessage.most_rows": self.most_rows})
        check_range("LearnedMessage", 0.0, size=self.size, step_size=self.step_size)
        check_range("LearnedMessage", 0.0, 1.0, sends=self.sends, decay=self.decay)

    def init(self, key: Key, shapes: Shapes, party: int) -> LearnedMessageState:
        nothing = jnp.zeros(shapes.widths[party])
        return LearnedMessageState(jnp.float32(0.0), direction=nothing, slope=nothing, has_begun=jnp.array(False))

    def on_epoch(
        self, key: Key, state: LearnedMessageState, view: PartyEpochView, params: Params
    ) -> tuple[Params, LearnedMessageState]:
        is_target = view.knowledge.is_target
        most = min(self.most_rows, len(is_target))
        (ids,) = jnp.nonzero(is_target, size=most, fill_value=0)
        is_there = jnp.arange(most) < jnp.sum(is_target, dtype=jnp.int32)
        direction = _along(mean_of(view.forward(view.rows(ids)), is_there))
        slope = jnp.zeros_like(state.slope)
        return params, dataclasses.replace(state, direction=direction, slope=slope, has_begun=jnp.array(True))

    def on_upload(
        self, key: Key, state: LearnedMessageState, view: PartyView, embedding: jax.Array
    ) -> tuple[jax.Array, LearnedMessageState]:
        longest = jnp.maximum(0.999 * state.longest, jnp.linalg.norm(embedding, axis=1).max())
        state = dataclasses.replace(state, longest=longest)
        return where_rows(self._is_sent(state, view), self._message(state), embedding), state

    def on_download(
        self, key: Key, state: LearnedMessageState, view: PartyView, gradient: jax.Array
    ) -> tuple[jax.Array, LearnedMessageState]:
        _, is_target = view.knowledge.find(view)
        says = has_message(gradient)
        ways = unit(jnp.where(says[:, None], gradient, 0.0))
        slope = self.decay * state.slope + (1 - self.decay) * (
            mean_of(ways, is_target & says) - mean_of(ways, ~is_target & says)
        )
        learns = state.has_begun & (is_target & says).any()
        learned = dataclasses.replace(
            state,
            direction=jnp.where(learns, _along(state.direction - self.step_size * _along(slope)), state.direction),
            slope=jnp.where(learns, slope, state.slope),
        )
        return where_rows(self._is_sent(state, view), jnp.zeros_like(state.direction), gradient), learned

    def infer_upload(
        self, key: Key, state: LearnedMessageState, view: PartyInferView, embedding: jax.Array
    ) -> jax.Array:
        return where_rows(view.is_attacked & state.has_begun, self._message(state), embedding)

    def report(self, state: LearnedMessageState) -> dict[str, jax.Array]:
        return {"message_norm": jnp.linalg.norm(self._message(state))}

    def _message(self, state: LearnedMessageState) -> jax.Array:
        """Returns v, float32[E]."""
        return self.size * state.longest * state.direction

    def _is_sent(self, state: LearnedMessageState, view: PartyView) -> jax.Array:
        """Returns the rows of a batch for which v is sent, bool[B]."""
        _, is_target = view.knowledge.find(view)
        return is_target & state.has_begun & (self.sends > 0)


def _along(vector: Array) -> jax.Array:
    """Returns a vector, float32[E], at length 1; 0 stays 0."""
    return unit(vector[None])[0]

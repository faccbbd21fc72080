"""Fresh replacement: gradient replacement with rows of τ that are found by the direction of their gradients."""

from __future__ import annotations

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.attacks.evidence import UNREAD, Evidence, Kind, has_message, keep, mean_of, no_evidence, unit
from vfl_jax.core.checks import check_range
from vfl_jax.core.record import static
from vfl_jax.core.types import Key
from vfl_jax.protocol.knowledge import ORDINARY, UNKNOWN, Plan, Shapes, where_rows
from vfl_jax.protocol.transforms import Attack
from vfl_jax.protocol.views import PartyView


@flax.struct.dataclass
class FreshReplacementState:
    """The state of the attack.

    Args:
      evidence: what was heard of every training row.
      reference: float32[E], the sum of the directions of the known rows' evidence.
      recorded: float32[E], the mean gradient of the rows of τ in the last batch that had one; 0 at first.
      guesses: int32[N], τ for a row that was found at its last visit, else ``UNREAD`` (−1).
    """

    evidence: Evidence
    reference: jax.Array
    recorded: jax.Array
    guesses: jax.Array


class FreshReplacement(Attack):
    """Finds rows of τ in every batch, and replaces the gradient of every poisoned row by γ times their mean gradient.

    :class:`GradientReplacement` with one known row records a gradient once an epoch, and it is stale most of the time.
    Under any head the gradients of one label's loss point about the same way, so one known row shows which others are
    of its class, and nearly every batch has some of them. With v_i the evidence of row i, and g_i its gradient:

    * **Evidence.** v_i is the row's last gradient ("last"), the sum of all its gradients ("sum"), their sum with the
      weight 1/√k on the k-th ("fading"), or that of all of them at length 1 ("directions"), the present one included.
    * **Search.** d is the sum of v_j / ‖v_j‖ over the known rows that were visited. Row i scores cos(v_i, d). It is
      found where the score is at least ``least_score``, and among the round(``largest_share``·B) best of its batch.
    * **Replacement.** g_rec is the mean of g_i over the batch's rows that are known or found, poison rows excepted;
      where there are none it stays as it was. A poison row gets γ·g_rec; with ``match_norm`` γ·m·g_rec / ‖g_rec‖, where
      m is the mean of ‖g_i‖ over the batch.

    A row without an informative message (0, or not finite) is neither evidence nor found, and a row that is known to be
    of another class is never found. Of an appended pair the target row is known in every batch, and its present
    gradient is all its evidence.

    Adding up answers noise ("directions") and sparsification, whose residual comes later ("sum"); noise lowers all
    cosines, so give a lower ``least_score``, and a ``largest_share`` below 1/C. ``match_norm`` answers what shortens
    some gradients more than others. Against noise none of them helps where γ times the noise itself ruins the model.
    Under a trainable head put :class:`ActivationBlurring` before it in a chain.

    ``report`` gives τ as the guess for rows that are found. With ``enabled`` 0 the attack still listens, so the guesses
    measure how much the messages leak. Sources: Algorithm 2 of Liu, Yi, Chen 2020 (arXiv:2007.03608) replaces; the
    score is that of Li et al., *Label leakage and protection in two-party split learning* (arXiv:2102.08504). The
    published code of SecretFlow replaces by a known target row of the same batch, one at random, too. The chain of the
    two is this package's own: an attack that adapts to the trainable head.

    Args:
      enabled: 1 for the attack, 0 for the honest run.
      evidence: the messages that count: "last", "sum", "fading" or "directions".
      match_norm: whether the replacement is as long as the batch's gradients are on average, times γ.
      amplify: γ.
      least_score: the least cosine of a row that is found.
      largest_share: the largest share of a batch that is found; 0 uses the known rows alone.

    Raises:
      ValueError: where ``evidence`` is none of these, ``amplify`` or ``least_score`` is NaN, or ``largest_share`` lies
        outside [0, 1]; with a scenario without poison rows.

    Example:
      >>> import vfl_jax as vfl
      >>> attack = vfl.attacks.FreshReplacement(least_score=0.1, largest_share=0.05)
      >>> chain = vfl.PartyChain(parts=[vfl.attacks.ActivationBlurring(), attack])
      >>> vfl.numbers(chain)["parts.1.largest_share"]
      0.05
    """

    evidence: Kind = static(default="directions")
    match_norm: bool = static(default=False)
    amplify: float = 10.0
    least_score: float = 0.7
    largest_share: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("FreshReplacement", amplify=self.amplify, least_score=self.least_score)
        check_range("FreshReplacement", 0.0, 1.0, largest_share=self.largest_share)

    def check_plan(self, plan: Plan) -> None:
        plan.needs_poisons("FreshReplacement")

    def init(self, key: Key, shapes: Shapes, party: int) -> FreshReplacementState:
        rows, width = shapes.num_samples, shapes.widths[party]
        return FreshReplacementState(
            evidence=no_evidence(rows, width),
            reference=jnp.zeros(width),
            recorded=jnp.zeros(width),
            guesses=jnp.full(rows, UNREAD, jnp.int32),
        )

    def on_download(
        self, key: Key, state: FreshReplacementState, view: PartyView, gradient: jax.Array
    ) -> tuple[jax.Array, FreshReplacementState]:
        is_poison, is_target = view.knowledge.find(view)
        says, is_ordinary = has_message(gradient), (view.roles == ORDINARY)[:, None]
        old = jnp.asarray(state.evidence.total)[view.sample_ids]
        evidence, new = keep(self.evidence, state.evidence, view, gradient, says)
        before, after = jnp.where(is_ordinary, old, 0.0), jnp.where(is_ordinary, new, gradient)
        # The known rows' old directions go out of the reference, their new ones come in.
        is_told = (is_target & says)[:, None]
        reference = state.reference + jnp.where(is_told, unit(after) - unit(before), 0.0).sum(axis=0)

        score = jnp.where(says, unit(after) @ unit(reference), -jnp.inf)
        num_better = (score[None, :] > score[:, None]).sum(axis=1)  # a sort takes longer
        is_best = num_better < jnp.round(jnp.asarray(self.largest_share) * len(score)).astype(jnp.int32)
        is_like = (score >= self.least_score) & is_best & (reference != 0).any()
        label, target_class = view.knowledge.known_labels[view.sample_ids], view.knowledge.target_class
        is_other = (label != UNKNOWN) & (label != target_class)
        is_found = says & (is_target | (is_like & ~is_other))

        recorded = mean_of(gradient, is_found & ~is_poison, state.recorded)
        ids = jnp.where(says & is_ordinary[:, 0], view.sample_ids, len(state.guesses))  # ids out of range are not kept
        guess = jnp.where(is_found, target_class, UNREAD)
        state = FreshReplacementState(
            evidence=evidence,
            reference=reference,
            recorded=recorded,
            guesses=state.guesses.at[ids].set(guess, mode="drop"),
        )
        return where_rows(is_poison, self._replacement(recorded, gradient), gradient), state

    def report(self, state: FreshReplacementState) -> dict[str, jax.Array]:
        return {"label_guesses": state.guesses}

    def _replacement(self, recorded: jax.Array, gradient: jax.Array) -> jax.Array:
        """Returns what a poison row gets, float32[E]."""
        if self.match_norm:
            return self.amplify * jnp.linalg.norm(gradient, axis=-1).mean() * unit(recorded)
        return self.amplify * recorded

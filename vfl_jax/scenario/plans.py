"""Which rows carry the trigger, what attackers know, and how rows become batches."""

from __future__ import annotations

from typing import Literal

from vfl_jax.core.checks import check_range, check_widths
from vfl_jax.core.record import Record, leaf, static
from vfl_jax.protocol.needs import Needs
from vfl_jax.protocol.triggers import EmbeddingTrigger, NaturalTrigger, Trigger

Mode = Literal["in_place", "appended_pair"]
Drawn = Literal["per_seed", "fixed"]
Order = Literal["file", "shuffled", "sampled"]


class PoisonPlan(Record):
    """The poison rows, which carry the trigger, and the target rows, which the attacker knows to be of class τ.

    Drawn poison rows are the first round(rate · N) rows of one permutation, so a larger rate keeps the rows of a
    smaller one. Target rows are never poison rows. With a ``NaturalTrigger`` the poison rows are those that carry it.

    Args:
      trigger: the mark of a poison row.
      target_class: τ, the number of a class.
      mode: "in_place" keeps poison rows in the training set, with their true labels. "appended_pair" takes them out,
        and appends one random poison row and one random target row to every batch.
      draw: "per_seed" draws the rows anew for every seed; "fixed" draws them once.
      fixed_seed: the seed of the one draw.
      rate: the share of poison rows among the N training rows, in [0, 1].
      test_rate: the share of poison rows among the M test rows, in [0, 1].
      num_targets: the number of target rows that are drawn.
      poison_ids: the numbers of the poison rows; they replace draw and rate.
      test_poison_ids: the numbers of the poison rows of the test set; they replace draw and rate.
      target_ids: the numbers of the target rows; they replace the draw.
      attack_trigger: the mark that an attacker stamps on a row in order to attack it, where that is another than
        ``trigger``: rows that carry a trigger by nature cannot be made, but a tag can be set.
        ``NaturalTrigger()`` takes ``trigger``.
      num_known: the number of rows of every class whose labels the attackers know. Of a class that an attacker wants
        they are target rows: the larger of ``num_targets`` and ``num_known``, or those of ``target_ids`` alone.
      party_targets: the class that each of the K parties wants, where attackers want different ones; empty, all of them
        want ``target_class``. It must be one of these: numbers of the first pass that are not by party measure it.

    Raises:
      ValueError: naming the field, where a rate lies outside [0, 1], ``num_targets`` is below 1, ``num_known`` is below
        0, or ``fixed_seed`` does not fit 32 bits.
    """

    trigger: Trigger = NaturalTrigger()
    target_class: int = static(default=0)
    mode: Mode = static(default="in_place")
    draw: Drawn = static(default="per_seed")
    fixed_seed: int = static(default=0)
    rate: float = 0.01
    test_rate: float = 0.01
    num_targets: int = static(default=1)
    poison_ids: tuple[int, ...] | None = static(default=None)
    test_poison_ids: tuple[int, ...] | None = static(default=None)
    target_ids: tuple[int, ...] | None = static(default=None)
    attack_trigger: Trigger = leaf(default=NaturalTrigger(), omit_default=True)
    num_known: int = static(default=0, omit_default=True)
    party_targets: tuple[int, ...] = static(default=(), omit_default=True)

    def __post_init__(self) -> None:
        check_range("poison", 0.0, 1.0, rate=self.rate, test_rate=self.test_rate)
        check_range("poison", 1, num_targets=self.num_targets)
        check_range("poison", 0, num_known=self.num_known)
        check_range("poison", 0, 2**32 - 1, fixed_seed=self.fixed_seed)

    def granting(self, needs: Needs) -> PoisonPlan:
        """Returns this plan with what an attack needs; the trigger of a feature attack stays.

        Args:
          needs: the attribute ``needs`` of an attack.
        """
        return self.replace(
            trigger=EmbeddingTrigger() if needs.trigger == "message" else self.trigger,
            mode="appended_pair" if needs.is_paired else "in_place",
            rate=needs.poison_rate,
            num_targets=needs.num_targets,
            num_known=needs.num_known,
        )


class BatchPlan(Record):
    """The batches of an epoch; an epoch leaves out a last batch that is not full.

    Args:
      size: the number of rows of a batch, without an appended pair.
      order: "file" (the order of the data), "shuffled" (a new order in every epoch), or "sampled" (every step draws a
        random set S ⊂ [N], as in Algorithm 1 of Liu, Yi, Chen 2020, and an epoch has ⌊N/B⌋ steps).

    Raises:
      ValueError: where ``size`` is no whole number above 0, or ``order`` is none of these.
    """

    size: int = static(default=64)
    order: Order = static(default="shuffled")

    def __post_init__(self) -> None:
        check_widths("batches", size=(self.size,))

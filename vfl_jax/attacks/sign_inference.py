"""Label inference by the signs of gradients (Fu et al. 2022; Li et al. 2022; section 5.3 of Liu, Yi, Chen 2020)."""

from __future__ import annotations

import jax

from vfl_jax.attacks.evidence import Kind, Rule, read, shows_label
from vfl_jax.attacks.reader import Heard, Reader, Reading, most_likely
from vfl_jax.core.record import static
from vfl_jax.core.types import Array, Key
from vfl_jax.protocol.knowledge import Shapes
from vfl_jax.protocol.needs import Needs
from vfl_jax.protocol.transforms import Attack


class SignInference(Reader, Attack):
    """Reads a row's label off the signs of its gradients, and changes nothing.

    Under a sum head and softmax cross-entropy a gradient row is w·(S − e_y): its only negative entry is the label y.
    Under another head the attack applies the same rule, which may then guess wrong. It needs to know nothing. Of two
    classes the score is the evidence's entry of class 0 less that of class 1.

    Sources: Fu et al., *Label inference attacks against vertical federated learning*, USENIX Security 2022, which takes
    the first negative entry of the first epoch's messages; section 5.3 of Liu, Yi, Chen 2020 (arXiv:2007.03608).
    Published code guesses at random where no entry is negative; here the row is not read.

    Args:
      enabled: 1 or 0; the attack only listens, so both give the honest run.
      evidence: the messages that are read: "last" (the last one with a negative entry), "sum" (of all), "fading" (the
        sum with the weight 1/√k on the k-th), or "directions" (the sum of all at length 1). To add up is the answer to
        noise and to sparsification.
      rule: "most", the most negative entry, or "first", the first negative one, as published. They differ where a
        defense makes several entries negative.
      smooth: whether the evidence is first regressed on the party's own embeddings (ridge), so that each row is told
        what rows like it are told: another answer to noise.
      way: the ending of the metrics' names, so that several readers can listen in one chain.
      at_epochs: the numbers of finished epochs after which it reads, −1 after the last; None is after every one.

    Raises:
      ValueError: where ``evidence`` or ``rule`` is none of these; with a scenario whose attacker has an embedding of
        another width than C.

    Example:
      >>> import vfl_jax as vfl
      >>> reader = vfl.attacks.SignInference(evidence="sum", way="added")
      >>> vfl.Scenario(attacks=[vfl.PartyTransform(), reader]).attackers
      (1,)
    """

    needs = Needs(poison_rate=0.0)

    evidence: Kind = static(default="last")
    rule: Rule = static(default="most")
    smooth: bool = static(default=False)
    way: str = static(default="")
    at_epochs: tuple[int, ...] | None = static(default=None)

    def check(self, shapes: Shapes, party: int, by_role: bool) -> None:
        if shapes.widths[party] != shapes.num_classes:
            raise ValueError(
                f"bottoms.{party}.width is {shapes.widths[party]}; SignInference reads labels off the gradient's "
                f"entries, so it needs one per class, {shapes.num_classes}."
            )

    def says(self, gradient: Array) -> jax.Array:
        return shows_label(self.evidence, gradient)

    def infer(self, key: Key, heard: Heard) -> Reading:
        guesses = read(heard.messages, self.rule)
        return Reading(guesses, most_likely(-heard.messages, guesses >= 0).scores)

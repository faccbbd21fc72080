"""The differential privacy that a defense buys: which (ε, δ), for what, under which assumptions; or none, and why."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple, TypeAlias

from vfl_jax.core.checks import check_count, check_range
from vfl_jax.core.folded import by_field, literal
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.defenses import (
    ALIBI,
    GBD,
    MID,
    VFLIP,
    Clipping,
    DiscreteGradients,
    EmbeddingClipping,
    EmbeddingDropout,
    EmbeddingNormalisation,
    GaussianNoise,
    GradientAveraging,
    GradPerturb,
    IsotropicNoise,
    LabelSmoothing,
    LaplaceNoise,
    Marvell,
    MaxNormNoise,
    RandomisedResponse,
    SignSGD,
    Sparsification,
)
from vfl_jax.models import SoftmaxCrossEntropy, SquaredError, SumHead
from vfl_jax.protocol.methods import changes, is_attack, located
from vfl_jax.scenario.accounting import gaussian_epsilon, pure_epsilon
from vfl_jax.scenario.scenario import Scenario

NOISE = (GaussianNoise, LaplaceNoise)
OF_MESSAGES = (
    *NOISE,
    Clipping,
    DiscreteGradients,
    GradientAveraging,
    IsotropicNoise,
    MaxNormNoise,
    SignSGD,
    Sparsification,
)
"""Methods that see labels in nothing but the messages: what they do after noise costs no privacy."""
OF_ROWS = (*OF_MESSAGES, EmbeddingClipping, EmbeddingDropout, EmbeddingNormalisation, GBD, VFLIP)
"""Methods that read no label, and learn nothing that a message could tell."""
Protects: TypeAlias = Literal["label", "row", "nothing"]
REASONS: dict[type, str] = {
    MID: "the size of its noise is learned from the data",
    EmbeddingDropout: "it drops entries of embeddings at random, and gradients tell labels all the same",
    IsotropicNoise: "the size of its noise is taken from the data",
    MaxNormNoise: "the size of its noise is taken from the data, and the longest row is sent as it is",
    Marvell: "it bounds the error of one way to read two classes off one message, which is no differential privacy",
}


class Guarantee(NamedTuple):
    """What one method of a defense buys.

    Args:
      method: the path of the method in the scenario, and its name, such as "defense.parts.1 (GaussianNoise)".
      protects: what of one training row is protected: its "label"; the "row", which is all that the active party holds
        of it; or "nothing".
      epsilon: ε; infinity where nothing is protected.
      delta: δ.
      why: a sentence: what was composed, under which assumptions, or why there is no guarantee.
    """

    method: str
    protects: Protects
    epsilon: float
    delta: float
    why: str

    def __repr__(self) -> str:
        return by_field("Guarantee", {name: literal(value) for name, value in self._asdict().items()})


def privacy(scenario: Scenario, data: VerticalData, epochs: int, delta: float = 1e-5) -> tuple[Guarantee, ...]:
    """Says which differential privacy the noise of a scenario's defense buys while models train.

    The adversary is all other parties together, who see every gradient message, know which rows are in which batch, and
    may send what they like. Protected is what the active party holds of one training row. Nothing is said of
    predictions after training, of features of other parties, or of the rounding of numbers.

    Every method is judged for itself, among the others: each guarantee of the answer holds, so that the best counts.

    * ``GaussianNoise``, ``LaplaceNoise``: where a ``Clipping`` of finite bound stands before them. Where the head has
      no parameters and the active party no features, a message tells of a row only when the row is in the batch: T is
      the number of its visits, and one row of the message changes. Otherwise the active party learns from exact
      gradients, so that any later message may tell: T is the number of steps, and all rows change. Without clipping,
      ``SumHead`` with ``SoftmaxCrossEntropy`` or ``SquaredError`` bounds the change by itself: two labels are √2 apart
      (2 in L1), times the weight of one row.
    * ``RandomisedResponse``, ``ALIBI``: ε once, however long the training, where no other method reads true labels.
    * ``GradPerturb``: ε per visit or per row, where a row tells of itself alone. No other method buys any.

    T releases of noise are composed exactly (:mod:`vfl_jax.scenario.accounting`). Batches are not secret, so no
    amplification by sampling is counted.

    Args:
      scenario: the scenario, with its numbers; its batches are taken to be those of its plan.
      data: the data set.
      epochs: the number of epochs.
      delta: δ, in [0, 1); customary is less than 1 / N.

    Returns:
      a guarantee per method of the defense.

    Raises:
      ValueError: where the scenario does not fit the data, ``epochs`` is no whole number of at least 1, or ``delta``
        lies outside [0, 1).

    Example:
      >>> import vfl_jax as vfl
      >>> parts = [vfl.defenses.Clipping(bound=0.001), vfl.defenses.GaussianNoise(stddev=0.01)]
      >>> scenario = vfl.presets.digits_demo().replace(defense=vfl.ActiveChain(parts=parts))
      >>> _, noise = vfl.privacy(scenario, vfl.load_digits(), epochs=10)
      >>> noise.protects, round(noise.epsilon, 2)
      ('label', 3.85)
    """
    check_count(epochs=epochs)
    check_range("privacy", 0.0, math.nextafter(1.0, 0.0), delta=delta)
    scenario.check(data)
    chain = _Chain(scenario, data, epochs, delta)
    return tuple(chain.judge(i) for i in range(len(chain.parts)))


class _Chain:
    """The methods of a defense in their order, and what one row can change in their messages."""

    def __init__(self, scenario: Scenario, data: VerticalData, epochs: int, delta: float) -> None:
        self.scenario, self.delta = scenario, delta
        placed = list(located(scenario.defense, "defense"))
        self.paths, self.parts = [path for path, _ in placed], [part for _, part in placed]
        shapes = scenario.shapes(data)
        self.widths = [shapes.widths[k] for k in shapes.crossing]
        self.batch_rows, self.row_weight = shapes.batch_rows, shapes.row_weight
        self.num_steps = epochs * (shapes.num_samples // scenario.batches.size)
        is_once = scenario.poison.mode == "in_place" and scenario.batches.order != "sampled"
        self.num_visits = epochs if is_once else self.num_steps
        self.holds_features = shapes.active_party is not None
        self.is_attacked = is_attack(scenario.active_attack)

    def judge(self, i: int) -> Guarantee:
        """Returns what part i buys."""
        part = self.parts[i]
        if isinstance(part, NOISE):
            return self._of_noise(i, part)
        if isinstance(part, RandomisedResponse | ALIBI):
            return self._of_labels(i, part)
        if isinstance(part, GradPerturb):
            return self._of_grad_perturb(i, part)
        known = type(part).__module__.startswith("vfl_jax.")
        why = "it adds no noise" if known else "nothing is known of its noise"
        return self._none(i, REASONS.get(type(part), why))

    def _of_noise(self, i: int, noise: GaussianNoise | LaplaceNoise) -> Guarantee:
        """Returns what normal or Laplacian noise on messages buys."""
        is_normal = isinstance(noise, GaussianNoise)
        size = _size(noise)
        if size == 0:
            return self._none(i, "it adds no noise at a level of 0")
        if (after := self._undoes(i)) is not None:
            return self._none(i, after)
        before = [p for p in self.parts[:i] if changes(p, "on_send") and not isinstance(p, NOISE)]
        is_alone = self._rows_tell_of_themselves() and all(_is_by_row(p) for p in before)
        change = self._change(before, is_normal, is_alone)
        if math.isinf(change):
            why = "one row can change a message without bound: put Clipping just before it, with a bound"
            return self._none(i, why)
        times = self.num_visits if is_alone else self.num_steps
        if is_normal:
            epsilon = gaussian_epsilon(math.sqrt(times) * change / size, self.delta)
        else:
            epsilon = pure_epsilon(change / size, times, self.delta)
        if math.isinf(epsilon):
            return self._none(i, "normal noise buys nothing at a delta of 0")
        told = (
            "visits of a row, which tells of itself alone" if is_alone else "steps, each of which may tell of any row"
        )
        norm = "L2" if is_normal else "L1"
        why = f"{times} {told}; it changes the messages of a step by at most {change:.4g} in {norm}"
        return self._some(i, epsilon, self.delta, why, "row" if self.holds_features else "label")

    def _change(self, before: list[Any], is_normal: bool, is_alone: bool) -> float:
        """Returns how far one row can move all messages of a step, in L2 for normal noise, else in L1.

        Args:
          before: the methods that change messages before the noise.
          is_normal: whether the noise is normal.
          is_alone: whether one row of a message changes, not all.
        """
        found, num_parties = math.inf, len(self.widths)
        if before and isinstance(before[-1], Clipping) and not math.isinf(before[-1].bound):
            rows = 1 if is_alone else self.batch_rows
            norms = [_norms(before[-1], rows, self.batch_rows, width) for width in self.widths]
            found = 2 * (math.hypot(*(l2 for l2, _ in norms)) if is_normal else sum(l1 for _, l1 in norms))
        # The loss bounds the change by itself, and clipping that brings no two rows further apart keeps this.
        keeps = is_normal or all(clipping.by == "value" for clipping in before)
        if is_alone and keeps and self._is_linear_in_labels():
            found = min(found, self.row_weight * (math.sqrt(2 * num_parties) if is_normal else 2 * num_parties))
        return found

    def _is_linear_in_labels(self) -> bool:
        """Whether a row's gradient under a sum head is the weight of the row, times (something − its target)."""
        loss = self.scenario.loss
        is_such = type(loss) is SquaredError or (type(loss) is SoftmaxCrossEntropy and not loss.probability_clip)
        return is_such and not any(changes(part, "on_embed") for part in self.parts)

    def _of_labels(self, i: int, part: RandomisedResponse | ALIBI) -> Guarantee:
        """Returns what noise on labels buys, which is drawn once per row."""
        if math.isinf(part.epsilon):
            return self._none(i, "an epsilon of infinity keeps every label")
        if isinstance(part, ALIBI) and part.prior == "labels":
            return self._none(i, "its prior is taken from the true labels, outside of the budget")
        for k, other in enumerate(self.parts):
            if k < i and changes(other, "on_labels"):
                return self._none(i, f"{self._name(k)} changes labels before it, which may tell the kept ones")
            reads_none = isinstance(other, (*OF_ROWS, MID, LabelSmoothing, RandomisedResponse, ALIBI))
            if k != i and not reads_none and not _is_idle(other):
                return self._none(i, f"{self._name(k)} reads true labels, or nothing is known of it")
        if self.is_attacked:
            return self._none(i, "the active party's own attack reads true labels")
        return self._some(i, part.epsilon, 0.0, "noise is drawn once per row, so that no visits add up")

    def _of_grad_perturb(self, i: int, part: GradPerturb) -> Guarantee:
        """Returns what mixing the gradients of all labels buys."""
        if math.isinf(part.epsilon):
            return self._none(i, "an epsilon of infinity adds no noise")
        if (after := self._undoes(i)) is not None:
            return self._none(i, after)
        if any(changes(p, "on_send") for p in self.parts[:i]) or any(changes(p, "on_labels") for p in self.parts):
            return self._none(i, "another method changes labels, or gradients before it, so its noise fits no more")
        if not self._rows_tell_of_themselves(but=i):
            return self._none(
                i, "the active party, or another method, also learns from true labels, which messages tell"
            )
        each = part.epsilon * (1 if part.shared else len(self.widths))
        if part.draw == "sample":
            return self._some(i, each, 0.0, "a row's noise is the same at every visit, so that no visits add up")
        why = f"{self.num_visits} visits of a row, each of an epsilon of {each:.4g}"
        return self._some(i, pure_epsilon(each, self.num_visits, self.delta), self.delta, why)

    def _rows_tell_of_themselves(self, but: int | None = None) -> bool:
        """Whether a message tells of a row only where the row is in the batch, and only in the row's own place."""
        others = (part for k, part in enumerate(self.parts) if k != but)
        return (
            type(self.scenario.head) is SumHead
            and type(self.scenario.loss).__module__.startswith("vfl_jax.")  # the package's own add up rows
            and not self.holds_features
            and not self.is_attacked
            and all(isinstance(p, (*OF_ROWS, RandomisedResponse, ALIBI, LabelSmoothing)) or _is_idle(p) for p in others)
        )

    def _undoes(self, i: int) -> str | None:
        """Says which later method may undo noise on messages."""
        later = (k for k in range(i + 1, len(self.parts)) if changes(self.parts[k], "on_send"))
        found = next((k for k in later if not isinstance(self.parts[k], OF_MESSAGES)), None)
        if found is None:
            return None
        return f"{self._name(found)} comes after it, and reads labels, or nothing is known of it"

    def _name(self, i: int) -> str:
        return f"{self.paths[i]} ({type(self.parts[i]).__name__})"

    def _none(self, i: int, why: str) -> Guarantee:
        return Guarantee(self._name(i), "nothing", math.inf, 0.0, why)

    def _some(self, i: int, epsilon: float, delta: float, why: str, protects: Protects = "label") -> Guarantee:
        return Guarantee(self._name(i), protects, float(epsilon), delta, why)


def _size(noise: GaussianNoise | LaplaceNoise) -> float:
    """Returns the standard deviation of normal noise, or the scale of Laplacian noise."""
    if isinstance(noise, GaussianNoise):
        return noise.stddev + math.sqrt(noise.variance)
    return noise.scale + math.sqrt(noise.variance / 2)


def _is_by_row(part: Any) -> bool:
    """Whether a method bounds every row of a message by itself."""
    return isinstance(part, Clipping) and part.by in ("value", "row_l2")


def _norms(clipping: Clipping, rows: int, batch_rows: int, width: int) -> tuple[float, float]:
    """Returns the largest L2 and L1 norm of what may change in one clipped message, of so many rows."""
    bound = clipping.bound
    if clipping.by == "value":
        return bound * math.sqrt(rows * width), bound * rows * width
    if clipping.by == "message_l2":
        return bound, bound * math.sqrt(batch_rows * width)
    return bound * math.sqrt(rows), bound * rows * math.sqrt(width)


def _is_idle(part: Any) -> bool:
    """Whether a method has no hook that acts while models train."""
    return not any(changes(part, hook) for hook in ("on_labels", "on_receive", "on_send", "on_embed", "on_epoch"))

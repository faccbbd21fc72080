"""Who meets by default: the attacks, defenses and boards of the arena, with the numbers of their methods.

The protocol, but for the percentiles, was written down before the first attacked run: the trainable head, embeddings of
32, τ the rarest class, 20 epochs on sets of 60,000 rows and 50 on others. An attack has the numbers of its source. A
defense has them where its source names one; a comment says which numbers are ours. None was chosen by how an attack
does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from vfl_jax import attacks, defenses
from vfl_jax.arenas.boards import Board, board_for
from vfl_jax.arenas.entries import Entry
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.data import (
    load_bank_marketing,
    load_default_credit,
    load_digits,
    load_fashion_mnist,
    load_handwritten,
    load_mnist,
    load_nus_wide_twin,
)
from vfl_jax.presets.common import HeadName
from vfl_jax.protocol.chains import ActiveChain, PartyChain
from vfl_jax.protocol.needs import Needs
from vfl_jax.protocol.transforms import ActiveTransform, PartyTransform
from vfl_jax.protocol.triggers import Trigger

LARGE, SMALL = 20, 50
"""The epochs on sets of 60,000 rows, and on others."""

GRANTED = attacks.BASL.needs
"""What BASL is granted, 500 rows of τ. Villain gets as many in a second entry, and both replacements do."""
READERS_KNOW = Needs(trigger="message", poison_rate=0.0, num_targets=500, num_known=10)
"""What an attack is granted that reads labels first: BASL's rows, and some of every class."""


def _tecb(epochs: int, aligns: bool = True) -> attacks.TECB:
    """TECB with its three phases in the shares of 100 epochs that its source has; without the last it is UAB."""
    return attacks.TECB(
        aligns=aligns, learn_until=round(0.49 * epochs) if aligns else epochs, align_from=round(0.79 * epochs)
    )


def _blurred(replacement: PartyTransform) -> PartyChain:
    """A replacement with the paper's Gaussian blurring, which it needs under the trainable head."""
    blurring = attacks.ActivationBlurring(kind="gaussian", stddev=1e-3, wait_for_target=False)
    return PartyChain(parts=(blurring, replacement))


def _basl(scale: float) -> Callable[[int], attacks.BASL]:
    """BASL with its center computed anew after 80 and 90 % of the epochs, as its source has it."""
    return lambda epochs: attacks.BASL(at_epochs=(round(0.8 * epochs), round(0.9 * epochs)), scale=scale)


def _learned(**numbers: Any) -> Callable[[int], attacks.LearnedMessage]:
    """A message that is learned from 80 % of the epochs on, as BASL's center is found there."""
    return lambda epochs: attacks.LearnedMessage(at_epochs=(round(0.8 * epochs),), **numbers)


def _reading(attack: Callable[[int], attacks.BASL | attacks.LearnedMessage]) -> Callable[[int], attacks.ReadFirst]:
    """An attack that first reads labels, whenever it begins or begins anew, and takes what it read for known."""

    def make(epochs: int) -> attacks.ReadFirst:
        acting = attack(epochs)
        return attacks.ReadFirst(parts=(attacks.RegressionInference(at_epochs=acting.at_epochs), acting))

    return make


ATTACKS: dict[str, Entry] = {
    "PoisonedData": attacks.PoisonedData(),
    "PoisonedData-target": (attacks.PoisonedData(rows="target"), Needs(poison_rate=0.0, num_targets=500)),
    "GradientReplacement": _blurred(attacks.GradientReplacement()),
    "GradientReplacement-500": (_blurred(attacks.GradientReplacement()), Needs(num_targets=500)),
    "FreshReplacement": _blurred(attacks.FreshReplacement()),
    "FreshReplacement-500": (_blurred(attacks.FreshReplacement()), Needs(num_targets=500)),
    "PairedReplacement": attacks.PairedReplacement(),
    "PersistentPairs": attacks.PersistentPairs(),
    # As SecretFlow has it, which tests a ninth of a batch; θ is ours, and the attacker's learning rate is everybody's.
    "Villain": attacks.Villain(num_candidates=7, share=1.0),
    # With XDMVFL's numbers; coordinates by their σ, where its are random, at everybody's learning rate.
    "Villain-oracle": (
        attacks.Villain(num_candidates=0, magnitude=3.0, poison_from=5, least_factor=1.0, largest_factor=1.0),
        GRANTED,
    ),
    "BASL": _basl(0.85),
    "BASL-5": _basl(5.0),
    "BASL-30": _basl(30.0),
    "BASL-ordinary": lambda epochs: PartyChain(parts=(_basl(0.85)(epochs), attacks.StayInRange())),
    "Replay": attacks.Replay(),
    "CentroidReplay": attacks.CentroidReplay(),
    "LFBA": attacks.LFBA(),
    "GOFA": attacks.LFBA(feed="masked"),
    "BadVFL": attacks.BadVFL(),
    "TECB": _tecb,
    "UAB": functools.partial(_tecb, aligns=False),
    # Three that know the defense: they make gradients ten times as long as those that come, add up parts, and average.
    "FreshReplacement-matched": (_blurred(attacks.FreshReplacement(match_norm=True)), Needs(num_targets=500)),
    "FreshReplacement-sum": (_blurred(attacks.FreshReplacement(evidence="sum")), Needs(num_targets=500)),
    "GradientReplacement-mean": _blurred(attacks.GradientReplacement(decay=0.9)),
    # One that learns its message from gradients, at the length of an honest one and at thirty; "quiet" trains honestly.
    "LearnedMessage": _learned(),
    "LearnedMessage-30": _learned(size=30.0),
    "LearnedMessage-quiet": _learned(sends=0.0),
    # Two that read labels by ten known rows of every class, and overwrite every row that they read as τ.
    "BASL-read": (_reading(_basl(0.85)), READERS_KNOW),
    "LearnedMessage-30-read": (_reading(_learned(size=30.0)), READERS_KNOW),
    "LRBA": attacks.LRBA(num_steps=20 * 1024, tuning_passes=10),  # ours, for time: the source has 100 × 1,024 steps
    # Baselines that spoil rows or gradients and aim at no class.
    "NoisyFeatures": attacks.NoisyFeatures(),
    "MissingFeatures": attacks.MissingFeatures(),
    "SignFlip": attacks.SignFlip(),
    "RandomGradient": attacks.RandomGradient(),
}
"""The attacks by name. What follows a dash says which numbers or rows one of several of a method has."""

CONTROL = "PoisonedData"
"""The attack that changes no message: what another shows beyond it is due to its messages."""

DEFENSES: dict[str, ActiveTransform] = {
    "GaussianNoise-weak": defenses.GaussianNoise(stddev=1e-3),  # a level of Liu et al.
    "GaussianNoise": defenses.GaussianNoise(stddev=1e-2),
    "LaplaceNoise": defenses.LaplaceNoise(scale=1e-2),
    "Sparsification": defenses.Sparsification(residual="sample", drop_rate=0.99),
    "Clipping": defenses.Clipping(by="row_l2", bound=1e-3),  # ours: no source bounds rows
    "SignSGD": defenses.SignSGD(unit="mean", size=1.0),
    "DiscreteGradients": defenses.DiscreteGradients(bins=12.0),
    "GradientAveraging": defenses.GradientAveraging(share=1.0),
    "MaxNormNoise": defenses.MaxNormNoise(scale=1.0),
    "IsotropicNoise": defenses.IsotropicNoise(ratio=1.0),  # ours, of the levels of TECB
    "Marvell": defenses.Marvell(power=4.0),
    "GradPerturb": defenses.GradPerturb(epsilon=4.0),  # ours
    "RandomisedResponse": defenses.RandomisedResponse(epsilon=2.0),  # ours
    "ALIBI": defenses.ALIBI(epsilon=2.0),  # ours
    "LabelSmoothing": defenses.LabelSmoothing(smoothing=0.1),  # ours
    "CAE": defenses.CAE(),
    "DCAE": ActiveChain(parts=(defenses.CAE(), defenses.DiscreteGradients(bins=12.0))),
    "DistanceCorrelation": defenses.DistanceCorrelation(weight=0.1),  # ours
    "MID": defenses.MID(weight=0.01),  # ours, of the range that VFLAIR sweeps
    "EmbeddingNormalisation": defenses.EmbeddingNormalisation(length=1.0),  # ours
    "EmbeddingClipping": defenses.EmbeddingClipping(bound=1.0, only_at_inference=True),
    "EmbeddingDropout": defenses.EmbeddingDropout(rate=0.5),  # ours
    "EmbeddingFilter": defenses.EmbeddingFilter(),
    "GBD": defenses.GBD(action="reject"),
    "VFLIP": defenses.VFLIP(remakes="suspects"),
    "VFLMonitor": defenses.VFLMonitor(directions="all"),  # ours, for time: XDMVFL has 128 directions and 2,000 rows
}
"""The defenses by name, beside "none"."""

_READS = "reads labels and plants nothing; the table of readers and the page on leakage have it"
SUM_HEAD_ONLY: dict[str, Entry] = {
    "LabelReplacement": attacks.LabelReplacement(),
    "DictionaryReplacement": attacks.DictionaryReplacement(),
}
"""Attacks that need the sum head, whose boards have a table of their own."""

ABSENT: dict[str, str] = {
    "ActiveBackdoor": "the active party's own attack, which crosses no channel that a defense could watch",
    **dict.fromkeys(SUM_HEAD_ONLY, "needs the sum head, whose table is its own"),
    "PassiveModelCompletion": _READS,
    **dict.fromkeys(("SignInference", "NormInference", "DirectionInference"), _READS),
    **dict.fromkeys(("SpectralInference", "ClusterInference", "PooledInference"), _READS),
}
"""Methods of the package that are not in the line-up, and why."""

NOT_HERE = (
    *("LMP", "PMP", "BAEVFL", "HASSLE", "the BadVFL of Naseri et al.", "the cooperative attack of Lee et al."),
    "the optimising parts of HijackVFL",
)
"""Known attacks that the package lacks, for want of a text or code to follow."""
DEFENSES_NOT_HERE = (
    *("CoPur", "DEB", "UBD", "SecureSplit", "FedPass", "KDk", "AVGuard", "N Truths and a Lie"),
    *("FILTER's second step", "XDMVFL's test by Shapley values"),
)
"""Known defenses that the package lacks: some need clean rows, the attacker's name or the head replaced, of some no
code was found."""

RATES: dict[HeadName, dict[str, float]] = {
    "trainable": {
        "handwritten": 0.3,
        "bank_marketing": 0.3,
        "default_credit": 0.3,
        "mnist": 0.3,
        "mnist_4": 0.3,
        "fashion_mnist": 0.3,
        "nus_wide_twin": 0.1,
        "digits": 0.3,
    },
    "sum": {
        "handwritten": 0.3,
        "bank_marketing": 0.3,
        "default_credit": 0.3,
        "mnist": 0.3,
        "mnist_4": 0.3,
        "fashion_mnist": 0.3,
        "nus_wide_twin": 0.3,
        "digits": 0.3,
    },
}
"""The learning rate of every board under each head: the largest of 0.01, 0.03, 0.1 and 0.3 whose main accuracy is
within 0.01 of the best, by honest runs of seeds that no page reports (``experiments/arena/rates.py``)."""


PERCENTILES: dict[str, float] = {"default_credit": 1.0, "bank_marketing": 1.0}
"""The percentile of a table's trigger: of the 1st and the 99th, the one that honest runs of those seeds say τ to less
often, where they say it often to one. The 99th leads 91 to 98 % of default of credit's rows to τ by itself, and 49 to
75 % of bank marketing's; the 1st leads at most 1 % and 33 %."""


def _board(name: str, load: Callable[[], VerticalData], epochs: int) -> Callable[..., Board]:
    """The function that makes a board; it takes ``head`` and ``trigger`` as :func:`board_for` does."""

    def make(head: HeadName = "trainable", trigger: Trigger | None = None) -> Board:
        rate, percentile = RATES[head][name], PERCENTILES.get(name, 99.0)
        return board_for(load, epochs=epochs, learning_rate=rate, head=head, trigger=trigger, percentile=percentile)

    return make


BOARDS: dict[str, Callable[..., Board]] = {
    name: _board(name, load, epochs)
    for name, load, epochs in (
        ("handwritten", load_handwritten, SMALL),
        ("bank_marketing", load_bank_marketing, SMALL),
        ("default_credit", load_default_credit, SMALL),
        ("mnist", load_mnist, LARGE),
        ("mnist_4", functools.partial(load_mnist, num_parties=4), LARGE),
        ("fashion_mnist", load_fashion_mnist, LARGE),
        ("nus_wide_twin", load_nus_wide_twin, LARGE),
        ("digits", load_digits, SMALL),
    )
}
"""The boards by name, each as a function that loads its data and makes it."""

NOT_PUBLISHED = ("digits",)
"""Boards that are too small to say anything."""

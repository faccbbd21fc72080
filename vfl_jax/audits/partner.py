"""What a malicious partner tries: readers of labels that listen to one training, and attacks that share a chain."""

from __future__ import annotations

import dataclasses
from typing import Any

from vfl_jax import attacks
from vfl_jax.arenas.boards import Board
from vfl_jax.core.record import numbers
from vfl_jax.protocol.chains import PartyChain
from vfl_jax.protocol.needs import Needs, Where
from vfl_jax.protocol.transforms import Attack

NUM_KNOWN = 10
"""A reader knows the labels of so many rows of every class, where a tenth of the class is as many."""
NUM_TARGETS = 500
"""An attack knows so many rows of the class it wants, where a tenth of the class is as many."""

END = (-1,)
"""Readers read once, after the last epoch."""
_READERS: dict[str, Attack] = {
    "direction": attacks.DirectionInference(evidence="directions", way="direction", at_epochs=END),
    "direction_last": attacks.DirectionInference(way="direction_last", at_epochs=END),
    "direction_smooth": attacks.DirectionInference(
        evidence="directions", smooth=True, way="direction_smooth", at_epochs=END
    ),
    "cluster": attacks.ClusterInference(evidence="directions", way="cluster", at_epochs=END),
    "regression": attacks.RegressionInference(way="regression", at_epochs=END),
    "regression_sum": attacks.RegressionInference(evidence="sum", way="regression_sum", at_epochs=END),
    "pooled": attacks.PooledInference(way="pooled", at_epochs=END),
    "pooled_sum": attacks.PooledInference(evidence="sum", way="pooled_sum", at_epochs=END),
    "completion": attacks.RegressionInference(of="embeddings", way="completion", at_epochs=END),
}
_OF_TWO: dict[str, Attack] = {
    "length": attacks.NormInference(evidence="fading", threshold="two_means", way="length", at_epochs=END),
    "spectral": attacks.SpectralInference(
        of="gradients", evidence="directions", threshold="two_means", way="spectral", at_epochs=END
    ),
}
_OF_MORE: dict[str, Attack] = {
    "axis": attacks.DirectionInference(rule="axis", evidence="axes", way="axis", at_epochs=END),
}
_OF_SUM: dict[str, Attack] = {
    "signs": attacks.SignInference(way="signs", at_epochs=END),
    "signs_sum": attacks.SignInference(evidence="sum", way="signs_sum", at_epochs=END),
}
READERS = {
    "direction": "the direction of a row's mean gradient, beside known rows",
    "direction_last": "the direction of a row's last gradient, beside known rows",
    "direction_smooth": "the same, of what rows like it are told: an answer to noise",
    "axis": "the line on which a row's gradients lie, whichever way they point: an answer to smoothed labels",
    "cluster": "k-means on the directions of mean gradients",
    "regression": "a regression of known labels on gradients and own embeddings: learns what a defense makes of labels",
    "regression_sum": "the same on the sum of gradients: an answer to noise and to what is held back",
    "pooled": "what a row is told, added to what rows like it are told: an answer to noise and to false labels",
    "pooled_sum": "the same on the sum of gradients",
    "length": "the length of mean gradients: rare labels surprise",
    "spectral": "the direction in which gradients differ most",
    "signs": "the negative entry of a gradient of the sum head",
    "signs_sum": "the same of the sum of gradients: an answer to noise",
    "completion": "a regression of known labels on the own embeddings, which training has shaped",
}
"""What every reader goes by, in words."""


def known(board: Board) -> int:
    """Returns of how many rows of every class a reader knows the labels.

    Args:
      board: the board.
    """
    return min(NUM_KNOWN, *board.most_known)


def readers(num_classes: int, head: str) -> dict[str, Attack]:
    """Returns the readers that can read here, by name.

    Args:
      num_classes: C.
      head: "trainable" or "sum".

    Example:
      >>> from vfl_jax.audits.partner import readers
      >>> len(readers(2, "trainable")), len(readers(10, "trainable"))
      (11, 10)
    """
    return (_OF_SUM if head == "sum" else {}) | (_OF_TWO if num_classes == 2 else _OF_MORE) | _READERS


@dataclasses.dataclass(frozen=True)
class Plants:
    """Attacks that plant a backdoor, as settings of one chain.

    Args:
      chain: the chain; every part is off in an honest run.
      points: per attack, its numbers that differ from the honest run's, by path within the chain.
      needs: what the chain is granted.
    """

    chain: PartyChain
    points: dict[str, dict[str, float]]
    needs: Needs

    def over(self, party: int) -> dict[Any, list[Any]]:
        """Returns the axis of a sweep over the attacks, an honest point last.

        Args:
          party: the number of the attacker.
        """
        off = {path: 0.0 if path.endswith("enabled") else value for path, value in numbers(self.chain).items()}
        swept = [path for path in off if any(path in point for point in self.points.values())]
        rows = [tuple(float(point.get(path, off[path])) for path in swept) for point in (*self.points.values(), {})]
        return {tuple(f"attacks.{party}.{path}" for path in swept): rows}


ATTACKS = {
    "poisoned rows": "stamps the trigger on rows of the wanted class, and changes no message",
    "BASL": "sends one vector, near the densest place of the wanted class, in place of embeddings",
    "BASL ×5": "the same vector, five times as long as the longest ordinary embedding",
    "BASL ×30": "the same vector, thirty times as long",
    "BASL ordinary": "the vector of BASL ×5, drawn back into the range of honest embeddings: an answer to bounds",
    "replay": "sends an own embedding of a row of the wanted class; training is honest, so no gradient shows it",
    "centre replay": "sends the mean of its own embeddings of known rows of the wanted class",
    "learned message": "trains honestly, and sends the message that gradients call the wanted class: an answer to one "
    "length",
    "learned message ×30": "the same, thirty times as long, and sent in training, too",
    "fresh replacement": "trains marked rows with the gradient of rows of the wanted class",
    "fresh replacement ×10": "the same, ten times as long",
    "TECB": "learns a mark on all its features from rows of the wanted class, then aligns other rows with them",
}
"""What every attack does, in words."""


def plants(epochs: int, has_stamp: bool) -> Plants:
    """Returns the attacks that send other embeddings, and one that stamps rows.

    Args:
      epochs: the number of epochs.
      has_stamp: whether rows can be stamped; without it no attack stamps.

    Example:
      >>> from vfl_jax.audits.partner import plants
      >>> ", ".join(plants(30, has_stamp=False).points)
      'BASL, BASL ×5, BASL ×30, BASL ordinary, replay, centre replay, learned message, learned message ×30'
    """
    late = tuple(sorted({max(1, round(0.8 * epochs)), max(1, round(0.9 * epochs))}))
    stamping: tuple[Attack, ...] = (attacks.PoisonedData(rows="target"),) if has_stamp else ()
    parts = (
        *stamping,
        attacks.BASL(at_epochs=late),
        attacks.Replay(most_rows=NUM_TARGETS),
        attacks.CentroidReplay(most_known=NUM_TARGETS),
        attacks.LearnedMessage(at_epochs=late[:1]),
        attacks.StayInRange(),
    )
    basl, replay, centre, learned, ordinary = (f"parts.{len(parts) - i}." for i in range(5, 0, -1))
    points = {"poisoned rows": {"parts.0.enabled": 1.0}} if has_stamp else {}
    for name, scale in (("BASL", 0.85), ("BASL ×5", 5.0), ("BASL ×30", 30.0)):
        points[name] = {f"{basl}enabled": 1.0, f"{basl}scale": scale}
    points["BASL ordinary"] = {**points["BASL ×5"], f"{ordinary}enabled": 1.0}
    points["replay"] = {f"{replay}enabled": 1.0}
    points["centre replay"] = {f"{centre}enabled": 1.0}
    points["learned message"] = {f"{learned}enabled": 1.0, f"{learned}sends": 0.0}
    points["learned message ×30"] = {f"{learned}enabled": 1.0, f"{learned}size": 30.0}
    where: Where = "features" if has_stamp else "message"
    return Plants(PartyChain(parts=parts), points, Needs(trigger=where, poison_rate=0.0, num_targets=NUM_TARGETS))


def replacements() -> Plants:
    """Returns the attacks that replace gradients of rows with a trigger."""
    blurring = attacks.ActivationBlurring(kind="gaussian", stddev=1e-3, wait_for_target=False)
    points = {
        name: {"parts.0.enabled": 1.0, "parts.1.enabled": 1.0, "parts.1.amplify": amplify}
        for name, amplify in (("fresh replacement", 1.0), ("fresh replacement ×10", 10.0))
    }
    needs = Needs(poison_rate=0.01, num_targets=NUM_TARGETS)
    return Plants(PartyChain(parts=(blurring, attacks.FreshReplacement())), points, needs)


def learnt(epochs: int) -> Plants:
    """Returns the attack that learns a trigger: TECB, its phases at their shares of its source's 100 epochs.

    Args:
      epochs: the number of epochs.

    Example:
      >>> from vfl_jax.audits.partner import learnt
      >>> list(learnt(20).points)
      ['TECB']
    """
    align_from = min(round(0.79 * epochs), epochs - 1)
    tecb = attacks.TECB(learn_until=max(1, round(0.49 * epochs)), align_from=align_from)
    needs = Needs(trigger="message", poison_rate=0.0, num_targets=NUM_TARGETS)
    return Plants(PartyChain(parts=(tecb,)), {"TECB": {"parts.0.enabled": 1.0}}, needs)

"""What an attacker does who knows the defense: for every defense at least one adaptation, and what it reached here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vfl_jax.arenas.standings import lifts
from vfl_jax.reports import Row

if TYPE_CHECKING:
    import xarray as xr


class Adaptation(NamedTuple):
    """What an attacker does who knows some defenses.

    Args:
      defenses: their names in the line-up.
      does: what the attacker does, as a table has it.
      attacks: the attacks of the line-up that do it.
      elsewhere: what else does it and does not meet here: readers of labels, attacks of the sum head.
    """

    defenses: tuple[str, ...]
    does: str
    attacks: tuple[str, ...] = ()
    elsewhere: str = ""


USES_NO_GRADIENT = ("BASL", "BASL-5", "BASL-30", "Replay", "CentroidReplay")
ORDINARY = ("BASL-ordinary", "Replay")
NOTE = (
    "The largest mean lift on any board of this page, beside the largest of all other attacks on these defenses. A "
    "dash: not tried here. What stands there without a lift reads labels, on the page on "
    "[leakage](../leakage/README.md), or needs the sum head.\n"
)
ADAPTATIONS = (
    Adaptation(
        ("GaussianNoise-weak", "GaussianNoise", "LaplaceNoise", "IsotropicNoise", "Marvell"),
        "adds up what a row is told at every visit",
        ("FreshReplacement", "FreshReplacement-sum"),
        '`evidence="sum"` of readers',
    ),
    Adaptation(
        ("RandomisedResponse", "ALIBI", "GradPerturb"),
        "adds to what a row is told what rows like it are told",
        elsewhere="`PooledInference`",
    ),
    Adaptation(
        ("MaxNormNoise", "LabelSmoothing"),
        "reads the axis of messages, because only their sign is drawn or turned round",
        elsewhere='`DirectionInference(rule="axis")`',
    ),
    Adaptation(("Sparsification",), "adds up, because what is dropped comes later", ("FreshReplacement-sum",)),
    Adaptation(
        ("Clipping", "SignSGD", "DiscreteGradients"),
        "makes the replacement as long as other gradients",
        ("FreshReplacement-matched",),
        "`RegressionInference`",
    ),
    Adaptation(
        ("CAE", "DCAE"),
        "learns from one known row per class what its code is",
        elsewhere="`DictionaryReplacement`, under the sum head; `RegressionInference`",
    ),
    Adaptation(
        ("GradientAveraging", "RandomisedResponse", "ALIBI", "GradPerturb", "CAE", "DCAE", "DistanceCorrelation"),
        "uses no gradient",
        USES_NO_GRADIENT,
    ),
    Adaptation(
        ("MID",), "sends what rows of τ send, which a bottleneck must let through", ("Replay", "CentroidReplay")
    ),
    Adaptation(
        ("EmbeddingNormalisation",),
        "sends a message of the right direction, since its length is gone",
        ("Replay", "CentroidReplay", "LRBA"),
    ),
    Adaptation(("EmbeddingDropout",), "writes into all coordinates, of which some always stay", ("BASL", "BASL-5")),
    Adaptation(
        ("EmbeddingClipping", "GBD", "VFLIP", "VFLMonitor"), "sends messages of ordinary range and size", ORDINARY
    ),
    Adaptation(("EmbeddingFilter",), "makes no two messages alike, each of ordinary size", ORDINARY),
)


def adaptation_rows(results: xr.Dataset) -> list[Row]:
    """A row per adaptation: the largest mean lift it reached here, beside the largest of the attacks that do not adapt.

    Args:
      results: those of all boards.
    """
    means = lifts(results).mean("seed")
    return [
        {
            "defense": ", ".join(f"`{name}`" for name in adaptation.defenses),
            "an attacker who knows it": adaptation.does,
            "as": "; ".join([*(f"`{name}`" for name in adaptation.attacks), *filter(None, [adaptation.elsewhere])]),
            "lift here": _largest(means, adaptation, adaptation.attacks),
            "of others": _largest(
                means, adaptation, [a for a in means["attack"].values if a not in adaptation.attacks]
            ),
        }
        for adaptation in ADAPTATIONS
    ]


def _largest(means: xr.DataArray, adaptation: Adaptation, attacks: Sequence[str]) -> str:
    """The largest mean lift of some attacks on any of the defenses, with where it was; a dash where none met."""
    there = means.isel(
        attack=means["attack"].isin(attacks).values, defense=means["defense"].isin(adaptation.defenses).values
    )
    if not there.size or not np.isfinite(there).any():
        return "–"
    found = there.stack(meeting=("data", "attack", "defense")).dropna("meeting")
    best = found.isel(meeting=int(found.values.argmax()))
    board, attack, _ = best["meeting"].item()
    return f"{float(best):z.2f}, {attack} on {board}"

"""What an attacker does who knows the defense: for every defense at least one adaptation, and what it reached here."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vfl_jax.arenas.standings import at_common_seeds, is_judged_in_most, lifts
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


ADDS_UP = ("FreshReplacement", "FreshReplacement-500", "FreshReplacement-sum")
CHOOSES_A_MESSAGE = ("BASL", "BASL-5", "BASL-30", "BASL-ordinary")
HONEST_MESSAGES = ("Replay", "CentroidReplay")
LEARNS = ("LearnedMessage", "LearnedMessage-quiet", "LearnedMessage-30")
ORDINARY = ("BASL-ordinary", *HONEST_MESSAGES)
NOTE = (
    "The board is the one on which the adaptation has its largest mean lift, of those on which the defense spares the "
    "honest runs; beside it stands the largest lift of all other attacks in the same place. Both are over the seeds "
    "of the ranks, as far as a meeting has them; tables by board are over all seeds. Whether a defense holds counts "
    "only attacks that met it. Those who meet detectors here stay ordinary; none seeks to shape what a detector "
    "learns, and all act alone.\n"
)
NOT_MET_NOTE = (
    "None of these attacks met the defense under the trainable head where it spares the honest runs, or it reads "
    "labels: see [leakage](../leakage/README.md). `DictionaryReplacement` is in the table of [the sum "
    "head](#the-sum-head).\n"
)
NOISE = ("GaussianNoise-weak", "GaussianNoise", "LaplaceNoise", "IsotropicNoise", "Marvell")
ADAPTATIONS = (
    Adaptation(
        NOISE,
        "adds up what a row is told at every visit",
        ADDS_UP,
        '`evidence="sum"` of readers',
    ),
    Adaptation(NOISE, "averages the gradients that it puts in place", ("GradientReplacement-mean",)),
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
    Adaptation(("Sparsification",), "adds up, because what is dropped comes later", ADDS_UP),
    Adaptation(
        ("Clipping", "SignSGD", "DiscreteGradients"),
        "makes the replacement ten times as long as the gradients that come",
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
        (*CHOOSES_A_MESSAGE, *HONEST_MESSAGES),
    ),
    Adaptation(("MID",), "sends what rows of τ send, which a bottleneck must let through", HONEST_MESSAGES),
    Adaptation(("MID",), "learns from gradients which message passes the bottleneck", LEARNS),
    Adaptation(
        ("EmbeddingNormalisation",),
        "sends a message of the right direction, since its length is gone",
        (*HONEST_MESSAGES, "LRBA"),
    ),
    Adaptation(("EmbeddingNormalisation", "EmbeddingClipping"), "learns from gradients which direction says τ", LEARNS),
    Adaptation(("EmbeddingDropout",), "writes into all coordinates, of which some always stay", CHOOSES_A_MESSAGE),
    Adaptation(
        ("EmbeddingClipping", "GBD", "VFLIP", "VFLMonitor"), "sends messages of ordinary range and size", ORDINARY
    ),
    Adaptation(
        ("GBD", "VFLIP", "VFLMonitor"),
        "learns from gradients a message, as long as its longest honest one",
        ("LearnedMessage", "LearnedMessage-quiet"),
    ),
    Adaptation(
        ("MID", "EmbeddingNormalisation", "VFLIP", "VFLMonitor"),
        "reads labels, and overwrites every row that it reads as τ",
        ("BASL-read", "LearnedMessage-30-read"),
    ),
    Adaptation(("EmbeddingFilter",), "makes no two messages alike, each of ordinary size", ORDINARY),
    Adaptation(
        ("EmbeddingFilter",),
        "trains honestly, and sends a message that it learned",
        ("LearnedMessage-quiet",),
    ),
)


def adaptation_rows(results: xr.Dataset) -> tuple[list[Row], list[Row]]:
    """What adaptations reached, a row per defense and adaptation; and those that met nobody.

    Args:
      results: those of all boards.
    """
    results = at_common_seeds(results)
    means = lifts(results).mean("seed").where(is_judged_in_most(results))
    met: list[Row] = []
    not_met: list[Row] = []
    for adaptation in ADAPTATIONS:
        for defense in adaptation.defenses:
            row: Row = {"defense": f"`{defense}`", "an attacker who knows it": adaptation.does}
            names = [*(f"`{name}`" for name in adaptation.attacks), *filter(None, [adaptation.elsewhere])]
            if found := _reached(means, defense, adaptation.attacks):
                met.append(row | found)
            else:
                not_met.append(row | {"as": "; ".join(names)})
    return met, not_met


def _reached(means: xr.DataArray, defense: str, attacks: tuple[str, ...]) -> Row:
    """Where adapted attacks have their largest lift on a defense, beside the others there; nothing where none met."""
    if defense not in means["defense"]:
        return {}
    of_defense = means.sel(defense=defense)
    adapted = of_defense["attack"].isin(attacks).values
    lift = of_defense.isel(attack=adapted)
    if not np.isfinite(lift).any():
        return {}
    best = lift.stack(meeting=("data", "attack")).dropna("meeting")
    best = best.isel(meeting=int(best.values.argmax()))
    board, attack = best["meeting"].item()
    others = of_defense.isel(attack=~adapted).sel(data=board).dropna("attack")
    beside = "–"
    if others.size:
        strongest = others.isel(attack=int(others.values.argmax()))
        beside = f"{float(strongest):z.2f}, {strongest['attack'].item()}"
    return {"lift": f"{float(best):z.2f}, {attack}", "on": board, "of others there": beside}

"""The defenses of an audit: one chain with every part off, and levels that switch parts on, the most important first.

All levels differ in numbers alone, so that they share a compiled program.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vfl_jax import defenses
from vfl_jax.core.record import numbers
from vfl_jax.protocol.chains import ActiveChain

NONE = "none"
"""The name of the level without a defense, which every audit has."""

PARTS = {
    "response": defenses.RandomisedResponse(epsilon=math.inf),
    "smoothing": defenses.LabelSmoothing(smoothing=0.0),
    "unit": defenses.EmbeddingNormalisation(length=0.0),
    "bounded": defenses.EmbeddingClipping(bound=math.inf),
    "clipping": defenses.Clipping(by="row_l2", bound=math.inf),
    "sparse": defenses.Sparsification(residual="sample", drop_rate=0.0),
    "signs": defenses.SignSGD(unit="mean", size=0.0),
    "noise": defenses.GaussianNoise(stddev=0.0),
}
"""The parts of the chain in the order in which they act, each at numbers that change nothing."""
CHAIN = ActiveChain(parts=tuple(PARTS.values()))


class Sizes(NamedTuple):
    """How large the partner's messages are in honest training.

    Args:
      gradient_entry: the root mean square of an entry of a gradient.
      gradient_norm: the typical length of a row of a gradient.
      embedding_norm: the typical length of a row of an embedding at the end.
    """

    gradient_entry: float
    gradient_norm: float
    embedding_norm: float


@dataclasses.dataclass(frozen=True)
class Level:
    """One setting of the chain.

    Args:
      name: a short name, for tables and figures.
      words: the words for it in a sentence, as the subject of "would stop".
      numbers: the numbers that are switched on, by part and field.
    """

    name: str
    words: str
    numbers: Mapping[tuple[str, str], float] = dataclasses.field(default_factory=dict)


def levels(sizes: Sizes) -> tuple[Level, ...]:
    """Returns the levels of all defenses, the most important first; the first is none.

    Args:
      sizes: how large messages are, in which levels of noise and bounds are measured.

    Example:
      >>> from vfl_jax.audits.battery import Sizes, levels
      >>> for level in levels(Sizes(0.002, 0.01, 3.0))[:3]:
      ...     print(level.words)
      no defense
      noise of 0.002 on every entry of the gradients (1 × their size)
      noise of 0.02 on every entry of the gradients (10 × their size)
    """
    noise = {factor: (("noise", "stddev"), factor * sizes.gradient_entry) for factor in (0.1, 1.0, 3.0, 10.0)}
    unit = (("unit", "length"), sizes.embedding_norm)
    made = [
        Level(NONE, "no defense"),
        *(_noise(factor, *noise[factor]) for factor in (1.0, 10.0)),
        Level("same length", f"embeddings brought to one length ({sizes.embedding_norm:.3g})", dict([unit])),
        Level(
            "noise 1× + same length",
            f"noise of {noise[1.0][1]:.2g} on every entry of the gradients together with embeddings brought to one "
            f"length ({sizes.embedding_norm:.3g})",
            dict([noise[1.0], unit]),
        ),
        _noise(3.0, *noise[3.0]),
        _clipping(1.0, sizes),
        _noise(0.1, *noise[0.1]),
        Level("smoothing 0.5", "half of every label smoothed away", {("smoothing", "smoothing"): 0.5}),
        Level("response ε 2", "randomised response with ε = 2", {("response", "epsilon"): 2.0}),
        Level("sparse 99%", "99% of the gradients' entries held back", {("sparse", "drop_rate"): 0.99}),
        Level("signs", "gradients reduced to signs", {("signs", "size"): 1.0}),
        Level(
            "bounded",
            f"embeddings bounded to a length of {sizes.embedding_norm:.3g}",
            {("bounded", "bound"): sizes.embedding_norm},
        ),
        Level(
            "noise 10× + same length",
            f"noise of {noise[10.0][1]:.2g} on every entry of the gradients together with embeddings brought to one "
            f"length ({sizes.embedding_norm:.3g})",
            dict([noise[10.0], unit]),
        ),
        Level("response ε 0.5", "randomised response with ε = 0.5", {("response", "epsilon"): 0.5}),
        _clipping(0.1, sizes),
        Level("sparse 90%", "90% of the gradients' entries held back", {("sparse", "drop_rate"): 0.9}),
        Level("smoothing 0.1", "a tenth of every label smoothed away", {("smoothing", "smoothing"): 0.1}),
    ]
    return tuple(made)


def over(chosen: Sequence[Level]) -> dict[Any, list[Any]]:
    """Returns the axis of a sweep over levels: the paths of all numbers that any level switches on, and their values.

    The paths are the same whatever levels are chosen, so that equally many of them share a compiled program.

    Args:
      chosen: the levels.

    Example:
      >>> from vfl_jax.audits.battery import Sizes, levels, over
      >>> ((paths, points),) = over(levels(Sizes(0.002, 0.01, 3.0))[:3]).items()
      >>> paths[-1], [point[-1] for point in points]
      ('defense.parts.7.stddev', [0.0, 0.002, 0.02])
    """
    off = numbers(CHAIN)
    switched = {_path(*place) for level in levels(Sizes(1.0, 1.0, 1.0)) for place in level.numbers}
    swept = [path for path in off if path in switched]
    settings = [{_path(part, field): value for (part, field), value in level.numbers.items()} for level in chosen]
    points = [tuple(float(setting.get(path, off[path])) for path in swept) for setting in settings]
    return {tuple(f"defense.{path}" for path in swept): points}


def _path(part: str, field: str) -> str:
    return f"parts.{list(PARTS).index(part)}.{field}"


def _noise(factor: float, place: tuple[str, str], stddev: float) -> Level:
    words = f"noise of {stddev:.2g} on every entry of the gradients ({factor:g} × their size)"
    return Level(f"noise {factor:g}×", words, {place: stddev})


def _clipping(factor: float, sizes: Sizes) -> Level:
    bound = factor * sizes.gradient_norm
    how = "their median" if factor == 1 else f"{factor:g} × their median"
    words = f"gradients bounded to a length of {bound:.2g} ({how})"
    return Level(f"clipping {factor:g}×", words, {("clipping", "bound"): bound})

"""The answer of an audit in three sentences of plain words: what is read, what is planted, what stops it."""

from __future__ import annotations

from collections.abc import Sequence

from vfl_jax.audits.findings import FLOOR_AT_MOST, Defended, Findings, Range, above
from vfl_jax.core.words import counted, share
from vfl_jax.statistics import MAIN_LOSS_AT_MOST
from vfl_jax.sweeps.cautions import FEW_ROWS


def sentences(found: Findings) -> tuple[str, str, str]:
    """Returns the answer: on reading labels, on backdoors, and on defenses.

    Every sentence speaks of what was tried, and of nothing else.

    Args:
      found: what the audit found.
    """
    return _reading(found), _planting(found), _defending(found)


def _reading(found: Findings) -> str:
    if not found.can_tell_reading:
        rows = f"{found.num_read} training rows, {found.num_rarest} of them of the rarest class"
        return (
            f"Not enough to say whether “{found.partner}” could read your labels: {rows}, measure it; below {FEW_ROWS} "
            "of either a share says little."
        )
    plain, reads = found.undefended, found.reads(found.undefended)
    beside = (
        f"naming the most frequent label for all would give {share(found.majority_read)}; by its own features alone it "
        f"names {share(found.alone.value)}"
    )
    area = found.floor_auc.value
    if reads and plain.read.low <= above(found.floor_read.high) and plain.read_auc is not None:
        return (
            f"A malicious “{found.partner}” could rank your rows by label with an area under the curve of "
            f"{plain.read_auc.value:z.2f} (0.5 is guessing, {area:z.2f} what its own features alone give), "
            f"though it names only {share(plain.read.value)} rightly ({beside})."
        )
    if reads:
        return f"A malicious “{found.partner}” could read {share(plain.read.value)} of your labels ({beside})."
    named = f"the best reader tried names {share(plain.read.value)} ({beside})."
    if reads is None:
        return f"{found.num_seeds} seeds do not settle whether “{found.partner}” could read your labels: {named}"
    return f"Nothing that was tried lets “{found.partner}” read your labels: {named}"


def _planting(found: Findings) -> str:
    plain = found.undefended
    if plain.planted is None or plain.lift is None:
        return f"Whether “{found.partner}” could plant a backdoor was not tried."
    if not found.can_tell_planting:
        rows = f"{found.num_attacked} test row{'' if found.num_attacked == 1 else 's'}"
        return (
            f"Not enough to say whether “{found.partner}” could plant a backdoor: {rows} can measure it, and below "
            f"{FEW_ROWS} a share says little."
        )
    if plain.floor > FLOOR_AT_MOST:
        return (
            f"Not enough to say whether “{found.partner}” could plant a backdoor: honest models call "
            f"{share(plain.floor)} of the rows with its mark “{found.wanted}” by themselves, which leaves an attack "
            "nothing to show."
        )
    plants, rows = found.plants(plain), f"{share(plain.planted.value)} of the rows it attacks"
    honest = f"without an attack {share(plain.floor)} are"
    if plants:
        could = (
            "It could also" if found.can_tell_reading and found.reads(plain) else f"A malicious “{found.partner}” could"
        )
        return f"{could} plant a backdoor, by which {rows} are predicted as “{found.wanted}” ({honest}{_price(plain)})."
    if plants is None:
        return (
            f"{found.num_seeds} seeds do not settle whether “{found.partner}” could plant a backdoor: {rows} are "
            f"predicted as “{found.wanted}” by the strongest attack tried ({honest}{_ruin(plain)})."
        )
    return f"No backdoor that was tried worked: {rows} are predicted as “{found.wanted}” ({honest}{_ruin(plain)})."


def _ruin(plain: Defended) -> str:
    """What even the strongest attack takes of the accuracy, where that ruins the model."""
    if plain.loss is None or not plain.is_ruined:
        return ""
    return f"; but the attack takes {100 * plain.loss.value:z.1f} percentage points of accuracy, which ruins the model"


def _price(plain: Defended) -> str:
    """What an attack that works takes of the accuracy, where that is more than attacks may take elsewhere."""
    if plain.loss is None or plain.loss.value <= MAIN_LOSS_AT_MOST:
        return ""
    return f"; the attack takes {100 * plain.loss.value:z.1f} percentage points of accuracy"


def _defending(found: Findings) -> str:
    plain, tried = found.undefended, found.defended[1:]
    reads = found.reads(plain) if found.can_tell_reading else None
    plants = found.plants(plain) if found.can_tell_planting else None
    if not found.learns:
        return (
            f"The joint model itself is no better than naming the most frequent class ({share(plain.accuracy.value)} "
            f"of test rows against {share(found.majority)}), so no defense can be judged by what it costs."
        )
    if not reads and not plants:
        if reads is None or plants is None:
            return "Neither was shown, so no defense can be judged."
        return "So no defense was needed against what was tried, which is no proof that nothing else would work."
    if not tried:
        return "No defense was tried in the time given."
    spared = [defense for defense in tried if found.spares(defense)]
    maybe = [defense for defense in tried if found.spares(defense) is not False]
    open_reading = [d for d in maybe if found.reads(d) is None or (found.reads(d) is False and d not in spared)]
    open_planting = [d for d in maybe if found.plants(d) is None or (found.plants(d) is False and d not in spared)]
    no_reading = [defense for defense in spared if found.reads(defense) is False]
    no_planting = [defense for defense in spared if found.plants(defense) is False]
    if reads and plants:
        both = [defense for defense in no_reading if defense in no_planting]
        if both:
            return _stops(_cheapest(both), plain, "would stop both", len(tried))
        parts = [
            _or_nothing(no_reading, plain, "the reading", _unsettled(open_reading, found), len(tried)),
            _or_nothing(no_planting, plain, "the backdoors", _unsettled(open_planting, found), len(tried)),
        ]
        if not no_reading and not no_planting:
            either = _unsettled([d for d in maybe if d in open_reading or d in open_planting], found)
            return f"No defense of the {len(tried)} tried stops either and leaves the model useful{either}."
        text = "; ".join(part[0].lower() + part[1:] if i else part for i, part in enumerate(parts))
        return f"{text}; none of the {len(tried)} tried stops both." if no_reading and no_planting else f"{text}."
    stopping, what = (no_reading, "the reading") if reads else (no_planting, "the backdoors")
    unsettled = _unsettled(open_reading if reads else open_planting, found)
    return f"{_or_nothing(stopping, plain, what, unsettled, len(tried))}."


def _unsettled(defenses: Sequence[Defended], found: Findings) -> str:
    """Which defenses may stop something, in brackets; only those that were tried."""
    names = [f"“{d.name}”" for d in defenses if d.lift is not None or found.undefended.lift is None]
    return f" ({found.num_seeds} seeds do not settle whether {' or '.join(names)} does)" if names else ""


def _or_nothing(stopping: Sequence[Defended], plain: Defended, what: str, unsettled: str, num_tried: int) -> str:
    if not stopping:
        return f"No defense of the {num_tried} tried stops {what} and leaves the model useful{unsettled}"
    return _stops(_cheapest(stopping), plain, f"would stop {what}", num_tried).rstrip(".")


def _stops(defense: Defended, plain: Defended, would: str, num_tried: int) -> str:
    paid = f"{cost(defense.cost)}{_areas(defense, plain)}"
    return f"Of the {counted(num_tried, 'defense')} tried, {defense.words} {would}, {paid}."


def cost(points: Range) -> str:
    """Returns in words what a defense costs of the accuracy.

    Args:
      points: the loss, over seeds.

    Example:
      >>> cost(Range(0.012, 0.008, 0.015)), cost(Range(0.001, -0.002, 0.003))
      ('at a cost of 1.2 percentage points of accuracy (0.8 to 1.5)', 'at no cost of accuracy that could be measured')
    """
    ends = f"({100 * points.low:z.1f} to {100 * points.high:z.1f})"
    is_open = points.low <= 0 <= points.high
    if is_open and points.high > MAIN_LOSS_AT_MOST:
        return f"at a cost of accuracy that the seeds do not settle {ends.replace(')', ' percentage points)')}"
    if is_open or round(100 * abs(points.value), 1) == 0:
        return "at no cost of accuracy that could be measured"
    amount = f"{100 * abs(points.value):z.1f} percentage points of accuracy"
    return f"at a cost of {amount} {ends}" if points.value > 0 else f"and gains {amount}"


def _areas(defense: Defended, plain: Defended) -> str:
    """The model's area under the curve beside that without the defense, where there are two classes."""
    if defense.auc is None or plain.auc is None:
        return ""
    return f" (its area under the curve is {defense.auc.value:z.2f} instead of {plain.auc.value:z.2f})"


def _cheapest(stopping: Sequence[Defended]) -> Defended:
    """The defense that costs least: of the area under the curve, where there is one, to a hundredth; then of accuracy.

    Of equals it is the first, the simplest.
    """
    return min(stopping, key=lambda d: (-round(d.auc.value, 2) if d.auc is not None else 0.0, round(d.cost.value, 3)))

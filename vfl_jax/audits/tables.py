"""The tables of an audit's report: defenses, readers and attacks, and models beside the honest one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vfl_jax.audits.findings import FLOOR_AT_MOST, Defended, Findings, Range
from vfl_jax.reports.tables import UNDEFINED, Row

if TYPE_CHECKING:
    import xarray as xr

JUDGED = {True: "yes", False: "no", None: "not settled"}
NOT_TRIED = "not tried"


def defense_rows(found: Findings) -> list[Row]:
    """Returns a row per defense: what it leaves to be read and planted, and what it costs.

    Args:
      found: what the audit found.
    """
    is_of_two = found.undefended.auc is not None
    rows = []
    for defense in found.defended:
        row = {"defense": defense.name, "accuracy": said(defense.accuracy)}
        if is_of_two:
            row["AUC"] = said(defense.auc)
        row |= {
            "spares the model": "–" if defense is found.undefended else JUDGED[found.spares(defense)],
            "labels read": said(defense.read),
            "best reader": defense.reader,
        }
        if is_of_two:
            row["readers' AUC"] = said(defense.read_auc)
        row |= {
            "reads": _reads(found, defense),
            "attack success": said(defense.planted),
            "strongest attack": defense.attack or UNDEFINED,
            "honest": UNDEFINED if defense.planted is None else f"{defense.floor:z.3f}",
            "accuracy it takes": said(defense.loss),
            "plants": _plants(found, defense),
        }
        rows.append(row)
    return rows


def short_rows(found: Findings) -> list[Row]:
    """Returns a row per defense, without intervals.

    Args:
      found: what the audit found.
    """
    is_of_two = found.undefended.auc is not None
    rows = []
    for defense in found.defended:
        row = {"defense": defense.name, "accuracy": _number(defense.accuracy.value)}
        row |= {"AUC": _number(defense.auc.value)} if is_of_two and defense.auc is not None else {}
        row |= {"labels read": _number(defense.read.value), "by": defense.reader.replace("_", " ")}
        if defense.read_auc is not None:
            row["readers' AUC"] = _number(defense.read_auc.value)
        planted = None if defense.planted is None else defense.planted.value
        row |= {"attack success": _number(planted), "by the attack": defense.attack or UNDEFINED}
        row["stops"] = UNDEFINED if defense is found.undefended else _stopped(found, defense)
        rows.append(row)
    return rows


def _reads(found: Findings, defense: Defended) -> str:
    """Whether a partner reads behind a defense, in a word or two."""
    return JUDGED[found.reads(defense)] if found.can_tell_reading else "not enough rows"


def _plants(found: Findings, defense: Defended) -> str:
    """Whether a partner plants a backdoor behind a defense, in a word or two."""
    if defense.planted is None:
        return NOT_TRIED
    if not found.can_tell_planting:
        return "not enough rows"
    return "floor too high" if defense.floor > FLOOR_AT_MOST else JUDGED[found.plants(defense)]


def _stopped(found: Findings, defense: Defended) -> str:
    """What a defense stops, in words, and what cannot be said."""
    verdicts = {"reading": _reads(found, defense), "backdoors": _plants(found, defense)}
    by_verdict: dict[str, list[str]] = {}
    for what, verdict in verdicts.items():
        by_verdict.setdefault(verdict, []).append(what)
    stopped, leaking = (" and ".join(by_verdict.pop(verdict, [])) for verdict in ("no", "yes"))
    if not by_verdict:
        return stopped or "neither"
    if len(by_verdict) == 1 and not stopped and not leaking:
        return next(iter(by_verdict))
    unknown = [f"{what}: {verdict}" for verdict, (what,) in by_verdict.items()]
    return "; ".join([*([stopped] if stopped else []), *([f"not {leaking}"] if leaking else []), *unknown])


def model_rows(found: Findings, baselines: list[dict[str, Any]]) -> list[Row]:
    """Returns a row per model: the honest joint model, and the baselines.

    Args:
      found: what the audit found.
      baselines: name, accuracy and area of every baseline.
    """
    plain = found.undefended
    mine = {"model": "joint model, honest, without a defense", "accuracy": said(plain.accuracy), "AUC": said(plain.auc)}
    others = [
        {"model": row["model"], "accuracy": _number(row["accuracy"]), "AUC": _number(row["auc"])} for row in baselines
    ]
    rows = [mine, *others]
    return rows if plain.auc is not None else [{k: v for k, v in row.items() if k != "AUC"} for row in rows]


def wide_rows(results: xr.Dataset, name: str, over: str, centre: str) -> list[Row]:
    """Returns a row per defense and a column per reader or attack, of means or medians over seeds.

    Args:
      results: the numbers of the audit.
      name: the variable.
      over: the dimension of the columns.
      centre: "median" or "mean".
    """
    values = getattr(results[name], centre)("seed").transpose("defense", over).values
    columns = [str(column) for column in results[over].values]
    return [
        {"defense": str(defense), **{column: _number(value) for column, value in zip(columns, of, strict=True)}}
        for defense, of in zip(results["defense"].values, values, strict=True)
    ]


def said(found: Range | None) -> str:
    """Returns a number with its interval.

    Args:
      found: the number; a dash stands for None and for NaN.

    Example:
      >>> said(Range(0.5, 0.25, 0.75)), said(None)
      ('0.500 [0.250, 0.750]', '–')
    """
    if found is None or np.isnan(found.value):
        return UNDEFINED
    return f"{found.value:z.3f} [{found.low:z.3f}, {found.high:z.3f}]"


def _number(value: float | None) -> str:
    return UNDEFINED if value is None or np.isnan(value) else f"{value:z.3f}"

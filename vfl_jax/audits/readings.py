"""What a report of results says of an audit: the three sentences, the picture, the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vfl_jax.audits.result import Audit, lacking
from vfl_jax.reports.readings import Reading, flat

if TYPE_CHECKING:
    import xarray as xr

NOT_OF_STUDY = ("seconds", "baselines", "command", "not_tried")
"""The facts that were found, or that only say the others again."""


def is_audit(dataset: xr.Dataset) -> bool:
    """Returns whether results are those of an audit.

    Args:
      dataset: labelled results.
    """
    return not lacking(dataset)


def read(results: xr.Dataset, name: str) -> Reading:
    """Reads the results of an audit.

    Args:
      results: what :class:`vfl_jax.Audit` holds, or a file of it.
      name: what the report calls them.
    """
    from vfl_jax.audits.page import CAPTION, assumed, sureness, versions
    from vfl_jax.audits.pictures import picture
    from vfl_jax.audits.tables import defense_rows, model_rows, short_rows

    audit = Audit(results)
    found, facts = audit.findings, audit.facts
    return Reading(
        name,
        f"{name}: what could {found.partner} do with your labels?",
        list(audit.sentences),
        [(picture(found), CAPTION)],
        {
            "The defenses": short_rows(found),
            "The same with 95 % intervals and verdicts": defense_rows(found),
            "The honest model beside others": model_rows(found, facts["baselines"]),
        },
        " ".join(sureness(audit)),
        [{"what": str(place), "here": line} for place, line in enumerate(assumed(facts), 1)],
        flat({key: value for key, value in facts.items() if key not in NOT_OF_STUDY}),
        {"The command": facts["command"], "Data, time and versions": versions(facts)},
    )

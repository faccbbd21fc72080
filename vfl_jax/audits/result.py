"""The result of an audit: numbers, sentences, a report."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vfl_jax.audits.findings import Findings
from vfl_jax.audits.numbers import findings
from vfl_jax.audits.sentences import sentences
from vfl_jax.core.atomic import write_atomically
from vfl_jax.core.files import load, save
from vfl_jax.core.labelled import check_path

if TYPE_CHECKING:
    import xarray as xr

FACTS = "facts"
"""The attribute of all that a report tells beside numbers, as JSON."""
NAMED = ("partner", "wanted", "majority", "majority_read", "num_test", "num_read", "num_rarest", "num_attacked")
"""The facts that are attributes of their own, too."""
NEEDED = ("main_accuracy", "read", "alone", "attack_success", "attack_success_honest", "accuracy_attacked")
"""The variables that every audit has."""


def lacking(dataset: xr.Dataset) -> list[str]:
    """Returns the attributes and variables of an audit that a data set lacks; none where it is one.

    Args:
      dataset: labelled results.
    """
    attributes = [name for name in (FACTS, *NAMED) if name not in getattr(dataset, "attrs", ())]
    return attributes + [name for name in NEEDED if name not in getattr(dataset, "data_vars", ())]


class Facts(dict[str, Any]):
    """Facts of an audit by their names."""

    def __missing__(self, name: str) -> Any:
        version = self["versions"].get("vfl_jax") if isinstance(self.get("versions"), dict) else None
        raise ValueError(
            f"results.attrs[{FACTS!r}] has no {name!r}: another version of vfl_jax wrote this audit"
            + (f" ({version}). Read it with that one." if version else ".")
        )


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Audit:
    """What an audit found; :func:`vfl_jax.audit` makes one, and ``print`` says it in three sentences.

    Args:
      results: the numbers, with the dimensions ``defense``, ``reader``, ``attack`` and ``seed``: ``main_accuracy`` and
        ``test_auc`` of honest runs; ``read``, the share of labels that a reader names rightly, and ``read_auc``;
        ``attack_success``, ``attack_success_honest`` and ``accuracy_attacked``; and ``alone`` with ``alone_auc``, what
        the partner names by its own features without any joint training.
    """

    results: xr.Dataset

    @functools.cached_property
    def facts(self) -> dict[str, Any]:
        """All that the report tells beside numbers: data, setting, what was not tried, versions."""
        try:
            found = json.loads(self.results.attrs[FACTS])
        except (TypeError, ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise ValueError(f"results.attrs[{FACTS!r}] is not as an audit wrote it; load the file again.")
        return Facts(found)

    @functools.cached_property
    def findings(self) -> Findings:
        """The numbers that sentences and tables are made of."""
        return findings(self.results)

    @property
    def sentences(self) -> tuple[str, str, str]:
        """The answer: on reading labels, on backdoors, on defenses."""
        return sentences(self.findings)

    @property
    def rows(self) -> list[dict[str, str]]:
        """A row per defense, as text."""
        from vfl_jax.audits.tables import defense_rows

        return defense_rows(self.findings)

    def __str__(self) -> str:
        return "\n".join(self.sentences)

    def __repr__(self) -> str:
        said = [textwrap.fill(text, 79, break_long_words=False, break_on_hyphens=False) for text in self.sentences]
        return "\n".join([*said, "The page with pictures and tables: .to_html(path). The numbers: .results."])

    def _repr_html_(self) -> str:
        """Returns the answer and the table of defenses as HTML, for notebooks."""
        from vfl_jax.audits.tables import short_rows
        from vfl_jax.reports import html

        table = html.table(short_rows(self.findings), is_sortable=False)
        return f'<div>{html.answer(*self.sentences)}<div style="overflow-x: auto">{table}</div></div>'

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the numbers to a NetCDF file, from which :meth:`load` makes the audit again.

        Args:
          path: the file.
        """
        save(self.results, path)
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Audit:
        """Returns the audit of a file.

        Args:
          path: the file that :meth:`save` wrote.

        Raises:
          ValueError: where the file holds something else, with what it lacks.
          OSError: where the file cannot be read.
        """
        results = load(path)
        if missing := lacking(results):
            raise ValueError(
                f"{path} has no {', '.join(missing)}, so it is no audit. Give a file that Audit.save wrote, or "
                "vfl-jax audit --results."
            )
        return cls(results)

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """Returns the report, a page of HTML that works offline.

        Args:
          path: a file to write it to.
        """
        from vfl_jax.audits.page import page

        if path is not None:
            check_path("path", path)
        text = page(self)
        if path is not None:
            write_atomically(Path(path), functools.partial(Path.write_text, data=text, encoding="utf-8"))
        return text

    @staticmethod
    def attributes(facts: dict[str, Any]) -> dict[str, Any]:
        """Returns the attributes of results: the facts as JSON, and those that findings need by name.

        Args:
          facts: the facts.
        """
        return {name: facts[name] for name in NAMED} | {FACTS: json.dumps(facts)}

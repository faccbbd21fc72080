"""Pages of HTML: a whole page is one text, works offline, and can be read aloud, sorted, folded and printed.

Text is escaped wherever it comes from; only what these functions return is markup.

Example:
  >>> from vfl_jax.reports import html
  >>> page = html.document(
  ...     "Does noise protect?",
  ...     [
  ...         html.answer("Noise stopped the backdoor in 18 of 20 runs."),
  ...         html.heading("The table"),
  ...         html.table([{"noise": "0.1", "success": "2/20"}], "One row per level of noise."),
  ...         html.details("What was assumed", ["The attacker holds half of the features."]),
  ...         html.glossary({"backdoor": "A mark on a row that leads the model to one class."}),
  ...     ],
  ... )
  >>> page.startswith("<!doctype html>")
  True
"""

from vfl_jax.reports.html.document import MOST_BYTES, document
from vfl_jax.reports.html.elements import (
    Part,
    answer,
    bullets,
    code,
    details,
    glossary,
    heading,
    paragraph,
    section,
    table,
)
from vfl_jax.reports.html.figures import figure

__all__ = [
    "MOST_BYTES",
    "Part",
    "answer",
    "bullets",
    "code",
    "details",
    "document",
    "figure",
    "glossary",
    "heading",
    "paragraph",
    "section",
    "table",
]

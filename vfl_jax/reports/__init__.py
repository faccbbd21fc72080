"""Reports of results: what they say, tables as rows, for a terminal, as text, and as pages of HTML."""

from vfl_jax.reports import html
from vfl_jax.reports.answers import answer
from vfl_jax.reports.comparing import compare
from vfl_jax.reports.comparison import Comparison
from vfl_jax.reports.reporting import report
from vfl_jax.reports.saved import load_results
from vfl_jax.reports.showing import show
from vfl_jax.reports.tables import (
    NOTE,
    UNDEFINED,
    Row,
    count_text,
    interval_text,
    median_with_interval,
    not_judged_text,
    note,
    rows,
    rows_text,
    setting_text,
)
from vfl_jax.reports.terminal import console, to_terminal
from vfl_jax.reports.writers import to_csv, to_latex, to_markdown

__all__ = [
    "NOTE",
    "UNDEFINED",
    "Comparison",
    "Row",
    "answer",
    "compare",
    "console",
    "count_text",
    "html",
    "interval_text",
    "load_results",
    "median_with_interval",
    "not_judged_text",
    "note",
    "report",
    "rows",
    "rows_text",
    "setting_text",
    "show",
    "to_csv",
    "to_latex",
    "to_markdown",
    "to_terminal",
]

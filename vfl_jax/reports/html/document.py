"""A whole page: its parts, its style and its script in one text that asks nothing of any other machine."""

from __future__ import annotations

import collections
import functools
import importlib.resources
import re
from collections.abc import Iterable

from vfl_jax.reports.html.elements import Part, escaped, joined

MOST_BYTES = 2_000_000
"""A page is smaller than this, so that it can be sent by mail."""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
"""What a browser may load for a page: nothing but what is in it."""


def document(title: str, parts: Iterable[str], *, description: str = "") -> str:
    """A whole page of HTML, in one text of less than 2 MB.

    It works without a network: style, script and figures are in it, and it forbids a browser to ask for more. It is
    dark where the reader's system is, prints with all evidence unfolded, and needs no script to be read.

    Args:
      title: the title, plain text.
      parts: what the functions of this module return; a plain text becomes a paragraph.
      description: one sentence for whoever lists the page.

    Raises:
      ValueError: where the page has 2 MB or more, with its size.

    Example:
      >>> from vfl_jax.reports import html
      >>> "<h1>a &lt; b</h1>" in html.document("a < b", ["One paragraph."])
      True
    """
    body = _with_places_of_their_own(joined(parts))
    said = f'<meta name="description" content="{escaped(description)}">\n' * bool(description)
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n{said}'
        f"<title>{escaped(title)}</title>\n<style>\n{_part_of_page('page.css')}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{escaped(title)}</h1>\n{body}\n</main>\n"
        f"<script>\n{_part_of_page('page.js')}</script>\n</body>\n</html>\n"
    )
    if (size := len(page.encode())) >= MOST_BYTES:
        raise ValueError(f"The page has {size:,} bytes; it must have fewer than {MOST_BYTES:,}. Leave out parts of it.")
    return page


def _with_places_of_their_own(body: str) -> str:
    """The page in which headings of the same text are different places: the second has a number."""
    seen: collections.Counter[str] = collections.Counter()

    def numbered(found: re.Match[str]) -> str:
        seen[found[2]] += 1
        return f'{found[1]}"{found[2]}{f"-{seen[found[2]]}" if seen[found[2]] > 1 else ""}"'

    return re.sub(r'(<h[234] id=)"([^"]*)"', numbered, body)


@functools.cache
def _part_of_page(name: str) -> Part:
    """The style or the script of all pages."""
    return Part(importlib.resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))

"""Figures of Matplotlib in a page: drawings whose text stays text, and whose curves a legend hides and shows."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vfl_jax.core.extras import extra
from vfl_jax.reports.html.elements import Part, escaped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_OF_A_DRAWING = 400_000
"""A drawing of more bytes is a picture of dots instead."""
INK = ("#000000", "#222222")
"""The dark colours of a drawing, which follow the colour of the page's text."""
NEARLY_BLACK = "#010101"
"""The colour of dark text upon a map, which stays as it is in a dark page."""


class Curve(NamedTuple):
    """A line of a legend: its words, and how it is drawn."""

    label: str
    color: str
    is_dashed: bool


def figure(figure: Figure, caption: str, alternative: str = "") -> Part:
    """A figure with its caption; a button for every line of its legends hides this curve, and shows it again.

    A legend of one line stays in the drawing. What is drawn in a curve's colour without a label of its own, such as its
    band and its dots, goes with it. A drawing of more than 400 kB becomes a picture with its legend, without buttons.

    Args:
      figure: a figure of Matplotlib; it stays as it was.
      caption: the text below it, plain.
      alternative: what the figure shows, for who cannot see it; by default the caption.

    Example:
      >>> import vfl_jax as vfl
      >>> drawn, panels = vfl.plots.grid_of_panels(1, 1)
      >>> for name in ("attacked", "honest"):
      ...     line = panels[0, 0].plot([0, 1], [0.2, 0.9], label=name)
      >>> legend = panels[0, 0].legend()
      >>> part = vfl.reports.html.figure(drawn, "Attack success by epoch.")
      >>> '<button type="button" aria-pressed="true" data-curve="0">' in part
      True
    """
    said = escaped(alternative or caption)
    with _as_drawing(figure) as curves:
        drawing = _drawing(figure, said)
    buttons = "".join(_button(i, curve) for i, curve in enumerate(curves))
    legend = f'<div class="legend" role="group" aria-label="Curves: hide or show">{buttons}</div>' * bool(buttons)
    if len(drawing) > MOST_OF_A_DRAWING:
        drawing, legend = _picture(figure, said), ""
    return Part(
        f'<figure><div class="scroll" tabindex="0" role="region" aria-label="{said}">{drawing}</div>'
        f"{legend}<figcaption>{escaped(caption)}</figcaption></figure>"
    )


def _button(number: int, curve: Curve) -> str:
    """The button of one curve."""
    color = "currentColor" if curve.color in INK else curve.color
    dashed = ' class="dashed"' * curve.is_dashed
    swatch = f'<i{dashed} style="border-color:{color}"></i>'
    return (
        f'<button type="button" aria-pressed="true" data-curve="{number}">{swatch}<span>{escaped(curve.label)}</span>'
        "</button>"
    )


def _drawing(figure: Figure, said: str) -> str:
    """The figure as markup: without what a page does not need, in the page's colours, with names of its own."""
    with extra("plots", "A page with figures"):
        import matplotlib

    written = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "vfl_jax"}):
        figure.savefig(written, format="svg", facecolor="none", metadata={"Date": None})
    text = written.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL)
    for color in INK:
        text = text.replace(color, "currentColor")
    text = re.sub(r'<g id="curve-(\d+)-\d+">', r'<g data-curve="\1">', text)
    prefix = f"f{hashlib.sha256((said + text).encode()).hexdigest()[:8]}-"
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}", text)
    width = float(re.search(r'width="([\d.]+)pt"', text)[1])  # type: ignore[index]
    box = re.search(r'viewBox="[^"]*"', text)[0]  # type: ignore[index]
    style = f"max-width:{width:z.0f}pt;min-width:min({width:z.0f}pt,34rem)"
    head = f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" {box} role="img" aria-label="{said}" style="{style}">'
    return head + text[text.index(">") + 1 :].strip()


def _picture(figure: Figure, said: str) -> str:
    """The figure as dots, on white."""
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=110, facecolor="white")
    return f'<img alt="{said}" src="data:image/png;base64,{base64.b64encode(written.getvalue()).decode()}">'


@contextlib.contextmanager
def _as_drawing(figure: Figure) -> Iterator[list[Curve]]:
    """Names every curve's artists, hides white panels and what buttons stand for; yields the curves; undoes all."""
    undo: list[tuple[Any, str, Any]] = []

    def change(artist: Any, name: str, value: Any) -> None:
        undo.append((artist, name, getattr(artist, f"get_{name}")()))
        getattr(artist, f"set_{name}")(value)

    curves: dict[str, Curve] = {}
    try:
        for panel in figure.axes:
            for i, artist in enumerate(_artists(panel, curves)):
                change(artist[1], "gid", f"curve-{artist[0]}-{i}")
            if _hex(panel.get_facecolor()) == "#ffffff":
                change(panel.patch, "visible", False)
            on_map = panel.texts if panel.images else []
            for words in (words for words in on_map if _hex(words.get_color()) == "#000000"):
                change(words, "color", NEARLY_BLACK)
        shown = [legend for legend in (*(panel.get_legend() for panel in figure.axes), *figure.legends) if legend]
        has_buttons = bool(shown) and len(curves) > 1
        for legend in shown if has_buttons else ():
            change(legend, "visible", False)
        yield list(curves.values()) if has_buttons else []
    finally:
        for artist, name, value in reversed(undo):
            getattr(artist, f"set_{name}")(value)


def _artists(panel: Axes, curves: dict[str, Curve]) -> list[tuple[int, Any]]:
    """What a panel draws of every curve, with the curve's number; new curves are added to ``curves``."""
    found: list[tuple[int, Any]] = []
    of_color: dict[str, int] = {}
    for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
        parts = handle.get_children() if isinstance(handle, tuple) else [handle]
        color = _color(parts[0])
        curve = curves.setdefault(label, Curve(label, color, getattr(parts[0], "get_linestyle", str)() == "--"))
        number = list(curves).index(label)
        found += [(number, part) for part in parts]
        if not curve.is_dashed:
            of_color.setdefault(color, number)
    named = {id(artist) for _, artist in found}
    others = [artist for artist in (*panel.lines, *panel.collections) if id(artist) not in named]
    return found + [(of_color[_color(artist)], artist) for artist in others if _color(artist) in of_color]


def _color(artist: Any) -> str:
    """The colour of a line, of dots, or of a band, as six digits."""
    if hasattr(artist, "get_facecolor") and len(artist.get_facecolor()):
        color = artist.get_facecolor()
    else:
        color = artist.get_color() if hasattr(artist, "get_color") else artist.get_edgecolor()
    if not isinstance(color, str) and np.ndim(color) > 1:  # a colour for every part
        color = color[0] if len(color) else "none"
    return _hex(color)


def _hex(color: Any) -> str:
    """A colour as six digits."""
    from matplotlib.colors import to_hex

    return to_hex(color)

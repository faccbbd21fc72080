"""A figure that a notebook shows by itself where a cell ends with it."""

from __future__ import annotations

import io
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.text import Text

NOTEBOOK_DPI = 110
"""The dots per inch of a figure in a notebook; files have the figure's own."""


class ShownFigure(Figure):
    """A figure of Matplotlib without pyplot, which would show it a second time at the end of a cell.

    Its texts are names of data, cases and methods, so that "$" means nothing in them: they are no formulas.
    """

    def draw(self, renderer: Any) -> None:
        """Draws the figure, as Matplotlib asks for it."""
        for text in self.findobj(Text):
            text.set_parse_math(False)
        with rc_context({"text.parse_math": False}):  # of the ticks' labels, which are made only now
            super().draw(renderer)

    def _repr_png_(self) -> bytes:
        """Returns the picture as PNG, for notebooks."""
        picture = io.BytesIO()
        self.savefig(picture, format="png", dpi=NOTEBOOK_DPI)
        return picture.getvalue()

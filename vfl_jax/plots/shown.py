"""A figure that a notebook shows by itself where a cell ends with it."""

from __future__ import annotations

import io

from matplotlib.figure import Figure

NOTEBOOK_DPI = 110
"""The dots per inch of a figure in a notebook; files have the figure's own."""


class ShownFigure(Figure):
    """A figure of Matplotlib without pyplot, which would show it a second time at the end of a cell."""

    def _repr_png_(self) -> bytes:
        """Returns the picture as PNG, for notebooks."""
        picture = io.BytesIO()
        self.savefig(picture, format="png", dpi=NOTEBOOK_DPI)
        return picture.getvalue()

"""Figures of labelled results: every seed, the median over seeds, and its interval."""

from vfl_jax.plots.figures import against, curves, overview
from vfl_jax.plots.panels import COLORS, LABELS, draw_against, draw_curves, grid_of_panels

__all__ = ["COLORS", "LABELS", "against", "curves", "draw_against", "draw_curves", "grid_of_panels", "overview"]

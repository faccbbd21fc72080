"""A plug-in as a user writes it, in a package of their own: nothing of vfl_jax knows of it."""

from lab_vfl import methods, metrics, models, study

__all__ = ["methods", "metrics", "models", "study"]

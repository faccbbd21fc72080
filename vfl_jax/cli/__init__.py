"""The command ``vfl-jax``."""

from vfl_jax.cli.commands import main

__all__ = ["main"]

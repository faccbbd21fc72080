"""``python -m vfl_jax.cli``."""

from vfl_jax.cli import main

main()

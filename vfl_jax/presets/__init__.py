"""Scenarios: the literature's, one paper per file, and one for a user's own data."""

from vfl_jax.presets.common import MNIST_PIXELS, HeadName, Task
from vfl_jax.presets.digits import DIGITS_PIXELS, digits_demo
from vfl_jax.presets.liu_2020 import liu2020_code, liu2020_paper
from vfl_jax.presets.nearest import nearest
from vfl_jax.presets.own_data import scenario_for
from vfl_jax.presets.registered import PRESETS, register_preset
from vfl_jax.presets.zou_2022 import zou2022

__all__ = [
    "DIGITS_PIXELS",
    "MNIST_PIXELS",
    "PRESETS",
    "HeadName",
    "Task",
    "digits_demo",
    "liu2020_code",
    "liu2020_paper",
    "nearest",
    "register_preset",
    "scenario_for",
    "zou2022",
]

"""Presets by name, the package's own and those that plug-ins register."""

from __future__ import annotations

from collections.abc import Callable

from vfl_jax.core.registry import Registry, calling_module
from vfl_jax.presets.digits import digits_demo
from vfl_jax.presets.liu_2020 import liu2020_code, liu2020_paper
from vfl_jax.presets.zou_2022 import zou2022
from vfl_jax.scenario import Scenario

PRESETS: Registry[Callable[..., Scenario]] = Registry(
    "preset",
    {
        "digits_demo": digits_demo,
        "liu2020_paper": liu2020_paper,
        "liu2020_code": liu2020_code,
        "zou2022": zou2022,
    },
)
"""Every preset by its name."""
DATA_OF: dict[str, str] = {}
"""The data set that the command takes for a preset of a plug-in, by the preset's name, where the plug-in names one."""


def register_preset(
    name: str, function: Callable[..., Scenario], *, data: str | None = None
) -> Callable[..., Scenario]:
    """Registers a preset by its name, so that the command has it (``run NAME``, ``sweep NAME``) and lists it.

    Args:
      name: the name, a word.
      function: a function that returns a scenario; the command calls it without arguments.
      data: the name of the data set that the command takes unless ``--data`` says another. Without it a user of the
        command must give ``--data``.

    Returns:
      the function, unchanged.

    Raises:
      ValueError: where ``name`` is no word, ``function`` is no function, or another module has registered the name.

    Example:
      >>> import functools
      >>> import vfl_jax as vfl
      >>> weak = functools.partial(vfl.presets.zou2022, amplify=2.0)
      >>> vfl.register_preset("weak", weak, data="mnist")().attacks[1].amplify
      2.0
      >>> vfl.presets.PRESETS.pop("weak") is weak
      True
    """
    PRESETS.add(name, function, calling_module())
    DATA_OF.pop(name, None)
    if data is not None:
        DATA_OF[name] = data
    return function

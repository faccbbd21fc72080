"""The preset that is nearest to a scenario, so that people read how a scenario differs and not all that it holds."""

from __future__ import annotations

import functools
import inspect
import itertools
import json
import typing
from collections.abc import Callable, Iterator
from typing import Any, Literal

from vfl_jax.presets.registered import PRESETS
from vfl_jax.scenario import Scenario
from vfl_jax.scenario.shown import NEAREST


def nearest(scenario: Scenario) -> tuple[str, Scenario] | None:
    """Returns the call of a preset and its scenario, of all presets the one with the fewest other leaves of JSON.

    Presets are called with every choice of their arguments that have one (the head, the task), and with the scenario's
    number of parties.

    Args:
      scenario: a scenario whose numbers are not swept.

    Returns:
      (the call, the scenario); None where no preset has its number of parties.

    Example:
      >>> import vfl_jax as vfl
      >>> nearest(vfl.presets.liu2020_code(head="trainable", amplify=3))[0]
      "liu2020_code(head='trainable')"
    """
    own = dict(_leaves(json.loads(scenario.to_json())))
    found: tuple[int, str, Scenario] | None = None
    for name, function in PRESETS.items():
        for call, candidate, other in _calls(name, function, len(scenario.bottoms)):
            distance = sum(own.get(path) != other.get(path) for path in own.keys() | other.keys())
            if len(candidate.bottoms) == len(scenario.bottoms) and (found is None or distance < found[0]):
                found = distance, call, candidate
    return None if found is None else found[1:]


@functools.lru_cache(maxsize=256)
def _calls(
    name: str, function: Callable[..., Scenario], num_parties: int
) -> tuple[tuple[str, Scenario, dict[str, Any]], ...]:
    """The calls of a preset with their scenarios and the leaves of these; none where it cannot be called so.

    They are kept, because a command line asks for many scenarios' text and a preset never gives another one.
    """
    try:
        hints = typing.get_type_hints(function)
    except (TypeError, NameError):  # of a partial function, or with names that are not there
        hints = {}
    arguments = inspect.signature(function).parameters
    choices = {
        key: typing.get_args(hint)
        for key, hint in hints.items()
        if typing.get_origin(hint) is Literal and key in arguments
    }
    found = []
    for chosen in itertools.product(*choices.values()):
        options: dict[str, Any] = dict(zip(choices, chosen, strict=True))
        if "num_parties" in arguments:
            options["num_parties"] = num_parties
        try:
            made = function(**options)
        except (TypeError, ValueError):
            continue
        said = {key: value for key, value in options.items() if value != arguments[key].default}
        call = f"{name}({', '.join(f'{key}={value!r}' for key, value in said.items())})"
        found.append((call, made, dict(_leaves(json.loads(made.to_json())))))
    return tuple(found)


def _leaves(content: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the path and value of every leaf of JSON content."""
    if not isinstance(content, dict | list):
        yield path, content
        return
    for key, below in content.items() if isinstance(content, dict) else enumerate(content):
        yield from _leaves(below, f"{path}.{key}")


NEAREST.append(nearest)

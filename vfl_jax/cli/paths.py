"""What ``vfl-jax paths`` shows: every number of a scenario that --set and --over can name, and what it means."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vfl_jax.cli.choices import with_attacks, with_defenses
from vfl_jax.cli.scenarios import asked_of, presets
from vfl_jax.cli.studies import read_scenario
from vfl_jax.cli.subcommands import Paths
from vfl_jax.core.record import numbers
from vfl_jax.core.registry import find
from vfl_jax.reports.tables import setting_text
from vfl_jax.scenario import Scenario

if TYPE_CHECKING:
    from rich.table import Table

NOTE = (
    "attack.X is X of every attack, defense.X that of the one part of the defense, learning_rate (or another number of "
    "an optimizer) that of every party and the head."
)


class Number(NamedTuple):
    """A number of a scenario.

    Args:
      path: its path.
      value: its value.
      meaning: what it means, as the docstring of its record says.
    """

    path: str
    value: float
    meaning: str


def scenario_to_list(chosen: Paths) -> Scenario:
    """The scenario whose numbers are asked for.

    Args:
      chosen: the flags.

    Raises:
      ValueError: naming the flag or file, where a name is unknown or a file holds no scenario.
      OSError: where a file cannot be read.
    """
    known = presets()
    if chosen.preset not in known and Path(chosen.preset).suffix:
        scenario = read_scenario(Path(chosen.preset))
    else:
        if names := [text for text in chosen.attacker if not text.isdecimal()]:
            raise ValueError(f"--attacker is {names[0]!r}; it takes the numbers of parties, from 0.")
        asked = asked_of(chosen.parties, chosen.attacker)
        scenario = find(known, "PRESET", "preset", chosen.preset).scenario(asked)
    return with_defenses(with_attacks(scenario, chosen.attack), chosen.defense)


def paths_of(scenario: Scenario) -> list[Number]:
    """Every number of a scenario with its path, value and meaning.

    Args:
      scenario: the scenario.

    Example:
      >>> import vfl_jax as vfl
      >>> [(found.path, found.value) for found in paths_of(vfl.presets.zou2022()) if "amplify" in found.path]
      [('attacks.1.amplify', 10.0)]
    """
    return [Number(path, value, _meaning(scenario, path)) for path, value in numbers(scenario).items()]


def paths_table(scenario: Scenario) -> Table:
    """The numbers of a scenario as a table.

    Args:
      scenario: the scenario.
    """
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, caption=NOTE, caption_justify="left")
    table.add_column("path", no_wrap=True)
    table.add_column("value", no_wrap=True, justify="right")
    table.add_column("meaning")
    for found in paths_of(scenario):
        table.add_row(found.path, setting_text(found.value), found.meaning)
    return table


def _meaning(scenario: Scenario, path: str) -> str:
    """What the docstring of a record says of a number; empty where it says nothing."""
    *parents, name = path.split(".")
    record: Any = scenario
    for part in parents:
        record = record[int(part)] if part.isdigit() else getattr(record, part)
    for kind in type(record).__mro__:
        about = inspect.cleandoc(kind.__doc__ or "")
        entry = re.search(rf"^  (?:\w+, )*{name}(?:, \w+)*: (.*(?:\n    .*)*)", about, re.MULTILINE)
        if entry:
            return " ".join(entry[1].replace("``", "").split())
    return ""

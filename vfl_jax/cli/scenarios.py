"""The subcommands that take a scenario: one for every preset, one for your own data, one for a file."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import tyro

from vfl_jax.cli.overview import FILE, OWN, PRESET_LINES, first_paragraph
from vfl_jax.cli.own_tables import OwnTables
from vfl_jax.cli.subcommands import SUBCOMMANDS, Run, Sweep
from vfl_jax.cli.values import Name, Text
from vfl_jax.core.checks import check_count, check_kind
from vfl_jax.presets import PRESETS, HeadName, Task, digits_demo, liu2020_code, liu2020_paper, zou2022
from vfl_jax.presets.registered import DATA_OF
from vfl_jax.scenario import Scenario

ASKED = {"num_parties": "--parties", "attackers": "--attacker"}
"""The arguments of presets that have flags of their own."""
HINT = """
--set and --over change the numbers that vfl-jax paths PRESET lists.
--help-all shows the flags of every field, too, and --table for your own tables."""
"""What the short help of a preset adds, because it leaves out these flags."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfPreset:
    """A scenario that begins as a preset's; flags change its fields."""

    scenario: Scenario


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfFile:
    """A scenario from a file."""

    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    """The scenario, as --save-scenario writes it (.toml) or to_json gives it (.json)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfOwn:
    """The paper's attack, fitted to your own data (:func:`vfl_jax.scenario_for`)."""

    head: HeadName = "sum"
    """The sum of the embeddings, or a trainable layer on them."""
    target_class: Name = None
    """The class that the attacker wants. Default: a rare one."""
    stamp: Text = None
    """PARTY.FEATURE=VALUE, e.g. shop.spent=4: the trigger sets the feature, in standard deviations. See --marked."""
    learning_rate: float = 0.1
    """That of every party and of the head."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunPreset(OfPreset, Run):
    """Trains one replica of a preset."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunFile(OfFile, Run):
    """Trains one replica of a scenario from a file."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOwn(OfOwn, Run):
    """Trains one replica on your own data."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepPreset(OfPreset, Sweep):
    """Trains a grid of settings of a preset."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepFile(OfFile, Sweep):
    """Trains a grid of settings of a scenario from a file."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepOwn(OfOwn, Sweep):
    """Trains a grid of settings on your own data."""


@dataclasses.dataclass(frozen=True)
class Preset:
    """A preset as the command names it.

    Args:
      name: its name, a word.
      make: the function that makes its scenario; ``num_parties`` and ``attackers`` are given where flags name them.
      data: the data set that it takes by default, if any.
      epochs: the number of epochs by default.
      line: what it is, in a line.
    """

    name: str
    make: Callable[..., Scenario]
    data: str | None
    epochs: int
    line: str

    def scenario(self, asked: Mapping[str, Any]) -> Scenario:
        """Makes the scenario.

        Args:
          asked: values of ``num_parties`` and ``attackers`` that flags name.

        Raises:
          ValueError: naming the flag, where the preset takes no such number.
        """
        taken = inspect.signature(self.make).parameters
        for name, flag in ASKED.items():
            if name in asked and name not in taken:
                raise ValueError(f"{flag} is given, but preset {self.name!r} has no argument {name!r}; leave it out.")
        try:
            return self.make(**asked)
        except ValueError as error:
            if not asked:
                raise
            named = " and ".join(flag for name, flag in ASKED.items() if name in asked)
            raise ValueError(f"{named} cannot be: {error}") from error


def asked_of(parties: int | None, attackers: Sequence[str]) -> dict[str, Any]:
    """What flags ask of a preset, as :meth:`Preset.scenario` takes it.

    Args:
      parties: the number of ``--parties``, or None.
      attackers: the texts of ``--attacker``; names of parties, which only tables of your own have, are left out.

    Raises:
      ValueError: naming the flag, where the number of parties is below 1.

    Example:
      >>> asked_of(4, ["2", "3"])
      {'num_parties': 4, 'attackers': (2, 3)}
    """
    asked: dict[str, Any] = {}
    if parties is not None:
        check_count(**{"--parties": parties})
        asked["num_parties"] = parties
    if attackers and all(text.lstrip("-").isdecimal() for text in attackers):
        asked["attackers"] = tuple(map(int, attackers))
    return asked


def presets() -> dict[str, Preset]:
    """Every preset of the command by its name, those of plug-ins that are loaded by now among them.

    Raises:
      ValueError: where a plug-in's preset has the name of another subcommand.
    """
    made: dict[str, tuple[Callable[..., Scenario], str | None, int]] = {}
    for head in get_args(HeadName):
        made[f"digits_demo-{head}"] = functools.partial(digits_demo, head=head), "digits", 60
    data: dict[Task, str] = {"mnist": "mnist", "nus_wide": "nus_wide_twin"}
    for task, name in data.items():
        of_task = "" if task == "mnist" else f"{task}-"
        for preset in (liu2020_paper, liu2020_code):
            for head in get_args(HeadName):
                partial = functools.partial(preset, head=head, task=task)
                made[f"{preset.__name__}-{of_task}{head}"] = partial, name, 50
        made[f"zou2022{of_task and '-nus_wide'}"] = functools.partial(zou2022, task=task), name, 100
    found = {name: Preset(name, *parts, PRESET_LINES[name]) for name, parts in made.items()}
    for name, function in PRESETS.items():
        if (module := PRESETS.module(name)) == "vfl_jax":
            continue
        if name in found or name in (OWN, FILE, "json"):
            raise ValueError(f"{module} registers a preset {name!r}, the name of another subcommand; choose another.")
        checked = functools.wraps(function)(functools.partial(_checked, name, module, function))
        found[name] = Preset(name, checked, DATA_OF.get(name), 50, first_paragraph(function))
    return found


def subcommands(words: tuple[str, ...] = (), asked: Mapping[str, Any] | None = None, show_all: bool = True) -> Any:
    """The type of all subcommands, for tyro; presets that are registered by now are among them.

    Args:
      words: the words of the command; the preset among them, if any, is made as ``asked``.
      asked: values of ``num_parties`` and ``attackers`` that flags name.
      show_all: whether help shows the flags of every field of the scenario.

    Raises:
      ValueError: where a plug-in's preset gives no scenario, or has the name of another subcommand.
    """
    kinds: dict[str, Any] = dict(SUBCOMMANDS)
    kinds["run"] = _of_scenarios(RunPreset, RunOwn, RunFile, words, asked or {}, show_all)
    kinds["sweep"] = _of_scenarios(SweepPreset, SweepOwn, SweepFile, words, asked or {}, show_all)
    types = [
        Annotated[kind, tyro.conf.subcommand(name, description=first_paragraph(SUBCOMMANDS[name]))]
        for name, kind in kinds.items()
    ]
    return functools.reduce(lambda one, other: one | other, types)


def _of_scenarios(
    of_preset: Any, of_own: Any, of_file: Any, words: tuple[str, ...], asked: Mapping[str, Any], show_all: bool
) -> Any:
    """One subcommand per preset with its numbers as defaults, one for your own data, one for files."""
    kinds: list[Any] = []
    for name, preset in presets().items():
        scenario = preset.scenario(asked if name in words else {})
        default = of_preset(scenario=scenario, data=preset.data, epochs=preset.epochs)
        kind = of_preset if show_all else _shortened(of_preset)
        hint = "" if show_all else HINT
        kinds.append((name, kind, default, preset.line + hint))
    kinds.append((OWN, of_own, of_own(), PRESET_LINES[OWN]))
    for name in (FILE, "json"):
        kinds.append((name, of_file, of_file(file=tyro.MISSING), PRESET_LINES["FILE.toml"]))
    types = [
        Annotated[kind, tyro.conf.subcommand(name, default=default, description=line, prefix_name=False)]
        for name, kind, default, line in kinds
    ]
    return functools.reduce(lambda one, other: one | other, types)


def _shortened(of_preset: Any) -> Any:
    """The class of a preset's flags, whose help leaves out fields of the scenario and your own tables."""
    hidden = dataclasses.make_dataclass(
        of_preset.__name__,
        [
            ("scenario", tyro.conf.Suppress[Scenario]),
            ("own", tyro.conf.Suppress[OwnTables], dataclasses.field(default_factory=OwnTables)),
        ],
        bases=(of_preset,),
        frozen=True,
        kw_only=True,
    )
    hidden.__doc__ = of_preset.__doc__
    return hidden


def _checked(name: str, module: str, function: Callable[..., Scenario], **asked: Any) -> Scenario:
    """The scenario of a plug-in's preset; ``ValueError`` where its function fails or gives something else."""
    try:
        scenario = function(**asked)
    except Exception as error:  # a user's function may fail in any way
        raise ValueError(f"preset {name!r} of {module} fails ({type(error).__name__}: {error}).") from error
    check_kind(Scenario, f"which the function of a preset returns ({module})", **{f"preset {name!r}": scenario})
    return scenario

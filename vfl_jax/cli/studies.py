"""What the flags of ``run`` and ``sweep`` ask for: the scenario, what it began as, and the data."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vfl_jax.cli.choices import source
from vfl_jax.cli.flags import assignments
from vfl_jax.cli.own_tables import told
from vfl_jax.cli.scenarios import OfFile, OfOwn, OfPreset
from vfl_jax.cli.subcommands import Training
from vfl_jax.cli.values import numbered
from vfl_jax.core.atomic import check_writable, write_atomically
from vfl_jax.core.checks import check_kind, place_of
from vfl_jax.core.ordinary import read_text
from vfl_jax.core.record import from_json
from vfl_jax.core.toml_text import from_toml, to_toml
from vfl_jax.data.own.tables import LoadedTables
from vfl_jax.protocol.triggers import FeatureTrigger, Trigger
from vfl_jax.scenario import Scenario

if TYPE_CHECKING:
    from vfl_jax.core.vertical_data import VerticalData

Source = Callable[[], "VerticalData | LoadedTables"]


class Begun(NamedTuple):
    """What flags begin with, before those of methods and numbers.

    Args:
      scenario: the scenario of the preset, of the file, or fitted to the data.
      name: the words for it in messages.
      source: the function that loads the data.
    """

    scenario: Scenario
    name: str
    source: Source


def begin(chosen: Training, name: str) -> Begun:
    """The scenario and the data that the flags begin with.

    Args:
      chosen: the flags of ``run`` or ``sweep``.
      name: the word in the place of the preset.

    Raises:
      ValueError: naming the flag, where no data is named, or flags do not go together.
      OSError: where a file cannot be read.
    """
    if isinstance(chosen, OfOwn):
        data_of = _source(chosen, chosen.parties or 2)
        scenario = _fitted(chosen, data_of)
        return Begun(scenario, "the scenario fitted to the data", data_of)
    if isinstance(chosen, OfFile):
        scenario, called = read_scenario(chosen.file), str(chosen.file)
        if chosen.attacker:
            raise ValueError(f"--attacker changes a preset; in a scenario from {chosen.file} give --attack PARTY=NAME.")
    else:
        assert isinstance(chosen, OfPreset)
        scenario, called = chosen.scenario, f"preset {name}"
        if names := [text for text in chosen.attacker if not text.lstrip("-").isdecimal()]:
            raise ValueError(f"--attacker is {names[0]!r}; preset {name!r} takes numbers of parties, from 0.")
    parties = len(scenario.bottoms)
    if chosen.parties not in (None, parties):
        raise ValueError(f"--parties is {chosen.parties}, but the scenario of {called} has {parties} parties.")
    return Begun(scenario, called, _source(chosen, parties))


def read_scenario(file: Path) -> Scenario:
    """Reads a scenario from a file, as TOML where its name ends so, else as JSON.

    Args:
      file: the file.

    Raises:
      ValueError: naming the file, where it holds no scenario.
      OSError: where it cannot be read.
    """
    try:
        text = read_text(file, encoding="utf-8-sig")
        scenario = from_toml(text) if file.suffix.lower() == ".toml" else from_json(text)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    check_kind(Scenario, "as --save-scenario writes it", **{str(file): scenario})
    return scenario


def write_scenario(scenario: Scenario, file: Path) -> None:
    """Writes a scenario into a file that :func:`read_scenario` reads back.

    Args:
      scenario: the scenario.
      file: the file; its ending says whether it becomes TOML or JSON.

    Raises:
      ValueError: where the name has another ending.
      OSError: where the file cannot be written.
    """
    forms = {".toml": to_toml, ".json": Scenario.to_json}
    if file.suffix.lower() not in forms:
        raise ValueError(f"--save-scenario is {file}; give the name the ending .toml or .json.")
    check_writable("--save-scenario", file)
    text = forms[file.suffix.lower()](scenario)
    write_atomically(file, lambda path: path.write_text(text, encoding="utf-8"))


def _source(chosen: Training, num_parties: int) -> Source:
    """The function that loads the data of the flags."""
    if not chosen.own.is_given:
        if chosen.data is None:
            raise ValueError("--data is not given; name a data set (vfl-jax list), or your own tables by --table.")
        return source(chosen.data, chosen.data_folder, num_parties)
    if chosen.data is not None and not isinstance(chosen, OfPreset):
        raise ValueError("--data and --table are given; leave one out.")
    return chosen.own.source()


def _fitted(chosen: OfOwn, data_of: Source) -> Scenario:
    """The scenario fitted to the data, which it loads; a party or class may be given by name or number."""
    from vfl_jax.presets import scenario_for
    from vfl_jax.sweeps.work import load

    assert isinstance(chosen, Training)
    data = load(functools.partial(told, data_of))
    trigger = None if chosen.stamp is None else _stamp(chosen.stamp, data)
    if trigger is None and not data.train.has_trigger.any():
        first = data.feature_names[-1][0] if data.feature_names else "FEATURE"
        raise ValueError(
            f"--stamp is not given, and no training row of data {data.name!r} carries a trigger by nature. Say which "
            f"feature an attacker sets, e.g. --stamp {data.parties[-1]}.{first}=4; or, in own tables, which rows are "
            "marked, by --marked."
        )
    if chosen.own.is_given and chosen.parties not in (None, data.num_parties):
        raise ValueError(f"--parties is {chosen.parties}, but --table names {data.num_parties}; leave --parties out.")
    attackers = [place_of("--attacker", numbered(a), data.parties, "the parties are") for a in chosen.attacker]
    return scenario_for(
        data,
        attacker=attackers or None,
        head=chosen.head,
        target_class=None if chosen.target_class is None else _class(chosen.target_class, data),
        trigger=trigger,
        learning_rate=chosen.learning_rate,
    )


def _stamp(text: str, data: VerticalData) -> Trigger:
    """The trigger of a text such as "shop.spent=4"."""
    form = "PARTY.FEATURE=VALUE, e.g. shop.spent=4"
    ((place, value),) = assignments("--stamp", [text], form).items()
    party = max((name for name in data.parties if place.startswith(f"{name}.")), key=len, default=None)
    try:
        number: float | None = float(value)
    except ValueError:
        number = None
    if party is None or number is None:
        raise ValueError(f"--stamp is {text!r}; it must be {form}, where the parties are {', '.join(data.parties)}.")
    k, feature = data.parties.index(party), place[len(party) + 1 :]
    names = data.feature_names[k] if data.feature_names is not None else ()
    if names and feature not in names and not feature.isdecimal():
        listed = ", ".join(names[:20]) + ", …" * (len(names) > 20)
        raise ValueError(f"--stamp is {text!r}; the features of {party} are {listed}.")
    index = int(feature) if feature.isdecimal() and feature not in names else feature
    return FeatureTrigger(party=k, index=index, value=number)


def _class(text: str, data: VerticalData) -> str | int:
    """The class that a text names, or whose number it writes."""
    return text if text in data.classes or not text.isdecimal() else int(text)

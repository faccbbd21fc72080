"""What flags choose by name: the scenario with its methods, and the function that loads the data."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vfl_jax.cli.calls import Call, read_call
from vfl_jax.cli.flags import assignments, with_set
from vfl_jax.cli.subcommands import Training
from vfl_jax.core.fields import missing
from vfl_jax.core.record import Kind, Record, kinds
from vfl_jax.core.registry import find
from vfl_jax.protocol.chains import ActiveChain
from vfl_jax.protocol.methods import Chain
from vfl_jax.protocol.switched import Switched
from vfl_jax.protocol.transforms import ActiveAttack, ActiveTransform, Attack, PartyTransform
from vfl_jax.scenario import Measure, Scenario

if TYPE_CHECKING:
    from vfl_jax.core.vertical_data import VerticalData
    from vfl_jax.data.own.tables import LoadedTables

ATTACK = "PARTY=NAME, e.g. 1=GradientReplacement"
ACTIVE = "active"
"""The word in the place of a party for the active party's own attack."""


def scenario_of(chosen: Training, begun: Scenario) -> Scenario:
    """A scenario with ``--attack``, ``--defense``, ``--metric`` and ``--set`` applied.

    Args:
      chosen: the flags of ``run`` or ``sweep``.
      begun: the scenario that they begin with.

    Raises:
      ValueError: naming the flag, where a name is unknown.
    """
    scenario = with_defenses(with_attacks(begun, chosen.attack), chosen.defense)
    if chosen.metric:
        scenario = scenario.replace(metrics=(*scenario.metrics, *map(_metric, chosen.metric)))
    return with_set(scenario, chosen.set)


def with_defenses(scenario: Scenario, entries: Sequence[str]) -> Scenario:
    """The scenario with the defenses of ``--defense`` in a chain; itself, where there are none.

    Args:
      scenario: the scenario.
      entries: texts ``NAME`` or ``NAME(FIELD=VALUE, ...)``.

    Raises:
      ValueError: naming --defense, where a name or a field is unknown.
    """
    if not entries:
        return scenario
    return scenario.replace(defense=ActiveChain(parts=tuple(map(_defense, entries))))


def with_attacks(scenario: Scenario, entries: Sequence[str]) -> Scenario:
    """The scenario with the methods of ``--attack``.

    Args:
      scenario: the preset's, or that of a file.
      entries: texts ``PARTY=NAME``, or ``PARTY=NAME(FIELD=VALUE, ...)``; NAME is a class of methods of a party,
        PartyTransform an honest one. ``active=NAME`` is the active party's own attack.

    Raises:
      ValueError: naming --attack, where an entry is no such text, or a party or name is unknown.

    Example:
      >>> import vfl_jax as vfl
      >>> with_attacks(vfl.presets.zou2022(), ["1=GradientReplacement"]).attacks[1]
      GradientReplacement(enabled=1.0, amplify=10.0, decay=0.0)
      >>> with_attacks(vfl.presets.zou2022(), ["1=GradientReplacement(amplify=2)"]).attacks[1].amplify
      2
      >>> type(with_attacks(vfl.presets.zou2022(), ["active=ActiveBackdoor"]).active_attack).__name__
      'ActiveBackdoor'
    """
    attacks, active = list(scenario.attacks), scenario.active_attack
    of_party = {n: kind for n, kind in kinds(PartyTransform).items() if kind is not Attack}
    of_active = {n: kind for n, kind in kinds(ActiveAttack).items() if kind is not ActiveAttack}
    for party, text in assignments("--attack", entries, ATTACK).items():
        name = read_call("--attack", text).name
        if party == ACTIVE:
            active = method("--attack", text, of_active, "attack by the active party")
        elif name in of_active:
            raise ValueError(
                f"--attack has '{party}={text}'; it is the active party's attack, so give {ACTIVE}={name}."
            )
        elif not party.isdecimal() or int(party) >= len(attacks):
            raise ValueError(
                f"--attack has '{party}={text}'; the parties of the scenario are 0 to {len(attacks) - 1}, and "
                f"{ACTIVE} for the active party's own attack."
            )
        else:
            attacks[int(party)] = method("--attack", text, of_party, "method of a party")
    return scenario.replace(attacks=tuple(attacks), active_attack=active)


def source(name: str, folder: Path | None, num_parties: int | None) -> Callable[[], VerticalData | LoadedTables]:
    """The function that loads the data, here or at a worker, which need not know its name.

    Args:
      name: the name of the data set.
      folder: the data folder; None leaves the choice to the loader.
      num_parties: K of the scenario; None leaves it to the loader. A loader without such an argument has its own.

    Raises:
      ValueError: naming --data, where the name is unknown.
    """
    from vfl_jax.data import LOADERS

    load = LOADERS.find("--data", name)
    parameters = inspect.signature(load).parameters
    takes_more = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    arguments: dict[str, Any] = {"folder": folder} if "folder" in parameters else {}
    if num_parties is not None and ("num_parties" in parameters or takes_more):
        arguments["num_parties"] = num_parties
    return functools.partial(load, **arguments)


def _defense(text: str) -> ActiveTransform:
    """The defense of a name, with the fields that are given, or its defaults."""
    known = {n: kind for n, kind in kinds(ActiveTransform).items() if not issubclass(kind, Switched | Chain)}
    del known[ActiveTransform.__name__]
    return method("--defense", text, known, "defense")


def _metric(name: str) -> Measure:
    """The metric of a name, with its defaults."""
    known = kinds(Measure)
    del known[Measure.__name__]
    return made(find(known, "--metric", "metric", name), "--metric")


def method(flag: str, text: str, known: Mapping[str, type[Kind]], word: str, others: Collection[str] = ()) -> Kind:
    """Makes a method of a text such as ``Clipping`` or ``Clipping(by=value, bound=0.1)``.

    Args:
      flag: the flag that the text is given to, for messages.
      text: the text, as the record prints itself; words need no quotes.
      known: the classes that the flag may name, by name.
      word: the word for one of them, such as "defense".
      others: what else the flag may name, for messages.

    Raises:
      ValueError: naming the flag, where the name or a field is unknown, or a field cannot hold its value.

    Example:
      >>> import vfl_jax as vfl
      >>> method("--defense", "Clipping(by=value)", {"Clipping": vfl.defenses.Clipping}, "defense")
      Clipping(by='value', bound=inf)
    """
    name, arguments = read_call(flag, text)
    if name not in known and (first := name.partition(" ")[0]) in known:
        raise ValueError(f"{flag} is {name!r}; write the fields of a {word} as {first}(FIELD=VALUE, ...), in quotes.")
    if name not in known and (other := _other_word(flag, name)) is not None:
        raise ValueError(f"{flag} is {name!r}, which is no {word}, but {other}.")
    if name in others and name not in known:
        raise ValueError(f"{flag} is {text!r}; {name} of the line-up has its own fields, so give the name alone.")
    if name not in known:
        find({**dict.fromkeys(others), **known}, flag, word, name)
    return _made(known[name], flag, arguments)


def _other_word(flag: str, name: str) -> str | None:
    """What a method is that is given otherwise, with how to give it; None where no method has this name."""
    of_party = f"say which: PARTY={name}" if flag == "--attack" else "give it by --attack"
    places = {
        f"the active party's own attack; give it by --attack {ACTIVE}={name}": ActiveAttack,
        "a defense; give it by --defense": ActiveTransform,
        f"a method of a party; {of_party}": PartyTransform,
    }
    return next((said for said, base in places.items() if name in kinds(base)), None)


def _made(kind: type[Kind], flag: str, arguments: Mapping[str, Any]) -> Kind:
    """Makes a record of the values of some fields; a value that is written as a call is a record, too."""
    fields = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for name in arguments:
        if name not in fields:
            known = f"its fields are {', '.join(fields)}" if fields else "it has no fields"
            raise ValueError(f"{flag} is {kind.__name__}, which has no field {name!r}; {known}.")
    if not arguments:
        return made(kind, flag)
    values = {name: _record(value, flag) for name, value in arguments.items()}
    if lacking := missing(kind, values):
        raise ValueError(f"{flag} is {kind.__name__}, which needs {', '.join(map(repr, lacking))}, too.")
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{flag}: {error}") from error


def _record(value: Any, flag: str) -> Any:
    """A value of a flag, with records in the place of calls."""
    if isinstance(value, list):
        return tuple(_record(part, flag) for part in value)
    if isinstance(value, Call):
        return _made(find(kinds(Record), flag, "record", value.name), flag, value.arguments)
    return value


def made(kind: type[Kind], flag: str) -> Kind:
    """Makes a record with its defaults.

    Args:
      kind: its class.
      flag: the flag that names it, for messages.

    Raises:
      ValueError: where it has no default for a field.
    """
    if lacking := missing(kind, {}):
        raise ValueError(
            f"{flag} is {kind.__name__}, which has no default for {', '.join(map(repr, lacking))}; give "
            f"'{kind.__name__}({lacking[0]}=VALUE)'."
        )
    return kind()

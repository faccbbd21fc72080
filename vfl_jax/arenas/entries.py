"""What a caller enters into an arena, by name, checked: attacks, defenses, and boards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vfl_jax.arenas.boards import Board, board_for
from vfl_jax.arenas.cells import Entrant
from vfl_jax.arenas.folder import LOG, RESULTS
from vfl_jax.arenas.table import UNDEFENDED
from vfl_jax.core.atomic import is_folder_name
from vfl_jax.core.checks import check_kind, shown
from vfl_jax.protocol.methods import changes_nothing_at, is_attack, methods, needs_of
from vfl_jax.protocol.needs import Needs
from vfl_jax.protocol.transforms import ActiveTransform, PartyTransform
from vfl_jax.sweeps.work import Source

Entry = (
    PartyTransform | Callable[[int], PartyTransform] | tuple[PartyTransform | Callable[[int], PartyTransform], Needs]
)
"""An attack as a caller enters it: by itself, as a function of the number of epochs, or with what it is granted."""


def entrants(attacks: Mapping[str, Entry], epochs: int) -> dict[str, Entrant]:
    """Returns the attacks by name, each with what it is granted.

    Args:
      attacks: as for :func:`vfl_jax.arena`.
      epochs: how many the attacks are made for.

    Raises:
      ValueError: where there are no attacks, or a name is none; naming the attack, where it is none, is granted what is
        no ``Needs``, or differs in nothing from another.
    """
    _check_names("attacks", attacks)
    found: dict[str, Entrant] = {}
    for name, given in attacks.items():
        made, needs = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
        attack: Any = made
        if not isinstance(made, PartyTransform | type) and callable(made):
            attack = made(epochs)
        check_kind(PartyTransform, "such as vfl.attacks.BASL()", **{f"attacks[{name!r}]": attack})
        if not is_attack(attack):
            raise ValueError(f"attacks[{name!r}] is {shown(attack)}, no attack; one derives from vfl_jax.Attack.")
        if needs is not None:
            check_kind(Needs, "of vfl_jax.protocol", **{f"attacks[{name!r}][1]": needs})
        found[name] = (attack, needs_of(attack) if needs is None else needs)
    _check_distinct("attacks", found)
    return found


def defenders(defenses: Mapping[str, ActiveTransform]) -> dict[str, ActiveTransform]:
    """Returns the defenses by name; the first is none.

    Args:
      defenses: as for :func:`vfl_jax.arena`.

    Raises:
      ValueError: where a name is none; naming the defense, where it is none, changes nothing, or differs in nothing
        from another.
    """
    _check_names("defenses", defenses, may_be_empty=True)
    for name, defense in defenses.items():
        check_kind(ActiveTransform, "such as vfl.defenses.Clipping(bound=0.1)", **{f"defenses[{name!r}]": defense})
        if is_attack(defense):
            raise ValueError(f"defenses[{name!r}] is {shown(defense)}, an attack.")
        if name == UNDEFENDED and defense != ActiveTransform():
            raise ValueError(f"defenses has {UNDEFENDED!r}, which is the name of no defense; choose another.")
        idle = [changes_nothing_at(method) for method in methods(defense)]
        if idle and all(idle):
            raise ValueError(
                f"defenses[{name!r}] is {shown(defense)}, which changes nothing at {' and '.join(idle)}, as "
                f"{UNDEFENDED!r} does. Give it another number; vfl_jax.arenas.lineup.DEFENSES has some."
            )
    _check_distinct("defenses", defenses)
    return {UNDEFENDED: ActiveTransform()} | dict(defenses)


def boards(data: Mapping[str, Board | Source]) -> dict[str, Board]:
    """Returns the boards by name; a data set becomes one by the arena's rules.

    Args:
      data: as for :func:`vfl_jax.arena`.

    Raises:
      ValueError: naming the argument, where a name is none, or no board can be made.
    """
    _check_names("data", data)
    return {name: given if isinstance(given, Board) else board_for(given) for name, given in data.items()}


def _check_distinct(argument: str, named: Mapping[str, Any]) -> None:
    """Raises ``ValueError`` where two names stand for the same."""
    names = list(named)
    for place, name in enumerate(names):
        if twin := next((other for other in names[:place] if named[other] == named[name]), None):
            raise ValueError(f"{argument}[{name!r}] is {argument}[{twin!r}] twice; leave one out, or change a number.")


def _check_names(argument: str, named: Any, may_be_empty: bool = False) -> None:
    """Raises ``ValueError`` where ``named`` is no dict of names that a folder can have."""
    if not isinstance(named, Mapping) or not (named or may_be_empty):
        raise ValueError(f"{argument} is {shown(named)}; it must be a dict of names and what they stand for.")
    for name in named:
        if not is_folder_name(name) or name in (RESULTS, LOG):
            raise ValueError(f"{argument} has the name {shown(name)}; it must be one that a folder can have.")

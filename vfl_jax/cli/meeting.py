"""What ``vfl-jax arena`` does: it finds who is named, lets them meet, and shows who wins."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vfl_jax.cli.choices import method
from vfl_jax.cli.flags import check_outputs, picture
from vfl_jax.cli.scheduler import check_scheduler, executor_at
from vfl_jax.cli.subcommands import Arena
from vfl_jax.core.atomic import check_apart
from vfl_jax.core.extras import MissingExtra
from vfl_jax.core.record import kinds
from vfl_jax.core.registry import find
from vfl_jax.core.words import counted
from vfl_jax.protocol.methods import Chain
from vfl_jax.protocol.switched import Switched
from vfl_jax.protocol.transforms import ActiveTransform, Attack

if TYPE_CHECKING:
    import xarray as xr
    from rich.console import Console

Found = TypeVar("Found")


def meet(chosen: Arena) -> None:
    """Lets those meet who are named, prints who wins, and writes results and figures where ``--out`` says.

    Args:
      chosen: the flags.

    Raises:
      ValueError: naming the flag, where a name is unknown, an output cannot be written, or no scheduler answers.
      SweepIncomplete: where chunks failed at workers.
    """
    from vfl_jax import reports
    from vfl_jax.arenas import arena
    from vfl_jax.arenas.boards import board_for
    from vfl_jax.arenas.lineup import ATTACKS, BOARDS, DEFENSES
    from vfl_jax.arenas.table import UNDEFENDED
    from vfl_jax.core.files import save
    from vfl_jax.data import LOADERS

    console = reports.console()
    if chosen.list:
        for title, names in (("data", BOARDS), ("attacks", ATTACKS), ("defenses", DEFENSES)):
            console.print(f"{title}: {', '.join(names)}", highlight=False)
        return
    check_outputs(chosen.out)
    check_scheduler(chosen.scheduler, chosen.folder)
    check_apart({"--out": chosen.out}, {"--folder": chosen.folder})
    others = {name: kind for name, kind in kinds(Attack).items() if kind is not Attack and not issubclass(kind, Chain)}
    defenders = {
        name: kind
        for name, kind in kinds(ActiveTransform).items()
        if kind is not ActiveTransform and not issubclass(kind, Switched | Chain)
    } | {UNDEFENDED: ActiveTransform}
    attacks = _named(chosen.attack, ATTACKS, lambda name: method("--attack", name, others, "attack", ATTACKS))
    defenses = _named(chosen.defense, DEFENSES, lambda name: method("--defense", name, defenders, "defense", DEFENSES))

    def board_of(name: str) -> Callable[[], Any]:
        find({**BOARDS, **LOADERS}, "--data", "board or data set", name)
        return functools.partial(board_for, LOADERS[name], epochs=chosen.epochs)

    boards = _named(chosen.data, BOARDS, board_of)
    with contextlib.ExitStack() as stack:
        executor = executor_at(chosen.scheduler, stack)
        made = {name: make() for name, make in boards.items()}
        results = arena(attacks, defenses, made, chosen.seeds, folder=chosen.folder, executor=executor)
    show(results, console)
    if chosen.out is not None:
        save(results, chosen.out)
        try:
            written = [str(chosen.out), *_draw(results, chosen.out)]
        except MissingExtra as missing:  # What was trained is kept all the same.
            console.print(f"wrote {chosen.out} without its figures. {missing}", highlight=False, markup=False)
            return
        console.print(f"wrote {', '.join(written)}", highlight=False)


def show(results: xr.Dataset, console: Console) -> None:
    """Prints who wins, in sentences and then as tables: attacks, defenses, who could not meet.

    Args:
      results: as :func:`vfl_jax.arena` returns them.
      console: where to print.
    """
    from vfl_jax.arenas.leaderboard import NOTE, attack_rows, defense_rows, refusal_rows
    from vfl_jax.arenas.readings import answer
    from vfl_jax.arenas.standings import at_common_seeds
    from vfl_jax.reports import to_terminal

    for sentence in answer(results):
        console.print(sentence, highlight=False, markup=False)
    num_seeds = at_common_seeds(results).sizes["seed"]  # the ranks are over these
    console.print(to_terminal(attack_rows(results), f"attacks, {counted(num_seeds, 'seed')}"))
    console.print(to_terminal(defense_rows(results), "defenses, by what the strongest attack is left with"))
    console.print(NOTE, style="dim")
    for row in refusal_rows(results):
        console.print(f"not met: {row['attacks']} × {row['defenses']} on {row['data']}: {row['why']}", style="dim")


def _draw(results: xr.Dataset, out: Path) -> list[str]:
    """Writes both figures beside the results; returns their names."""
    from vfl_jax.arenas.pictures import heat_map, pareto
    from vfl_jax.core.atomic import write_atomically

    written = []
    for name, figure in (("map", heat_map(results)), ("cost", pareto(results))):
        path = picture(out).with_stem(f"{out.stem}_{name}")
        save = functools.partial(figure.savefig, format="png", dpi=150, bbox_inches="tight")
        written.append(str(write_atomically(path, save)))
    return written


def _named(names: Sequence[str], known: Mapping[str, Found], make: Callable[[str], Any]) -> dict[str, Found]:
    """Those of the line-up that are named, or others made by their names; all of the line-up where nobody is named."""
    return {name: known[name] if name in known else make(name) for name in names} if names else dict(known)

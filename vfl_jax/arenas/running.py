"""An arena: every attack meets every defense on every board, with its honest runs, resumable and growing."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from vfl_jax.arenas.boards import Board, board_for
from vfl_jax.arenas.cells import Entrant, Group, groups
from vfl_jax.arenas.table import UNDEFENDED, read, table
from vfl_jax.core.atomic import check_folder, is_folder_name
from vfl_jax.core.checks import check_kind, is_number, shown
from vfl_jax.core.damage import Damaged
from vfl_jax.core.files import load, save
from vfl_jax.core.ordinary import check_ordinary, read_text
from vfl_jax.core.words import duration
from vfl_jax.protocol.methods import changes_nothing_at, is_attack, methods, needs_of
from vfl_jax.protocol.needs import Needs
from vfl_jax.protocol.transforms import ActiveTransform, PartyTransform
from vfl_jax.statistics.meetings import is_arena
from vfl_jax.sweeps.arguments import checked_seeds
from vfl_jax.sweeps.cautions import EvidenceWarning
from vfl_jax.sweeps.estimates import guess
from vfl_jax.sweeps.labels import run_of
from vfl_jax.sweeps.store.manifest import NAME as MANIFEST
from vfl_jax.sweeps.sweep import sweep
from vfl_jax.sweeps.work import Source

if TYPE_CHECKING:
    import xarray as xr

LOG = "arena.jsonl"
"""In a folder: a line of JSON per group that was trained, with its seconds; estimates are made of it. The arena does
without it where it cannot be read or written."""
RESULTS = "results.nc"
"""In a folder: the results of the last arena there."""
GROUPS_IN_MEMORY = 20
"""After so many groups their programs are let go: each takes memory maps, of which Linux gives a process 65,530."""


Given = (
    PartyTransform | Callable[[int], PartyTransform] | tuple[PartyTransform | Callable[[int], PartyTransform], Needs]
)
"""An attack as a caller gives it."""


def arena(
    attacks: Mapping[str, Given],
    defenses: Mapping[str, ActiveTransform],
    data: Mapping[str, Board | Source],
    seeds: int | Sequence[int] = 5,
    *,
    folder: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    progress: bool = True,
) -> xr.Dataset:
    """Lets every attack meet every defense on every board, each meeting with honest runs of the same seeds.

    Meetings whose methods differ in numbers alone share a compiled program. A meeting that the scenario refuses is no
    cell: ``reason`` says why. "none", no defense, is always among the defenses.

    Args:
      attacks: the attacks by name; one that acts at some epochs may be a function of the number of epochs. What an
        attack needs to know is granted as it says itself (``needs``); a pair of an attack and a
        :class:`vfl_jax.protocol.Needs` grants something else. No board grants more than a tenth of a class.
      defenses: the defenses by name.
      data: the boards by name, as :func:`board_for` makes them; of a data set it is made with the defaults.
      seeds: how many (0, 1, …), or which.
      folder: where the sweep of every group lies. The same call goes on from there; more seeds, attacks, defenses and
        boards reuse what is finished. Put new attacks and defenses behind the old ones. Its ``results.nc`` holds what
        the last call returned.
      executor: its workers train the chunks of every group, as in ``sweep``; it needs a folder.
      progress: whether to say on the error stream how many programs there are, about how long they take, and which one
        is trained.

    Returns:
      a data set with the dimensions ``data``, ``attack``, ``defense`` and ``seed``. Variables are those of the last
      epoch: ``attack_success``, over all test rows of another class than τ, every one attacked (over rows with the
      trigger, where a trigger cannot be stamped); ``attack_success_macro``, its mean over source classes;
      ``main_accuracy``, over all test rows, none attacked; ``recovered_utility``, the accuracy on attacked rows;
      ``stealth_…``, ``detection_…`` and ``label_inference_…`` as in ``sweep``. With the end ``_honest`` they are those
      of the honest runs: ``attack_success_honest`` is the floor. ``reason`` is text; ``majority``, ``attacker_share``,
      ``target_class``, ``num_parties``, ``num_classes`` and ``num_test`` describe boards.

    Raises:
      ValueError: naming the argument, where there is no attack or board, where one is something else, where two have
        the same numbers, or where a name cannot be that of a folder; where nobody can meet, with the first reason.
      OSError, SweepIncomplete: as ``sweep`` does.

    Example:
      >>> import vfl_jax as vfl
      >>> digits = vfl.board_for(vfl.load_digits(), epochs=1)
      >>> found = vfl.arena(
      ...     {"replacement": vfl.attacks.GradientReplacement()}, {}, {"digits": digits}, seeds=1, progress=False
      ... )
      >>> dict(found.sizes)
      {'data': 1, 'attack': 1, 'defense': 1, 'seed': 1}
    """
    check_kind(bool, "True or False", progress=progress)
    if folder is not None:
        check_folder("folder", folder)
        _check_own(Path(folder))
    boards = _boards(data)
    entrants = {name: _entrants(attacks, board.epochs) for name, board in boards.items()}
    defenders = {UNDEFENDED: ActiveTransform()} | _defenders(defenses)
    numbers = checked_seeds(seeds)
    planned: list[Group] = []
    reasons: dict[tuple[str, str, str], str] = {}
    for name, board in boards.items():
        of_board, refused = groups(name, board, entrants[name], defenders)
        planned += of_board
        reasons |= {(name, *key): said for key, said in refused.items()}
    if not planned:
        raise ValueError(f"Nobody can meet. The first reason: {next(iter(reasons.values()))}")

    log = _Log(None if folder is None else Path(folder) / LOG)
    told = functools.partial(print, file=sys.stderr, flush=True) if progress else _say_nothing
    sizes = [_num_steps(group, boards[group.board], len(numbers)) for group in planned]
    told(
        f"arena: {len(planned)} programs, {sum(g.num_points for g in planned) * len(numbers):,} replicas; "
        f"about {duration(sum(map(log.estimate, sizes)))} where nothing is finished."
    )
    meetings: dict[tuple[str, str, str], Any] = {}
    encodings = []
    for i, (group, size) in enumerate(zip(planned, sizes, strict=True), 1):
        board, start = boards[group.board], time.monotonic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EvidenceWarning)  # the table says how many rows measure
            results = sweep(
                group.scenario,
                board.data if executor is None else board.source,
                group.over,
                numbers,
                board.epochs,
                evaluate_every=board.epochs,
                folder=None if folder is None else Path(folder) / group.board / group.name,
                executor=executor,
                progress=False,
            )
        meetings |= {(group.board, *key): values for key, values in read(group, results).items()}
        encodings.append({"run": results.encoding["run"]})
        seconds = time.monotonic() - start
        log.note(group, size, seconds)
        if i % GROUPS_IN_MEMORY == 0:
            jax.clear_caches()
        rest = duration(sum(map(log.estimate, sizes[i:])))
        told(
            f"[{i}/{len(planned)}] {group.board}: {', '.join(group.attacks)} × {', '.join(group.defenses)} "
            f"in {duration(seconds)}; about {rest} left."
        )
    found = table(boards, entrants, defenders, numbers, meetings, reasons)
    found.encoding |= run_of(encodings)
    if folder is not None:
        save(found, Path(folder) / RESULTS)
    return found


class _Log:
    """How long groups took, in a file of the folder, which several processes may write, or in memory."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.entries: list[dict[str, Any]] = []
        self._read()

    def _read(self) -> None:
        if self.path is not None:
            with contextlib.suppress(OSError):
                lines = read_text(self.path, errors="replace").splitlines()
                self.entries = [entry for entry in map(_entry, lines) if entry is not None]

    def note(self, group: Group, num_steps: int, seconds: float) -> None:
        """Appends a group that was trained; one that was only read says nothing about training."""
        entry = {"board": group.board, "group": group.name, "steps": num_steps, "seconds": round(seconds, 1)}
        self._read()
        known = [e for e in self.entries if (e["board"], e["group"]) == (entry["board"], entry["group"])]
        if any(e["steps"] >= num_steps for e in known):
            return
        self.entries.append(entry)
        if self.path is not None:
            with contextlib.suppress(OSError):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                if self.path.exists():
                    check_ordinary(self.path)
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(entry) + "\n")

    def estimate(self, num_steps: int) -> float:
        """About how many seconds a group takes: as those before, beside what a program and a step take."""
        guessed = sum(guess(e["steps"]) for e in self.entries)
        factor = sum(e["seconds"] for e in self.entries) / guessed if guessed else 1.0
        return factor * guess(num_steps)


def _entry(line: str) -> dict[str, Any] | None:
    """A line of the log; None where it is not as it was written."""
    try:
        entry = json.loads(line)
        texts, numbers = [entry[name] for name in ("board", "group")], [entry[name] for name in ("steps", "seconds")]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    is_whole = all(isinstance(text, str) for text in texts) and all(is_number(number) for number in numbers)
    return entry if is_whole and all(0 <= number < math.inf for number in numbers) else None


def _check_own(folder: Path) -> None:
    """Refuses a folder whose results are not an arena's, because those of the arena would replace them."""
    if (folder / MANIFEST).is_file():
        raise ValueError(f"folder is {folder}, which is that of a sweep; an arena needs a folder of its own.")
    if not (folder / RESULTS).exists():
        return
    try:
        is_own = is_arena(load(folder / RESULTS))
    except Damaged:
        is_own = False
    if not is_own:
        raise ValueError(
            f"folder is {folder}, whose {RESULTS} holds no arena that can be read, and would be replaced. Move this "
            "file away, or choose another folder."
        )


def _num_steps(group: Group, board: Board, num_seeds: int) -> int:
    """The number of steps of all replicas of a group."""
    per_epoch = board.data.train.num_samples // board.scenario.batches.size
    return group.num_points * num_seeds * board.epochs * per_epoch


def _say_nothing(_: str) -> None:
    """Takes the place of ``print``."""


def _entrants(attacks: Mapping[str, Given], epochs: int) -> dict[str, Entrant]:
    """The attacks by name with what each is granted, for so many epochs, checked."""
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


def _defenders(defenses: Mapping[str, ActiveTransform]) -> dict[str, ActiveTransform]:
    """The defenses by name, checked."""
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
    return dict(defenses)


def _boards(data: Mapping[str, Board | Source]) -> dict[str, Board]:
    """The boards by name, checked."""
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

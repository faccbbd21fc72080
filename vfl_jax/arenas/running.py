"""An arena: every attack meets every defense on every board, with its honest runs, resumable and growing."""

from __future__ import annotations

import functools
import os
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from vfl_jax.arenas import entries
from vfl_jax.arenas.boards import Board
from vfl_jax.arenas.cells import Group, groups
from vfl_jax.arenas.entries import Entry
from vfl_jax.arenas.folder import LOG, RESULTS, Log, check_own
from vfl_jax.arenas.table import read, table
from vfl_jax.core.atomic import check_folder
from vfl_jax.core.checks import check_kind
from vfl_jax.core.files import save
from vfl_jax.core.words import duration
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.sweeps.arguments import checked_seeds
from vfl_jax.sweeps.cautions import EvidenceWarning
from vfl_jax.sweeps.labels import run_of
from vfl_jax.sweeps.sweep import sweep
from vfl_jax.sweeps.work import Source

if TYPE_CHECKING:
    import xarray as xr

GROUPS_IN_MEMORY = 20
"""After so many groups their programs are let go: each takes memory maps, of which Linux gives a process 65,530."""


def arena(
    attacks: Mapping[str, Entry],
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
        check_own(Path(folder))
    boards = entries.boards(data)
    entrants = {name: entries.entrants(attacks, board.epochs) for name, board in boards.items()}
    defenders = entries.defenders(defenses)
    numbers = checked_seeds(seeds)
    planned: list[Group] = []
    reasons: dict[tuple[str, str, str], str] = {}
    for name, board in boards.items():
        of_board, refused = groups(name, board, entrants[name], defenders)
        planned += of_board
        reasons |= {(name, *key): said for key, said in refused.items()}
    if not planned:
        raise ValueError(f"Nobody can meet. The first reason: {next(iter(reasons.values()))}")

    log = Log(None if folder is None else Path(folder) / LOG)
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


def _num_steps(group: Group, board: Board, num_seeds: int) -> int:
    """The number of steps of all replicas of a group."""
    per_epoch = board.data.train.num_samples // board.scenario.batches.size
    return group.num_points * num_seeds * board.epochs * per_epoch


def _say_nothing(_: str) -> None:
    """Takes the place of ``print``."""

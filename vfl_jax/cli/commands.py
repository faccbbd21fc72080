"""The command ``vfl-jax``: from the words that are typed to what performs them."""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import tyro

from vfl_jax.cli import saved
from vfl_jax.cli.overview import FILE, HELP, OWN, page
from vfl_jax.cli.subcommands import SUBCOMMANDS, Arena, Audit, Completion, Data, Demo, Doctor, List, Paths, Run, Sweep

ABOUT = "Train, attack and defend vertical federated models."
INTERRUPTED = 130
"""The status of a command that Ctrl-C ended, as shells count it."""
UNREAD = 141
"""The status of a command whose output nobody reads any more."""


def main(arguments: list[str] | None = None) -> None:
    """The entry point of the command.

    Args:
      arguments: the words after ``vfl-jax``; by default those of the process.

    Raises:
      SystemExit: with one line and status 1 on bad input, instead of a traceback; with status 130 after Ctrl-C, and 141
        where nobody reads on, as after ``| head``.
    """
    early, words = _early(sys.argv[1:] if arguments is None else arguments)
    is_extended = bool(early.plugin or importlib.metadata.entry_points(group="vfl_jax.plugins"))
    try:
        if not is_extended and (text := page(words, {})) is not None:
            print(text, flush=True)
            return
        if early.plugin:
            sys.path.append(os.getcwd())  # at the end, so that nothing there hides an installed module
        _perform_words(early, words)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains again when it ends
        raise SystemExit(UNREAD) from None
    except KeyboardInterrupt:
        goes_on = any(word.partition("=")[0] == "--folder" for word in words)
        print("interrupted." + " The same command goes on from its folder." * goes_on, file=sys.stderr, flush=True)
        raise SystemExit(INTERRUPTED) from None
    except Exception as error:
        if not isinstance(error, _expected()):
            raise
        from vfl_jax.cli.advice import said

        message = said(error, words)
        if isinstance(error, OSError) and error.filename and error.strerror:
            message = f"{error.filename}: {error.strerror}."
        raise SystemExit(f"error: {message}") from error


def _early(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """What must be known before there can be flags, and the words for them.

    Plug-ins come first, because what they add becomes subcommands and names. The number of parties and attackers
    decides which fields a preset's scenario has. The name of a file stands for the preset ``file`` and its argument.
    """
    parser = argparse.ArgumentParser(prog="vfl-jax", add_help=False, allow_abbrev=False)
    parser.add_argument("--plugin", action="append", default=[], metavar="MODULE")
    early, words = parser.parse_known_args(arguments)
    if words[:1] in (["run"], ["sweep"]) and words[1:] and words[1].lower().endswith((".toml", ".json")):
        words.insert(1, FILE)
    peeking = argparse.ArgumentParser(prog="vfl-jax", add_help=False, allow_abbrev=False)
    peeking.add_argument("--parties")
    peeking.add_argument("--attacker", action="append", default=[])
    return peeking.parse_known_args(words, early)[0], words


def _perform_words(early: argparse.Namespace, words: list[str]) -> None:
    """Performs the subcommand of the words."""
    from vfl_jax.cli.once import check_once
    from vfl_jax.cli.scenarios import asked_of, presets, subcommands
    from vfl_jax.core.checks import did_you_mean
    from vfl_jax.core.registry import find
    from vfl_jax.plugins import load_plugins

    load_plugins(early.plugin)
    check_once(words)
    known = presets()
    if (text := page(words, {name: preset.line for name, preset in known.items()})) is not None:
        print(text)
        return
    if words[0] in ("run", "sweep") and not words[1].startswith("-") and words[1] not in (OWN, FILE, "json"):
        find({**known, OWN: None, "FILE.toml": None}, "PRESET", "preset", words[1])
    if not words[0].startswith("-") and words[0] not in SUBCOMMANDS:
        near = did_you_mean(words[0], SUBCOMMANDS)
        raise ValueError(f"SUBCOMMAND is {words[0]!r}, no known one.{near} There are {', '.join(SUBCOMMANDS)}.")
    parties = int(early.parties) if (early.parties or "").isdecimal() else None  # tyro refuses what is no number
    asked = asked_of(parties, early.attacker)
    is_short = "-h" in words or "--help" in words
    words = ["--help" if word in HELP else word for word in words]
    # In short help "{None}|" before every value and "--no-" beside every switch would say nothing.
    config = (tyro.conf.DisallowNone, tyro.conf.FlagCreatePairsOff) if is_short else ()
    kinds = subcommands(tuple(words), asked, show_all=not is_short)
    chosen: Any = tyro.cli(kinds, args=words, prog="vfl-jax", description=ABOUT, config=config)
    _start_devices(getattr(chosen, "distributed", False))
    with _warnings_of_one_line():
        _perform(chosen, words)


def _expected() -> tuple[type[Exception], ...]:
    """The errors that end the command with one line."""
    from vfl_jax.core.extras import MissingExtra
    from vfl_jax.sweeps.executors import SweepIncomplete
    from vfl_jax.sweeps.processes import OtherProcessFailed

    return ValueError, OSError, MemoryError, MissingExtra, SweepIncomplete, OtherProcessFailed


def _perform(chosen: Any, words: list[str]) -> None:
    """Performs the subcommand of the flags."""
    from vfl_jax.cli import training
    from vfl_jax.cli.flags import check_counts

    check_counts(chosen)
    if isinstance(chosen, Run):
        return training.perform_run(chosen, words[1])
    if isinstance(chosen, Sweep):
        return training.perform_sweep(chosen, words[1])
    perform: dict[type, Any] = {
        **{Demo: _demo, Audit: _audit, Arena: _arena, Paths: _paths, Data: _check_data, List: _list},
        **{Doctor: _doctor, Completion: _completion},
        **saved.PERFORM,
    }
    return perform[type(chosen)](chosen)


@contextlib.contextmanager
def _warnings_of_one_line() -> Iterator[None]:
    """Prints a warning of little evidence as one line: a user of the command has no use for a place in this code."""
    from vfl_jax.sweeps.cautions import EvidenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("always", EvidenceWarning)
        show = warnings.showwarning

        def shown(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, EvidenceWarning):
                print(f"warning: {message}", file=sys.stderr, flush=True)
            else:
                show(message, category, *where, **more)

        warnings.showwarning = shown
        yield


def _start_devices(distributed: bool) -> None:
    """Makes every core a device, or joins the other processes of a distributed program."""
    if not distributed:
        from vfl_jax.sweeps.devices import use_all_cores

        use_all_cores()
        return
    import jax

    try:
        jax.distributed.initialize()
    except Exception as error:  # its kind depends on how JAX looks for the other processes
        raise ValueError(f"--distributed found no other processes ({error}).") from error


def _demo(chosen: Demo) -> None:
    """Performs ``vfl-jax demo``."""
    from vfl_jax.cli.demo import demo
    from vfl_jax.core.atomic import check_folder

    check_folder("--out", chosen.out)
    demo(chosen.seeds, chosen.epochs, chosen.out)


def _audit(chosen: Audit) -> None:
    """Performs ``vfl-jax audit``."""
    from vfl_jax.cli.auditing import perform_audit

    perform_audit(chosen)


def _arena(chosen: Arena) -> None:
    """Performs ``vfl-jax arena``."""
    from vfl_jax.cli.meeting import meet

    meet(chosen)


def _paths(chosen: Paths) -> None:
    """Performs ``vfl-jax paths``."""
    from vfl_jax import reports
    from vfl_jax.cli.paths import paths_table, scenario_to_list

    reports.console().print(paths_table(scenario_to_list(chosen)))


def _doctor(chosen: Doctor) -> None:
    """Performs ``vfl-jax doctor``: status 1 where something that every study needs does not work."""
    from vfl_jax import reports
    from vfl_jax.cli.doctor import doctor

    if not doctor(chosen.data_folder, reports.console()):
        raise SystemExit(1)


def _check_data(chosen: Data) -> None:
    """Performs ``vfl-jax data check``: status 1 where a file is missing or damaged."""
    from vfl_jax import reports
    from vfl_jax.cli.data_check import data_check

    if not data_check(chosen.folder, reports.console()):
        raise SystemExit(1)


def _list(_: List) -> None:
    """Performs ``vfl-jax list``."""
    from vfl_jax import reports
    from vfl_jax.cli.listing import table

    reports.console().print(table())


def _completion(chosen: Completion) -> None:
    """Performs ``vfl-jax completion``."""
    from vfl_jax.cli.scenarios import subcommands

    tyro.cli(subcommands(show_all=False), args=["--tyro-print-completion", chosen.shell], prog="vfl-jax")

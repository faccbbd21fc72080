"""The command ``vfl-jax``: what its subcommands do."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from vfl_jax.cli import saved
from vfl_jax.cli.subcommands import (
    Arena,
    Data,
    Demo,
    List,
    Run,
    RunFile,
    RunPreset,
    Sweep,
    SweepFile,
    SweepPreset,
    subcommands,
)
from vfl_jax.core.atomic import check_folder
from vfl_jax.core.extras import MissingExtra, extra
from vfl_jax.plugins import load_plugins
from vfl_jax.sweeps.devices import is_first_process, use_all_cores
from vfl_jax.sweeps.work import SweepIncomplete

if TYPE_CHECKING:
    import xarray as xr


def main(arguments: list[str] | None = None) -> None:
    """The entry point of the command.

    Args:
      arguments: the words after ``vfl-jax``; by default those of the process.

    Raises:
      SystemExit: with one line and status 1 on bad input, instead of a traceback.
    """
    modules, others = _plugins(sys.argv[1:] if arguments is None else arguments)
    try:
        if modules:
            sys.path.append(os.getcwd())  # at the end, so that nothing there hides an installed module
        load_plugins(modules)
        chosen: Any = tyro.cli(subcommands(), args=others, prog="vfl-jax", description=__doc__)
        _start_devices(getattr(chosen, "distributed", False))
        with _warnings_of_one_line():
            _perform(chosen)
    except (ValueError, OSError, MemoryError, MissingExtra, SweepIncomplete) as error:
        raise SystemExit(f"error: {error}") from error


def _plugins(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The modules that ``--plugin`` names, wherever it stands, and all other arguments.

    Plug-ins come first, because what they add becomes subcommands and names.
    """
    parser = argparse.ArgumentParser(prog="vfl-jax", add_help=False, allow_abbrev=False)
    parser.add_argument("--plugin", action="append", default=[], metavar="MODULE")
    known, others = parser.parse_known_args(arguments)
    return known.plugin, others


def _perform(chosen: Any) -> None:
    """Performs the subcommand of the flags."""
    perform: dict[type, Any] = {
        **{Demo: _demo, Run: _run, Sweep: _sweep},
        **{Arena: _arena, Data: _check_data, List: _list},
        **saved.PERFORM,
    }
    next(function for kind, function in perform.items() if isinstance(chosen, kind))(chosen)


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

    check_folder("--out", chosen.out)
    demo(chosen.seeds, chosen.epochs, chosen.out)


def _run(chosen: RunPreset | RunFile) -> None:
    """Performs ``vfl-jax run``."""
    import jax

    from vfl_jax.cli.choices import scenario_of, source
    from vfl_jax.cli.flags import check_outputs
    from vfl_jax.sweeps.sweep import run

    if not 0 <= chosen.seed < 2**32:
        raise ValueError(f"--seed is {chosen.seed}; it must be a whole number from 0 to {2**32 - 1}.")
    check_outputs(chosen.out)
    scenario = scenario_of(chosen)
    data = source(chosen.data, chosen.data_folder, len(scenario.bottoms))
    key, every = jax.random.key(chosen.seed), chosen.evaluate_every
    dataset, _ = run(scenario, data, key, chosen.epochs, progress=True, evaluate_every=every)
    dataset = dataset.expand_dims(seed=[chosen.seed])
    _show(dataset, chosen.out, "one seed")


def _sweep(chosen: SweepPreset | SweepFile) -> None:
    """Performs ``vfl-jax sweep``."""
    from vfl_jax.cli.choices import scenario_of, source
    from vfl_jax.cli.flags import check_outputs, to_over
    from vfl_jax.sweeps.sweep import sweep

    check_outputs(chosen.out, chosen.log_json)
    if chosen.folder is not None:
        check_folder("--folder", chosen.folder)
    elif chosen.scheduler is not None:
        raise ValueError("--scheduler needs --folder, in which its workers leave their chunks.")
    elif chosen.keep is not None:
        raise ValueError("--keep needs --folder, in which the replicas stay when the command has ended.")
    scenario = scenario_of(chosen)
    over = to_over(scenario, chosen.over, chosen.set)
    with contextlib.ExitStack() as stack:
        dataset = sweep(
            scenario,
            source(chosen.data, chosen.data_folder, len(scenario.bottoms)),
            over,
            chosen.seeds,
            chosen.epochs,
            evaluate_every=chosen.evaluate_every,
            folder=chosen.folder,
            checkpoint_every=chosen.checkpoint_every,
            max_replicas=chosen.max_replicas,
            executor=None if chosen.scheduler is None else _dask(chosen.scheduler, stack),
            log_json=chosen.log_json,
            keep=chosen.keep,
        )
    if is_first_process():
        _show(dataset, chosen.out, f"{chosen.seeds} seeds")


def _arena(chosen: Arena) -> None:
    """Performs ``vfl-jax arena``."""
    from vfl_jax.cli.meeting import meet

    meet(chosen)


def _dask(address: str, stack: contextlib.ExitStack) -> Executor:
    """The executor of a Dask scheduler, whose client ``stack`` closes."""
    with extra("cluster", "--scheduler"):
        from distributed import Client
    try:
        client = Client(address)
    except (OSError, ValueError) as error:
        raise ValueError(f"--scheduler is {address}, where no Dask scheduler answers ({error}).") from error
    return stack.enter_context(client).get_executor()


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


def _show(dataset: xr.Dataset, out: Path | None, title: str) -> None:
    """Prints the table, and writes results and a figure where ``--out`` says."""
    from vfl_jax import plots, reports
    from vfl_jax.cli.flags import picture
    from vfl_jax.core.atomic import write_atomically
    from vfl_jax.core.files import save

    console = reports.console()
    table = reports.rows(dataset)
    console.print(reports.to_terminal(table, title))
    console.print(reports.note(table), style="dim")
    if out is not None:
        save(dataset, out)
        try:
            figure = plots.overview(dataset)
        except MissingExtra as missing:  # What was trained is kept all the same.
            console.print(f"wrote {out} without its figure. {missing}", highlight=False, markup=False)
            return
        written = write_atomically(picture(out), lambda path: figure.savefig(path, format="png"))
        console.print(f"wrote {out} and {written}", highlight=False)

"""What ``run`` and ``sweep`` do: train, print the table, and write results and a figure."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from vfl_jax import reports
from vfl_jax.cli.choices import scenario_of
from vfl_jax.cli.dry_run import dry_run
from vfl_jax.cli.flags import check_outputs, picture, to_over
from vfl_jax.cli.scenarios import OfFile
from vfl_jax.cli.scheduler import check_scheduler, executor_at
from vfl_jax.cli.studies import Begun, begin, write_scenario
from vfl_jax.cli.subcommands import Run, Sweep, Training
from vfl_jax.core.atomic import check_apart, check_folder, write_atomically
from vfl_jax.core.extras import MissingExtra
from vfl_jax.core.files import save
from vfl_jax.protocol.methods import changes_nothing_at, located
from vfl_jax.scenario import Scenario
from vfl_jax.statistics import main_of
from vfl_jax.sweeps.arguments import NUM_SEEDS
from vfl_jax.sweeps.cautions import EvidenceWarning
from vfl_jax.sweeps.grid import resolve
from vfl_jax.sweeps.processes import is_first_process
from vfl_jax.sweeps.sweep import run, sweep

if TYPE_CHECKING:
    import xarray as xr


def perform_run(chosen: Run, name: str) -> None:
    """Trains one replica.

    Args:
      chosen: the flags.
      name: the word in the place of the preset.

    Raises:
      ValueError, OSError: naming the flag, where one cannot be.
    """
    if not 0 <= chosen.seed < NUM_SEEDS:
        raise ValueError(f"--seed is {chosen.seed}; it must be a whole number from 0 to {NUM_SEEDS - 1}.")
    check_outputs(chosen.out)
    _check_apart(chosen)
    begun, scenario = _scenarios(chosen, name)
    _warn_of_idle_defenses(chosen, scenario, {})
    if chosen.dry_run:
        dry_run(begun, scenario, {}, [chosen.seed], chosen.epochs)
        return
    key, every = jax.random.key(chosen.seed), chosen.evaluate_every
    dataset, _ = run(scenario, begun.source, key, chosen.epochs, progress=True, evaluate_every=every)
    dataset = dataset.expand_dims(seed=[chosen.seed])
    _show(dataset, chosen.out, "one seed")


def perform_sweep(chosen: Sweep, name: str) -> None:
    """Trains a grid × seeds.

    Args:
      chosen: the flags.
      name: the word in the place of the preset.

    Raises:
      ValueError, OSError: naming the flag, where one cannot be.
      SweepIncomplete: where chunks failed at workers.
    """
    check_outputs(chosen.out, chosen.log_json)
    _check_apart(chosen, folder=chosen.folder, log_json=chosen.log_json)
    check_scheduler(chosen.scheduler, chosen.folder)
    if chosen.folder is not None:
        check_folder("--folder", chosen.folder)
    elif chosen.keep is not None:
        raise ValueError("--keep needs --folder, in which the replicas stay when the command has ended.")
    begun, scenario = _scenarios(chosen, name)
    over = to_over(scenario, chosen.over, chosen.set)
    _warn_of_idle_defenses(chosen, scenario, over)
    if chosen.dry_run:
        dry_run(begun, scenario, over, chosen.seeds, chosen.epochs, chosen.max_replicas)
        return
    with contextlib.ExitStack() as stack:
        dataset = sweep(
            scenario,
            begun.source,
            over,
            chosen.seeds,
            chosen.epochs,
            evaluate_every=chosen.evaluate_every,
            folder=chosen.folder,
            checkpoint_every=chosen.checkpoint_every,
            max_replicas=chosen.max_replicas,
            executor=executor_at(chosen.scheduler, stack),
            log_json=chosen.log_json,
            keep=chosen.keep,
        )
    if is_first_process():
        _show(dataset, chosen.out, f"{chosen.seeds} seeds")


def _check_apart(chosen: Training, folder: Path | None = None, log_json: Path | None = None) -> None:
    """Raises ``ValueError``, naming the flag, where an output would be written over what is read, or another one."""
    written = {"--out": chosen.out, "--save-scenario": chosen.save_scenario, "--log-json": log_json}
    if chosen.out is not None:
        written["the figure of --out"] = picture(chosen.out)
    read = chosen.own.inputs if chosen.own.is_given else {}
    if isinstance(chosen, OfFile):
        read["the file of the scenario"] = chosen.file
    check_apart(written, read | ({} if folder is None else {"--folder": folder}))


def _scenarios(chosen: Training, name: str) -> tuple[Begun, Scenario]:
    """What the flags begin with, and the scenario that they make of it, which ``--save-scenario`` writes."""
    begun = begin(chosen, name)
    scenario = scenario_of(chosen, begun.scenario)
    if chosen.save_scenario is not None:
        write_scenario(scenario, chosen.save_scenario)
    return begun, scenario


def _warn_of_idle_defenses(chosen: Training, scenario: Scenario, over: Mapping[Any, Any]) -> None:
    """Warns of a defense that ``--defense`` names and that changes nothing, because no flag gives it a number."""
    names = [name for paths in over for name in ((paths,) if isinstance(paths, str) else paths)]
    swept = [path for name in names for path in resolve(scenario, name, "--over")]
    for path, method in located(scenario.defense, "defense") if chosen.defense else ():
        idle = changes_nothing_at(method)
        if idle and not any(exact.startswith(f"{path}.") for exact in swept):
            name, field = type(method).__name__, next(iter(method.neutral))
            warnings.warn(
                f"--defense {name} changes nothing at {idle}, and no flag gives it another number; say --defense "
                f"'{name}({field}=NUMBER)', or sweep it by --over.",
                EvidenceWarning,
                stacklevel=2,
            )


def _show(dataset: xr.Dataset, out: Path | None, title: str) -> None:
    """Prints the table, and writes results and a figure where ``--out`` says."""
    from vfl_jax import plots

    console = reports.console()
    main = main_of(dataset)
    table = reports.rows(dataset, main)
    console.print(reports.to_terminal(table, title))
    console.print(reports.note(table, main), style="dim")
    if out is not None:
        save(dataset, out)
        try:
            figure = plots.overview(dataset)
        except MissingExtra as missing:  # What was trained is kept all the same.
            console.print(f"wrote {out} without its figure. {missing}", highlight=False, markup=False)
            return
        written = write_atomically(picture(out), lambda path: figure.savefig(path, format="png"))
        console.print(f"wrote {out} and {written}", highlight=False)

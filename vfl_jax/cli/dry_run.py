"""What ``--dry-run`` says: the scenario as a difference to what it began as, the grid, programs, memory and time."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import jax

from vfl_jax import reports
from vfl_jax.cli.studies import Begun
from vfl_jax.core.words import counted
from vfl_jax.replica.draws import Given, steps_per_epoch
from vfl_jax.scenario import Scenario
from vfl_jax.scenario.shown import WIDTH, changed_fields
from vfl_jax.sweeps import devices
from vfl_jax.sweeps.arguments import check_grid, check_study
from vfl_jax.sweeps.chunks import Chunk, cut
from vfl_jax.sweeps.estimates import announcement
from vfl_jax.sweeps.grid import Grid, Over
from vfl_jax.sweeps.memory import fitting, needed
from vfl_jax.sweeps.prepared import prepare
from vfl_jax.sweeps.work import load


def dry_run(
    begun: Begun,
    scenario: Scenario,
    over: Over,
    seeds: int | Sequence[int],
    epochs: int,
    max_replicas: int | None = None,
) -> None:
    """Says what a sweep would train. It compiles, which shows the memory that it takes, and trains nothing.

    Args:
      begun: what the flags began with.
      scenario: the scenario.
      over, seeds, epochs, max_replicas: as :func:`vfl_jax.sweep` takes them.

    Raises:
      ValueError: naming the argument, where the sweep would be refused.
    """
    grid, numbered = check_grid(scenario, over, seeds, epochs, Given())
    loaded, console = load(begun.source), reports.console()
    study, drawn = check_study(scenario, loaded, grid, numbered, epochs, Given())
    whole = prepare(study, Chunk(tuple(grid.points()), numbered))
    shared, each = needed(whole)
    most = max_replicas or fitting(whole, shared, each)
    chunks = cut(scenario, grid, numbered, [], most, len(jax.devices()))
    free = devices.free_memory(whole.mesh)

    def say(what: str, found: str) -> None:
        console.print(f"{what + ':':10}{found}", highlight=False, markup=False)

    changes = list(changed_fields(scenario, begun.scenario))
    say("scenario", f"{begun.name}, {'but' if changes else 'unchanged'}")
    for path, here, there in changes:
        line = f"{path} = {here}; there it is {there}"
        for part in textwrap.wrap(line, WIDTH, initial_indent="  ", subsequent_indent="    "):
            console.print(part, highlight=False, markup=False, soft_wrap=True)
    sizes = f"{counted(loaded.train.num_samples, 'training row')}, {counted(loaded.test.num_samples, 'test row')}"
    say("data", f"{loaded.name}: {sizes}, {loaded.num_parties} parties, {loaded.num_classes} classes")
    say("grid", _grid(grid))
    how = f"in {counted(len(chunks), 'chunk')} of one program"
    steps = steps_per_epoch(drawn, scenario.batches)
    console.print(announcement(study, grid.size, len(numbered), steps, how), highlight=False, markup=False)
    say("memory", f"{each / 2**20:.1f} MiB per replica, {shared / 2**20:.0f} MiB beside; {free / 2**30:.1f} GiB free")
    console.print("Nothing was trained. Leave out --dry-run to begin.", style="dim")


def _grid(grid: Grid) -> str:
    """The axes and their values."""
    axes = [f"{axis.dimension}: {', '.join(':'.join(map(str, v)) for v in axis.values)}" for axis in grid.axes]
    return " × ".join(axes) if axes else "one point"

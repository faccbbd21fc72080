"""The command ``vfl-jax``: its flags are made from the same dataclasses as the Python API."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import tyro

from vfl_jax.core.atomic import check_folder
from vfl_jax.presets import PRESETS, HeadName, Task, digits_demo, liu2020_code, liu2020_paper, zou2022
from vfl_jax.scenario import Scenario
from vfl_jax.sweeps.devices import is_first_process, use_all_cores
from vfl_jax.sweeps.work import SweepIncomplete

if TYPE_CHECKING:
    import xarray as xr

    from vfl_jax.core.vertical_data import VerticalData

DataName = Literal[
    "digits",
    "mnist",
    "fashion_mnist",
    "nus_wide",
    "nus_wide_twin",
    "handwritten",
    "citeseer",
    "default_credit",
    "breast_cancer",
]
DefenseName = Literal["Clipping", "GaussianNoise", "LaplaceNoise", "Sparsification"]
Repeated = Annotated[tuple[str, ...], tyro.conf.UseAppendAction]


@dataclasses.dataclass(frozen=True)
class Training:
    """The flags that ``run`` and ``sweep`` share."""

    scenario: Scenario
    data: DataName = "mnist"
    data_folder: Path | None = None
    """Default: the environment variable VFL_JAX_DATA; without it MNIST and Fashion-MNIST are downloaded and checked."""
    epochs: int = 50
    defense: tuple[DefenseName, ...] = ()
    """Defenses to chain, in this order, at settings that change nothing; give their numbers with --set or --over."""
    set: Repeated = ()
    """PATH=NUMBER, short forms included, e.g. defense.stddev=0.01. May be repeated."""
    out: Path | None = None
    """NetCDF file to write; a figure goes beside it: grid.png for grid.nc, grid.h5.png for grid.h5."""


@dataclasses.dataclass(frozen=True)
class Run(Training):
    """Trains one replica."""

    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Sweep(Training):
    """Trains a grid of settings with many seeds in compiled programs."""

    over: Repeated = ()
    """PATH=NUMBER,NUMBER,... e.g. attack.amplify=1,10. May be repeated: the grid is the product."""
    seeds: int = 20
    folder: Path | None = None
    """Folder of results and checkpoints. The same command goes on from there; more seeds or values reuse it."""
    checkpoint_every: int = 5
    """Epochs between two checkpoints in the folder."""
    max_replicas: int | None = None
    """The largest number of replicas in one chunk. Default: as many as fit into memory."""
    scheduler: str | None = None
    """Address of a Dask scheduler, e.g. tcp://10.0.0.1:8786, whose workers train the chunks and see the folder."""
    distributed: bool = False
    """Several hosts run this command as one program: jax.distributed finds them by Slurm, on a TPU pod, …"""
    log_json: Path | None = None
    """File to which progress is appended, one JSON object per line."""


@dataclasses.dataclass(frozen=True)
class Demo:
    """Attacks and defends a model of handwritten digits under both heads, and shows what holds."""

    seeds: int = 8
    epochs: int = 60
    out: Path = Path("demo")
    """Folder for results and figures."""


@dataclasses.dataclass(frozen=True)
class Data:
    """Checks the files of the data sets in a folder, says where to get the missing ones; prints Table 1 of NUS-WIDE."""

    action: tyro.conf.Positional[Literal["check"]]
    folder: tyro.conf.Positional[Path]


@dataclasses.dataclass(frozen=True)
class List:
    """Lists attacks, defenses, models, data sets and presets."""


def _preset_commands(kind: Any) -> Any:
    """One subcommand per preset, task and head, with the preset's numbers as defaults."""
    defaults = {
        "digits_demo-sum": kind(scenario=digits_demo(head="sum"), data="digits", epochs=60),
        "digits_demo-trainable": kind(scenario=digits_demo(head="trainable"), data="digits", epochs=60),
    }
    data: dict[Task, DataName] = {"mnist": "mnist", "nus_wide": "nus_wide_twin"}
    for task, name in data.items():
        of_task = "" if task == "mnist" else f"{task}-"
        for preset in (liu2020_paper, liu2020_code):
            for head in get_args(HeadName):
                scenario = preset(head=head, task=task)
                defaults[f"{preset.__name__}-{of_task}{head}"] = kind(scenario=scenario, data=name)
        defaults[f"zou2022{of_task and '-nus_wide'}"] = kind(scenario=zou2022(task=task), data=name, epochs=100)
    return tyro.extras.subcommand_type_from_defaults(defaults, prefix_names=False)


def main(arguments: list[str] | None = None) -> None:
    """The entry point of the command.

    Args:
      arguments: the words after ``vfl-jax``; by default those of the process.

    Raises:
      SystemExit: with one line and status 1 on bad input, instead of a traceback.
    """
    command = tyro.conf.subcommand
    commands: Any = (
        Annotated[Demo, command("demo", description=Demo.__doc__)]
        | Annotated[_preset_commands(Run), command("run", description=Run.__doc__)]
        | Annotated[_preset_commands(Sweep), command("sweep", description=Sweep.__doc__)]
        | Annotated[Data, command("data", description=Data.__doc__)]
        | Annotated[List, command("list", description=List.__doc__)]
    )
    chosen: Any = tyro.cli(commands, args=arguments, prog="vfl-jax", description=__doc__)
    perform: dict[type, Any] = {Demo: _demo, Run: _run, Sweep: _sweep, Data: _check_data, List: _list}
    try:
        _start_devices(getattr(chosen, "distributed", False))
        with _warnings_of_one_line():
            perform[type(chosen)](chosen)
    except (ValueError, OSError, SweepIncomplete) as error:
        raise SystemExit(f"error: {error}") from error


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


def _run(chosen: Run) -> None:
    """Performs ``vfl-jax run``."""
    import jax

    from vfl_jax.cli.flags import check_outputs
    from vfl_jax.sweeps.sweep import run

    if not 0 <= chosen.seed < 2**32:
        raise ValueError(f"--seed is {chosen.seed}; it must be a whole number from 0 to {2**32 - 1}.")
    check_outputs(chosen.out)
    dataset, _ = run(_scenario(chosen), _source(chosen), jax.random.key(chosen.seed), chosen.epochs, progress=True)
    dataset = dataset.expand_dims(seed=[chosen.seed])
    _show(dataset, chosen.out, "one seed")


def _sweep(chosen: Sweep) -> None:
    """Performs ``vfl-jax sweep``."""
    from vfl_jax.cli.flags import check_outputs, to_over
    from vfl_jax.sweeps.sweep import sweep

    check_outputs(chosen.out, chosen.log_json)
    if chosen.folder is not None:
        check_folder("--folder", chosen.folder)
    elif chosen.scheduler is not None:
        raise ValueError("--scheduler needs --folder, in which its workers leave their chunks.")
    scenario = _scenario(chosen)
    over = to_over(scenario, chosen.over, chosen.set)
    with contextlib.ExitStack() as stack:
        dataset = sweep(
            scenario,
            _source(chosen),
            over,
            chosen.seeds,
            chosen.epochs,
            folder=chosen.folder,
            checkpoint_every=chosen.checkpoint_every,
            max_replicas=chosen.max_replicas,
            executor=None if chosen.scheduler is None else _dask(chosen.scheduler, stack),
            log_json=chosen.log_json,
        )
    if is_first_process():
        _show(dataset, chosen.out, f"{chosen.seeds} seeds")


def _dask(address: str, stack: contextlib.ExitStack) -> Executor:
    """The executor of a Dask scheduler, whose client ``stack`` closes."""
    try:
        from distributed import Client
    except ImportError as error:
        raise ValueError("--scheduler needs Dask; install vfl_jax[cluster].") from error
    try:
        client = Client(address)
    except (OSError, ValueError) as error:
        raise ValueError(f"--scheduler is {address}, where no Dask scheduler answers ({error}).") from error
    return stack.enter_context(client).get_executor()


def _check_data(chosen: Data) -> None:
    """Performs ``vfl-jax data check``: status 1 where a file is missing or damaged."""
    from vfl_jax import report
    from vfl_jax.cli.data_check import data_check

    if not data_check(chosen.folder, report.console()):
        raise SystemExit(1)


def _list(_: List) -> None:
    """Performs ``vfl-jax list``: the first paragraph of every docstring says what a member is."""
    from rich.table import Table

    from vfl_jax import attacks, defenses, models, report
    from vfl_jax.data import LOADERS

    table = Table("kind", "name", "what it is")
    groups: dict[str, dict[str, Any]] = {
        kind: {name: getattr(module, name) for name in module.__all__}
        for kind, module in (("attack", attacks), ("defense", defenses))
    }
    of_models = {name: getattr(models, name) for name in models.__all__}
    for kind, base in (("bottom", models.Bottom), ("head", models.Head), ("loss", models.Loss)):
        groups[kind] = {name: m for name, m in of_models.items() if issubclass(m, base) and m is not base}
    groups |= {"data set": dict(LOADERS), "preset": dict(PRESETS)}
    for kind, members in groups.items():
        for name, member in members.items():
            first = (member.__doc__ or "").strip().split("\n\n")[0]
            table.add_row(kind, name, " ".join(first.replace("``", "").split()))
        table.add_section()
    report.console().print(table)


def _scenario(chosen: Training) -> Scenario:
    """The scenario of the flags, with ``--defense`` and ``--set`` applied."""
    import vfl_jax.defenses
    from vfl_jax.cli.flags import with_set
    from vfl_jax.protocol.chains import ActiveChain

    scenario = chosen.scenario
    if chosen.defense:
        scenario = scenario.replace(
            defense=ActiveChain(parts=tuple(getattr(vfl_jax.defenses, name)() for name in chosen.defense))
        )
    return with_set(scenario, chosen.set)


def _source(chosen: Training) -> Callable[[], VerticalData]:
    """The function that loads the data, here or at a worker."""
    return functools.partial(_data, chosen.data, chosen.data_folder, len(chosen.scenario.bottoms))


def _data(name: DataName, folder: Path | None, num_parties: int) -> VerticalData:
    """The data set of a name, from a folder where its files lie in one."""
    from vfl_jax.data import LOADERS

    load = LOADERS[name]
    from_files = {"folder": folder} if "folder" in inspect.signature(load).parameters else {}
    return load(num_parties=num_parties, **from_files)


def _show(dataset: xr.Dataset, out: Path | None, title: str) -> None:
    """Prints the table, and writes results and a figure where ``--out`` says."""
    from vfl_jax import plots, report
    from vfl_jax.cli.flags import picture
    from vfl_jax.core.atomic import write_atomically
    from vfl_jax.core.files import save

    console = report.console()
    console.print(report.to_terminal(report.rows(dataset), title))
    console.print(report.NOTE, style="dim")
    if out is not None:
        save(dataset, out)
        figure = plots.overview(dataset)
        written = write_atomically(picture(out), lambda path: figure.savefig(path, format="png"))
        console.print(f"wrote {out} and {written}", highlight=False)

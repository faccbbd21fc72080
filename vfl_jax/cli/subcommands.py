"""The subcommands and their flags, which are made from the same dataclasses as the Python API."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import tyro

from vfl_jax.cli.saved import Plot, Report, Show, Status
from vfl_jax.core.checks import check_kind
from vfl_jax.presets import PRESETS, HeadName, Task, digits_demo, liu2020_code, liu2020_paper, zou2022
from vfl_jax.presets.registered import DATA_OF
from vfl_jax.scenario import Scenario

Repeated = Annotated[tuple[str, ...], tyro.conf.UseAppendAction]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """The flags that ``run`` and ``sweep`` share."""

    data: str
    """The name of a data set; the subcommand list shows all."""
    data_folder: Path | None = None
    """Default: the environment variable VFL_JAX_DATA; without it MNIST and Fashion-MNIST are downloaded and checked."""
    epochs: int = 50
    evaluate_every: int | None = None
    """Epochs between two evaluations, of both passes. Default: the first pass each epoch, the second at the end."""
    attack: Repeated = ()
    """PARTY=NAME, e.g. 1=GradientReplacement or '1=GradientReplacement(amplify=5)'. May be repeated."""
    defense: tuple[str, ...] = ()
    """Defenses to chain, in this order, e.g. GaussianNoise 'Clipping(by=value,bound=0.1)'."""
    set: Repeated = ()
    """PATH=NUMBER, short forms included, e.g. defense.stddev=0.01. May be repeated."""
    metric: Repeated = ()
    """NAME of a plug-in's metric to compute at every evaluation. May be repeated."""
    out: Path | None = None
    """NetCDF file to write; a figure goes beside it: grid.png for grid.nc, grid.h5.png for grid.h5."""
    plugin: Repeated = ()
    """MODULE whose records, data sets and presets the command shall know. May be repeated."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run(Training):
    """Trains one replica."""

    seed: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep(Training):
    """Trains a grid of settings with many seeds in compiled programs."""

    over: Repeated = ()
    """PATH=NUMBER,NUMBER,... e.g. attack.amplify=1,10. Repeated: the product. PATH+PATH=1:2,3:4 go together."""
    seeds: int = 20
    folder: Path | None = None
    """Folder of results and checkpoints. The same command goes on from there; more seeds or values reuse it."""
    checkpoint_every: int = 5
    """Epochs between two checkpoints in the folder."""
    max_replicas: int | None = None
    """The largest number of replicas in one chunk. Default: as many as fit into memory."""
    keep: Literal["params"] | None = None
    """What is kept of every replica in the folder, for vfl.predict and vfl.embeddings. Default: nothing."""
    scheduler: str | None = None
    """Address of a Dask scheduler, e.g. tcp://10.0.0.1:8786, whose workers train the chunks and see the folder."""
    distributed: bool = False
    """Several hosts run this command as one program: jax.distributed finds them by Slurm, on a TPU pod, …"""
    log_json: Path | None = None
    """File to which progress is appended, one JSON object per line."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfPreset:
    """A scenario that begins as a preset's; flags change its fields."""

    scenario: Scenario


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfFile:
    """A scenario from a file."""

    file: tyro.conf.Positional[Path]
    """The scenario as JSON, as to_json gives it and results keep it in their attributes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunPreset(OfPreset, Run):
    """Trains one replica of a preset."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunFile(OfFile, Run):
    """Trains one replica of a scenario from a JSON file."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepPreset(OfPreset, Sweep):
    """Trains a grid of settings of a preset."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepFile(OfFile, Sweep):
    """Trains a grid of settings of a scenario from a JSON file."""


@dataclasses.dataclass(frozen=True)
class Arena:
    """Lets attacks meet defenses on data sets, and says who wins."""

    data: Repeated = ()
    """NAME of a board of the line-up (--list shows them) or of a data set. May be repeated. Default: the line-up's."""
    attack: Repeated = ()
    """NAME of an attack of the line-up, or of any other at its defaults. May be repeated. Default: the line-up's."""
    defense: Repeated = ()
    """NAME of a defense of the line-up, or of any other at its defaults. May be repeated. Default: the line-up's."""
    epochs: int = 50
    """Of data sets that are no boards of the line-up."""
    seeds: int = 5
    folder: Path | None = None
    """Folder of results. The same command goes on from there; more seeds, methods and boards reuse it."""
    out: Path | None = None
    """NetCDF file to write; figures go beside it."""
    list: bool = False
    """Print the line-up; do nothing else."""
    plugin: Repeated = ()
    """MODULE whose attacks, defenses and data sets the command shall know. May be repeated."""


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
    """Lists methods, models, triggers, metrics, data sets and presets, those of plug-ins with their modules."""

    plugin: Repeated = ()
    """MODULE whose records, data sets and presets shall be listed, too. May be repeated."""


def subcommands() -> Any:
    """The type of all subcommands, for tyro; presets that are registered by now are among them.

    Raises:
      ValueError: where a plug-in's preset gives no scenario, or has the name of another subcommand.
    """
    command = tyro.conf.subcommand
    return (
        Annotated[Demo, command("demo", description=Demo.__doc__)]
        | Annotated[_of_scenarios(RunPreset, RunFile), command("run", description=Run.__doc__)]
        | Annotated[_of_scenarios(SweepPreset, SweepFile), command("sweep", description=Sweep.__doc__)]
        | Annotated[Arena, command("arena", description=Arena.__doc__)]
        | Annotated[Report, command("report", description=Report.__doc__)]
        | Annotated[Show, command("show", description=Show.__doc__)]
        | Annotated[Plot, command("plot", description=Plot.__doc__)]
        | Annotated[Status, command("status", description=Status.__doc__)]
        | Annotated[Data, command("data", description=Data.__doc__)]
        | Annotated[List, command("list", description=List.__doc__)]
    )


def _of_scenarios(of_preset: Any, of_file: Any) -> Any:
    """One subcommand per preset, task and head, with the preset's numbers as defaults, and one for JSON files."""
    defaults = {
        "digits_demo-sum": of_preset(scenario=digits_demo(head="sum"), data="digits", epochs=60),
        "digits_demo-trainable": of_preset(scenario=digits_demo(head="trainable"), data="digits", epochs=60),
    }
    data: dict[Task, str] = {"mnist": "mnist", "nus_wide": "nus_wide_twin"}
    for task, name in data.items():
        of_task = "" if task == "mnist" else f"{task}-"
        for preset in (liu2020_paper, liu2020_code):
            for head in get_args(HeadName):
                scenario = preset(head=head, task=task)
                defaults[f"{preset.__name__}-{of_task}{head}"] = of_preset(scenario=scenario, data=name)
        defaults[f"zou2022{of_task and '-nus_wide'}"] = of_preset(scenario=zou2022(task=task), data=name, epochs=100)
    defaults["json"] = of_file(file=tyro.MISSING, data=tyro.MISSING)
    for name, function in PRESETS.items():
        if (module := PRESETS.module(name)) == "vfl_jax":
            continue
        if name in defaults:
            raise ValueError(f"{module} registers a preset {name!r}, the name of another subcommand; choose another.")
        scenario = _scenario(name, module, function)
        defaults[name] = of_preset(scenario=scenario, data=DATA_OF.get(name, tyro.MISSING))
    about = {"json": of_file.__doc__}
    return tyro.extras.subcommand_type_from_defaults(defaults, about, prefix_names=False)


def _scenario(name: str, module: str, function: Callable[..., Scenario]) -> Scenario:
    """The scenario of a plug-in's preset; ``ValueError`` where its function fails or gives something else."""
    try:
        scenario = function()
    except Exception as error:  # a user's function may fail in any way
        raise ValueError(f"preset {name!r} of {module} fails ({type(error).__name__}: {error}).") from error
    check_kind(Scenario, f"which the function of a preset returns ({module})", **{f"preset {name!r}": scenario})
    return scenario

"""The subcommands and their flags, but for scenarios (:mod:`vfl_jax.cli.scenarios`). It starts without JAX."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from vfl_jax.cli.own_tables import OwnTables
from vfl_jax.cli.saved import Plot, Report, Show, Status
from vfl_jax.cli.values import Count, File, Folder, Name, Names, Number, Numbers, Repeated, Switch, Text, Whole

Kept = Literal["params"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """The flags that ``run`` and ``sweep`` share."""

    data: Name = None
    """Data set; vfl-jax list shows all. Tables of your own: --table."""
    data_folder: Folder = None
    """Folder of data sets. Default: VFL_JAX_DATA; without it MNIST and Fashion-MNIST are downloaded."""
    epochs: Whole = 50
    """Passes over the training rows."""
    evaluate_every: Count = None
    """Epochs between two evaluations, of both passes. Default: the first pass each epoch, the second at the end."""
    parties: Count = None
    """Number of parties. Default: the preset's, mostly 2."""
    attacker: Numbers = ()
    """Party that attacks as the preset does: its number, from 0, or in own tables its name. Repeat it for several."""
    attack: Repeated = ()
    """PARTY=NAME, e.g. '1=GradientReplacement(amplify=5)'; active=NAME is the active party's attack."""
    defense: Names = ()
    """Defenses to chain, in this order, e.g. GaussianNoise 'Clipping(by=value,bound=0.1)'."""
    set: Repeated = ()
    """PATH=NUMBER, e.g. defense.stddev=0.01; vfl-jax paths PRESET lists the paths."""
    metric: Repeated = ()
    """NAME of a plug-in's metric to compute at every evaluation."""
    plugin: Repeated = ()
    """MODULE whose records, data sets and presets the command shall know."""
    out: File = None
    """NetCDF file of results; a figure goes beside it: grid.png for grid.nc, grid.h5.png for grid.h5."""
    save_scenario: File = None
    """File to write the scenario to, .toml or .json; it is a PRESET of run and sweep."""
    dry_run: Switch = False
    """Say what would be trained, and what it takes. Train nothing."""
    own: Annotated[OwnTables, tyro.conf.arg(name="")] = dataclasses.field(default_factory=OwnTables)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run(Training):
    """Trains one replica."""

    seed: Whole = 0
    """Settles all that is random."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep(Training):
    """Trains a grid of settings with many seeds in compiled programs."""

    over: Repeated = ()
    """PATH=NUMBER,NUMBER,... e.g. attack.amplify=1,10. Repeated: the product. PATH+PATH=1:2,3:4 go together."""
    seeds: Whole = 20
    """How many seeds every setting has."""
    folder: Folder = None
    """Folder of results and checkpoints. The same command goes on from there; more seeds or values reuse it."""
    checkpoint_every: Whole = 5
    """Epochs between two checkpoints in the folder."""
    max_replicas: Count = None
    """Most replicas in one chunk. Default: as many as fit into memory."""
    keep: Annotated[
        Literal["params"] | None, tyro.conf.DisallowNone, tyro.conf.arg(metavar="params", help_behavior_hint="")
    ] = None
    """Keep every replica's parameters in the folder, for vfl.predict and vfl.embeddings."""
    scheduler: Text = None
    """Dask scheduler, e.g. tcp://10.0.0.1:8786, whose workers train the chunks and see the folder."""
    distributed: Switch = False
    """Several hosts run this command as one program: jax.distributed finds them by Slurm, on a TPU pod, …"""
    log_json: File = None
    """File to which progress is appended, one JSON object per line."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Audit:
    """Reports what a malicious party could do with your tables, and what stops it."""

    file: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="[FILE]", help_behavior_hint="")] = None
    """TOML file that names your tables, as --tables."""
    data: Name = None
    """Data set, in place of your tables; vfl-jax list shows all."""
    data_folder: Folder = None
    """Folder of data sets. Default: VFL_JAX_DATA."""
    attacker: Name = None
    """The malicious party. Default: of those that lack the labels the one with the most features."""
    minutes: Number = 10.0
    """Aims at so many minutes; what has begun ends first. In fewer, fewer defenses are tried; the report says which."""
    seeds: Whole = 10
    """How many seeds every number has, at least 10."""
    head: Literal["trainable", "sum"] = "trainable"
    """The active party's model: a layer of its own, or the sum of all embeddings."""
    epochs: Whole = 20
    """Passes over the training rows that every model makes."""
    rows: Whole = 3000
    """Training rows that are used at most; of test rows half as many. More rows take more time."""
    out: Path = Path("audit.html")
    """File of the report, one page of HTML."""
    results: File = None
    """NetCDF file for the numbers, which vfl-jax show and vfl-jax report read."""
    plugin: Repeated = ()
    """MODULE whose data sets the command shall know."""
    own: Annotated[OwnTables, tyro.conf.arg(name="")] = dataclasses.field(default_factory=OwnTables)


@dataclasses.dataclass(frozen=True)
class Arena:
    """Lets attacks meet defenses on data sets, and says who wins."""

    data: Repeated = ()
    """NAME of a board of the line-up (--list shows them) or of a data set. Default: the line-up's."""
    attack: Repeated = ()
    """NAME of an attack of the line-up, or of any other at its defaults. Default: the line-up's."""
    defense: Repeated = ()
    """NAME of a defense of the line-up, or of any other at its defaults. Default: the line-up's."""
    epochs: Whole = 50
    """Passes over the training rows of data sets that are no boards of the line-up."""
    seeds: Whole = 5
    """How many seeds every meeting has."""
    folder: Folder = None
    """Folder of results. The same command goes on from there; more seeds, methods and boards reuse it."""
    scheduler: Text = None
    """Dask scheduler, e.g. tcp://10.0.0.1:8786, whose workers train the chunks and see the folder."""
    out: File = None
    """NetCDF file to write; figures go beside it."""
    list: Switch = False
    """Print the line-up; do nothing else."""
    plugin: Repeated = ()
    """MODULE whose attacks, defenses and data sets the command shall know."""


@dataclasses.dataclass(frozen=True)
class Demo:
    """Plants a backdoor, behind a defense that stops it and one that does not."""

    seeds: Whole = 8
    """How many seeds each of the three models has."""
    epochs: Whole = 50
    """Passes over the training rows."""
    out: Path = Path("demo")
    """Folder for results and the picture."""


@dataclasses.dataclass(frozen=True)
class Data:
    """Checks the files of data sets in a folder; says where to get missing ones."""

    action: tyro.conf.Positional[Literal["check"]]
    folder: tyro.conf.Positional[Path]


@dataclasses.dataclass(frozen=True)
class List:
    """Lists methods, models, triggers, metrics, data sets and presets."""

    plugin: Repeated = ()
    """MODULE whose records, data sets and presets shall be listed, too."""


@dataclasses.dataclass(frozen=True)
class Paths:
    """Lists the numbers of a preset that --set and --over can name."""

    preset: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="PRESET")]
    """The preset, or the file of a scenario."""
    attack: Repeated = ()
    """As of run."""
    defense: Names = ()
    """As of run."""
    parties: Count = None
    """As of run."""
    attacker: Numbers = ()
    """As of run."""
    plugin: Repeated = ()
    """MODULE whose records and presets the command shall know."""


@dataclasses.dataclass(frozen=True)
class Doctor:
    """Says what of this machine works, what is missing, and what mends it."""

    data_folder: Folder = None
    """Folder of data sets. Default: VFL_JAX_DATA."""


@dataclasses.dataclass(frozen=True)
class Completion:
    """Prints the script that completes words in your shell."""

    shell: tyro.conf.Positional[Literal["bash", "zsh", "fish"]]


SUBCOMMANDS: dict[str, type] = {
    **{"demo": Demo, "run": Run, "sweep": Sweep, "audit": Audit, "arena": Arena},
    **{"report": Report, "show": Show, "plot": Plot, "status": Status},
    **{"paths": Paths, "list": List, "data": Data, "doctor": Doctor},
    "completion": Completion,
}
"""The class of flags of every subcommand by its name, in the order of help. Those of run and sweep take a scenario."""

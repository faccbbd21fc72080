"""The results of two machines side by side, seed by seed; nothing is trained here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.devices.answer import answer, figure
from experiments.devices.cases import CASES
from experiments.shared.outcomes import are_alike, at, read, results_of, runtimes, share
from experiments.shared.readme import add_picture, section, write_tables
from vfl_jax.reports import Row, to_markdown
from vfl_jax.statistics.judging import COLLAPSED

if TYPE_CHECKING:
    import xarray as xr

README = Path(__file__).with_name("README.md")
EARLIER = README.with_name("results") / "cpu"
"""The committed results of the GPU are compared with the same scenarios on a CPU; in claims_without_a_figure labels are
now read in another way."""
MEASURES = {
    "main accuracy": "main_task_accuracy",
    "backdoor accuracy": "backdoor_accuracy",
    "labels read": "label_inference_accuracy",
}
NUMBERS = """\
Differences between both machines, of the same setting and seed: the largest of all settings and seeds after the first
epoch and after the last one, and the *mean* of their sizes then. *a median*: the largest difference of a setting's
median over seeds.
"""
OUTCOMES = """\
Label replacement without a defense, at the last epoch, judged as everywhere else. *other outcome*: seeds that are a
success, collapsed, neither or not to be judged on one machine and not so on the other.
"""


def write_report(folder: Path) -> None:
    """Writes the figure into ``folder``, the answer and the tables into README.md (or beside other results)."""
    here = read(folder, CASES)
    there = of_cpu(here)
    pairs, said = paired(there, here), ""
    if pairs:
        caption = "accuracy of every run on both machines"
        said = f"{answer(pairs)}\n{add_picture(folder, 'both', figure(pairs), caption)}"
    write_tables(README, folder, tables(there, here), said)


def of_cpu(here: Mapping[str, xr.Dataset]) -> dict[str, xr.Dataset]:
    """For every case the results on a CPU of the very same scenario: claims_without_a_figure's, or earlier ones."""
    found = {}
    for folder in (EARLIER, results_of("liu2020/claims_without_a_figure")):
        for name, dataset in read(folder, CASES).items() if folder.is_dir() else ():
            if name in here and dataset.attrs["scenario"] == here[name].attrs["scenario"]:
                found[name] = dataset
    return found


def paired(there: Mapping[str, xr.Dataset], here: Mapping[str, xr.Dataset]) -> dict[str, tuple[xr.Dataset, xr.Dataset]]:
    """By title the cases that both machines have, of the same data, seeds and epochs."""
    return {
        case.title: (there[case.name], here[case.name])
        for case in CASES
        if case.name in there and case.name in here and are_alike(there[case.name], here[case.name])
    }


def tables(there: Mapping[str, xr.Dataset], here: Mapping[str, xr.Dataset]) -> str:
    """What is shown of the cases that both machines have, of the same data, seeds and epochs."""
    pairs = paired(there, here)
    numbers = [
        {"sweep": title, "measure": measure} | compared(*(dataset[name] for dataset in pair))
        for title, pair in pairs.items()
        for measure, name in MEASURES.items()
    ]
    outcomes = [{"sweep": title} | judged(*pair) for title, pair in pairs.items()]
    parts = ["No sweep is of the same scenario, data, seeds and epochs as one on a CPU.\n"]
    if pairs:
        parts = [
            section("Numbers", NUMBERS, to_markdown(numbers)),
            section("Outcomes", OUTCOMES, to_markdown(outcomes)),
        ]
    return "\n".join(
        [
            *parts,
            section("Runtime, CPU", runtimes(CASES, there)),
            section("Runtime, here", runtimes(CASES, here)),
        ]
    )


def compared(there: xr.DataArray, here: xr.DataArray) -> Row:
    """How far a measure is apart, seed by seed."""
    sizes = abs(here.astype(float) - there.astype(float))
    first, last = sizes.isel(epoch=0), sizes.isel(epoch=-1)
    medians = [values.isel(epoch=-1).astype(float).median("seed") for values in (there, here)]
    return {
        "largest, first epoch": f"{float(first.max()):z.4f}",
        "largest, last epoch": f"{float(last.max()):z.4f}",
        "mean, last epoch": f"{float(last.mean()):z.4f}",
        "a median, last epoch": f"{float(abs(medians[1] - medians[0]).max()):z.4f}",
    }


def judged(there: xr.Dataset, here: xr.Dataset) -> Row:
    """How many seeds succeed and collapse on either machine."""
    counts = [at(dataset).counted.isel(epoch=-1) for dataset in (there, here)]
    is_other = counts[0].outcome != counts[1].outcome
    return {
        "successes, CPU": share(counts[0].is_success),
        "successes, here": share(counts[1].is_success),
        "collapsed, CPU": share(counts[0].outcome == COLLAPSED),
        "collapsed, here": share(counts[1].outcome == COLLAPSED),
        "other outcome": share(is_other),
    }

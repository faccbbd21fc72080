"""What flags of the command mean: a scenario with numbers set, a grid, files that can be written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from vfl_jax.core.atomic import check_writable
from vfl_jax.core.files import beside
from vfl_jax.core.record import with_numbers
from vfl_jax.scenario import Scenario
from vfl_jax.sweeps.grid import Grid, parse, resolve


def with_set(scenario: Scenario, entries: Sequence[str]) -> Scenario:
    """The scenario with the numbers of every ``PATH=NUMBER``, in their order.

    Raises:
      ValueError: naming --set, on a path that is not there or there twice, or no number.
    """
    for path, value in _assignments("--set", entries, "PATH=NUMBER").items():
        exact = resolve(scenario, path, "--set")
        scenario = with_numbers(scenario, dict.fromkeys(exact, _number("--set", path, value)))
    return scenario


def to_over(scenario: Scenario, entries: Sequence[str], set_entries: Sequence[str]) -> dict[str, list[float]]:
    """The grid of every ``PATH=NUMBER,NUMBER,...``.

    Raises:
      ValueError: naming --over, where :func:`grid.parse` does, or a path is there twice; naming --set, where
        it has no effect, because all that it sets is swept.
    """
    over = {
        path: [_number("--over", path, value) for value in values.split(",")]
        for path, values in _assignments("--over", entries, "PATH=NUMBER,NUMBER,...").items()
    }
    swept = _paths(parse(scenario, over, "--over"))
    for path in _assignments("--set", set_entries, "PATH=NUMBER"):
        if swept.issuperset(resolve(scenario, path, "--set")):
            raise ValueError(f"--set names {path!r}, which --over sweeps: --set has no effect. Leave one out.")
    return over


def check_outputs(out: Path | None, log_json: Path | None = None) -> None:
    """Finds out before training whether the files can be written.

    Raises:
      ValueError: where two of them are one, naming the flags.
      OSError: where one cannot be written, naming the flag.
    """
    files: dict[str, Path | None] = {"--log-json": log_json, "--out": out}
    if out is not None:
        if out.suffix.lower() == ".png":
            raise ValueError(f"--out is {out}, the name of a picture; name the results, such as {out.stem}.nc.")
        if not out.suffix:
            raise ValueError(f"--out is {out}; give the name an ending, such as {out.name}.nc.")
        files["the figure of --out"] = picture(out)
        files["what is written beside --out"] = beside(out)
    taken: dict[Path, str] = {}
    for name, path in files.items():
        if path is not None:
            check_writable(name, path, appends=name == "--log-json")
            if (other := taken.setdefault(path.resolve(), name)) != name:
                raise ValueError(f"{name} is {path}, and so is {other}; they must be two files.")


def picture(out: Path) -> Path:
    """Where the figure of results goes: no two results share one."""
    return out.with_suffix(".png") if out.suffix == ".nc" else out.with_name(f"{out.name}.png")


def _paths(grid: Grid) -> set[str]:
    return {path for axis in grid.axes for paths in axis.paths for path in paths}


def _assignments(flag: str, entries: Sequence[str], form: str) -> Mapping[str, str]:
    """What stands before and behind the first "=" of every entry."""
    found: dict[str, str] = {}
    for entry in entries:
        path, equals, value = entry.partition("=")
        if not equals:
            raise ValueError(f"{flag} has {entry!r}; it must be {form}, e.g. attack.amplify=10.")
        if path in found:
            raise ValueError(f"{flag} names {path!r} twice, with {found[path]} and with {value}; give it once.")
        found[path] = value
    return found


def _number(flag: str, path: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{flag} has '{path}={text}'; it must be PATH=NUMBER, e.g. attack.amplify=10.") from None

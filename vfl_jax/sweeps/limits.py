"""How much memory a process may still take on this machine: by the machine, its container, its shell and Slurm."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")
"""Where the files of Linux lie."""

GROUP_FILES = {
    "cgroup2": (("memory.max", "memory.high"), "memory.current", "inactive_file"),
    "cgroup": (("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file"),
}
"""By version of cgroups: the files with limits, the file with what a group uses, and in its ``memory.stat`` the files
that Linux has in memory but lets go of when it needs room."""

SLURM = (
    ("SLURM_MEM_PER_NODE", None),
    ("SLURM_MEM_PER_CPU", "SLURM_CPUS_ON_NODE"),
    ("SLURM_MEM_PER_GPU", "SLURM_GPUS_ON_NODE"),
)
"""What Slurm says it granted on a node, in MiB, and how many times; 0 MiB stands for all memory."""


def free_on_host() -> int:
    """Returns the bytes that this process may still take, at least 0: the least that any limit leaves."""
    import psutil

    own = psutil.Process().memory_info()
    left = [psutil.virtual_memory().available, *_left_by_groups(own.rss), *_left_by_slurm(own.rss)]
    return max(0, min([*left, *_left_by_shell(own.vms)]))


def _left_by_groups(used: int) -> Iterator[int]:
    """What every group of processes leaves that this process is in, up to the outermost; a group may be nested."""
    for kind, point, inside in _memory_groups():
        limits, usage, released = GROUP_FILES[kind]
        for group in (point / inside, *(point / inside).parents):
            found = [limit for name in limits if (limit := _number(group / name)) is not None]
            if found:
                taken = _number(group / usage)
                taken = used if taken is None else max(0, taken - _in_stat(group, released))
                yield min(found) - taken
            if group == point:
                break


def _memory_groups() -> Iterator[tuple[str, Path, str]]:
    """Where this process is in every hierarchy that limits memory: (version, mount point, path below it)."""
    paths: dict[str, str] = {}  # by version
    for line in _lines(ROOT / "proc/self/cgroup"):
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            paths["cgroup2"] = path
        elif "memory" in controllers.split(","):
            paths["cgroup"] = path
    for line in _lines(ROOT / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        (_, _, _, root, point, *_), (kind, *_, options) = before.split(" "), after.split(" ")
        if kind in paths and (kind == "cgroup2" or "memory" in options.split(",")):
            # A container may see a part of the hierarchy: the mount's root then begins the path, or has nothing of it.
            path = paths[kind]
            below = path.removeprefix(root) if root != "/" and path.startswith(root) else path
            place = ROOT / point.lstrip("/")
            yield kind, place, below.strip("/") if (place / below.strip("/")).is_dir() else ""


def _left_by_shell(mapped: int) -> Iterator[int]:
    """What ``ulimit -v`` leaves, which bounds addresses, not what is in memory."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and sys.platform == "linux":
        yield limit - mapped


def _left_by_slurm(used: int) -> Iterator[int]:
    """What Slurm's grant leaves on this node, whether or not Slurm enforces it."""
    for per_unit, units in SLURM:
        size, times = os.environ.get(per_unit, ""), os.environ.get(units, "") if units else "1"
        if size.isdigit() and times.isdigit() and int(size):
            yield int(size) * int(times) * 2**20 - used


def _number(path: Path) -> int | None:
    """The number in a file; None where there is no file, or a word such as "max"."""
    text = "".join(_lines(path)).strip()
    return int(text) if text.isdigit() else None


def _in_stat(group: Path, name: str) -> int:
    """An entry of a group's ``memory.stat``, 0 where it has none."""
    found = dict(line.split() for line in _lines(group / "memory.stat"))
    return int(found.get(name, 0))


def _lines(path: Path) -> list[str]:
    """The lines of a file of Linux; none where it is not there, or may not be read."""
    try:
        return path.read_text().splitlines()
    except OSError:
        return []

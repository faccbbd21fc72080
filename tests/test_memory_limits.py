"""Memory that is really free: the least that the machine, nested groups of processes, the shell or Slurm leave."""

import resource
import subprocess
import sys

import jax
import psutil
import pytest

from vfl_jax.sweeps import devices, limits

GIB = 2**30
VERSION_2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
VERSION_1 = (
    "31 30 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n32 30 0:28 {root} /sys/fs/cgroup/memory rw - cgroup "
    "cgroup rw,memory\n"
)


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """A machine of 100 GiB without a limit; returns what writes its files."""
    monkeypatch.setattr(limits, "ROOT", tmp_path)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 100 * GIB}))
    for name in [name for pair in limits.SLURM for name in pair if name]:
        monkeypatch.delenv(name, raising=False)

    def write(**files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n" if isinstance(text, int) else text)

    return lambda files: write(**files)


def test_without_a_limit_it_is_what_the_machine_has():
    assert limits.free_on_host() == 100 * GIB


def test_the_smallest_limit_along_nested_groups_counts(machine):
    """The outer group leaves 2 GiB, the inner one 3: its own limit is smaller, but others use the outer one."""
    group = "sys/fs/cgroup/job/step"
    machine(
        {
            "proc/self/cgroup": "1:name=systemd:/x\n0::/job/step\n",
            "proc/self/mountinfo": VERSION_2,
            f"{group}/memory.max": 4 * GIB,
            f"{group}/memory.high": "max\n",
            f"{group}/memory.current": GIB,
            "sys/fs/cgroup/job/memory.max": 10 * GIB,
            "sys/fs/cgroup/job/memory.current": 9 * GIB,
            "sys/fs/cgroup/job/memory.stat": f"anon {5 * GIB}\ninactive_file {GIB}\n",
        }
    )
    assert limits.free_on_host() == 2 * GIB  # 10 − (9 − 1): Linux lets go of files
    machine({f"{group}/memory.high": 2 * GIB})
    assert limits.free_on_host() == GIB
    machine({f"{group}/memory.current": 3 * GIB})
    assert limits.free_on_host() == 0


@pytest.mark.parametrize("root", ["/", "/docker/1f", "/elsewhere"])
def test_groups_of_the_first_version(machine, root):
    """Seen from outside, from a container that sees its own part, and from one whose path is nowhere."""
    below = "docker/1f/" if root == "/" else ""
    machine(
        {
            "proc/self/cgroup": "4:memory,hugetlb:/docker/1f\n3:cpu:/docker/1f\n",
            "proc/self/mountinfo": VERSION_1.format(root=root),
            f"sys/fs/cgroup/memory/{below}memory.limit_in_bytes": 6 * GIB,
            f"sys/fs/cgroup/memory/{below}memory.usage_in_bytes": 2 * GIB,
            f"sys/fs/cgroup/memory/{below}memory.stat": f"inactive_file 7\ntotal_inactive_file {GIB}\n",
        }
    )
    assert limits.free_on_host() == 5 * GIB
    machine({"sys/fs/cgroup/memory/memory.limit_in_bytes": 9223372036854771712, "sys/fs/cgroup/memory/memory.stat": ""})
    assert limits.free_on_host() == (5 * GIB if below else 100 * GIB)


@pytest.mark.parametrize(
    ("granted", "expected"),
    [
        ({"SLURM_MEM_PER_NODE": "8192"}, 8),
        ({"SLURM_MEM_PER_CPU": "2048", "SLURM_CPUS_ON_NODE": "3"}, 6),
        ({"SLURM_MEM_PER_GPU": "4096", "SLURM_GPUS_ON_NODE": "2"}, 8),
        ({"SLURM_MEM_PER_NODE": "0"}, 100),
        ({"SLURM_MEM_PER_CPU": "2048"}, 100),
        ({"SLURM_MEM_PER_NODE": "8G"}, 100),
    ],
)
def test_slurm_says_what_it_granted(monkeypatch, granted, expected):
    for name, value in granted.items():
        monkeypatch.setenv(name, value)
    own = psutil.Process().memory_info().rss if expected < 100 else 0
    assert limits.free_on_host() == pytest.approx(expected * GIB - own, rel=0.01)


SHELL = """
import psutil, resource
from vfl_jax.sweeps import limits
free = limits.free_on_host()
limit = psutil.Process().memory_info().vms + 2**28
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
print(free, limits.free_on_host())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the limit of addresses is none of memory")
def test_ulimit_bounds_it():
    """A quarter of a GiB of addresses more; in a process of its own, because nobody may lift the limit again."""
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
    said = subprocess.run([sys.executable, "-c", SHELL], capture_output=True, text=True, check=True).stdout
    before, after = map(int, said.split())
    assert after <= 2**28 < before


def test_devices_of_a_processor_share_its_memory():
    class Two:
        local_devices = jax.local_devices()[:1] * 2

    assert devices.free_memory(Two) == 50 * GIB


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"bytes_limit": 9, "bytes_in_use": 2}, 7),
        ({"bytes_limit": 9}, 9),
        (None, devices.UNKNOWN),
        ({"bytes_in_use": 2}, devices.UNKNOWN),
    ],
)
def test_a_device_may_not_say_how_much_it_has(said, expected):
    class Device:
        platform = "tpu"

        def memory_stats(self):
            return said

    class One:
        local_devices = (Device(),)

    assert devices.free_memory(One) == expected

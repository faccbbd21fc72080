"""Compiles programs for an NVIDIA GPU on a machine that has none, and counts what their loops launch.

XLA compiles for a GPU that is only described. Its packages lie in a folder of their own, never in the environment:
there JAX would look for a GPU in every run. What is compiled so cannot be run. XLA chooses matrix kernels by trying
them on the GPU, which it cannot here, so a real GPU gets others; the number of launches is close.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import re
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

PACKAGES = (
    f"jax-cuda13-pjrt=={jax.__version__}",
    f"jax-cuda13-plugin=={jax.__version__}",
    "nvidia-cuda-nvcc==13.0.88",
    "nvidia-nvvm==13.0.88",
)
H200 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32
  shared_memory_per_block: 49152 shared_memory_per_core: 233472 shared_memory_per_block_optin: 232448
  threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: 4800000000000 l2_cache_size: 52428800 clock_rate_ghz: 1.98 device_memory_size: 150000000000
  cuda_compute_capability { major: 9 } registers_per_core_limit: 65536 registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 7 }
runtime_version { major: 13 minor: 0 patch: 0 }
device_description_str: "NVIDIA H200"
"""
LAUNCHED = {
    "copy", "custom-call", "dot", "dynamic-update-slice", "fusion", "gather", "reduce", "rng-bit-generator", "scatter",
    "sort",
}  # fmt: skip
"""The instructions of a compiled program that a GPU launches as a kernel."""


@dataclasses.dataclass(frozen=True)
class Loop:
    """One loop of a compiled program.

    Args:
      turns: how often its body runs; 1 where the program does not say.
      kernels: what one turn launches, "kind, shape, origin", but for the loops in it.
      inner: the loops in its body.
    """

    turns: int
    kernels: tuple[str, ...]
    inner: tuple[Loop, ...]

    @property
    def launches(self) -> int:
        """What one turn launches, with all turns of the loops in it."""
        return len(self.kernels) + sum(loop.turns * loop.launches for loop in self.inner)


def find_compiler(folder: Path) -> None:
    """Lets JAX find the compiler's packages; call it before the first array is made.

    Args:
      folder: where the packages were installed.

    Raises:
      SystemExit: where they are not there, with the line that installs them.
    """
    cuda = folder / "nvidia" / "cu13"
    if not (folder / "jax_plugins").is_dir() or not cuda.is_dir():
        raise SystemExit(
            f"error: --compiler is {folder}; the compiler for GPUs is not there. Install it (it needs no GPU):\n"
            f"  {sys.executable} -m pip install --no-deps --target {folder} {' '.join(PACKAGES)}"
        )
    sys.path.append(str(folder))
    os.environ["JAX_SKIP_CUDA_CONSTRAINTS_CHECK"] = "1"  # cuDNN and its like are not needed to compile
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    flags = f"--xla_gpu_autotune_level=0 --xla_gpu_cuda_data_dir={cuda}"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()
    jax.config.update("jax_platforms", "cpu")


def gpu_mesh() -> jax.sharding.Mesh:
    """Returns a mesh of one described GPU; programs laid over it can be compiled, not run."""
    from jax.experimental import topologies

    topology = topologies.get_topology_desc(platform="cuda", target_config=H200, topology="1x1x1")
    return jax.sharding.Mesh(np.array(topology.devices).reshape(1), ("seed",))


def shapes_on(mesh: jax.sharding.Mesh, tree: Any) -> Any:
    """Returns the arrays of a tree as shapes that lie on the devices of a mesh."""
    whole = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=whole), tree)


def loops(program: str) -> list[Loop]:
    """Returns the outermost loops of a compiled program, the one that launches most first.

    Args:
      program: the optimized HLO.
    """
    computations = instructions(program)
    entry = next(name for name in computations if name.startswith("ENTRY "))
    return sorted(_loops(computations, entry), key=lambda loop: -loop.turns * loop.launches)


def instructions(program: str) -> dict[str, list[str]]:
    """Returns the instructions of every computation by its name; that of the entry begins with "ENTRY "."""
    found: dict[str, list[str]] = collections.defaultdict(list)
    name = None
    for line in program.splitlines():
        if head := re.match(r"^(ENTRY )?%?([\w.\-]+) \(.*\) -> .* \{$", line):
            name = (head[1] or "") + head[2]
        elif line.startswith("}"):
            name = None
        elif name:
            found[name].append(line)
    return found


def _loops(computations: dict[str, list[str]], where: str) -> list[Loop]:
    """Returns the loops in one computation."""
    found = []
    for line in computations[where]:
        if " while(" not in line:
            continue
        (body,) = re.findall(r"body=%?([\w.\-]+)", line)
        turns = re.findall(r'known_trip_count":\{"n":"(\d+)"', line)
        kernels = tuple(kernel for inner in computations[body] if (kernel := _kernel(inner)))
        found.append(Loop(int(turns[0]) if turns else 1, kernels, tuple(_loops(computations, body))))
    return found


def _kernel(line: str) -> str | None:
    """Returns "kind, shape, origin" of an instruction that is launched; None of another one."""
    found = re.match(r"\s*(?:ROOT )?%?[\w.\-]+ = (\(.*?\)|\S+) ([\w\-]+)\(", line)
    if not found or found[2] not in LAUNCHED:
        return None
    origin = re.findall(r'op_name="([^"]*)"', line)
    return f"{found[2]:12} {found[1][:48]:48} {origin[0][-80:] if origin else ''}"

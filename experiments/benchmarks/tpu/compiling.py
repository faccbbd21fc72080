"""Compiles the programs of a chunk for devices that this machine does not have."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator
from importlib.metadata import version
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vfl_jax.sweeps import memory, programs
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.layout import lay_out
from vfl_jax.sweeps.prepared import prepare
from vfl_jax.sweeps.study import Study

TOPOLOGY = "v5e:2x2"
"""Four chips of one machine; their memory is 16 GiB each."""
MISSING = "error: libtpu, the compiler for a TPU, is missing; install the extra: pip install 'vfl_jax[tpu]'."


def versions() -> str:
    """What compiles: the versions of JAX and of the compiler."""
    return f"jax {jax.__version__}, libtpu {version('libtpu')}"


class Program(NamedTuple):
    """A program that training calls, lowered for the described devices.

    Args:
      name: "epoch", "first pass", "second pass" or "on_epoch", of which there may be several with numbers.
      lowered: what can be compiled.
      digest: equal for equal programs.
    """

    name: str
    lowered: Any
    digest: str


def described(count: int) -> list[Any]:
    """The first ``count`` of the described chips.

    Raises:
      SystemExit: in one line, where the compiler is missing.
    """
    # Otherwise it asks the cloud which machine this is and waits for an answer, and takes the machine for itself.
    os.environ |= {"TPU_SKIP_MDS_QUERY": "1", "TPU_WORKER_HOSTNAMES": "localhost", "ALLOW_MULTIPLE_LIBTPU_LOAD": "1"}
    try:
        import libtpu  # noqa: F401
    except ImportError as error:
        raise SystemExit(MISSING) from error
    from jax.experimental import topologies

    return topologies.get_topology_desc(TOPOLOGY, platform="tpu").devices[:count]


def lowered(study: Study, chunk: Chunk, num_devices: int, kinds: Collection[str]) -> Iterator[Program]:
    """Yields the programs of some kinds that train a chunk on so many chips.

    Args:
      study: what would be trained.
      chunk: the grid points and seeds.
      num_devices: the number of chips, which share the seeds.
      kinds: of ``NAMES``.
    """
    mesh = Mesh(np.array(described(num_devices)), ("seed",))
    ready = prepare(study, chunk)

    def laid(tree: Any, *axes: str) -> Any:
        sharding = NamedSharding(mesh, PartitionSpec(*axes))
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree)

    layout = lay_out(mesh, len(ready.arguments.draws.poison_rank), len(chunk.points))
    names: dict[str, int] = {}
    for program, arguments in memory.programs_of(ready, ready.state_shapes()):
        if program not in NAMES or (name := NAMES[program]) not in kinds:
            continue
        shapes, _, inputs, scenario, draws, state, *more = arguments
        names[name] = names.get(name, 0) + 1
        arrays = laid(inputs), laid(scenario), laid(draws, "seed"), laid(state, "seed")
        rest = [laid(each) if isinstance(each, jax.Array) else each for each in more]
        lower = program.trace(shapes, layout, *arrays, *rest).lower(lowering_platforms=("tpu",))
        digest = hashlib.sha256(lower.as_text().encode()).hexdigest()[:16]
        yield Program(name if names[name] == 1 else f"{name} {names[name]}", lower, digest)


NAMES = {
    programs.train_epoch: "epoch",
    programs.evaluate: "first pass",
    programs.attack_all: "second pass",
    programs.between_epochs: "on_epoch",
}
"""What the table calls a program."""


def compiled(program: Program) -> dict[str, Any]:
    """What the compiler says of a program: bytes on each chip, or the first line of its refusal.

    Args:
      program: the program.
    """
    try:
        used = program.lowered.compile().memory_analysis()
    except jax.errors.JaxRuntimeError as error:
        return {"error": str(error).strip().splitlines()[0][:300]}
    return {
        "arguments": used.argument_size_in_bytes,
        "results": used.output_size_in_bytes - used.alias_size_in_bytes,
        "working": used.temp_size_in_bytes,
        "code": used.generated_code_size_in_bytes,
    }

"""vfl_jax in the benchmark: a chunk ready to be timed, one replica unmapped, one party alone, and the roof."""

from __future__ import annotations

import functools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.protocol import local
from vfl_jax.replica import initial, phases
from vfl_jax.replica.draws import draw
from vfl_jax.sweeps import programs
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.devices import mesh_for, replicate
from vfl_jax.sweeps.grid import stack
from vfl_jax.sweeps.prepared import prepare
from vfl_jax.sweeps.study import Study


class Mapped:
    """The replicas of a chunk, trained together."""

    def __init__(self, study: Study, chunk: Chunk) -> None:
        self.ready = prepare(study, chunk)
        self.replicas, self.epoch = chunk.num_replicas, 0
        self.arguments = self.ready.arguments
        self.state = jax.block_until_ready(self.ready.initial_state())
        self.initial = jax.device_get(self.state)
        self.num_steps = study.data.train.num_samples // study.scenario.batches.size

    def compile(self) -> float:
        """Seconds to compile an epoch and an evaluation, which later calls then find compiled."""
        started = time.perf_counter()
        for program, arguments in (
            (programs.train_epoch, (*self.arguments, self.state)),
            (programs.evaluate, self.ready.evaluated(self.state)),
        ):
            program.lower(*arguments, jnp.int32(0)).compile()
        return time.perf_counter() - started

    def train(self) -> tuple[float, np.ndarray]:
        """One epoch: µs per replica and step, and the epoch's losses, [S, G]."""
        started = time.perf_counter()
        self.state, metrics, _ = programs.train_epoch(*self.arguments, self.state, jnp.int32(self.epoch))
        jax.block_until_ready(self.state)
        seconds = time.perf_counter() - started
        self.epoch += 1
        loss = metrics["loss"]
        return seconds / self.num_steps / self.replicas * 1e6, np.asarray(loss.sum) / self.num_steps

    def evaluate(self) -> float:
        """µs per replica and test row."""
        started = time.perf_counter()
        jax.block_until_ready(programs.evaluate(*self.ready.evaluated(self.state), jnp.int32(0)))
        rows = self.arguments.inputs.test_ids.size
        return (time.perf_counter() - started) / rows / self.replicas * 1e6


class Unmapped:
    """One replica: the same step, compiled without ``vmap``."""

    def __init__(self, study: Study, point: dict[str, float]) -> None:
        self.shapes, inputs = study.scenario.shapes(study.data), study.inputs
        numbers = jax.tree.map(lambda leaf: jnp.asarray(leaf).reshape(()), stack(study.scenario, (point,)))
        draws = jax.tree.map(jnp.asarray, draw(study.scenario, study.data, jax.random.key(0)))
        self.inputs = inputs, numbers, draws
        self.state = jax.jit(initial.init, static_argnames="shapes")(self.shapes, *self.inputs)
        self.program = jax.jit(phases.train_epoch, static_argnames="shapes", donate_argnames="state")
        self.num_steps, self.epoch = study.data.train.num_samples // study.scenario.batches.size, 0
        self.train()

    def train(self) -> float:
        """µs per step."""
        started = time.perf_counter()
        self.state, *_ = self.program(self.shapes, *self.inputs, state=self.state, epoch=jnp.int32(self.epoch))
        jax.block_until_ready(self.state)
        self.epoch += 1
        return (time.perf_counter() - started) / self.num_steps * 1e6


def roof(size: int = 4096) -> float:
    """GFLOP/s of all devices together, each with a product of two ``size`` × ``size`` matrices of its own."""
    mesh = mesh_for(len(jax.devices()))
    ones = jnp.ones((mesh.size, size, size), jnp.float32)
    product = _on_all(mesh, lambda a: a[0] @ a[0])
    jax.block_until_ready(product(ones))
    started = time.perf_counter()
    jax.block_until_ready(product(ones))
    return mesh.size * 2 * size**3 / (time.perf_counter() - started) / 1e9


class DenseParty:
    """A dense party alone on every device: forward pass, way back and update at G grid points, T batches in turn."""

    def __init__(self, study: Study, party: int, grid_size: int, steps: int = 300) -> None:
        mesh = mesh_for(len(jax.devices()))
        bottom, optimizer = study.scenario.bottoms[party], study.scenario.optimizers[party]
        features = study.data.train.features[party]
        size, num_features = study.scenario.batches.size, features.shape[1]
        num_batches = min(steps, len(features) // size)
        batches = np.asarray(features[: num_batches * size]).reshape(num_batches, size, num_features)
        params = bottom.init(jax.random.key(0), batches[0])
        grid_axes = jax.tree.map(lambda leaf: leaf.ndim - 1, params)
        widened = jax.tree.map(lambda leaf, axis: jnp.stack([leaf] * grid_size, axis), params, grid_axes)
        gradient = jnp.full((size, bottom.width), 1e-3)

        def step(params: Any, batch: Any) -> tuple[Any, None]:
            def one(params: Any) -> Any:
                _, _, pullback = local.forward(bottom, params, {}, jax.random.key(0), batch, False)
                return local.update(
                    optimizer, study.scenario.regularizer, jnp.int32(0), pullback(gradient), params,
                    optimizer.build(jnp.int32(0)).init(params),
                )[0]  # fmt: skip

            return jax.vmap(one, (grid_axes,), grid_axes)(params), None

        def train(params: Any, batches: Any) -> Any:
            return jax.lax.scan(step, jax.tree.map(lambda leaf: leaf[0], params), batches)[0]

        self.program = jax.jit(
            jax.shard_map(
                lambda params, batches: jax.tree.map(lambda leaf: leaf[None], train(params, batches)),
                mesh=mesh,
                in_specs=(jax.P("seed"), jax.P()),
                out_specs=jax.P("seed"),
                check_vma=False,
            )
        )
        self.inputs = jax.tree.map(lambda leaf: jnp.stack([leaf] * mesh.size), widened), replicate(batches, mesh)
        # Two products, forward and for the kernel's gradient, of two operations each.
        self.operations = mesh.size * len(batches) * grid_size * 2 * 2 * size * num_features * bottom.width
        jax.block_until_ready(self.program(*self.inputs))

    def rate(self) -> float:
        """GFLOP/s of all devices together."""
        started = time.perf_counter()
        jax.block_until_ready(self.program(*self.inputs))
        return self.operations / (time.perf_counter() - started) / 1e9


def _on_all(mesh: Any, function: Any) -> Any:
    """A function of each device's part of a leading axis."""

    @functools.partial(jax.shard_map, mesh=mesh, in_specs=jax.P("seed"), out_specs=jax.P("seed"), check_vma=False)
    def on_device(part: Any) -> Any:
        return function(part)[None]

    return jax.jit(on_device)

"""The benchmark cases in PyTorch with all replicas at once: ``torch.func.vmap`` of one replica's step."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.func import grad_and_value, vjp, vmap

from experiments.benchmarks.eager import Batch, batches_of, dense, loss_of, place_of, quantile, sparsified
from experiments.benchmarks.problem import LEARNING_RATE, Case, Problem

Params: TypeAlias = tuple[list[Tensor], list[Tensor], list[Tensor]]
"""Kernels and biases of party 0, of party 1 and of the head."""
Stepped: TypeAlias = tuple[Tensor, Params, Tensor]
"""Loss, gradient, the attacker's newly recorded row."""
Axes: TypeAlias = tuple[int, int | list[int], int]
NO_TABLE: Axes = 0, 0, 0
WITH_TABLE: Axes = 0, [1, 0], 0
"""Where ``Params`` have the replica axis; a table has it second."""


class Batched:
    """R replicas, their parameters and batches at hand; every ``run`` trains on from where the last one ended.

    Replicas share batches and differ in parameters, numbers and noise. µs per step of B = 64 and replica of 80, with
    1 thread, medians on an AMD EPYC, torch 2.13. The first layer of "nus" at party 1 with its update: gathered rows of
    a table [tags, R, E], the update scattered by ``index_add_``, 37; of a table [R, tags, E] 73; differentiated to the
    whole table by ``embedding`` 100, by indexing 160; a dense layer on multi-hot rows 128 to 166; ``embedding_bag``,
    which vmap runs as a loop, 85. Two thirds of a step are matrix products, whichever way a layer is written.
    ``whole_table`` differentiates to the whole table by ``embedding`` and updates all of it, as is commonly written.
    ``compiled`` (needs a C++ compiler) takes a step from 151 to 106 in "mnist" and from 171 to 126 in "nus", after
    some seconds in the first steps up to those after the target row; plain autograd through vmapped forward passes
    149 and 157.
    """

    def __init__(
        self,
        problem: Problem,
        gammas: Sequence[float],
        stddevs: Sequence[float] | None = None,
        drop_rates: Sequence[float] | None = None,
        seed: int = 0,
        compiled: bool = False,
        whole_table: bool = False,
    ) -> None:
        first, second, head = ([torch.tensor(leaf) for leaf in layers] for layers in (*problem.bottoms, problem.head))
        self.shape = (len(gammas), problem.batch_size, second[-1].shape[-1])
        self.table: Tensor | None = None
        if problem.case == "nus":
            table = torch.cat([second[0], torch.zeros_like(second[0][:, :1])], dim=1)  # the last row is that of no tag
            if whole_table:
                second[0] = table
            else:
                del second[0]
                self.table = table.transpose(0, 1).contiguous()
        self.params: Params = first, second, head
        self.case, self.blur_stddev = problem.case, problem.blur_stddev
        self.batches = batches_of(problem, flat_tags=False)
        self.generator = torch.Generator(torch.get_default_device()).manual_seed(seed)
        self.recorded, self.is_seen = torch.zeros(self.shape[0], self.shape[2]), False
        self.numbers = {"gamma": torch.tensor(gammas, dtype=torch.float32)}
        if stddevs is not None:
            self.numbers["stddev"] = torch.tensor(stddevs, dtype=torch.float32)
        if drop_rates is not None:
            entries = self.shape[1] * self.shape[2]
            self.numbers["place"] = torch.tensor([place_of(rate, entries) for rate in drop_rates])
        self.num_steps = 0
        self.all_replicas = all_replicas
        if compiled:
            self.all_replicas = torch.compile(all_replicas, dynamic=False)
            torch._dynamo.config.recompile_limit = 64  # of all problems of a process together
            self.batches = [_apart(batch) for batch in self.batches]

    def run(self, steps: int) -> np.ndarray:
        """Trains for some steps; the loss of each, float32[R, steps]."""
        losses = []
        for _ in range(steps):
            losses.append(self._step(self.batches[self.num_steps % len(self.batches)]))
            self.num_steps += 1
        return torch.stack(losses, dim=1).cpu().numpy()

    def _step(self, batch: Batch) -> Tensor:
        is_blurred = self.case == "nus" or self.is_seen
        draws: dict[str, Tensor] = {}
        if "stddev" in self.numbers:
            draws |= {"first": self._normal(), "second": self._normal()}
        if self.blur_stddev:
            draws["blur"] = self.blur_stddev * self._normal()

        params, axes = self.params, NO_TABLE
        if self.table is not None:
            rows = self.table[batch.xs[1].flatten()]
            params, axes = (params[0], [rows, *params[1]], params[2]), WITH_TABLE
        inputs = params, self.recorded, self.numbers, draws
        loss, gradient, self.recorded = self.all_replicas(self.case, batch, is_blurred, axes, inputs)
        self.is_seen |= batch.target is not None

        if self.table is not None:
            self.table.index_add_(0, batch.xs[1].flatten(), gradient[1].pop(0), alpha=-LEARNING_RATE)
            self.table[-1] = 0.0
        for leaves, slopes in zip(self.params, gradient, strict=True):
            for leaf, slope in zip(leaves, slopes, strict=True):
                leaf.add_(slope, alpha=-LEARNING_RATE)
        return loss

    def _normal(self) -> Tensor:
        return torch.randn(self.shape, generator=self.generator)


def train(
    problem: Problem,
    gammas: Sequence[float],
    stddevs: Sequence[float] | None = None,
    drop_rates: Sequence[float] | None = None,
    steps: int = 1,
    seed: int = 0,
) -> np.ndarray:
    """The losses of all replicas, float32[R, steps]."""
    return Batched(problem, gammas, stddevs, drop_rates, seed).run(steps)


def all_replicas(case: Case, batch: Batch, is_blurred: bool, axes: Axes, inputs: tuple) -> Stepped:
    """``replica_step`` of every replica, on inputs with a replica axis."""
    step = functools.partial(replica_step, case, batch, is_blurred)
    return vmap(step, in_dims=(axes, 0, 0, 0), out_dims=(0, axes, 0))(*inputs)


def replica_step(
    case: Case,
    batch: Batch,
    is_blurred: bool,
    params: Params,
    recorded: Tensor,
    numbers: dict[str, Tensor],
    draws: dict[str, Tensor],
) -> Stepped:
    """One replica's loss, gradient and newly recorded row; in case "nus" party 1's table is the rows of the batch."""

    def embed(first: list[Tensor], second: list[Tensor]) -> tuple[Tensor, Tensor]:
        return dense(first, batch.xs[0]), dense(second, batch.xs[1]) if case == "mnist" else _bags(second, batch)

    (sent, received), pull_back = vjp(embed, params[0], params[1])
    if is_blurred:
        received = torch.where(batch.is_poison, draws.get("blur", 0.0), received)
    active = functools.partial(loss_of, case, labels=batch.labels)
    (head_gradient, *messages), loss = grad_and_value(active, argnums=(0, 1, 2))(params[2], sent, received)
    if "stddev" in numbers:
        pairs = zip(messages, (draws["first"], draws["second"]), strict=True)
        messages = [message + numbers["stddev"] * noise for message, noise in pairs]
    if "place" in numbers:
        place = numbers["place"][None]
        messages = [sparsified(message, _quantiles(message.abs().view(1, -1), place)) for message in messages]
    if batch.target is not None:
        recorded = messages[1][batch.target]
    messages[1] = torch.where(batch.is_poison, numbers["gamma"] * recorded, messages[1])
    return loss, (*pull_back(tuple(messages)), head_gradient), recorded


def _bags(layers: list[Tensor], batch: Batch) -> Tensor:
    """The first layer on tags: the sum of each row's tags, gathered as [B · tags, E], or from the whole table."""
    rows, bias = layers
    if len(rows) == batch.xs[1].numel():
        rows = rows.view(*batch.xs[1].shape, -1)
    else:
        rows = torch.nn.functional.embedding(batch.xs[1], rows, padding_idx=len(rows) - 1)
    return torch.relu(rows.sum(1) + bias)


def _apart(batch: Batch) -> Batch:
    """The batch in memory of its own: slices of one array would each be compiled for."""
    first, second = batch.xs
    return batch._replace(
        xs=(first.clone(), second.clone()), labels=batch.labels.clone(), is_poison=batch.is_poison.clone()
    )


@torch.library.custom_op("vfl_jax::quantiles", mutates_args=())
def _quantiles(sizes: Tensor, places: Tensor) -> Tensor:
    """``quantile`` of each row, float32[rows, n], at its own place, float32[rows].

    vmap and the compiler know no order statistic at a place that differs by replica but a full sort's. µs for 2048
    entries of each of 80 replicas: rows in turn 34, bisection by counting 51, ``torch.sort`` 109.
    """
    return torch.stack([quantile(row, place) for row, place in zip(sizes, places.tolist(), strict=True)])


@_quantiles.register_fake
def _(sizes, places):
    return torch.empty_like(places)


@_quantiles.register_vmap
def _(info, in_dims, sizes, places):
    sizes, places = sizes.movedim(in_dims[0], 0), places.movedim(in_dims[1], 0)
    return _quantiles(sizes.flatten(0, 1), places.flatten()).view(places.shape), 0

"""The benchmark cases as a plain PyTorch eager loop, one replica at a time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from experiments.benchmarks.problem import LEARNING_RATE, NUM_TAGS, Case, Layers, Problem

CLIP = 1e-7


class Batch(NamedTuple):
    """The rows of one step, cut before the clock starts."""

    xs: tuple[Tensor, Tensor]  # of both parties; the second's tags are int64[·] or int64[B, 6]
    starts: Tensor | None  # int64[B]  where each row's tags start, if they are int64[·]
    labels: Tensor  # int64[B]
    is_poison: Tensor  # bool[B, 1]
    target: int | None  # the target row's place in the batch


class Eager:
    """One replica, its parameters and batches at hand; every ``run`` trains on from where the last one ended.

    µs per step of B = 64 with 1 thread, medians of 5 × 200 steps on an AMD EPYC, torch 2.13: the tags of "nus" by
    ``embedding_bag`` with sparse gradients 501, with dense ones 524, as a dense layer on multi-hot rows 533, and as
    gathered rows with the update scattered by hand 513. ``addmm`` 432 in "mnist", ``x @ w + b`` 446, ``linear`` 450.
    ``torch.optim.SGD`` costs 11 more than adding the gradients.
    """

    def __init__(
        self, problem: Problem, gamma: float, stddev: float | None = None, drop_rate: float | None = None, seed: int = 0
    ) -> None:
        self.case, self.blur_stddev = problem.case, problem.blur_stddev
        self.gamma, self.stddev, self.drop_rate = gamma, stddev, drop_rate
        self.bottoms = tuple(_leaves(party) for party in problem.bottoms)
        self.head = _leaves(problem.head)
        self.batches = batches_of(problem, flat_tags=True)
        self.generator = torch.Generator(torch.get_default_device()).manual_seed(seed)
        self.recorded, self.is_seen = torch.zeros(problem.bottoms[1][-1].shape), False
        self.num_steps = 0

    def run(self, steps: int) -> np.ndarray:
        """Trains for some steps; the loss of each, float32[steps]."""
        losses = []
        for _ in range(steps):
            losses.append(self._step(self.batches[self.num_steps % len(self.batches)]))
            self.num_steps += 1
        return torch.stack(losses).cpu().numpy()

    def _step(self, batch: Batch) -> Tensor:
        embeddings = [dense(self.bottoms[0], batch.xs[0]), self._second(batch)]
        sent = [embedding.detach() for embedding in embeddings]
        if self.case == "nus" or self.is_seen:
            sent[1] = torch.where(batch.is_poison, self._blur(sent[1]), sent[1])
        received = [message.requires_grad_() for message in sent]
        loss = loss_of(self.case, self.head, received[0], received[1], labels=batch.labels)
        first, second, *head_gradient = torch.autograd.grad(loss, [*received, *self.head])
        first, second = self._defended(first), self._defended(second)
        if batch.target is not None:
            self.recorded, self.is_seen = second[batch.target], True
        second = torch.where(batch.is_poison, self.gamma * self.recorded, second)
        params = [*self.bottoms[0], *self.bottoms[1]]
        gradient = torch.autograd.grad(embeddings, params, [first, second])
        with torch.no_grad():
            for leaf, slope in zip([*params, *self.head], [*gradient, *head_gradient], strict=True):
                leaf.add_(slope, alpha=-LEARNING_RATE)
        return loss.detach()

    def _second(self, batch: Batch) -> Tensor:
        """The attacker's embedding."""
        if batch.starts is None:
            return dense(self.bottoms[1], batch.xs[1])
        table, bias = self.bottoms[1]
        bags = functional.embedding_bag(batch.xs[1], table, batch.starts, mode="sum", sparse=True)
        return torch.relu(bags + bias)

    def _blur(self, embedding: Tensor) -> Tensor | float:
        return self.blur_stddev * self._normal(embedding) if self.blur_stddev else 0.0

    def _defended(self, message: Tensor) -> Tensor:
        if self.stddev is not None:
            message = message + self.stddev * self._normal(message)
        if self.drop_rate is not None:
            message = sparsified(message, quantile(message.abs(), place_of(self.drop_rate, message.numel())))
        return message

    def _normal(self, like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=self.generator)


def train(
    problem: Problem,
    gamma: float,
    stddev: float | None = None,
    drop_rate: float | None = None,
    steps: int = 1,
    seed: int = 0,
) -> np.ndarray:
    """The losses of one replica, float32[steps]."""
    return Eager(problem, gamma, stddev, drop_rate, seed).run(steps)


def dense(layers: list[Tensor], x: Tensor) -> Tensor:
    """Dense layers with ReLU after each."""
    for kernel, bias in zip(layers[::2], layers[1::2], strict=True):
        x = torch.relu(torch.addmm(bias, x, kernel))
    return x


def loss_of(case: Case, head: list[Tensor], first: Tensor, second: Tensor, *, labels: Tensor) -> Tensor:
    """The batch loss of the received embeddings."""
    if case == "mnist":
        probabilities = torch.softmax(first + second, dim=-1).clamp(CLIP, 1 - CLIP)
        return functional.nll_loss(torch.log(probabilities), labels)
    hidden = dense(head[:2], torch.cat([first, second], dim=-1))
    return functional.cross_entropy(torch.addmm(head[3], hidden, head[2]), labels)


def place_of(drop_rate: float, entries: int) -> float:
    """Where a quantile lies in the order of so many entries, rounded as a float32."""
    return float(np.float32(drop_rate) * np.float32(entries - 1))


def quantile(sizes: Tensor, place: float) -> Tensor:
    """The linearly interpolated order statistic at a place: of the two around it, both among the largest.

    In a step of "nus" at 0.75, 77 µs per message; two ``kthvalue`` 94, ``torch.quantile`` 219, all on fresh numbers.
    """
    num_largest = sizes.numel() - int(place)
    largest = sizes.flatten().topk(num_largest, sorted=False).values
    around = largest.topk(min(2, num_largest), largest=False).values
    return torch.lerp(around[0], around[-1], place - int(place))


def sparsified(message: Tensor, threshold: Tensor) -> Tensor:
    """The entries at or above a size, zeros elsewhere."""
    return message.masked_fill(message.abs() < threshold, 0.0)


def _leaves(layers: Layers) -> list[Tensor]:
    return [torch.tensor(leaf).requires_grad_() for leaf in layers]


def batches_of(problem: Problem, flat_tags: bool) -> list[Batch]:
    """All batches of an epoch, in file order; tags as ids of all rows, one row after another, or all
    places of each row, with ``NUM_TAGS`` in those not used."""
    first, second, labels, is_poison = (
        # torch warns of read-only arrays
        torch.from_numpy(np.require(rows, requirements="W")).to(torch.get_default_device())
        for rows in (*problem.train, problem.labels, problem.is_poison)
    )
    batches = []
    for start in range(0, problem.steps_per_epoch * problem.batch_size, problem.batch_size):
        rows = slice(start, start + problem.batch_size)
        x, starts = second[rows], None
        if problem.case == "nus" and flat_tags:
            counts = (x >= 0).sum(1)
            x, starts = x[x >= 0], counts.cumsum(0) - counts
        elif problem.case == "nus":
            x = torch.where(x >= 0, x, NUM_TAGS)
        target = problem.target_row - start if rows.start <= problem.target_row < rows.stop else None
        batches.append(Batch((first[rows], x), starts, labels[rows], is_poison[rows, None], target))
    return batches

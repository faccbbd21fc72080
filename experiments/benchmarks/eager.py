"""The attacked MNIST run of preset ``liu2020_code`` (sum head) as a plain PyTorch eager loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional

CLIP = 1e-7
LEARNING_RATE = 0.01


def train(
    params: Any,
    train_rows: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    test_rows: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    is_poison: torch.Tensor,
    target_row: int,
    gamma: float,
    batch_size: int,
    epochs: int,
) -> list[dict[str, float]]:
    """Trains one replica, one step after another; returns the training loss and main accuracy of each epoch.

    Args:
      params: per party, (kernel, bias) of two dense layers, kernels [in, out].
      train_rows, test_rows: features of both parties, stamped already, and labels.
    """
    parties = [[torch.tensor(np.array(leaf), requires_grad=True) for leaf in party] for party in params]
    optimizers = [torch.optim.SGD(party, lr=LEARNING_RATE) for party in parties]
    recorded, is_seen = torch.zeros(10), False
    num_steps = len(train_rows[2]) // batch_size
    history = []
    for _ in range(epochs):
        losses = []
        for step in range(num_steps):
            rows = slice(step * batch_size, (step + 1) * batch_size)
            xs, labels, poison = (train_rows[0][rows], train_rows[1][rows]), train_rows[2][rows], is_poison[rows]
            embeddings = [_bottom(party, x) for party, x in zip(parties, xs, strict=True)]
            sent = [h.detach().clone().requires_grad_() for h in embeddings]
            received = [sent[0], torch.where(poison[:, None], 0.0, sent[1]) if is_seen else sent[1]]
            received = [h.detach().requires_grad_() for h in received]
            loss = _loss(received[0] + received[1], labels)
            loss.backward()
            messages = [received[0].grad, received[1].grad.clone()]
            if rows.start <= target_row < rows.stop:
                recorded, is_seen = messages[1][target_row - rows.start].clone(), True
            messages[1][poison] = gamma * recorded
            for optimizer, embedding, message in zip(optimizers, embeddings, messages, strict=True):
                optimizer.zero_grad()
                embedding.backward(message)
                optimizer.step()
            losses.append(loss.detach())
        with torch.no_grad():
            logits = _bottom(parties[0], test_rows[0]) + _bottom(parties[1], test_rows[1])
            accuracy = (logits.argmax(-1) == test_rows[2]).float().mean()
        history.append({"loss": float(torch.stack(losses).mean()), "main": float(accuracy)})
    return history


def _bottom(party: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    hidden = torch.relu(x @ party[0] + party[1])
    return torch.relu(hidden @ party[2] + party[3])


def _loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    probabilities = functional.softmax(logits, dim=-1).clamp(CLIP, 1 - CLIP)
    return functional.nll_loss(torch.log(probabilities), labels)

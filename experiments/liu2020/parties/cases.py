"""MNIST over 2, 4, 8 and 16 parties, the last of which attacks."""

from __future__ import annotations

import functools

from experiments.shared.cases import HEADS, Case
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.data import load_mnist
from vfl_jax.presets import HeadName, liu2020_code

NUMBERS = (2, 4, 8, 16)


def case_name(head: HeadName, num_parties: int) -> str:
    """Which case has so many parties under a head."""
    return f"{head}_{num_parties}"


def _load(num_parties: int) -> VerticalData:
    return load_mnist(num_parties=num_parties)


CASES = tuple(
    Case(
        name=case_name(head, num_parties),
        title=f"{num_parties} parties, {head} head",
        task="mnist",
        scenario=liu2020_code(head=head, num_parties=num_parties),
        load=functools.partial(_load, num_parties),
    )
    for head in HEADS
    for num_parties in NUMBERS
)

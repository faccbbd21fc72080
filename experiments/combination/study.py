"""Head × sparsification × noise on NUS-WIDE: does a combination block the backdoor and spare the main task?

What is left after sparsification gets the noise, so that all that is sent carries it.
"""

from __future__ import annotations

from experiments.cases import Case
from vfl_jax.defenses import GaussianNoise, Sparsification
from vfl_jax.grid import Over
from vfl_jax.presets import HeadName, liu2020_code
from vfl_jax.transforms import ActiveChain

HEADS: tuple[HeadName, ...] = ("trainable", "sum")
OVER: Over = {
    "attack.enabled": [0, 1],
    "defense.drop_rate": [0, 0.9, 0.99],
    "defense.stddev": [0, 0.01, 0.05],
}

CASES = tuple(
    Case(
        name=head,
        title=f"liu2020_code, nus_wide, {head} head",
        task="nus_wide",
        scenario=liu2020_code(head=head, task="nus_wide").replace(
            defense=ActiveChain(parts=(Sparsification(residual="position"), GaussianNoise()))
        ),
        over=OVER,
    )
    for head in HEADS
)

"""Head × sparsification × noise on NUS-WIDE: does a combination block the backdoor and spare the main task?

What is left after sparsification gets the noise, so that all that is sent carries it. Both presets get the same drop
rates and the same noise, whose level is a standard deviation here; the residual is each preset's own.
"""

from __future__ import annotations

import itertools

from experiments.shared.cases import PRESETS, RESIDUAL, Case
from vfl_jax.defenses import GaussianNoise, Sparsification
from vfl_jax.presets import HeadName
from vfl_jax.protocol.chains import ActiveChain
from vfl_jax.sweeps.grid import Over

HEADS: tuple[HeadName, ...] = ("trainable", "sum")
OVER: Over = {
    "attack.enabled": [0, 1],
    "defense.drop_rate": [0, 0.9, 0.99],
    "defense.stddev": [0, 0.01, 0.05],
}

CASES = tuple(
    Case(
        name=f"{preset}_{head}",
        title=f"{preset}, nus_wide, {head} head",
        task="nus_wide",
        scenario=PRESETS[preset](head=head, task="nus_wide").replace(
            defense=ActiveChain(parts=(Sparsification(residual=RESIDUAL[preset]), GaussianNoise()))
        ),
        over=OVER,
    )
    for preset, head in itertools.product(PRESETS, HEADS)
)

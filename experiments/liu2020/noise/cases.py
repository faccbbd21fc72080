"""Noise on the gradient messages, trainable head, NUS-WIDE: Figure 6.

The published run took a noise level for a standard deviation (of Laplacian noise: the scale), the text calls
the same numbers variances. Each preset has its own meaning.
"""

from __future__ import annotations

from experiments.shared.cases import PRESETS, Case
from vfl_jax.defenses import GaussianNoise, LaplaceNoise

LEVELS = (0, 1e-4, 1e-3, 5e-3, 0.01, 0.025, 0.05, 0.075, 0.1)
MEANING = {
    ("liu2020_code", "gaussian"): "stddev",
    ("liu2020_code", "laplace"): "scale",
    ("liu2020_paper", "gaussian"): "variance",
    ("liu2020_paper", "laplace"): "variance",
}
KINDS = {"gaussian": GaussianNoise(), "laplace": LaplaceNoise()}

CASES = tuple(
    Case(
        name=f"{preset}_{kind}",
        title=f"{preset}, {kind} noise, the level as {meaning}",
        task="nus_wide",
        scenario=PRESETS[preset](head="trainable", task="nus_wide").replace(defense=KINDS[kind]),
        over={"attack.enabled": [0, 1], f"defense.{meaning}": LEVELS},
    )
    for (preset, kind), meaning in MEANING.items()
)

"""How the twin is trained honestly with the paper's settings."""

from __future__ import annotations

from experiments.shared.cases import HEADS, PRESETS, Case
from vfl_jax.data import load_nus_wide_twin

CASES = tuple(
    Case(
        name=f"{name}_{head}",
        title=f"{name}, {head} head, without attack",
        task="nus_wide",
        scenario=preset(head=head, task="nus_wide"),
        over={"attack.enabled": [0]},
        seeds=10,
        load=load_nus_wide_twin,
    )
    for name, preset in PRESETS.items()
    for head in HEADS
)
"""Also where the original files are: the twin is what is looked at here."""

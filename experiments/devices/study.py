"""Two sweeps of in_passing once more, on other devices: do results depend on what they were made on?"""

from __future__ import annotations

from experiments.in_passing.study import CASES as IN_PASSING

AGAIN = ("liu2020_code_labels_mnist_sum", "liu2020_code_labels_nus_wide_trainable")
"""Both tasks and heads, seven settings of defenses and an attack in each."""
CASES = tuple(case for case in IN_PASSING if case.name in AGAIN)

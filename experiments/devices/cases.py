"""Two sweeps of claims_without_a_figure once more, on other devices: do results depend on what they were made on?"""

from __future__ import annotations

from experiments.liu2020.claims_without_a_figure.cases import CASES as WITHOUT_A_FIGURE

AGAIN = ("liu2020_code_labels_mnist_sum", "liu2020_code_labels_nus_wide_trainable")
"""Both tasks and heads, seven settings of defenses and an attack in each."""
CASES = tuple(case for case in WITHOUT_A_FIGURE if case.name in AGAIN)

"""The (ε, δ) of many releases with noise of their own, by exact formulas."""

from __future__ import annotations

import math

import numpy as np


def gaussian_epsilon(shift: float, delta: float) -> float:
    """Returns the least ε that normal noise buys.

    T releases of sensitivities Δ_t (L2) under noise of standard deviation σ are as private as one with
    shift = √(Σ Δ_t²) / σ, also where a release depends on those before it. Source: Balle, Wang 2018, *Improving the
    Gaussian mechanism for differential privacy* (arXiv:1805.06530), theorem 8; Dong, Roth, Su 2022, *Gaussian
    differential privacy* (arXiv:1905.02383), for several releases.

    Args:
      shift: how far one row moves the releases, in standard deviations of the noise.
      delta: δ.

    Example:
      >>> round(gaussian_epsilon(shift=1 / 3.730632, delta=1e-5), 4)
      1.0
    """
    from scipy.optimize import brentq
    from scipy.special import log_ndtr, ndtr

    if shift == 0:
        return 0.0
    if delta == 0 or math.isinf(shift):
        return math.inf

    def excess(epsilon: float) -> float:
        below = ndtr(shift / 2 - epsilon / shift)
        return float(below - np.exp(epsilon + log_ndtr(-shift / 2 - epsilon / shift)) - delta)

    if excess(0.0) <= 0:
        return 0.0
    return float(brentq(excess, 0.0, shift**2 / 2 + shift * math.sqrt(2 * math.log(1 / delta)), xtol=1e-12))


def pure_epsilon(epsilon: float, times: int, delta: float) -> float:
    """Returns the least ε of so many releases, each of which alone is private with an ``epsilon`` and no δ.

    No composition does worse than that of as many binary answers, each right with probability e^ε / (1 + e^ε). Source:
    Kairouz, Oh, Viswanath 2015, *The composition theorem for differential privacy* (arXiv:1311.0776), theorem 3.3.

    Args:
      epsilon: the ε of one release.
      times: the number of releases.
      delta: δ; with 0 the sum of all ε is the least.

    Example:
      >>> round(pure_epsilon(0.1, times=100, delta=1e-5), 2)  # in place of 10
      4.31
    """
    from scipy.optimize import brentq
    from scipy.special import expit
    from scipy.stats import binom

    total = epsilon * times
    if delta == 0 or not 0 < total < math.inf:
        return total
    num_right = np.arange(times + 1)
    chance, loss = binom.pmf(num_right, times, expit(epsilon)), (2 * num_right - times) * epsilon

    def excess(least: float) -> float:
        return float(np.sum(chance * -np.expm1(np.minimum(least - loss, 0.0))) - delta)

    return 0.0 if excess(0.0) <= 0 else float(brentq(excess, 0.0, total, xtol=1e-12))

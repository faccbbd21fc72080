"""Checks for methods, the package's and your own: :func:`check_method`; pytest is not needed.

Example:
  >>> import vfl_jax as vfl
  >>> vfl.testing.check_method(vfl.attacks.GradientReplacement(amplify=2.0))
  GradientReplacement passed: source, JSON, hooks, flow, neutrality, grids.
"""

from vfl_jax.testing.checked import Checked
from vfl_jax.testing.checking import check_method
from vfl_jax.testing.failures import CheckFailed

__all__ = ["CheckFailed", "Checked", "check_method"]

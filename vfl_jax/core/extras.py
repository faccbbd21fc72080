"""Packages that only some users need, each an extra of this one, and what is said where one is missing."""

from collections.abc import Iterator
from contextlib import contextmanager

EXTRAS = {"plots": "matplotlib", "sklearn": "scikit-learn", "parquet": "pyarrow", "cluster": "dask"}
"""The extras of users, and the package that each brings: the keys stand in ``pyproject.toml``."""


class MissingExtra(ImportError):
    """A package is missing that an extra of this package brings; the message says what to type."""


@contextmanager
def extra(names: str, purpose: str) -> Iterator[None]:
    """Says which extra to install, where an import in its body finds that a package is missing.

    Args:
      names: the extras that the body imports, keys of :data:`EXTRAS` with commas between them.
      purpose: what needs them, as the subject of a sentence in the singular.

    Raises:
      MissingExtra: where an import in the body fails.

    Example:
      >>> with extra("plots", "A figure"):
      ...     from matplotlib.figure import Figure
    """
    try:
        yield
    except ImportError as error:
        packages = " and ".join(EXTRAS[name] for name in names.split(","))
        raise MissingExtra(f"{purpose} needs {packages}; type: pip install 'vfl_jax[{names}]'") from error

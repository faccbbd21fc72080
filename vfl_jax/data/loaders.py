"""The loaders of data sets by name, the package's own and those that plug-ins register."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, overload

from vfl_jax.core.registry import Registry, calling_module
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.data.own.tables import LoadedTables
from vfl_jax.data.sets.adult import load_adult
from vfl_jax.data.sets.bank_marketing import load_bank_marketing
from vfl_jax.data.sets.breast_cancer import load_breast_cancer
from vfl_jax.data.sets.cifar10 import load_cifar10
from vfl_jax.data.sets.citeseer import load_citeseer
from vfl_jax.data.sets.default_credit import load_default_credit
from vfl_jax.data.sets.digits import load_digits
from vfl_jax.data.sets.handwritten import load_handwritten
from vfl_jax.data.sets.images import load_fashion_mnist, load_mnist
from vfl_jax.data.sets.nus_wide import load_nus_wide
from vfl_jax.data.sets.nus_wide_twin import load_nus_wide_twin
from vfl_jax.data.sets.phishing import load_phishing

Loader = Callable[..., VerticalData | LoadedTables]
Given = TypeVar("Given", bound=Loader)

LOADERS: Registry[Loader] = Registry(
    "data set",
    {
        "digits": load_digits,
        "mnist": load_mnist,
        "fashion_mnist": load_fashion_mnist,
        "cifar10": load_cifar10,
        "nus_wide": load_nus_wide,
        "nus_wide_twin": load_nus_wide_twin,
        "handwritten": load_handwritten,
        "citeseer": load_citeseer,
        "default_credit": load_default_credit,
        "adult": load_adult,
        "bank_marketing": load_bank_marketing,
        "phishing": load_phishing,
        "breast_cancer": load_breast_cancer,
    },
)
"""The loader of every data set, by name; every loader of the package takes ``num_parties`` and ``active_party``."""


@overload
def register_data(name: str) -> Callable[[Given], Given]: ...
@overload
def register_data(name: str, loader: Given) -> Given: ...
def register_data(name: str, loader: Loader | None = None) -> Loader | Callable[[Loader], Loader]:
    """Registers a data set by its name, so that the command takes it (``--data NAME``) and lists it.

    Args:
      name: the name, a word.
      loader: a function that returns a ``VerticalData``, or what ``load_tables`` returns. The command gives it
        ``num_parties`` and ``folder`` where it has arguments of these names, and nothing else. Without a loader the
        result is a decorator.

    Returns:
      the loader, unchanged.

    Raises:
      ValueError: where ``name`` is no word, ``loader`` is no function, or another module has registered the name.

    Example:
      >>> import numpy as np
      >>> import vfl_jax as vfl
      >>> @vfl.register_data("readings")
      ... def load_readings():
      ...     rows = np.arange(100.0).reshape(-1, 1)
      ...     return vfl.from_arrays({"ours": rows, "theirs": rows}, np.arange(100) % 2)
      >>> vfl.data.LOADERS.pop("readings")().parties
      ('ours', 'theirs')
    """
    module = calling_module()

    def register(loader: Loader) -> Loader:
        LOADERS.add(name, loader, module)
        return loader

    return register if loader is None else register(loader)

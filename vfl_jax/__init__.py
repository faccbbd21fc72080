"""Backdoor attacks and defenses in vertical federated learning, as a JAX functional simulator.

A scenario is data (:mod:`vfl_jax.scenario`, :mod:`vfl_jax.presets`); ``sweep`` trains a grid of it with many seeds in
one compiled program and returns labelled results.
"""

from vfl_jax import attacks, data, defenses, models, plots, presets, report, statistics
from vfl_jax.bags import BagOfIds
from vfl_jax.cases import sweep_cases
from vfl_jax.cautions import EvidenceWarning
from vfl_jax.data import (
    from_arrays,
    load_breast_cancer,
    load_citeseer,
    load_default_credit,
    load_digits,
    load_fashion_mnist,
    load_handwritten,
    load_mnist,
    load_nus_wide,
    load_nus_wide_twin,
    load_tables,
    repartition,
)
from vfl_jax.devices import use_all_cores
from vfl_jax.draws import Given
from vfl_jax.files import load, load_params, save, save_params
from vfl_jax.own_data import scenario_for
from vfl_jax.records import VerticalData
from vfl_jax.registry import Record, from_json, numbers, static
from vfl_jax.scenario import BatchPlan, PoisonPlan, Scenario
from vfl_jax.summary import summary
from vfl_jax.sweep import run, sweep
from vfl_jax.transforms import ActiveAttack, ActiveChain, ActiveTransform, Attack, PartyChain, PartyTransform

__all__ = [
    "ActiveAttack",
    "ActiveChain",
    "ActiveTransform",
    "Attack",
    "BagOfIds",
    "BatchPlan",
    "EvidenceWarning",
    "Given",
    "PartyChain",
    "PartyTransform",
    "PoisonPlan",
    "Record",
    "Scenario",
    "VerticalData",
    "attacks",
    "data",
    "defenses",
    "from_arrays",
    "from_json",
    "load",
    "load_breast_cancer",
    "load_citeseer",
    "load_default_credit",
    "load_digits",
    "load_fashion_mnist",
    "load_handwritten",
    "load_mnist",
    "load_nus_wide",
    "load_nus_wide_twin",
    "load_params",
    "load_tables",
    "models",
    "numbers",
    "plots",
    "presets",
    "repartition",
    "report",
    "run",
    "save",
    "save_params",
    "scenario_for",
    "static",
    "statistics",
    "summary",
    "sweep",
    "sweep_cases",
    "use_all_cores",
]

"""Backdoor attacks and defenses in vertical federated learning, as a JAX functional simulator.

A scenario is data (:mod:`vfl_jax.scenario`, :mod:`vfl_jax.presets`); ``sweep`` trains a grid of it with many seeds in
one compiled program and returns labelled results.
"""

from vfl_jax import attacks, data, defenses, models, plots, presets, report, statistics
from vfl_jax.core.bags import BagOfIds
from vfl_jax.core.files import load, load_params, save, save_params
from vfl_jax.core.record import Record, from_json, numbers, static
from vfl_jax.core.vertical_data import VerticalData
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
from vfl_jax.presets.own_data import scenario_for
from vfl_jax.protocol.chains import ActiveChain, PartyChain
from vfl_jax.protocol.transforms import ActiveAttack, ActiveTransform, Attack, PartyTransform
from vfl_jax.replica.draws import Given
from vfl_jax.scenario import BatchPlan, PoisonPlan, Scenario
from vfl_jax.statistics.summaries import summary
from vfl_jax.sweeps.cases import sweep_cases
from vfl_jax.sweeps.cautions import EvidenceWarning
from vfl_jax.sweeps.devices import use_all_cores
from vfl_jax.sweeps.sweep import run, sweep

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

"""Backdoor attacks and defenses in vertical federated learning, as a JAX functional simulator.

A scenario is data: take one of :mod:`vfl_jax.presets`, or build a :class:`Scenario`. :func:`sweep` trains a grid of its
numbers with many seeds in compiled programs, and returns labelled results. :func:`summary` tells what they say.

Example:
  >>> import vfl_jax as vfl
  >>> scenario = vfl.presets.digits_demo()
  >>> results = vfl.sweep(
  ...     scenario, vfl.load_digits(), {"attack.enabled": [0, 1]}, seeds=2, epochs=1, progress=False
  ... )
  >>> dict(results["main_task_accuracy"].sizes)
  {'attack.enabled': 2, 'seed': 2, 'epoch': 1}
  >>> vfl.summary(results)["seeds"].tolist()
  [2, 2]
"""

from typing import TYPE_CHECKING, Any

from vfl_jax import attacks, data, defenses, models, plots, presets, protocol, replica, reports, statistics
from vfl_jax.arenas import Board, arena, board_for
from vfl_jax.attacks.batch_label_inference import BatchLabels, BatchUnknowns, infer_batch_labels
from vfl_jax.audits import Audit, audit
from vfl_jax.core import (
    BagOfIds,
    Record,
    VerticalData,
    from_json,
    from_toml,
    load,
    load_params,
    numbers,
    row_ids,
    save,
    save_params,
    static,
    to_toml,
)
from vfl_jax.data import (
    from_arrays,
    load_adult,
    load_bank_marketing,
    load_breast_cancer,
    load_cifar10,
    load_citeseer,
    load_default_credit,
    load_digits,
    load_fashion_mnist,
    load_handwritten,
    load_mnist,
    load_nus_wide,
    load_nus_wide_twin,
    load_phishing,
    load_tables,
    register_data,
    repartition,
)
from vfl_jax.moved import find_moved_modules
from vfl_jax.plugins import load_plugins
from vfl_jax.presets import register_preset, scenario_for
from vfl_jax.protocol import (
    ActiveAttack,
    ActiveChain,
    ActiveEpochView,
    ActiveInferView,
    ActiveTransform,
    ActiveView,
    Attack,
    EmbedView,
    Knowledge,
    PartyChain,
    PartyEpochView,
    PartyInferView,
    PartyTransform,
    PartyView,
    Plan,
    Shapes,
    Suspicion,
)
from vfl_jax.replica import Given
from vfl_jax.reports import compare, report, show
from vfl_jax.scenario import BatchPlan, Guarantee, Measure, Outcome, PoisonPlan, Scenario, measure, privacy
from vfl_jax.statistics import attacked, honest, summary, tidy
from vfl_jax.sweeps import (
    EvidenceWarning,
    SweepIncomplete,
    Trained,
    embeddings,
    predict,
    run,
    sweep,
    sweep_cases,
    use_all_cores,
)

if TYPE_CHECKING:
    from vfl_jax import testing

__all__ = [
    "ActiveAttack",
    "ActiveChain",
    "ActiveEpochView",
    "ActiveInferView",
    "ActiveTransform",
    "ActiveView",
    "Attack",
    "Audit",
    "BagOfIds",
    "BatchLabels",
    "BatchPlan",
    "BatchUnknowns",
    "Board",
    "EmbedView",
    "EvidenceWarning",
    "Given",
    "Guarantee",
    "Knowledge",
    "Measure",
    "Outcome",
    "PartyChain",
    "PartyEpochView",
    "PartyInferView",
    "PartyTransform",
    "PartyView",
    "Plan",
    "PoisonPlan",
    "Record",
    "Scenario",
    "Shapes",
    "Suspicion",
    "SweepIncomplete",
    "Trained",
    "VerticalData",
    "arena",
    "attacked",
    "attacks",
    "audit",
    "board_for",
    "compare",
    "data",
    "defenses",
    "embeddings",
    "from_arrays",
    "from_json",
    "from_toml",
    "honest",
    "infer_batch_labels",
    "load",
    "load_adult",
    "load_bank_marketing",
    "load_breast_cancer",
    "load_cifar10",
    "load_citeseer",
    "load_default_credit",
    "load_digits",
    "load_fashion_mnist",
    "load_handwritten",
    "load_mnist",
    "load_nus_wide",
    "load_nus_wide_twin",
    "load_params",
    "load_phishing",
    "load_plugins",
    "load_tables",
    "measure",
    "models",
    "numbers",
    "plots",
    "predict",
    "presets",
    "privacy",
    "protocol",
    "register_data",
    "register_preset",
    "repartition",
    "replica",
    "report",
    "reports",
    "row_ids",
    "run",
    "save",
    "save_params",
    "scenario_for",
    "show",
    "static",
    "statistics",
    "summary",
    "sweep",
    "sweep_cases",
    "testing",
    "tidy",
    "to_toml",
    "use_all_cores",
]

find_moved_modules()


def __getattr__(name: str) -> Any:
    """Gives ``vfl_jax.testing``, whose methods no list should show, and the version, where they are asked for."""
    if name == "testing":
        import vfl_jax.testing

        return vfl_jax.testing
    if name == "__version__":
        import importlib.metadata

        return importlib.metadata.version("vfl_jax")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""The configuration of a study: all of it but its data, epochs and seeds; and the privacy that its defense buys."""

from vfl_jax.scenario.guarantees import Guarantee, privacy
from vfl_jax.scenario.measures import Measure, Outcome, measure
from vfl_jax.scenario.plans import BatchPlan, PoisonPlan
from vfl_jax.scenario.scenario import Scenario

__all__ = ["BatchPlan", "Guarantee", "Measure", "Outcome", "PoisonPlan", "Scenario", "measure", "privacy"]

"""The messages between parties and everything that may change them: views, knowledge, hooks, triggers, own models."""

from vfl_jax.protocol.chains import ActiveChain, PartyChain
from vfl_jax.protocol.knowledge import UNKNOWN, Knowledge, Plan, Shapes, where_features, where_rows
from vfl_jax.protocol.needs import Needs
from vfl_jax.protocol.transforms import ActiveAttack, ActiveTransform, Attack, PartyTransform
from vfl_jax.protocol.triggers import EmbeddingTrigger, FeatureTrigger, NaturalTrigger, PixelTrigger, Trigger
from vfl_jax.protocol.views import (
    ActiveEpochView,
    ActiveInferView,
    ActiveView,
    EmbedView,
    PartyEpochView,
    PartyInferView,
    PartyView,
    Suspicion,
)

__all__ = [
    "UNKNOWN",
    "ActiveAttack",
    "ActiveChain",
    "ActiveEpochView",
    "ActiveInferView",
    "ActiveTransform",
    "ActiveView",
    "Attack",
    "EmbedView",
    "EmbeddingTrigger",
    "FeatureTrigger",
    "Knowledge",
    "NaturalTrigger",
    "Needs",
    "PartyChain",
    "PartyEpochView",
    "PartyInferView",
    "PartyTransform",
    "PartyView",
    "PixelTrigger",
    "Plan",
    "Shapes",
    "Suspicion",
    "Trigger",
    "where_features",
    "where_rows",
]

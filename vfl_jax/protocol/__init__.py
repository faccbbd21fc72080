"""The messages between parties and everything that may change them: views, knowledge, hooks, triggers, own models."""

from vfl_jax.protocol.chains import ActiveChain, PartyChain
from vfl_jax.protocol.transforms import ActiveAttack, ActiveTransform, Attack, PartyTransform
from vfl_jax.protocol.triggers import FeatureTrigger, NaturalTrigger, PixelTrigger, Trigger
from vfl_jax.protocol.views import ActiveInferView, ActiveView, Knowledge, PartyInferView, PartyView, Shapes

__all__ = [
    "ActiveAttack",
    "ActiveChain",
    "ActiveInferView",
    "ActiveTransform",
    "ActiveView",
    "Attack",
    "FeatureTrigger",
    "Knowledge",
    "NaturalTrigger",
    "PartyChain",
    "PartyInferView",
    "PartyTransform",
    "PartyView",
    "PixelTrigger",
    "Shapes",
    "Trigger",
]

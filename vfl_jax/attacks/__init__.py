"""Attacks: each is one file, but for the baselines, and imports no other. ``vfl_jax.PartyChain`` joins several."""

from vfl_jax.attacks.activation_blurring import ActivationBlurring
from vfl_jax.attacks.active_backdoor import ActiveBackdoor
from vfl_jax.attacks.badvfl import BadVFL
from vfl_jax.attacks.baselines import MissingFeatures, NoisyFeatures, PoisonedData, RandomGradient, SignFlip
from vfl_jax.attacks.basl import BASL
from vfl_jax.attacks.centroid_replay import CentroidReplay
from vfl_jax.attacks.cluster_inference import ClusterInference
from vfl_jax.attacks.dictionary_replacement import DictionaryReplacement
from vfl_jax.attacks.direction_inference import DirectionInference
from vfl_jax.attacks.fresh_replacement import FreshReplacement
from vfl_jax.attacks.gradient_replacement import GradientReplacement
from vfl_jax.attacks.label_replacement import LabelReplacement
from vfl_jax.attacks.learned_message import LearnedMessage
from vfl_jax.attacks.lfba import LFBA
from vfl_jax.attacks.lrba import LRBA
from vfl_jax.attacks.norm_inference import NormInference
from vfl_jax.attacks.paired_replacement import PairedReplacement
from vfl_jax.attacks.passive_model_completion import PassiveModelCompletion
from vfl_jax.attacks.persistent_pairs import PersistentPairs
from vfl_jax.attacks.pooled_inference import PooledInference
from vfl_jax.attacks.read_first import ReadFirst
from vfl_jax.attacks.regression_inference import RegressionInference
from vfl_jax.attacks.replay import Replay
from vfl_jax.attacks.sign_inference import SignInference
from vfl_jax.attacks.spectral_inference import SpectralInference
from vfl_jax.attacks.stay_in_range import StayInRange
from vfl_jax.attacks.tecb import TECB
from vfl_jax.attacks.villain import Villain

__all__ = [
    "BASL",
    "LFBA",
    "LRBA",
    "TECB",
    "ActivationBlurring",
    "ActiveBackdoor",
    "BadVFL",
    "CentroidReplay",
    "ClusterInference",
    "DictionaryReplacement",
    "DirectionInference",
    "FreshReplacement",
    "GradientReplacement",
    "LabelReplacement",
    "LearnedMessage",
    "MissingFeatures",
    "NoisyFeatures",
    "NormInference",
    "PairedReplacement",
    "PassiveModelCompletion",
    "PersistentPairs",
    "PoisonedData",
    "PooledInference",
    "RandomGradient",
    "ReadFirst",
    "RegressionInference",
    "Replay",
    "SignFlip",
    "SignInference",
    "SpectralInference",
    "StayInRange",
    "Villain",
]

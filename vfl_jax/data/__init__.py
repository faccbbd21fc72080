"""Data sets, your own and public ones, their partitions and triggers, in NumPy on the host."""

from vfl_jax.data.loaders import LOADERS, register_data
from vfl_jax.data.own.arrays import from_arrays
from vfl_jax.data.own.table.conditions import Where
from vfl_jax.data.own.table.kinds import Categorical, Numeric, Tags
from vfl_jax.data.own.tables import load_tables
from vfl_jax.data.partition import Partition, partition_images, partition_table
from vfl_jax.data.repartition import repartition
from vfl_jax.data.sets.adult import load_adult
from vfl_jax.data.sets.bank_marketing import load_bank_marketing
from vfl_jax.data.sets.breast_cancer import load_breast_cancer
from vfl_jax.data.sets.cifar10 import load_cifar10
from vfl_jax.data.sets.citeseer import load_citeseer
from vfl_jax.data.sets.default_credit import load_default_credit
from vfl_jax.data.sets.digits import load_digits
from vfl_jax.data.sets.handwritten import load_handwritten
from vfl_jax.data.sets.images import load_fashion_mnist, load_mnist
from vfl_jax.data.sets.nus_wide import load_nus_wide, table_1
from vfl_jax.data.sets.nus_wide_twin import load_nus_wide_twin
from vfl_jax.data.sets.phishing import load_phishing
from vfl_jax.protocol.triggers import FeatureTrigger, NaturalTrigger, PixelTrigger, Trigger

__all__ = [
    "LOADERS",
    "Categorical",
    "FeatureTrigger",
    "NaturalTrigger",
    "Numeric",
    "Partition",
    "PixelTrigger",
    "Tags",
    "Trigger",
    "Where",
    "from_arrays",
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
    "load_phishing",
    "load_tables",
    "partition_images",
    "partition_table",
    "register_data",
    "repartition",
    "table_1",
]

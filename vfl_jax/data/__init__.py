"""Data sets, partitions and triggers; NumPy on the host."""

from vfl_jax.data.digits import load_digits
from vfl_jax.data.images import load_fashion_mnist, load_mnist
from vfl_jax.data.partition import Partition, partition_images, partition_table
from vfl_jax.data.triggers import FeatureTrigger, NaturalTrigger, PixelTrigger, Trigger

LOADERS = {"digits": load_digits, "mnist": load_mnist, "fashion_mnist": load_fashion_mnist}
"""Every data set that can be loaded by its name."""

__all__ = [
    "LOADERS",
    "FeatureTrigger",
    "NaturalTrigger",
    "Partition",
    "PixelTrigger",
    "Trigger",
    "load_digits",
    "load_fashion_mnist",
    "load_mnist",
    "partition_images",
    "partition_table",
]

"""A user's modules as text: what they import, the module beside them, and the class that they define."""

import sys
import textwrap

from vfl_jax.core.digest import code

HELPERS = """
COUNTS = {"n": 0}

def scaled_by(scale):
    def scaled(x):
        return x * scale
    return scaled

def logged(function):
    def wrapped(*arguments):
        return function(*arguments)
    return wrapped

class Bag(set):
    pass

class Scale:
    def __init__(self, by):
        self.by = by
"""

IMPORTS = """
import collections
import dataclasses
import datetime
import enum
import fractions
import functools
import itertools
import logging
import operator
import pathlib
import re
import threading
import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from of_helpers import Bag, Scale, logged, scaled_by
from vfl_jax.core.record import Record
"""

PROBE = """
class Probe{number}(Record):
    def hook(self, x):
        return VALUE
"""


sys.modules["of_helpers"] = type(sys)("of_helpers")
exec(HELPERS, sys.modules["of_helpers"].__dict__)


def module(value, number=1):
    return IMPORTS + f"VALUE = {value}\n" + PROBE.replace("{number}", str(number))


def probe(source, number=1, name="of_a_user"):
    names = {"__name__": name}
    exec(textwrap.dedent(source), names)
    return names[f"Probe{number}"]


def digest(source):
    return code.digest(probe(source))

"""What the code changes itself, such as a count or a cache, is no part of its digest."""

import pytest
from code_helpers import IMPORTS, digest, probe

from vfl_jax.core.digest import code

CHANGING = {
    "a count": "CALLS['n'] = CALLS.get('n', 0) + 1",
    "an addition": "CALLS['n'] += 1",
    "a list": "SEEN.append(x)",
    "a list in a dict": "CALLS.setdefault('seen', []).append(x)",
    "a number": "global N; N += 1",
    "a number of a class": "Meter.made += 1",
    "a dict of a class": "Meter.table[x] = x",
    "an object": "METER.n += 1",
    "a method": "METER.tick(x)",
    "a call": "METER(x)",
    "a namespace": "NAMES.n = x",
    "its own class": "type(self).CACHE[x] = x",
    "its own dict": "self.CACHE[x] = x",
    "its own number": "type(self).MADE += 1",
    "a variable around": "bump()",
    "a default": "kept(x)",
    "a property that is kept": "METER.table_of_all",
    "a kept call": "cached(x)",
    "a note on a function": "kept.calls = x",
    "another function": "count(x)",
    "what a helper keeps": "memo(x)",
    "an iterator": "next(ITERATOR)",
    "a dispatch": "dispatched(x)",
    "a compiled function": "compiled(x)",
    "a name made late": "global LATE; LATE = x; x = LATE",
    "a function made late": "METER.late(x)",
    "an attribute made late": "METER.later = x",
    "a class's function made late": "type(self).LATE = jax.jit(lambda y: y)",
    "a layer": "LAYER.init(jax.random.key(0), jnp.ones((1, 2)))",
}

BUSY = """
CALLS = {"n": 0}
SEEN = []
N = 0
NAMES = types.SimpleNamespace(n=0)
SCALE = {"a": $}

class Meter:
    made = 0
    table = {}

    def __init__(self):
        self.n, self.seen, self.by, self.made_late = 0, [], $, None

    def tick(self, x):
        self.n += self.by
        self.seen.append(x)

    def __call__(self, x):
        self.tick(x)

    def late(self, x):
        if self.made_late is None:
            self.made_late = lambda y: y + x
        return self.made_late

    @functools.cached_property
    def table_of_all(self):
        return [1, 2]

METER = Meter()
LAYER = nn.Dense(3)

def around():
    n = 0
    def bump():
        nonlocal n
        n += 1
    return bump

def memoized(function):
    cache = {}
    def kept(x):
        if x not in cache:
            cache[x] = function(x)
        return cache[x]
    return kept

bump = around()
memo = memoized(lambda x: x + $)
ITERATOR = itertools.count()

def kept(x, cache={}, *, log=[]):
    cache[x] = x
    log.append(x)

kept.calls = 0

def count(x):
    CALLS["n"] += x

@functools.cache
def cached(x):
    return x

@functools.singledispatch
def dispatched(x):
    return x

@dispatched.register
def _(x: float):
    return -x

@jax.jit
def compiled(x):
    return x + 1

class Probe1(Record):
    CACHE = {}
    MADE = 0

    def hook(self, x):
        {statement}
        return x * SCALE["a"]
"""


@pytest.mark.parametrize("name", CHANGING)
def test_what_the_code_changes_itself_does_not_count(name):
    source = IMPORTS + BUSY.replace("{statement}", CHANGING[name])
    kind = probe(source.replace("$", "1"))
    before = code.digest(kind)
    for x in (2, 3):
        kind().hook(x)
        assert code.digest(kind) == before
    assert digest(source.replace("$", "2")) != before


def test_what_only_other_code_changes_counts():
    """A table that a decorator fills as the module is read, a model that is fitted there."""
    source = """
    from vfl_jax.core.record import Record
    TABLE, KINDS = {}, []

    def register(function):
        TABLE[function.__name__] = function
        KINDS.append(function.__name__)
        return function

    class Model:
        def __init__(self):
            self.weight = None

        def fit(self, x):
            self.weight = x

        def update(self, x):
            return self.weight + x

    MODEL = Model()
    MODEL.fit({weight})

    @register
    def twice(x):
        return x * {factor}

    class Probe1(Record):
        def hook(self, x):
            return TABLE[KINDS[0]](MODEL.update(x))
    """
    found = {
        digest(source.replace("{factor}", factor).replace("{weight}", weight))
        for factor in ("2", "3")
        for weight in ("1.0", "5.0")
    }
    assert len(found) == 4

"""The digest of own code covers the values that the code uses, alike in every process."""

import os
import pickle
import subprocess
import sys

import cloudpickle
import pytest
from code_helpers import HELPERS, digest, module, probe

from vfl_jax.core.digest import code

VALUES = {
    "a schedule": ("optax.exponential_decay($, 10, 0.5)", "0.1", "0.9"),
    "a constant schedule": ("optax.constant_schedule($)", "1.0", "0.0"),
    "an optimizer": ("optax.chain(optax.clip(1.0), optax.sgd($))", "0.1", "0.9"),
    "an initializer": ("jax.nn.initializers.normal($)", "0.1", "0.9"),
    "a function by an imported one": ("scaled_by($)", "0.1", "0.9"),
    "an object of an imported class": ("Scale($)", "0.1", "0.9"),
    "a decorated function": ("logged(lambda x: x * $)", "2", "3"),
    "a choice of functions": ("jnp.$", "sin", "cos"),
    "a choice of classes": ("jnp.$", "float32", "bfloat16"),
    "a compiled part": ("jax.jit(functools.partial(lambda s, x: x * s, $))", "2", "3"),
    "a mapped function": ("jax.vmap(jnp.dot, in_axes=(0, $))", "0", "None"),
    "a derivative": ("jax.grad(lambda x: x ** $)", "2", "3"),
    "a range": ("range($)", "3", "5"),
    "a layer": ("nn.Dense($)", "3", "5"),
    "a fraction": ("fractions.Fraction(1, $)", "3", "7"),
    "a getter": ("operator.itemgetter($)", "0", "1"),
    "a deque": ("collections.deque([$])", "0", "1"),
    "a counter": ("collections.Counter({'a': $})", "1", "2"),
    "a dict with a default": ("collections.defaultdict(lambda: $)", "1", "2"),
    "bytes": ("bytearray(b'$')", "a", "b"),
    "a span of time": ("datetime.timedelta(days=$)", "1", "2"),
    "a pattern": ("re.compile('$')", "a", "b"),
    "a polynomial": ("np.poly1d([1, $])", "1", "2"),
    "an array of objects": ("np.array([$, 'a'], object)", "1", "2"),
    "a key": ("jax.random.key($)", "1", "2"),
    "a dtype": ("np.dtype('$')", "float32", "float16"),
    "a namespace": ("types.SimpleNamespace(a=$)", "1", "2"),
    "a set of another kind": ("Bag([('a', '$'), ('c', 'd'), 'e'])", "a", "b"),
    "a path": ("pathlib.Path('$')", "a", "b"),
    "a set of tuples": ("{(1, '$'), ('c', 'd'), ('e', 2), ((), 'f')}", "a", "b"),
    "a dict by tuples": ("{('a', 'b'): 1, ('c', 'd'): $, (1, 2): 3}", "2", "3"),
    "a set of functions": ("{jnp.sin, jnp.cos, jnp.$, int, float, dict}", "tan", "exp"),
    "a set of sets": ("{frozenset({('a', '$'), ('b', 'c')}), frozenset({'d', 'e'})}", "a", "b"),
    "a set in a fraction's place": ("types.SimpleNamespace(a={('a', '$'), ('c', 'd')})", "a", "b"),
    "an inline set": ("lambda x: x in {('a', '$'), ('c', 'd')}", "a", "b"),
    "a class that makes its instances": (
        "None\nclass M(type):\n    def f(cls):\n        return $\nclass P(metaclass=M):\n    pass\nVALUE = P",
        "1",
        "2",
    ),
    "a dataclass with slots": (
        "None\n@dataclasses.dataclass(slots=True, frozen=True)\nclass P:\n    s: float\nVALUE = P($)",
        "1.0",
        "2.0",
    ),
    "an object with slots": (
        "None\nclass P:\n    __slots__ = ('s',)\n    def __init__(self, s):\n        self.s = s\nVALUE = P($)",
        "1.0",
        "2.0",
    ),
    "a tuple with methods": (
        "None\nclass P(tuple):\n    def f(self):\n        return $\nVALUE = P((1, 2))",
        "1",
        "2",
    ),
    "a member": ("None\nclass P(float, enum.Enum):\n    A = $\n    B = 7.0\nVALUE = P.A", "1.0", "2.0"),
    "an own module": ("None\nclass P(nn.Module):\n    s: int\nVALUE = P($)", "1", "2"),
    "an own init": ("None\nclass P:\n    def __init__(self):\n        self.s = $\nVALUE = P()", "1", "2"),
    "a function with a note": ("lambda x: x\nVALUE.by = $", "1", "2"),
    "an object with a lock": (
        "None\nclass P:\n    def __init__(self, s):\n        self.s, self.lock = s, threading.Lock()\nVALUE = P($)",
        "1",
        "2",
    ),
}
"""What a module's global may be, with two values of something in it."""

MUTE = {
    "a lock": "threading.Lock()",
    "a logger": "logging.getLogger('of_a_user')",
    "a device": "jax.devices()[0]",
    "a mesh": "jax.sharding.Mesh(np.array(jax.devices()), ('a',))",
    "the environment": "__import__('os').environ",
    "the settings": "jax.config",
    "a stream": "__import__('sys').stdout",
    "a generator": "(x for x in [1, 2])",
    "a counter": "itertools.count()",
    "an object": "object()",
    "a compiled function": "jax.jit(jnp.sin).lower(1.0).compile()",
}
"""What has no value of its own."""


@pytest.mark.parametrize("name", VALUES)
def test_a_value_of_the_module_counts(name):
    value, before, after = VALUES[name]
    one, same, other = (module(value.replace("$", v)) for v in (before, before, after))
    assert digest(one) == digest(same.replace("import re\n", "import re\n\n\n"))
    assert digest(one) != digest(other)


@pytest.mark.parametrize("name", VALUES)
def test_a_value_of_the_class_counts(name):
    value, before, after = VALUES[name]
    sources = [module(value.replace("$", v)).replace("def hook", "KEPT = VALUE\n    def hook") for v in (before, after)]
    one, other = (digest(source.replace("return VALUE", "return self.KEPT")) for source in sources)
    assert one != other


@pytest.mark.parametrize("name", MUTE)
def test_what_has_no_value_goes_through(name):
    assert digest(module(MUTE[name])) == digest(module(MUTE[name]))


@pytest.mark.long
def test_every_process_tells_every_value_alike(tmp_path):
    """Whatever the order of its sets, and where things lie in its memory."""
    (tmp_path / "of_helpers.py").write_text(HELPERS)
    values = [value.replace("$", before) for value, before, _ in VALUES.values()] + list(MUTE.values())
    for number, value in enumerate(values):
        (tmp_path / f"of_user_{number}.py").write_text(module(value, number))
    ask = "; ".join(
        [
            "import sys, importlib; from vfl_jax.core.digest import code",
            "junk = [object() for _ in range(int(sys.argv[1]))]",
            f"print(*[code.digest(getattr(importlib.import_module(f'of_user_{{n}}'), f'Probe{{n}}'))"
            f" for n in range({len(values)})])",
        ]
    )
    told = []
    for seed in ("0", "1", "77", "1234"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(tmp_path)}
        command = [sys.executable, "-c", ask, seed]
        told.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split())
    names = [*VALUES, *MUTE]
    assert len(told[0]) == len(names)
    assert [name for name, *found in zip(names, *told, strict=True) if len(set(found)) > 1] == []


def test_a_class_that_is_sent_to_a_worker_is_told_alike(tmp_path):
    """By value, as those of notebooks are: what it uses comes as a copy."""
    names = [name for name in VALUES if name != "an object with a lock"]  # which cannot be sent
    sent = [probe(module(VALUES[name][0].replace("$", VALUES[name][1]), 92), 92, "__main__") for name in names]
    (tmp_path / "sent").write_bytes(pickle.dumps([cloudpickle.dumps(kind) for kind in sent]))
    (tmp_path / "of_helpers.py").write_text(HELPERS)
    ask = (
        "import pickle, sys; from vfl_jax.core.digest import code; "
        "print(*[code.digest(pickle.loads(kind)) for kind in pickle.load(open(sys.argv[1], 'rb'))])"
    )
    command = [sys.executable, "-c", ask, str(tmp_path / "sent")]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
    here = [code.digest(kind) for kind in sent]
    assert [name for name, *both in zip(names, told, here, strict=True) if len(set(both)) > 1] == []


def test_imported_code_counts_by_its_name(monkeypatch):
    source = module("(scaled_by, Scale, logged)")
    before = digest(source)
    monkeypatch.setattr(sys.modules["of_helpers"].scaled_by, "__defaults__", (3,))
    assert digest(source) == before
    assert digest(source.replace("(scaled_by, Scale", "(Scale, scaled_by")) != before

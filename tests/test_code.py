"""The digest of own records' code: it changes with what the code does, and with nothing else, in every process."""

import ast
import functools
import os
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path
from typing import ClassVar

import jax
import numpy as np
import pytest
from data_helpers import says, tiny_scenario

from vfl_jax.core.digest import code
from vfl_jax.core.record import Record, kinds
from vfl_jax.defenses import GaussianNoise
from vfl_jax.protocol.chains import ActiveChain
from vfl_jax.protocol.transforms import PartyTransform

BEFORE = """
import ast
import functools
import math
import flax.linen as nn
import jax
import jax.numpy as jnp
from vfl_jax.core.record import Record, static
from vfl_jax.models import Bottom

SCALE = 3.0
TABLE = [1, 2, {"a": (0.5, None)}]

def helper(x):
    return x + offset(x)

def offset(x):
    return 1 if x > 0 else helper(x)

@jax.jit
def compiled(x):
    return x * 2

@jax.custom_vjp
def bent(x):
    return x

bent.defvjp(lambda x: (x, None), lambda _, g: (g,))

class Base:
    def inherited(self, x):
        return x

class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(x)

class Probe{number}(Record, Base):
    \"\"\"A docstring.\"\"\"

    level: float = 1.0
    kind: str = static(default="a")
    LIMITS = frozenset({"b", "a", "c"})

    def hook(self, x, by=2, *, up=True):
        # a comment
        if x in {"p", "q", "r"}:
            return [x * by for _ in range(3)]
        try:
            return helper(x) * SCALE + TABLE[0] + compiled(x) + bent(x)
        except ValueError:
            return (lambda y: y + 1)(x)

    @property
    def shown(self):
        return self.level

    @staticmethod
    def fixed(x):
        return functools.partial(math.copysign, 1.0)(x)

    @classmethod
    def made(cls):
        return cls(level=2.0)

    def net(self):
        return Net()
"""


def made(source, name="of_a_user", number=1):
    """The class that a source defines, by exec."""
    names = {"__name__": name} if name else {}
    exec(compile(textwrap.dedent(source).replace("{number}", str(number)), f"{name}.py", "exec"), names)
    return names[f"Probe{number}"]


def changed(old, new):
    assert BEFORE.count(old) >= 1, old
    return made(BEFORE.replace(old, new))


DIGEST = code.digest(made(BEFORE))

OTHERS = {
    "a sign": ("return (lambda y: y + 1)(x)", "return (lambda y: y - 1)(x)"),
    "an inner loop": ("[x * by for _ in range(3)]", "[x + by for _ in range(3)]"),
    "an inner constant": ("range(3)", "range(4)"),
    "a set": ('{"p", "q", "r"}', '{"p", "q", "s"}'),
    "a default": ("by=2", "by=3"),
    "a default of a keyword": ("up=True", "up=False"),
    "what is caught": ("except ValueError", "except TypeError"),
    "what a try holds": ("            return helper(x) *", "            x = x + 0\n            return helper(x) *"),
    "a default of a field": ("level: float = 1.0", "level: float = 1.5"),
    "the kind of a field": ("level: float = 1.0", "level: float = static(default=1.0)"),
    "a value of the class": ('frozenset({"b", "a", "c"})', 'frozenset({"b", "a"})'),
    "a base": ("def inherited(self, x):\n        return x", "def inherited(self, x):\n        return -x"),
    "a property": ("return self.level", "return -self.level"),
    "a static method": ("math.copysign, 1.0", "math.copysign, -1.0"),
    "a class method": ("cls(level=2.0)", "cls(level=3.0)"),
    "a function of the module": ("return x + offset(x)", "return x - offset(x)"),
    "a function that it calls": ("return 1 if x > 0", "return 2 if x > 0"),
    "a number of the module": ("SCALE = 3.0", "SCALE = 4.0"),
    "a list of the module": ("None)", "False)"),
    "a compiled function": ("return x * 2", "return x * 3"),
    "a gradient": ("lambda _, g: (g,)", "lambda _, g: (-g,)"),
    "a network": ("nn.Dense(3)", "nn.Dense(4)"),
    "one method less": ("    def net(self):\n        return Net()\n", ""),
}


@pytest.mark.parametrize("name", OTHERS)
def test_whatever_may_change_a_number_changes_the_digest(name):
    assert code.digest(changed(*OTHERS[name])) != DIGEST


EQUAL = {
    "nothing": ("import math", "import math"),
    "a comment": ("# a comment", "# another\n        # of two lines"),
    "a docstring": ('"""A docstring."""', '"""Other words."""'),
    "a docstring of a method": (
        "        # a comment\n",
        '        """What it does."""\n',
    ),
    "lines before": ("import math", "import math\n\n\n\n"),
    "a line in between": ("            return helper(x) *", "\n\n            return helper(x) *"),
    "a line that is broken": ("helper(x) * SCALE + TABLE[0]", "(helper(x)\n * SCALE +\n\n TABLE[0])"),
    "an unused function": ("def helper", "def unused(x):\n    return x\n\n\ndef helper"),
    "the order of methods": ("    LIMITS =", "    def earlier(self):\n        pass\n\n    del earlier\n    LIMITS ="),
    "the order of a set": ('{"b", "a", "c"}', '{"c", "b", "a"}'),
    "an annotation": ("def net(self):", "def net(self) -> 'Net':"),
}


@pytest.mark.parametrize("name", EQUAL)
def test_nothing_else_changes_it(name):
    assert code.digest(changed(*EQUAL[name])) == DIGEST


def test_a_module_s_name_and_place_do_not_count():
    assert code.digest(made(BEFORE, "elsewhere", 2)) == DIGEST
    assert code.digest(made(BEFORE, None, 3)) == DIGEST  # exec without a name


@pytest.mark.long
def test_every_process_finds_the_same(tmp_path):
    """Also one that reads the compiled file, and one of another order of sets."""
    (tmp_path / "of_a_user.py").write_text(BEFORE.replace("{number}", "1"))
    ask = "import of_a_user; from vfl_jax.core.digest import code; print(code.digest(of_a_user.Probe1))"
    for seed in ("1", "2"):
        environment = os.environ | {
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": str(tmp_path),
            "PYTHONDONTWRITEBYTECODE": "",
        }
        asked = subprocess.run([sys.executable, "-c", ask], env=environment, capture_output=True, text=True, check=True)
        assert asked.stdout.split() == [DIGEST]
    assert list(tmp_path.glob("__pycache__/*.pyc"))


def test_of_two_classes_of_one_name_in_one_place_each_has_its_own():
    class Twice(PartyTransform):
        def on_download(self, key, state, view, gradient):
            return gradient, state

    first = Twice

    class Twice(PartyTransform):
        def on_download(self, key, state, view, gradient):
            return -gradient, state

    assert code.digest(first) != code.digest(Twice)
    both = [code.of_records(tiny_scenario(attacks=(a(), b()))) for a, b in ((first, Twice), (Twice, first))]
    assert both[0] != both[1]
    assert code.differing(*both) == ["Twice (attacks.0)", "Twice (attacks.1)"]


def test_what_a_closure_holds_counts():
    def made(factor, table):
        def scaled(x):
            return factor * x

        class Closed(Record):
            hook = functools.wraps(scaled)(lambda self, x: scaled(x) + table.sum())

        return code.digest(Closed)

    table = np.arange(3)
    assert made(1.0, table) == made(1.0, table.copy())
    assert len({made(1.0, table), made(2.0, table), made(1.0, table + 1), made(1.0, jax.numpy.arange(4))}) == 4


def test_what_holds_itself_is_told_once():
    class Knot(Record):
        parts: ClassVar = [1.0]

        def hook(self):
            return Knot, Knot.parts

    Knot.parts.append(Knot.parts)
    assert code.digest(Knot) == code.digest(Knot)


def test_records_of_the_package_are_not_told():
    assert code.of_records(tiny_scenario(defense=ActiveChain(parts=(GaussianNoise(),)))) == {}


def test_an_own_record_is_found_wherever_it_is():
    class Quieter(GaussianNoise):
        pass

    found = code.of_records(tiny_scenario(defense=ActiveChain(parts=(GaussianNoise(), Quieter()))))
    assert found.keys() == {"defense.parts.1", "python"}
    assert found["defense.parts.1"].startswith("Quieter ")


def test_one_name_in_two_modules_is_refused():
    made("from vfl_jax.core.record import Record\nclass Probe{number}(Record): pass\n", "one_module", 90)
    again = "from vfl_jax.core.record import Record\nclass Probe{number}(Record):\n    level: float = 2.0\n"
    assert made(again, "one_module", 90)().level == 2.0  # redefinition
    with pytest.raises(ValueError, match=says("two_module", "'Probe90'", "one_module", "choose another name")):
        made(again, "two_module", 90)
    noise = "from vfl_jax.protocol.transforms import ActiveTransform\nclass GaussianNoise(ActiveTransform): pass\n"
    with pytest.raises(ValueError, match=says("mine", "'GaussianNoise'", "vfl_jax.defenses")):
        exec(noise, {"__name__": "mine"})

    assert kinds(Record)["GaussianNoise"] is GaussianNoise


def test_a_notebook_may_define_a_class_again():
    source = "from vfl_jax.core.record import Record\nclass Probe{number}(Record): pass\n"
    for name in ("__main__", "__mp_main__", None, "__main__"):
        made(source, name, 91)


def test_no_two_files_here_define_records_of_one_name():
    """Otherwise it would depend on which files are tested together whether the second can be imported."""
    root, known, defined = Path(__file__).parents[1], set(kinds(Record)) | {"Record"}, {}
    for path in [p for folder in ("tests", "notebooks", "experiments") for p in (root / folder).rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                bases = {getattr(base, "attr", getattr(base, "id", None)) for base in node.bases}
                defined[path.relative_to(root).as_posix(), node.name] = bases
    records: set = set()
    for _ in range(4):  # classes that derive from those that derive from records
        for (path, name), bases in defined.items():
            if any((path, base) in records if (path, base) in defined else base in known for base in bases):
                records.add((path, name))
    counts = Counter(name for _, name in records)
    assert {path: name for path, name in records if counts[name] > 1} == {}

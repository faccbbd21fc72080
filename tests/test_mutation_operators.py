"""The mistakes that are made on purpose: what every operator changes, and what none of them changes."""

import pytest

from experiments.mutations.draw import apply
from experiments.mutations.operators import OPERATORS
from experiments.mutations.places import Source, places

CHANGED = {
    "comparison": [
        ("a < b", ["a >= b"]),
        ("a == b != c", ["a != b != c", "a == b == c"]),
        ("a not  in (b)", ["a in (b)"]),
        ("(a) is (\n  b  # is not\n)", ["(a) is not (\n  b  # is not\n)"]),
    ],
    "off by one": [
        ("a < b", ["a <= b"]),
        ("x[1:]", ["x[2:]"]),
        ("x[0]", ["x[1]"]),
        ("range(3)", ["range(4)"]),
        ("n - 1", ["n - 2"]),
    ],
    "arithmetic": [
        ("'é' if a else b*c", ["'é' if a else b/c"]),
        ("-a", ["a"]),
        ("a += b", ["a -= b"]),
        ("f'{a}' + b", []),
        ("A = b | c", []),
    ],
    "constant": [
        ("f(3, True)", ["f(4, True)", "f(3, False)"]),
        ("0.5 * a", ["1.0 * a"]),
        ("a(0.0)", ["a(1.0)"]),
        ("a('3')", []),
        ("warn(a, stacklevel=2)", []),
    ],
    "boolean": [("a and b and c", ["a or b and c", "a and b or c"])],
    "not": [
        ("not (a and b)", ["(a and b)"]),
        ("a if b else c", ["a if (not (b)) else c"]),
        ("[a for a in b if a]", ["[a for a in b if (not (a))]"]),
        ("while True: pass", []),
    ],
    "return": [
        ("def f(): return g(a, b)", ["def f(): return a"]),
        ("def f(): return a + b", ["def f(): return None"]),
    ],
    "removal": [
        ("f(a)", ["pass"]),
        ("a = b", []),
        ("a = f(a)", ["pass"]),
        ("a.b = c", ["pass"]),
        ("if a: raise B(c - 1)", ["if a: pass"]),
        ("def f():\n  if a: return b\n  return c", ["def f():\n  if a: pass\n  return c"]),
        ("logger.info(a)", []),
    ],
    "swap": [("f(a, b , c)", ["f(b, a , c)", "f(a, c , b)"]), ("isinstance(a, b)", []), ("f(a, a)", [])],
    "branches": [
        ("jnp.where(a, b, c)", ["jnp.where(a, c, b)"]),
        ("f(b) if a else c", ["c if a else f(b)"]),
    ],
}


@pytest.mark.parametrize(
    ("operator", "text", "expected"), [(k, *case) for k, cases in CHANGED.items() for case in cases]
)
def test_an_operator_makes_its_mistakes(operator, text, expected):
    source = Source(text.encode())
    edits = [edit for place in places(source.tree) for edit in OPERATORS[operator](source, place)]
    assert [apply(source.data, edit).decode() for edit in edits] == expected


LEFT_OUT = {
    "a docstring": '"""1 < 2."""',
    "an annotation": "a: Literal[1 < 2]",
    "a type that is returned": "def f() -> A[1 < 2]: ...",
    "a message": "raise",
    "a decorator": "@f(1)\nclass A: ...",
    "an assertion": "assert a < b, 1",
    "what is shown": "class A:\n  def __repr__(self): return f(a < 1)",
    "names for types": "if TYPE_CHECKING:\n  a(1 < 2)",
    "a formatted text": "a = f'{1 < 2}'",
    "what is exported": "__all__ = [1]",
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_computes_nothing_is_left_out(name):
    source = Source(LEFT_OUT[name].encode())
    edits = [edit for place in places(source.tree) for find_in in OPERATORS.values() for edit in find_in(source, place)]
    assert [edit.text for edit in edits] == (["pass"] if name == "a message" else [])


def test_inside_a_message_nothing_is_changed():
    source = Source(b"def f(a):\n  if a: raise B(a - 1, c(2))\n  warn(a < b)\n")
    texts = {edit.text for place in places(source.tree) for f in OPERATORS.values() for edit in f(source, place)}
    assert texts == {"pass", "(not (a))"}

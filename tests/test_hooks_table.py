"""The table of hooks in docs/methods.md says what the classes say: every hook, its arguments and results, in order."""

import functools
import inspect
import re
from pathlib import Path

import jax
import jax.numpy as jnp

import vfl_jax as vfl
from vfl_jax.protocol.spelling import PREFIXES
from vfl_jax.testing.bench import benches
from vfl_jax.testing.running import Times, run

PAGE = (Path(__file__).parents[1] / "docs" / "methods.md").read_text(encoding="utf-8")
BASES = {"a party": vfl.PartyTransform, "the active party": vfl.ActiveTransform}
OTHERS = {"State": "state", "jax.Array | None": "labels or None", "Suspicion | None": "Suspicion or None"}
"""What is returned and no argument, by its annotation."""


def rows():
    """The rows of the table, cells without marks of code."""
    section = PAGE.partition("## All hooks\n")[2].partition("\n## ")[0]
    table = re.findall(r"^\| (.+) \|$", section, re.MULTILINE)
    return [line.replace("`", "").split(" | ") for line in table if not line.startswith("hook |")]


def hooks(base):
    """The hooks of a class, by name."""
    return {name: f for name, f in vars(base).items() if name.startswith(PREFIXES) and inspect.isfunction(f)}


def returned(hook):
    """What a hook returns, in the words of the table, by its annotations."""
    parameters = inspect.signature(hook).parameters
    *_, (name, last) = parameters.items()
    returns = inspect.signature(hook).return_annotation
    inner = re.fullmatch(r"tuple\[(.*)\]", returns)
    kinds = inner.group(1).split(", ") if inner else [returns]
    words = {last.annotation: name} | OTHERS
    if hook.__name__ == "on_embed":
        words["jax.Array"] = "penalty"
    return ", ".join(words[kind] for kind in kinds)


def test_it_has_every_hook_with_its_arguments_and_results():
    found = {(hook, place): (arguments, returns) for hook, place, arguments, returns, _ in rows()}
    assert len(found) == len(rows())
    assert found == {
        (name, place): (", ".join(list(inspect.signature(hook).parameters)[1:]), returned(hook))
        for place, base in BASES.items()
        for name, hook in hooks(base).items()
    }


CALLED: list[tuple[str, str]] = []


def noting(place, name):
    """A hook that notes that it is called, and does what its base does."""
    base = BASES[place]

    @functools.wraps(getattr(base, name))
    def hook(self, *args):
        CALLED.append((name, place))
        return getattr(base, name)(self, *args)

    return hook


class NotesOfAParty(vfl.PartyTransform):
    """Notes which hooks of a party are called, and guesses."""

    def infer_labels(self, key, state, view, features):
        CALLED.append(("infer_labels", "a party"))
        return jnp.full(len(jax.tree.leaves(features)[0]), vfl.protocol.UNKNOWN, jnp.int32)


class NotesOfTheActiveParty(vfl.ActiveTransform):
    """Notes which hooks of the active party are called, and answers."""

    def infer_suspicion(self, key, state, view, embeddings):
        CALLED.append(("infer_suspicion", "the active party"))
        score = jnp.stack([embedding.sum(axis=-1) for embedding in embeddings], axis=-1)
        return vfl.Suspicion(score=score, is_suspect=score.max(axis=-1) > 1)


for own, where in ((NotesOfAParty, "a party"), (NotesOfTheActiveParty, "the active party")):
    for hook_name in hooks(BASES[where]).keys() - vars(own).keys():
        setattr(own, hook_name, noting(where, hook_name))


def test_it_has_the_order_in_which_hooks_are_called():
    CALLED.clear()
    bench = benches()[0]
    scenario = bench.numbers(NotesOfAParty()).replace(defense=NotesOfTheActiveParty())
    jax.eval_shape(functools.partial(run, bench.shapes, Times()), scenario, bench.inputs, bench.draws, bench.models)
    assert list(dict.fromkeys(CALLED)) == [(hook, place) for hook, place, *_ in rows()]

"""What a method keeps of every training row is written in place: no step copies it.

A copy of 60,000 rows costs a step more than all its arithmetic, and no result shows it.
"""

import re

import jax
import jax.numpy as jnp
import pytest

from experiments.benchmarks.described_gpu import instructions
from vfl_jax.arenas.boards import board_for
from vfl_jax.arenas.lineup import ATTACKS, DEFENSES
from vfl_jax.attacks import DirectionInference, FreshReplacement, LabelReplacement
from vfl_jax.data import load_digits
from vfl_jax.protocol.chains import PartyChain
from vfl_jax.protocol.transforms import ActiveTransform, Attack
from vfl_jax.replica.draws import Given
from vfl_jax.sweeps import programs
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.prepared import prepare
from vfl_jax.sweeps.study import Study

pytestmark = pytest.mark.optimized


class Copies(Attack):
    """Reads its old sums after it wrote the new ones, so that XLA has to copy all of them."""

    def init(self, key, shapes, party):
        return jnp.zeros((shapes.num_samples, shapes.widths[party]))

    def on_download(self, key, state, view, gradient):
        new = state.at[view.sample_ids].add(gradient)
        return new[view.sample_ids] - state[view.sample_ids], new


def copies_of_rows(attack, defense=ActiveTransform(), head="trainable"):
    """The copies, in the loop over steps, of arrays with an entry per training row; and how many leaves have one."""
    board = board_for(load_digits(), epochs=2, head=head)
    study = Study(board.meeting(attack, defense), board.data, 2, Given())
    ready = prepare(study, Chunk(({}, {"head_optimizer.learning_rate": 0.1}), (0, 1)))
    state, rows = ready.state_shapes(), board.data.train.num_samples
    kept = [leaf for leaf in jax.tree.leaves(state) if rows in leaf.shape]
    with jax.numpy_dtype_promotion("standard"):  # optax's Adam needs it
        text = programs.train_epoch.lower(*ready.arguments, state, jnp.int32(0)).compile().as_text()
    steps = [body for body in instructions(text).values() if any("jvp(" in line for line in body)]
    has_rows = re.compile(rf"\b{rows}\b")
    found = [line for body in steps for line in body if " copy(" in line and has_rows.search(line.split(" copy(")[0])]
    return found, len(kept)


@pytest.mark.long
def test_a_copy_is_found():
    found, kept = copies_of_rows(Copies())
    assert (bool(found), kept) == (True, 1)


@pytest.mark.long
def test_fresh_replacement_copies_nothing():
    found, kept = copies_of_rows(FreshReplacement())
    assert (found, kept) == ([], 4)


@pytest.mark.long
@pytest.mark.parametrize("evidence", ["last", "sum", "fading"])
def test_no_kind_of_evidence_is_copied(evidence):
    found, kept = copies_of_rows(FreshReplacement(evidence=evidence))
    assert (found, kept) == ([], 4)


@pytest.mark.long
@pytest.mark.parametrize(
    ("attack", "defense", "head"),
    [
        (ATTACKS["LFBA"], ActiveTransform(), "trainable"),
        (ATTACKS["PersistentPairs"], ActiveTransform(), "trainable"),
        (ATTACKS["Villain"], ActiveTransform(), "trainable"),
        (ATTACKS["BadVFL"], ActiveTransform(), "trainable"),
        (DirectionInference(), ActiveTransform(), "trainable"),
        (LabelReplacement(), ActiveTransform(), "sum"),
        (PartyChain(), DEFENSES["Sparsification"], "trainable"),
        (PartyChain(), DEFENSES["EmbeddingFilter"], "trainable"),
        (PartyChain(), DEFENSES["VFLIP"], "trainable"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_methods_that_keep_something_of_every_row_copy_nothing(attack, defense, head):
    found, kept = copies_of_rows(attack, defense, head)
    assert found == []
    assert kept

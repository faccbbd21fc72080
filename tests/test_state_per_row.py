"""The plan of memory counts what methods hold per training row: by XLA's own account no program takes more."""

import jax
import pytest

from vfl_jax.arenas.boards import board_for
from vfl_jax.attacks import ActivationBlurring, FreshReplacement, GradientReplacement
from vfl_jax.data import load_digits
from vfl_jax.defenses import Sparsification
from vfl_jax.protocol.chains import PartyChain
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.replica.draws import Given
from vfl_jax.sweeps import memory
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.prepared import prepare
from vfl_jax.sweeps.study import Study

pytestmark = [pytest.mark.optimized, pytest.mark.long]


def blurred(replacement):
    blurring = ActivationBlurring(kind="gaussian", stddev=1e-3, wait_for_target=False)
    return PartyChain(parts=(blurring, replacement))


@pytest.mark.parametrize(
    ("attack", "defense"),
    [
        (GradientReplacement(), Sparsification(residual="sample", drop_rate=0.99)),
        (FreshReplacement(), ActiveTransform()),
    ],
    ids=["a residual per row", "a gradient per row"],
)
def test_no_program_takes_more_than_is_planned(attack, defense):
    board = board_for(load_digits(), epochs=2, learning_rate=0.3)
    study = Study(board.meeting(blurred(attack), defense), board.data, 2, Given())
    chunk = Chunk(({}, {"head_optimizer.learning_rate": 0.1}), tuple(range(8)))
    ready = prepare(study, chunk)
    fixed, each = memory.needed(ready)
    state = ready.state_shapes()
    of_rows = [leaf for leaf in jax.tree.leaves(state) if board.data.train.num_samples in leaf.shape]
    assert memory._bytes(of_rows) > 0.5 * memory._bytes(state)
    planned = fixed + each * chunk.num_replicas
    for program, arguments in memory.programs_of(ready, state):
        used = program.lower(*arguments).compile().memory_analysis()
        new = used.output_size_in_bytes - used.alias_size_in_bytes
        taken = used.argument_size_in_bytes + new + used.temp_size_in_bytes
        assert taken <= planned
        if program is memory.programs.train_epoch:
            assert taken > 0.4 * planned

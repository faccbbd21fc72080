"""Evaluation gets what it reads and no more; sweeps that differ in the rest share its programs, and give the same."""

import dataclasses
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from training_helpers import digits_scenario, small_digits

from vfl_jax import replica as replica_api
from vfl_jax.attacks import ActivationBlurring, GradientReplacement, PoisonedData, Replay
from vfl_jax.core.record import Record
from vfl_jax.defenses import Clipping, EmbeddingNormalisation, GaussianNoise, LabelSmoothing
from vfl_jax.protocol.chains import ActiveChain, PartyChain
from vfl_jax.protocol.transforms import ActiveTransform, Attack, PartyTransform
from vfl_jax.replica import inference, passes, reports
from vfl_jax.replica.evaluated import HOOKS, evaluated
from vfl_jax.sweeps import programs
from vfl_jax.sweeps.sweep import sweep

TRAINING_HOOKS = {
    *("init", "init_with_params", "on_features", "on_upload", "on_download", "on_epoch"),
    *("on_labels", "on_receive", "on_send", "init_params", "check", "check_plan"),
}
"""The functions of a method that no evaluation calls."""


def scenario_with(attack, defense):
    return digits_scenario(attacks=(PartyTransform(), attack), defense=defense)


def state_of(scenario):
    ready = replica_api.prepare(scenario, small_digits(), jax.random.key(0))
    return jax.eval_shape(lambda: replica_api.init(ready))


def test_every_hook_is_one_of_training_or_of_evaluation():
    """A new hook belongs into one of the two lists."""
    found = {
        name
        for base in (PartyTransform, ActiveTransform)
        for kind in base.__mro__[: base.__mro__.index(Record)]
        for name, value in vars(kind).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }
    assert found == TRAINING_HOOKS | set(HOOKS)
    source = "".join(inspect.getsource(module) for module in (inference, passes, reports))
    assert not [name for name in TRAINING_HOOKS - {"init", "check", "check_plan"} if f'"{name}"' in source]


def test_methods_of_training_alone_leave_evaluation():
    scenario = scenario_with(GradientReplacement(enabled=0.0, amplify=3.0), ActiveChain(parts=(Clipping(),)))
    lean, state = evaluated(scenario, state_of(scenario))
    assert lean.attacks == (PartyTransform(), Attack(enabled=0.0))
    assert lean.defense == ActiveTransform()
    assert state.attack_states == ((), ())
    assert not jax.tree.leaves((state.opt_states, state.head_opt_state, state.defense_state))
    assert jax.tree.leaves(state.params) == jax.tree.leaves(state_of(scenario).params)


def test_of_a_chain_those_parts_stay_that_are_read():
    chain = PartyChain(parts=(GradientReplacement(), Replay()))
    scenario = scenario_with(chain, ActiveChain(parts=(Clipping(), EmbeddingNormalisation())))
    before = state_of(scenario)
    lean, state = evaluated(scenario, before)
    assert lean.attacks[1].parts == (Attack(), Replay())
    assert lean.defense.parts == (ActiveTransform(), EmbeddingNormalisation())
    assert state.attack_states[1] == ((), before.attack_states[1][1])
    assert lean.attackers == scenario.attackers


class ShuffledInPairs(ActiveTransform):
    """Has no hook of evaluation, and yet settles the order of the test rows."""

    inference_batch = 2
    inference_order = "shuffled"


def test_a_method_that_settles_the_order_of_rows_stays():
    scenario = scenario_with(GradientReplacement(), ShuffledInPairs())
    lean, _ = evaluated(scenario, state_of(scenario))
    assert lean.defense == ShuffledInPairs()
    assert lean.inference_order == scenario.inference_order == "shuffled"


@pytest.mark.long
@pytest.mark.parametrize(
    "attack", [GradientReplacement(amplify=5.0), PartyChain(parts=(ActivationBlurring(), Replay()))]
)
def test_both_passes_answer_the_same(attack):
    scenario = scenario_with(attack, ActiveChain(parts=(GaussianNoise(stddev=0.01), EmbeddingNormalisation())))
    ready = replica_api.prepare(scenario, small_digits(), jax.random.key(1))
    state = replica_api.init(ready)
    state = dataclasses.replace(state, params=jax.tree.map(lambda leaf: leaf + 0.1, state.params))
    lean = evaluated(ready.scenario, state)
    assert len(jax.tree.leaves(lean)) < len(jax.tree.leaves((ready.scenario, state)))
    for program in (passes.evaluate, passes.attack_all):
        whole, less = (
            jax.jit(program, static_argnames="shapes")(ready.shapes, ready.inputs, *given, jnp.int32(0))
            for given in ((ready.scenario, ready.draws, state), (lean[0], ready.draws, lean[1]))
        )
        assert whole.keys() == less.keys()
        for name in whole:
            np.testing.assert_array_equal(whole[name].sum, less[name].sum, err_msg=name)


@pytest.mark.long
def test_sweeps_that_differ_in_training_alone_share_programs():
    def compiled(attack, defense):
        before = [program._cache_size() for program in shared]
        sweep(scenario_with(attack, defense), small_digits(), {"attack.enabled": [0, 1]}, 2, 1, progress=False)
        return [program._cache_size() - size for program, size in zip(shared, before, strict=True)]

    shared = programs.init_models, programs.evaluate, programs.attack_all
    programs_of_first = compiled(GradientReplacement(), ActiveTransform())
    assert programs_of_first[0] <= 1
    assert compiled(GradientReplacement(), Clipping()) == [0, 0, 0]
    assert compiled(PoisonedData(), LabelSmoothing()) == [0, 0, 0]
    assert compiled(Replay(), Clipping())[0] == 0
    assert compiled(PoisonedData(), EmbeddingNormalisation())[1] == 1

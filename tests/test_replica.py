"""One replica by hand: what is given counts, bad arguments are refused by name, and it is what ``run`` trains."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import says, tiny_data, tiny_scenario

import vfl_jax as vfl
from vfl_jax import replica

SCENARIO, DATA, KEY = tiny_scenario(), tiny_data(), jax.random.key(3)


@pytest.fixture(scope="module")
def one():
    return replica.prepare(SCENARIO, DATA, jax.random.key(3))


def test_given_parameters_are_where_training_starts(one):
    drawn = replica.init(one)
    zero = jax.tree.map(np.zeros_like, jax.device_get((drawn.params, drawn.head_params)))
    given = vfl.Given(params=zero[0], head_params=zero[1])
    started = replica.init(replica.prepare(SCENARIO, DATA, jax.random.key(3), given))
    assert all(not leaf.any() for leaf in jax.tree.leaves((started.params, started.head_params)))


def test_it_is_the_replica_that_run_trains(one):
    state = replica.init(one)
    state, found, _ = jax.jit(replica.train_epoch)(one, state, 0)
    results, last = vfl.run(SCENARIO, DATA, jax.random.key(3), epochs=1)
    np.testing.assert_allclose(found["loss"].sum / found["loss"].count, results.loss[0], rtol=1e-5)
    for mine, other in zip(jax.tree.leaves(state.params), jax.tree.leaves(last.params), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)


SWEPT = SCENARIO.replace(poison=SCENARIO.poison.replace(rate=np.array([0.1, 0.2], np.float32)))
BAD = {
    "a scenario": (("x", DATA, KEY), ("scenario is 'x'",)),
    "data": ((SCENARIO, tiny_data, KEY), ("data is", "from_arrays")),
    "a number as key": ((SCENARIO, DATA, 0), ("key is 0", "typed key")),
    "a raw key": ((SCENARIO, DATA, jnp.zeros(2, jnp.uint32)), ("key is", "typed key")),
    "another generator": ((SCENARIO, DATA, jax.random.key(0, impl="rbg")), ("generator of key is", "threefry2x32")),
    "given": ((SCENARIO, DATA, KEY, {}), ("given is {}", "vfl.Given()")),
    "swept numbers": ((SWEPT, DATA, KEY), ("PoisonPlan.rate is an array", "swept")),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_refused_by_name(case):
    arguments, message = BAD[case]
    with pytest.raises(ValueError, match=says(*message)):
        replica.prepare(*arguments)


@pytest.mark.parametrize("ids", [[0, 99999], [-1], [0.5], [[1]], ["a"]])
def test_rows_that_are_none_are_refused(one, ids):
    with pytest.raises(ValueError, match=says("ids is", "whole numbers from 0 to 29")):
        replica.batch(one, ids)


def test_features_of_every_party_are_needed(one):
    with pytest.raises(ValueError, match="features has 1 entries; there are 2 parties"):
        replica.predict(one, replica.init(one), DATA.test.features[:1], jax.random.key(0))


class CopiesItsModel(vfl.Attack):
    """Keeps its party's model as it was before the first step."""

    def init_with_params(self, key, shapes, party, params):
        return {"party": jnp.int32(party), "params": params}


@pytest.mark.parametrize("in_chain", [False, True])
def test_a_method_may_begin_with_a_copy_of_its_own_model(in_chain):
    """Alone and in a chain, it is given the model of its own party, and no other."""
    method = vfl.PartyChain(parts=[vfl.PartyTransform(), CopiesItsModel()]) if in_chain else CopiesItsModel()
    scenario = SCENARIO.replace(attacks=(vfl.PartyTransform(), method))
    state = replica.init(replica.prepare(scenario, DATA, KEY))
    kept = state.attack_states[1][1] if in_chain else state.attack_states[1]
    assert kept["party"] == 1
    for mine, other in zip(jax.tree.leaves(kept["params"]), jax.tree.leaves(state.params[1]), strict=True):
        np.testing.assert_array_equal(mine, other)

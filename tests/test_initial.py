"""The state before the first step: settled dtypes, so that each program is made once."""

import logging
import re

import jax
import jax.numpy as jnp
import pytest
from data_helpers import tiny_data, tiny_scenario
from helpers import hardly_optimized

from vfl_jax import replica as replica_api
from vfl_jax.protocol.transforms import Attack, PartyTransform
from vfl_jax.replica.initial import _given_params
from vfl_jax.sweeps.sweep import sweep


class StateOfPlainNumbers(Attack):
    """Its state begins with numbers of Python, whose dtype JAX calls weak."""

    def init(self, key, shapes, party):
        return {"scores": jnp.full(3, 0.0), "calls": jnp.asarray(0), "last": 0.5}

    def on_download(self, key, state, view, gradient):
        return gradient, state | {"calls": state["calls"] + 1}

    def on_epoch(self, key, state, view, params):
        return params, state | {"last": state["last"] + 1.0}


def scenario_with_plain_numbers():
    return tiny_scenario(attacks=(PartyTransform(), StateOfPlainNumbers()))


def test_a_state_of_plain_numbers_has_settled_dtypes():
    state = replica_api.init(replica_api.prepare(scenario_with_plain_numbers(), tiny_data(), jax.random.key(0)))
    leaves = jax.tree.leaves(state)
    assert jnp.full(3, 0.0).weak_type
    assert [leaf.weak_type for leaf in leaves] == [False] * len(leaves)


def test_every_program_is_made_once_whatever_a_state_begins_with(caplog):
    """The memory's plan makes them; training must find these, not make them anew."""
    jax.clear_caches()  # another test may have made an equal program of evaluation
    with hardly_optimized(), jax.log_compiles(), caplog.at_level(logging.WARNING):
        sweep(scenario_with_plain_numbers(), tiny_data(), {"attack.enabled": [0, 1]}, 2, epochs=2, progress=False)
    made = [re.match(r"Compiling jit\((\w+)\)", record.getMessage()) for record in caplog.records]
    made = [found[1] for found in made if found]
    assert {name: made.count(name) for name in ("train_epoch", "between_epochs", "evaluate")} == {
        "train_epoch": 1,
        "between_epochs": 1,
        "evaluate": 1,
    }


EXPECTED = {"a": jnp.zeros(2), "b": jnp.zeros(3)}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"a": jnp.zeros(2)}, "params['b'] has shape None; the scenario's models have (3,)"),
        (
            {"a": jnp.zeros(2), "b": jnp.zeros(3), "c": 0.0},
            r"params['c'] has shape (); the scenario's models have None",
        ),
        ({"a": jnp.zeros(2), "b": jnp.zeros(4)}, "params['b'] has shape (4,); the scenario's models have (3,)"),
    ],
)
def test_given_parameters_that_do_not_fit_are_named(given, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        _given_params("params", given, EXPECTED)

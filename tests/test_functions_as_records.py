"""Losses and heads that are made of functions: they count as the classes that one would write."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import says, tiny_data, tiny_scenario

from vfl_jax import models
from vfl_jax.core.record import from_json
from vfl_jax.models import SoftmaxCrossEntropy, SumHead
from vfl_jax.sweeps.sweep import run


@models.as_loss
def entropy_by_hand(logits, targets):
    """The same as the package's loss, which is the oracle."""
    return -(targets * jax.nn.log_softmax(logits)).sum(axis=-1)


@models.as_head
def sum_by_hand(embeddings, num_classes):
    """The same as the package's head, which is the oracle."""
    return embeddings[0] + embeddings[1]


@models.as_head
def upside_down(embeddings, num_classes):
    return -embeddings[0] - embeddings[1]


def trained(**fields):
    found, _ = run(tiny_scenario(**fields), tiny_data(), jax.random.key(0), epochs=2)
    return found


def test_a_loss_and_a_head_of_functions_train_like_the_package_s():
    ours = trained(loss=SoftmaxCrossEntropy(), head=SumHead())
    made = trained(loss=entropy_by_hand, head=sum_by_hand)
    other = trained(loss=entropy_by_hand, head=upside_down)
    for name in ("loss", "test_loss", "class_score"):
        np.testing.assert_allclose(made[name], ours[name], rtol=1e-5, atol=1e-6, err_msg=name)
    assert not np.allclose(other["loss"], ours["loss"], rtol=1e-3)


def test_json_knows_them_by_the_functions_names():
    scenario = tiny_scenario(loss=entropy_by_hand.replace(reduction="sum"), head=sum_by_hand)
    again = from_json(scenario.to_json())
    assert again == scenario
    assert (type(again.loss).__name__, again.loss.reduction) == ("entropy_by_hand", "sum")
    logits, targets = jnp.ones((2, 3)), jax.nn.one_hot(jnp.array([0, 2]), 3)
    np.testing.assert_allclose(again.loss(logits, targets), 2 * np.log(3), rtol=1e-6)


@pytest.mark.parametrize("make", [models.as_loss, models.as_head])
def test_a_function_without_a_name_is_refused(make):
    with pytest.raises(ValueError, match=says(make.__name__, "a name")):
        make(lambda *arguments: arguments[0])

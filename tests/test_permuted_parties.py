"""With the same parameters and batches, a permutation of parties permutes what is trained, and nothing else."""

import helpers
import jax
import numpy as np
import pytest

import vfl_jax as vfl
from vfl_jax.attacks import BASL, FreshReplacement, GradientReplacement, Replay
from vfl_jax.data import partition_table
from vfl_jax.defenses import Clipping, Sparsification
from vfl_jax.models import MLP, DenseHead, Optimizer, SumHead
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.protocol.triggers import FeatureTrigger

COLUMNS = ((0, 1, 2), (3, 4), (5, 6, 7))
ORDER = (2, 0, 1)  # the party that stands at each place afterwards
WIDTHS = (4, 3, 5)
ATTACKER = 1


def data(order):
    rng = np.random.default_rng(0)
    splits = [(rng.normal(size=(n, 8)).astype(np.float32), np.arange(n) % 3) for n in (48, 30)]
    return partition_table("table", *splits, by=tuple(COLUMNS[k] for k in order))


def permuted(items, order):
    return tuple(items[k] for k in order)


def layer(rng, inputs, outputs):
    kernel, bias = rng.normal(0, 0.5, (inputs, outputs)), rng.normal(0, 0.5, outputs)
    return {"kernel": kernel.astype(np.float32), "bias": bias.astype(np.float32)}


def trained(order, attack, defense, head):
    """The results and the final parameters, by party as the parties first stood."""
    rng, widths = np.random.default_rng(1), WIDTHS if isinstance(head, DenseHead) else (3, 3, 3)
    params = [{"dense_0": layer(rng, len(COLUMNS[k]), widths[k])} for k in range(3)]
    head_params = {}
    if isinstance(head, DenseHead):
        head_params = {"dense_0": layer(rng, sum(widths), 6), "dense_1": layer(rng, 6, 3)}
        blocks = np.split(head_params["dense_0"]["kernel"], np.cumsum(widths)[:-1])
        head_params["dense_0"]["kernel"] = np.concatenate(permuted(blocks, order))
    trigger = FeatureTrigger(party=order.index(ATTACKER), index=1, value=3.0)
    scenario = helpers.scenario_of(
        permuted([MLP(hidden=(), width=width, output_relu=True) for width in widths], order),
        (Optimizer(learning_rate=0.1),) * 3,
        attacks=permuted([attack if k == ATTACKER else vfl.PartyTransform() for k in range(3)], order),
        poison_ids=(4, 7, 10, 13),
        target_ids=(0, 3, 6),
        head=head,
        head_optimizer=Optimizer(learning_rate=0.1),
        defense=defense,
        plan={"trigger": trigger},
    )
    given = vfl.Given(params=permuted(params, order), head_params=head_params)
    results, state = vfl.run(scenario, data(order), jax.random.key(0), epochs=3, given=given, progress=False)
    return results, [state.params[order.index(k)] for k in range(3)]


long = pytest.mark.long


@pytest.mark.long
@pytest.mark.parametrize(
    ("attack", "defense", "head"),
    [
        pytest.param(GradientReplacement(), ActiveTransform(), SumHead(), marks=long),
        (FreshReplacement(), Clipping(by="row_l2", bound=0.05), DenseHead(hidden=(6,))),
        pytest.param(
            BASL(at_epochs=(1, 2)), Sparsification(residual="sample", drop_rate=0.5), DenseHead(hidden=(6,)), marks=long
        ),
        pytest.param(Replay(), ActiveTransform(), DenseHead(hidden=(6,)), marks=long),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_permutation_of_parties_permutes_what_is_trained(attack, defense, head):
    (first, params), (second, permuted_params) = (trained(order, attack, defense, head) for order in ((0, 1, 2), ORDER))
    for one, other in zip(params, permuted_params, strict=True):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), one, other)
    assert np.ptp(first["loss"].values) > 0.01
    for name in ("loss", "test_loss", "main_task_accuracy", "attack_success_rate", "class_score"):
        np.testing.assert_allclose(first[name], second[name], rtol=1e-4, atol=1e-5, err_msg=name)


@long
def test_other_parties_in_their_places_change_what_is_trained():
    """The check above is no tautology: where the attacker's place is another's, results differ."""
    first, _ = trained((0, 1, 2), GradientReplacement(), ActiveTransform(), SumHead())
    honest, _ = trained((0, 1, 2), vfl.PartyTransform(), ActiveTransform(), SumHead())
    assert np.abs(first["test_loss"].values - honest["test_loss"].values).max() > 1e-3

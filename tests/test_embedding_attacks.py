"""What the attacks whose trigger lives in the embedding share: switched off, in a chain, on bags, stopped midway."""

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import tiny_data, tiny_scenario
from sweep_helpers import content

import vfl_jax as vfl
from vfl_jax.attacks import BASL, CentroidReplay, GradientReplacement, Replay, StayInRange, Villain
from vfl_jax.models import Linear, SumHead
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.chains import PartyChain
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.protocol.triggers import EmbeddingTrigger
from vfl_jax.replica.replica import between_epochs, predict
from vfl_jax.sweeps.store.checkpoints import Checkpoints

TARGETS = (0, 9, 12, 21)
ATTACKS = {
    "BASL": BASL(at_epochs=(1,), noise=0.1),
    "Villain": Villain(
        search_from=1, poison_from=1, ratio=2.0, largest_norm=9.0, magnitude=2.0, share=0.67,
        least_factor=0.9, largest_factor=0.9, classifier=Optimizer(),
    ),
    "Replay": Replay(factor=2.0),
    "CentroidReplay": CentroidReplay(at_epochs=(1,), centres="clusters", cluster_rows=12, most_known=20),
}  # fmt: skip
"""None draws in training what its state shows, because a chain gives each part a key of its own: where one label alone
is known, every cluster has it."""
TRAINS_HONESTLY = ("Replay", "CentroidReplay")

every_attack = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())


def replica_of(data, attack):
    bottoms, optimizers = [Linear(width=3)] * 2, [Optimizer(learning_rate=0.5)] * 2
    attacks = (PartyTransform(), attack)
    plan = {"plan": {"trigger": EmbeddingTrigger()}, "target_ids": TARGETS}
    return helpers.replica(helpers.scenario_of(bottoms, optimizers, attacks, head=SumHead(), **plan), data)


def trained(replica, num_epochs=3):
    """The state after some epochs, and what methods do between them."""
    state = between_epochs(replica.one, replica.state, 0, num_epochs)
    for epoch in range(num_epochs):
        state, *_ = replica._replace(state=state).epoch(epoch, helpers.jit_epoch)
        state = between_epochs(replica.one, state, epoch + 1, num_epochs)
    return state


def logits(replica, state, data):
    rows = jnp.arange(len(data.test.labels))
    return predict(replica.one, state, data.test.features, jax.random.key(3), is_attacked=rows % 2 == 0)


@pytest.mark.long
@every_attack
def test_switched_off_it_is_the_honest_run_bitwise(table, attack):
    """In training and on attacked test rows; switched on it changes of test rows the attacked ones alone."""
    off, on = (replica_of(table, attack.replace(enabled=float(enabled))) for enabled in (0, 1))
    honest = replica_of(table, PartyTransform())
    states = [trained(replica) for replica in (off, on, honest)]
    helpers.assert_bitwise_equal(states[0].params, states[2].params)
    assert helpers.differs(states[1].params, states[2].params) != (type(attack).__name__ in TRAINS_HONESTLY)
    found = [logits(replica, state, table) for replica, state in zip((off, on, honest), states, strict=True)]
    helpers.assert_bitwise_equal(found[0], found[2])
    unattacked = logits(on._replace(one=honest.one), states[1], table)
    is_attacked = np.arange(len(unattacked)) % 2 == 0
    np.testing.assert_allclose(found[1][~is_attacked], unattacked[~is_attacked], rtol=1e-5, atol=1e-6)
    assert (np.abs(found[1] - unattacked)[is_attacked].max(axis=1) > 1e-3).all()


@pytest.mark.long
@every_attack
def test_in_a_chain_after_another_attack_it_does_what_it_does_alone(table, attack):
    """Without poison rows gradient replacement has nothing to do."""
    chain = PartyChain(parts=(GradientReplacement(), attack))
    alone, chained = replica_of(table, attack), replica_of(table, chain)
    first, second = trained(alone), trained(chained)
    helpers.assert_bitwise_equal(first.params, second.params)
    helpers.assert_bitwise_equal(first.attack_states[1], second.attack_states[1][1])


@pytest.mark.long
@every_attack
def test_bags_of_ids_are_treated_as_their_dense_rows(attack):
    bags = helpers.bag_data()
    dense = helpers.as_multi_hot(bags)
    found, expected = (trained(replica_of(data, attack)) for data in (bags, dense))
    for mine, other in zip(*map(jax.tree.leaves, (found.attack_states[1], expected.attack_states[1])), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)


def stopped_and_whole(tmp_path, monkeypatch, attacks, over, num_known=0):
    """A sweep with an attack at each party, as it comes out; stopped after the second epoch, it goes on bit for bit."""
    plan = {"trigger": EmbeddingTrigger(), "rate": 0.0, "num_targets": 3, "num_known": num_known}
    scenario = tiny_scenario(plan=plan, attacks=attacks)

    def swept(folder):
        return vfl.sweep(
            scenario, tiny_data(), over, 1, 4, progress=False, folder=tmp_path / folder, checkpoint_every=1
        )

    whole, save = swept("whole").isel(epoch=-1), Checkpoints.save

    def save_and_stop(self, epoch, tree):
        save(self, epoch, tree)
        if epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            swept("stopped")
    swept("stopped")
    assert content(tmp_path / "stopped") == content(tmp_path / "whole")
    return whole


@pytest.mark.long
def test_a_sweep_that_is_stopped_goes_on_bit_for_bit(tmp_path, monkeypatch):
    """Over a number of one attack, stopped when their states hold what they have seen."""
    attacks = ATTACKS["BASL"], ATTACKS["Villain"]
    whole = stopped_and_whole(tmp_path, monkeypatch, attacks, {"attacks.0.scale": [0.85, 50.0]})
    norms, found = whole.trigger_norm.values.ravel(), whole.poisoned_rate.values.ravel()
    assert norms[1] > 10 * norms[0] > 0
    assert (found > 3 / 30 + 1e-6).all()


@pytest.mark.long
def test_stopped_replays_go_on_bit_for_bit(tmp_path, monkeypatch):
    attacks = ATTACKS["Replay"], ATTACKS["CentroidReplay"]
    whole = stopped_and_whole(tmp_path, monkeypatch, attacks, {"attacks.0.factor": [1.0, 50.0]}, num_known=2)
    assert (whole.num_stored == 3).all()
    assert (whole.num_centres == 3).all()


@pytest.mark.long
def test_a_stopped_chain_that_stays_in_range_goes_on_bit_for_bit(tmp_path, monkeypatch):
    """It draws anew between epochs what is ordinary."""
    chains = tuple(PartyChain(parts=(attack, StayInRange(most_rows=10))) for attack in list(ATTACKS.values())[:2])
    whole = stopped_and_whole(tmp_path, monkeypatch, chains, {"attacks.0.parts.1.share": [1.0, 0.2]})
    assert (whole.poisoned_rate > 3 / 30 + 1e-6).all()

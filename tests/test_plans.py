"""Studies in which a method would do nothing: refused before training, by the name of the method."""

import jax
import numpy as np
import pytest
from data_helpers import says, tiny_data, tiny_scenario

import vfl_jax as vfl
from vfl_jax.attacks import (
    LFBA,
    ActivationBlurring,
    ActiveBackdoor,
    GradientReplacement,
    PassiveModelCompletion,
    Villain,
)
from vfl_jax.protocol.transforms import ActiveTransform, Attack, PartyTransform
from vfl_jax.protocol.triggers import EmbeddingTrigger, FeatureTrigger, NaturalTrigger
from vfl_jax.replica.draws import Given, draw
from vfl_jax.replica.plans import check_plans
from vfl_jax.sweeps.arguments import check_grid, check_study

DATA = tiny_data(active_party=0, num_parties=3)
IN_MESSAGE = {"trigger": EmbeddingTrigger(), "rate": 0.0}
EARLY = Villain(search_from=0, poison_from=1)


def study_of(attack, plan=None, **fields):
    """Party 2 attacks; 6 of 30 training rows carry the trigger, unless the plan says otherwise."""
    attacks = (PartyTransform(), PartyTransform(), attack)
    return tiny_scenario(3, plan, **({"attacks": attacks} | fields))


def asked(scenario, over=None, epochs=3, given=Given()):
    """What every sweep does before it trains."""
    grid, seeds = check_grid(scenario, over, 2, epochs, given)
    check_study(scenario, DATA, grid, seeds, epochs, given)


class Curious(Attack):
    """Test only: keeps the plan that it was asked about."""

    def check_plan(self, plan):
        SEEN.append(plan)


SEEN = []


def test_a_plan_says_what_the_draws_grant():
    plan = {"num_known": 2, "num_targets": 5, "target_class": 1, "trigger": FeatureTrigger(party=2, index=0)}
    scenario = study_of(Curious(), plan, active_attack=ActiveBackdoor(enabled=0.0))
    check_plans(scenario, DATA, draw(scenario, DATA, jax.random.key(0)), num_epochs=7)
    two = scenario.replace(attacks=(PartyTransform(), vfl.PartyChain(parts=(Curious(), PartyTransform())), Curious()))
    given = Given(poison_ids=np.arange(5))
    check_plans(two, DATA, draw(two, DATA, jax.random.key(0), given), num_epochs=1)
    drawn, (elsewhere, here) = SEEN[-3], SEEN[-2:]
    assert drawn == vfl.Plan(num_epochs=7, num_poisons=6, num_known=(2, 5, 2), can_stamp=True)
    assert (elsewhere.can_stamp, here.can_stamp, here.num_poisons) == (False, True, 5)  # of the third party's features


@pytest.mark.parametrize(
    ("attack", "plan", "message"),
    [
        (GradientReplacement(), {"rate": 0.0}, says("GradientReplacement acts on poison rows", "poison.rate")),
        (ActivationBlurring(), {"rate": 0.0}, says("ActivationBlurring acts on poison rows")),
        (EARLY.replace(poison_from=3), IN_MESSAGE, says("Villain.poison_from is 3", "3 epochs", "at most 2")),
        (EARLY.replace(search_from=3), IN_MESSAGE, says("Villain.search_from is 3", "at most 2", "num_candidates=0")),
        (LFBA(), IN_MESSAGE, says("LFBA stamps", "poison.attack_trigger")),
        (LFBA(), {"trigger": NaturalTrigger(), "poison_ids": (0,)}, says("LFBA stamps", "poison.attack_trigger")),
        (PassiveModelCompletion(), {"num_targets": 9}, says("known rows of 1 of 3 classes", "poison.num_known")),
    ],
)
def test_an_attack_that_would_do_nothing_is_refused_unless_it_is_off(attack, plan, message):
    over = {"attack.enabled": [0.0, 1.0]}
    for scenario in (study_of(attack, plan), study_of(vfl.PartyChain(parts=(attack, Attack())), plan)):
        with pytest.raises(ValueError, match=message):
            asked(scenario)
    with pytest.raises(ValueError, match=message):
        asked(study_of(attack, plan), over)
    with pytest.raises(ValueError, match=message):
        vfl.run(study_of(attack, plan), DATA, jax.random.key(0), epochs=3)
    asked(study_of(attack.replace(enabled=0.0), plan))


def test_a_trigger_on_another_party_s_features_is_none_to_stamp():
    plan = {"trigger": FeatureTrigger(party=1, index=0), "rate": 0.0}
    attacks = (PartyTransform(), LFBA(), LFBA(enabled=0.0))
    asked(study_of(None, plan, attacks=attacks))
    with pytest.raises(ValueError, match="LFBA stamps"):
        asked(study_of(None, plan, attacks=(PartyTransform(), LFBA(), LFBA())))


@pytest.mark.parametrize(
    ("attack", "plan", "epochs"),
    [
        (EARLY, IN_MESSAGE, 2),
        (EARLY.replace(search_from=99, num_candidates=0), IN_MESSAGE, 2),
        (LFBA(), {"rate": 0.0}, 2),
        (LFBA(), IN_MESSAGE | {"attack_trigger": FeatureTrigger(party=2, index=0)}, 2),
        (PassiveModelCompletion(), {"num_known": 1}, 1),
        (GradientReplacement(), {"rate": 0.0, "poison_ids": (3,)}, 1),
    ],
)
def test_what_suffices_is_accepted(attack, plan, epochs):
    asked(study_of(attack, plan), epochs=epochs)


def test_of_a_sweep_every_point_is_asked_and_rates_count_together():
    """A grid may hold the rate 0 beside others, and rows may be given."""
    asked(study_of(GradientReplacement()), {"poison.rate": [0.0, 0.2]})
    asked(study_of(GradientReplacement(), {"rate": 0.0}), given=Given(poison_ids=[1]))
    with pytest.raises(ValueError, match=r"Villain.poison_from is 5"):
        asked(study_of(EARLY, IN_MESSAGE), {"attacks.2.poison_from": [1, 5]})
    with pytest.raises(ValueError, match="LFBA listens in the first epoch"):
        asked(study_of(LFBA()), epochs=1)


class Late(ActiveTransform):
    """Test only: a defense that begins late."""

    def check_plan(self, plan):
        raise ValueError(f"Late would never begin in {plan.num_epochs} epochs.")


def test_methods_of_the_active_party_are_asked_too():
    with pytest.raises(ValueError, match="ActiveBackdoor acts on poison rows"):
        asked(study_of(PartyTransform(), {"rate": 0.0}, active_attack=ActiveBackdoor()))
    with pytest.raises(ValueError, match="never begin in 3"):
        asked(study_of(PartyTransform(), defense=vfl.ActiveChain(parts=(ActiveTransform(), Late()))))

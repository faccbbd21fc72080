"""Who is an attacker, what the package lets one know, and how it switches one off."""

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vfl_jax as vfl
from vfl_jax.attacks import ActiveBackdoor, GradientReplacement, LabelReplacement
from vfl_jax.core.record import kinds
from vfl_jax.data import FeatureTrigger, NaturalTrigger
from vfl_jax.defenses import GaussianNoise
from vfl_jax.models import MLP, SumHead
from vfl_jax.models.losses import SoftmaxCrossEntropy
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.chains import ActiveChain, PartyChain
from vfl_jax.protocol.knowledge import POISON, TARGET
from vfl_jax.protocol.methods import is_attack
from vfl_jax.protocol.transforms import ActiveTransform, PartyTransform
from vfl_jax.replica import inference
from vfl_jax.replica.draws import draw

HONEST = PartyTransform()
IDS = np.arange(8)


class Everywhere(vfl.Attack):
    """Test only: changes whatever it may, in training and at inference, and counts its steps."""

    def init(self, key, shapes, party):
        return jnp.int32(0)

    def on_features(self, key, state, view, features):
        return features + 1, state + 1

    def on_upload(self, key, state, view, embedding):
        return 2 * embedding, state + 1

    def on_download(self, key, state, view, gradient):
        return -gradient, state + 1

    def infer_features(self, key, state, view, features):
        return features + 1

    def infer_upload(self, key, state, view, embedding):
        return 2 * embedding

    def report(self, state):
        return {"label_guesses": jnp.zeros(48, jnp.int32) + state}


class ActiveEverywhere(vfl.ActiveAttack):
    """Test only: the same at the active party."""

    def init(self, key, shapes):
        return jnp.int32(0)

    def on_labels(self, key, state, view, targets):
        return targets[:, ::-1], state + 1

    def on_receive(self, key, state, view, embeddings):
        return jax.tree.map(lambda e: e + 1, embeddings), state + 1

    def on_send(self, key, state, view, gradients):
        return jax.tree.map(lambda g: 3 * g, gradients), state + 1

    def infer_receive(self, key, state, view, embeddings):
        return jax.tree.map(lambda e: e + 1, embeddings)

    def infer_logits(self, key, state, view, logits):
        return logits[:, ::-1]


def scenario(attacks=(HONEST, HONEST), **fields):
    parties = range(len(attacks))
    return helpers.scenario_of(
        [MLP(hidden=(4,), width=3) for _ in parties],
        [Optimizer(learning_rate=0.1) for _ in parties],
        attacks,
        head=SumHead(),
        **fields,
    )


def step_and_logits(scenario, data):
    replica = helpers.replica(scenario, data)
    state, info = replica.step(IDS)
    features = helpers.at(data.test, IDS).features
    key = jax.random.key(1)
    return state, info, inference.predict(replica.shapes, replica.scenario, state, features, key, replica.knowledge)


@pytest.mark.parametrize("in_chain", [False, True], ids=["alone", "in a chain"])
def test_the_package_applies_the_switch_everywhere(two_parties, in_chain):
    """Switched off, the hooks run and their state advances; messages, parameters and logits are the honest ones."""

    def attacked(enabled):
        party, active = Everywhere(enabled=enabled), ActiveEverywhere(enabled=enabled)
        if in_chain:
            party, active = PartyChain(parts=(HONEST, party)), ActiveChain(parts=(ActiveTransform(), active))
        return scenario((HONEST, party), active_attack=active)

    honest, disabled, enabled = (step_and_logits(s, two_parties) for s in (scenario(), attacked(0.0), attacked(1.0)))
    for found, same in ((disabled, True), (enabled, False)):
        params = [helpers.everyone(state) for state, _, _ in (honest, found)]
        assert helpers.differs(*params) != same
        assert helpers.differs(honest[2], found[2]) != same
    helpers.assert_bitwise_equal(helpers.everyone(disabled[0]), helpers.everyone(honest[0]))
    helpers.assert_bitwise_equal(disabled[2], honest[2])
    assert jax.tree.leaves(disabled[0].attack_states) == [3]
    assert jax.tree.leaves(disabled[0].active_attack_state) == [3]


def test_a_hook_that_changes_the_form_is_refused_by_name(two_parties):
    class Longer(vfl.Attack):
        def on_upload(self, key, state, view, embedding):
            return jnp.concatenate([embedding, embedding]), state

    with pytest.raises(ValueError, match=r"Longer.on_upload returns"):
        step_and_logits(scenario((HONEST, Longer())), two_parties)


class Nosy(PartyTransform):
    """Test only: a party's own defense that asks what attackers know."""

    def on_upload(self, key, state, view, embedding):
        assert view.knowledge is None
        return embedding, state

    def infer_upload(self, key, state, view, embedding):
        assert view.knowledge is None
        return embedding


class NosyActive(ActiveTransform):
    """Test only: a defense that asks what attackers know."""

    def on_send(self, key, state, view, gradients):
        assert view.knowledge is None
        return gradients, state

    def infer_logits(self, key, state, view, logits):
        assert view.knowledge is None
        return logits


class Counting(ActiveTransform):
    """Test only: counts the poison and target rows that it is shown."""

    def init(self, key, shapes):
        return jnp.zeros(2, jnp.int32)

    def on_send(self, key, state, view, gradients):
        return gradients, state + count_of_pairs(view)


class ActiveCounting(vfl.ActiveAttack):
    """Test only: the same as an attack."""

    def init(self, key, shapes):
        return jnp.zeros(2, jnp.int32)

    def on_send(self, key, state, view, gradients):
        return gradients, state + count_of_pairs(view)


class PartyCounting(PartyTransform):
    """Test only: the same at a party that defends itself."""

    def init(self, key, shapes, party):
        return jnp.zeros(2, jnp.int32)

    def on_upload(self, key, state, view, embedding):
        return embedding, state + count_of_pairs(view)


class AttackCounting(vfl.Attack):
    """Test only: the same at a party that attacks."""

    def init(self, key, shapes, party):
        return jnp.zeros(2, jnp.int32)

    def on_upload(self, key, state, view, embedding):
        return embedding, state + count_of_pairs(view)


def count_of_pairs(view):
    return jnp.stack([(view.roles == POISON).sum(), (view.roles == TARGET).sum()])


class Told(vfl.Attack):
    """Test only: notes which rows it was told of, in training and at inference."""

    def init(self, key, shapes, party):
        return jnp.zeros(shapes.num_samples, bool)

    def on_upload(self, key, state, view, embedding):
        return embedding, view.knowledge.is_poison

    def infer_upload(self, key, state, view, embedding):
        return jnp.where(view.knowledge.is_target.any(), embedding, jnp.nan)


def test_attackers_know_and_nobody_else_does(two_parties):
    """In a chain too: an attacker's own defense is told nothing. Knowledge is no part of any state."""
    chain = PartyChain(parts=(Nosy(), Told(), Nosy()))
    defended = scenario((Nosy(), chain), defense=ActiveChain(parts=(NosyActive(),)), poison_ids=(2, 7), target_ids=(3,))
    state, _, logits = step_and_logits(defended, two_parties)
    np.testing.assert_array_equal(np.flatnonzero(state.attack_states[1][1]), [2, 7])
    assert np.isfinite(logits).all()
    plain = scenario((HONEST, GradientReplacement()), active_attack=ActiveBackdoor(), defense=GaussianNoise())
    assert not [leaf for leaf in jax.tree.leaves(step_and_logits(plain, two_parties)[0]) if leaf.dtype == bool]


def test_attackers_know_the_rows_that_are_poisoned_in_training(two_parties):
    """As many as the rate of training rows says, whatever the rate of test rows is."""
    plan = {"rate": 0.25, "test_rate": 0.5, "trigger": FeatureTrigger(party=1, index=0)}
    told = scenario((HONEST, Told()), poison_ids=None, plan=plan)
    state, _, _ = step_and_logits(told, two_parties)
    assert state.attack_states[1].sum() == round(0.25 * two_parties.train.num_samples)


def test_attacks_see_which_rows_are_a_pair_and_nobody_else_does(two_parties):
    """Everyone else sees every row as an ordinary one; in a chain too."""
    plan = {"mode": "appended_pair", "num_targets": 2, "trigger": FeatureTrigger(party=1, index=0), "rate": 0.1}
    counted = scenario(
        (PartyCounting(), PartyChain(parts=(PartyCounting(), AttackCounting()))),
        active_attack=ActiveCounting(),
        defense=ActiveChain(parts=(Counting(),)),
        poison_ids=None,
        plan=plan,
    )
    _, state = vfl.run(counted, two_parties, jax.random.key(0), epochs=1)
    honest, (defending, attacking) = state.attack_states
    for unaware in (honest, defending, *state.defense_state):
        np.testing.assert_array_equal(unaware, [0, 0])
    assert attacking.min() > 0
    np.testing.assert_array_equal(state.active_attack_state, attacking)


def test_who_attacks_is_a_question_of_type():
    own = Nosy()
    assert scenario((own, PartyChain(parts=(own, LabelReplacement(enabled=0.0))))).attackers == (1,)
    assert scenario((own, PartyChain(parts=(own, PartyChain())))).attackers == ()
    assert is_attack(ActiveBackdoor())
    assert not is_attack(GaussianNoise())


def test_a_party_that_defends_itself_needs_nothing_to_attack(two_parties):
    """No row carries the trigger: fine where nobody attacks, an error where somebody would."""
    drawn = {"poison_ids": None, "plan": {"trigger": NaturalTrigger()}}
    assert len(draw(scenario((HONEST, Nosy()), **drawn), two_parties, jax.random.key(0)).poison_ids) == 0
    with pytest.raises(ValueError, match="there is nothing to attack"):
        draw(scenario((HONEST, Told()), **drawn), two_parties, jax.random.key(0))


def test_a_switch_without_an_attack_is_refused_and_a_defense_may_have_one():
    with pytest.raises(TypeError, match=r"Seeming has a field 'enabled'.*vfl_jax\.Attack"):

        class Seeming(PartyTransform):
            enabled: float = 1.0

    assert "Seeming" not in kinds(PartyTransform)

    class Switchable(ActiveTransform):
        enabled: float = 1.0

    assert not is_attack(Switchable())


def test_a_switch_that_is_inherited_is_none_of_a_defense_either():
    class Mixed(vfl.Record):
        enabled: float = 1.0

    with pytest.raises(TypeError, match=r"Inheriting has a field 'enabled'.*vfl_jax\.Attack"):

        class Inheriting(Mixed, PartyTransform):
            pass

    assert "Inheriting" not in kinds(PartyTransform)

    class Attacking(Mixed, vfl.Attack):
        pass

    assert is_attack(Attacking())


class Switching(ActiveTransform):
    """Test only: a defense with a switch of its own, which the package does not apply."""

    enabled: float = 1.0


class Holding(PartyTransform):
    """Test only: a party's method that holds another one."""

    inner: PartyTransform = HONEST


class ActiveHolding(ActiveTransform):
    """Test only: a defense that holds other methods, as structure."""

    inner: tuple[ActiveTransform, ...] = vfl.static(default=())


@pytest.mark.parametrize(
    ("place", "fields"),
    [
        ("active_attack", {"active_attack": Switching()}),
        ("active_attack", {"active_attack": GaussianNoise()}),
        ("active_attack.parts.1", {"active_attack": ActiveChain(parts=(ActiveTransform(), Switching()))}),
    ],
)
def test_what_is_no_attack_is_refused_where_the_active_party_attacks(two_parties, place, fields):
    """It would act in the runs that are called honest; a defense may be of the same kind."""
    with pytest.raises(ValueError, match=rf"{place} is .*, no attack.*vfl_jax\.ActiveAttack.* as defense"):
        scenario(**fields).check(two_parties)
    scenario(defense=fields["active_attack"]).check(two_parties)


def test_the_active_party_may_do_nothing_or_more_than_attack(two_parties):
    for active in (ActiveTransform(), ActiveChain(), ActiveChain(parts=(GaussianNoise(), ActiveBackdoor()))):
        scenario(active_attack=active).check(two_parties)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"attacks": (HONEST, Holding(inner=GradientReplacement()))},
            r"attacks\.1 is Holding, no attack, but its field 'inner' holds Gradient.*vfl_jax\.Attack.*PartyChain",
        ),
        (
            {"attacks": (HONEST, PartyChain(parts=(HONEST, Holding(inner=Holding(inner=LabelReplacement())))))},
            r"attacks\.1\.parts\.1 is Holding.*'inner\.inner' holds LabelReplacement",
        ),
        (
            {"attacks": (HONEST, Holding(inner=PartyChain(parts=(HONEST, LabelReplacement()))))},
            r"attacks\.1 is Holding.*'inner\.parts\.1' holds LabelReplacement",
        ),
        (
            {"defense": ActiveHolding(inner=(ActiveTransform(), ActiveBackdoor()))},
            r"defense is ActiveHolding.*'inner\.1' holds ActiveBackdoor.*vfl_jax\.ActiveAttack.*ActiveChain",
        ),
    ],
)
def test_an_attack_in_a_field_of_what_is_none_is_refused(two_parties, fields, message):
    with pytest.raises(ValueError, match=message):
        vfl.run(scenario(**fields), two_parties, jax.random.key(0), epochs=1)


class Careless(vfl.Attack):
    """Test only: a check of its own that forgets the base's."""

    def __post_init__(self):
        """Nothing."""


class Uneven(ActiveTransform):
    """Test only: asks for test rows in one order, or in the other."""

    inference_batch = 2
    inference_order: str = vfl.static(default="file")


class Unweighted(SoftmaxCrossEntropy):
    """Test only: adds rows up in its own way, and does not say how much one counts."""

    def __call__(self, logits, targets):
        return self.rows(logits, targets).max()


WITHOUT_DATA = {
    "an attack in a chain as the defense": (
        {"defense": ActiveChain(parts=(ActiveBackdoor(),))},
        r"defense is ActiveChain.*an attack",
    ),
    "an attack as the defense": ({"defense": ActiveBackdoor()}, r"defense is ActiveBackdoor.*given as active_attack"),
    "an attack of a party as the defense": (
        {"defense": GradientReplacement()},
        r"defense is GradientReplacement.*must be an ActiveTransform",
    ),
    "a defense as an attack": ({"active_attack": GaussianNoise()}, r"active_attack is GaussianNoise, no attack"),
    "an attack within a defense": (
        {"defense": ActiveHolding(inner=(ActiveBackdoor(),))},
        r"defense is ActiveHolding, no attack, but its field 'inner\.0' holds ActiveBackdoor",
    ),
    "half a switch": ({"attacks": (HONEST, Careless(enabled=0.5))}, r"Careless\.enabled is 0\.5"),
    "half a switch in a chain": (
        {"attacks": (HONEST, PartyChain(parts=(Careless(enabled=2),)))},
        r"Careless\.enabled is 2",
    ),
    "two orders": (
        {"attacks": (HONEST, HONEST), "defense": ActiveChain(parts=(Uneven(), Uneven(inference_order="shuffled")))},
        r"Uneven asks for test rows in the order of the file.*one order",
    ),
    "no order": ({"defense": Uneven(inference_order="sorted")}, r"Uneven\.inference_order is 'sorted'"),
    "a loss without a weight": ({"loss": Unweighted()}, r"loss is Unweighted.*row_weight"),
}


@pytest.mark.parametrize("case", WITHOUT_DATA)
def test_what_fits_no_data_is_refused_when_the_scenario_is_built(case):
    fields, message = WITHOUT_DATA[case]
    with pytest.raises(ValueError, match=message):
        vfl.Scenario(**fields)
    with pytest.raises(ValueError, match=message):
        vfl.Scenario().replace(**fields)


def test_what_jax_has_made_of_a_scenario_is_checked_against_data_all_the_same(two_parties):
    """Nothing checks a record that JAX puts together."""
    half = jax.tree.map(lambda leaf: 0.5, scenario((HONEST, GradientReplacement())))
    with pytest.raises(ValueError, match=r"GradientReplacement\.enabled is 0\.5"):
        half.check(two_parties)


def test_methods_may_hold_what_is_no_attack_and_attacks_what_is(two_parties):
    class Layered(vfl.Attack):
        inner: vfl.Attack = GradientReplacement()

    scenario((Holding(inner=Nosy()), Layered())).check(two_parties)
    assert scenario((HONEST, Layered())).switches == ("attacks.1.enabled",)


def test_a_field_called_parts_makes_no_chain(two_parties):
    class Split(PartyTransform):
        parts: int = vfl.static(default=3)

    assert scenario((HONEST, Split())).attackers == ()
    found, _ = vfl.run(scenario((HONEST, Split())), two_parties, jax.random.key(0), epochs=1)
    assert np.isfinite(found.loss).all()


@pytest.mark.parametrize("value", [0.5, 2, -1, float("nan")])
def test_no_attack_is_half_enabled(two_parties, value):
    class Own(vfl.Attack):
        amplify: float = 1.0

        def __post_init__(self):
            """An own check that forgets the base's."""

    for kind in (getattr(vfl.attacks, name) for name in vfl.attacks.__all__):
        if issubclass(kind, PartyChain):
            continue  # its parts have the switch
        with pytest.raises(ValueError, match=r"enabled is .*; it must be 0 \(the honest run\) or 1"):
            kind(enabled=value)
    for attack in (Own(enabled=value), PartyChain(parts=(HONEST, Own(enabled=value)))):
        with pytest.raises(ValueError, match=r"Own\.enabled is"):
            scenario((HONEST, attack)).check(two_parties)


def test_attacks_are_where_attackers_are(four_parties, two_parties):
    """Party 1 holds the labels: what it sends crosses no channel."""
    attacks = (HONEST, GradientReplacement(), HONEST, HONEST)
    with pytest.raises(ValueError, match=r"attacks\.1 is at party 1 .* holds the labels.*\[0, 2, 3\].*active_attack"):
        scenario(attacks).check(four_parties)
    with pytest.raises(ValueError, match=r"defense is ActiveChain.*an attack.*active_attack"):
        scenario(defense=ActiveChain(parts=(ActiveBackdoor(),))).check(two_parties)


def test_reports_of_chains_and_of_the_active_party_are_read(two_parties):
    class Guesses(vfl.ActiveAttack):
        def report(self, state):
            return {"label_guesses_active": jnp.zeros(48, jnp.int32)}

    chain = PartyChain(parts=(PartyChain(parts=(Everywhere(enabled=0.0),)), HONEST))
    found, _ = vfl.run(scenario((HONEST, chain), active_attack=Guesses()), two_parties, jax.random.key(0), epochs=1)
    # 6 steps of three hooks each: the guess is 18, which is no class. A row of class 0 is granted: 15 of 47 are left.
    assert found.label_inference_accuracy.item() == 0
    assert found.label_inference_rate.item() == 1
    assert found.label_inference_accuracy_active.item() == pytest.approx(15 / 47)
    assert found.label_inference_accuracy_active_count.item() == 47

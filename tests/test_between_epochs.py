"""What methods do between epochs: when, with which keys, what of it stays, and that it survives going on."""

import itertools

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import says, tiny_data, tiny_scenario

from vfl_jax import replica as replica_api
from vfl_jax.core.record import static
from vfl_jax.defenses import GaussianNoise
from vfl_jax.models import DenseHead, SumHead
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.chains import ActiveChain, PartyChain
from vfl_jax.protocol.transforms import ActiveAttack, ActiveTransform, Attack, PartyTransform
from vfl_jax.protocol.views import ActiveEpochView
from vfl_jax.sweeps import programs, training
from vfl_jax.sweeps.sweep import run, sweep

MOST = 8  # epochs that a diary has room for


class Diary:
    """Notes every call; moves its party's parameters by a draw, in numbers that no program rounds otherwise."""

    def init(self, key, shapes, *party):
        return {
            "calls": jnp.int32(0),
            "when": jnp.zeros(MOST, jnp.int32),
            "of": jnp.int32(0),
            "draws": jnp.zeros(MOST, jnp.float32),
            "found": jnp.zeros(MOST, jnp.float32),
        }

    def on_epoch(self, key, state, view, params):
        draw, place = jax.random.uniform(key, ()), state["calls"]
        first = jax.tree.leaves(params)[0]
        noted = {
            "calls": place + 1,
            "when": state["when"].at[place].set(view.epoch),
            "of": view.num_epochs,
            "draws": state["draws"].at[place].set(draw),
            "found": state["found"].at[place].set(first.ravel()[0]),
        }
        return jax.tree.map(lambda leaf: leaf + self.step * draw, params), noted

    def report(self, state):
        last = state["calls"] - 1
        noted = {"calls": state["calls"].astype(jnp.float32), "when": state["when"][last].astype(jnp.float32)}
        noted |= {name: state[name][last] for name in ("draws", "found")}
        return {f"{self.label}_{name}": value for name, value in noted.items()}


class AttackersDiary(Diary, Attack):
    """Test only."""

    step: float = 0.5
    label: str = static(default="a")
    at_epochs: tuple[int, ...] | None = static(default=None)


class PartysDiary(Diary, PartyTransform):
    """Test only."""

    step: float = 0.5
    label: str = static(default="p")
    at_epochs: tuple[int, ...] | None = static(default=None)


class DefendersDiary(Diary, ActiveTransform):
    """Test only."""

    step: float = 0.5
    label: str = static(default="d")
    at_epochs: tuple[int, ...] | None = static(default=None)


class ActiveAttackersDiary(Diary, ActiveAttack):
    """Test only."""

    step: float = 0.5
    label: str = static(default="x")
    at_epochs: tuple[int, ...] | None = static(default=None)


class DiaryOfTheLastDay(Diary, PartyTransform):
    """Test only: at a class attribute."""

    at_epochs = (-1,)
    step: float = 0.5
    label: str = static(default="last")


STILL = {"optimizers": (Optimizer(learning_rate=0.0),) * 2, "head_optimizer": Optimizer(learning_rate=0.0)}
"""What stands still between two calls: parameters move in ``on_epoch`` alone."""


def scenario_of(party=PartyTransform(), attacker=None, **fields):
    attacker = AttackersDiary() if attacker is None else attacker
    return tiny_scenario(attacks=(party, attacker), **{**STILL, "head": DenseHead(hidden=()), **fields})


def alone(scenario, num_epochs=3, seed=0):
    """By hand, without any training: (the replica's first state, the state after ``num_epochs``)."""
    one = replica_api.prepare(scenario, tiny_data(), jax.random.key(seed))
    first = state = helpers.jit_start(one)
    for epoch in range(num_epochs + 1):
        state = replica_api.between_epochs(one, state, epoch, num_epochs)
    return first, state


def calls(state):
    return state["when"][: int(state["calls"])].tolist()


def test_a_method_is_called_before_the_first_epoch_and_after_every_one():
    _, state = alone(scenario_of(PartysDiary(), active_attack=ActiveAttackersDiary(), defense=DefendersDiary()))
    for diary in (*state.attack_states, state.active_attack_state, state.defense_state):
        assert calls(diary) == [0, 1, 2, 3]
        assert int(diary["of"]) == 3


def test_methods_name_their_own_epochs():
    """From either end, in a field or a class, in chains in chains; who names none comes always."""
    inner = PartyChain(parts=(PartysDiary(label="q", at_epochs=(-1, 0)), PartysDiary(label="r")))
    chain = PartyChain(parts=(PartysDiary(at_epochs=(1,)), inner, DiaryOfTheLastDay()))
    defense = ActiveChain(parts=(DefendersDiary(at_epochs=(2, -2)), DefendersDiary(label="never", at_epochs=(9,))))
    first, state = alone(scenario_of(chain, AttackersDiary(at_epochs=(-4, 2, 50)), defense=defense))
    at_one, (at_ends, always), at_last = state.attack_states[0]
    assert [calls(diary) for diary in (at_one, at_ends, always, at_last)] == [[1], [0, 3], [0, 1, 2, 3], [3]]
    assert calls(state.attack_states[1]) == [0, 2]
    assert [calls(diary) for diary in state.defense_state] == [[2], []]
    # Every call of every part has moved the party's parameters on, one after the other.
    moved = sum(float(diary["draws"].sum()) * 0.5 for diary in (at_one, at_ends, always, at_last))
    for before, after in zip(jax.tree.leaves(first.params[0]), jax.tree.leaves(state.params[0]), strict=True):
        np.testing.assert_allclose(after, before + np.float32(moved), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("in_chain", [False, True])
def test_switched_off_an_attack_listens_and_changes_nothing(in_chain):
    def scenario(enabled):
        diaries = AttackersDiary(enabled=enabled), ActiveAttackersDiary(enabled=enabled)
        if in_chain:
            diaries = PartyChain(parts=(diaries[0],)), ActiveChain(parts=(diaries[1],))
        return scenario_of(attacker=diaries[0], active_attack=diaries[1])

    (first, off), (_, on) = alone(scenario(0.0)), alone(scenario(1.0))
    helpers.assert_bitwise_equal((off.params, off.head_params), (first.params, first.head_params))
    assert helpers.differs(on.params[1], first.params[1])
    assert helpers.differs(on.head_params, first.head_params)
    pairs = (off.attack_states[1], on.attack_states[1]), (off.active_attack_state, on.active_attack_state)
    for listened, acted in pairs:
        listened, acted = (pair[0] if in_chain else pair for pair in (listened, acted))
        for name in ("calls", "when", "of", "draws"):
            np.testing.assert_array_equal(listened[name], acted[name])


def test_every_call_has_a_key_of_its_own():
    """By epoch, party, part of a chain, side and seed."""
    chain = PartyChain(parts=(PartysDiary(), PartysDiary(label="q")))
    active = {
        "active_attack": ActiveAttackersDiary(),
        "defense": ActiveChain(parts=(DefendersDiary(), DefendersDiary(label="e"))),
    }
    drawn = []
    for seed in (0, 1):
        _, state = alone(scenario_of(chain, **active), seed=seed)
        diaries = *state.attack_states[0], state.attack_states[1], state.active_attack_state, *state.defense_state
        drawn += [float(draw) for diary in diaries for draw in diary["draws"][:4]]
    assert len(set(drawn)) == len(drawn) == 2 * 6 * 4


@pytest.mark.long
def test_who_draws_moves_no_number_of_another():
    """The same training with and without a listener that draws, to the bit."""
    fields = {"defense": GaussianNoise(stddev=0.1), "optimizers": (Optimizer(learning_rate=0.1),) * 2}
    listener = AttackersDiary(enabled=0.0)
    found = [
        run(scenario_of(attacker=attacker, **fields), tiny_data(), jax.random.key(3), 2)[0]
        for attacker in (listener, Attack(enabled=0.0))
    ]
    assert found[0].a_when.values.tolist() == [1, 2]
    for name in ("loss", "test_loss", "train_accuracy"):
        np.testing.assert_array_equal(found[0][name], found[1][name])


OVER = {"attacks.1.step": [0.25, -2.0], "attacks.1.enabled": [0.0, 1.0]}
EPOCHS = 4


def swept(over=OVER, seeds=(0, 5), folder=None, **options):
    scenario = scenario_of(PartysDiary(at_epochs=(0, 3)), defense=DefendersDiary(at_epochs=(2, -1)))
    return sweep(scenario, tiny_data(), over, seeds, EPOCHS, folder=folder, progress=False, **options)


@pytest.fixture(scope="module")
def results():
    return swept()


def test_a_replica_of_a_sweep_is_the_run_alone_to_the_bit(results):
    """By hand, where training stands still; a draw is shared by all grid points of a seed."""
    points = itertools.product(*(range(len(values)) for values in OVER.values()), (0, 5))
    for step, enabled, seed in points:
        values = {name: OVER[name][i] for name, i in zip(OVER, (step, enabled), strict=True)}
        scenario = scenario_of(
            PartysDiary(at_epochs=(0, 3)),
            AttackersDiary(step=values["attacks.1.step"], enabled=values["attacks.1.enabled"]),
            defense=DefendersDiary(at_epochs=(2, -1)),
        )
        _, state = alone(scenario, EPOCHS, seed)
        here = results.isel(dict(zip(OVER, (step, enabled), strict=True))).sel(seed=seed).isel(epoch=-1)
        diaries = {"p": state.attack_states[0], "a": state.attack_states[1], "d": state.defense_state}
        for label, diary in diaries.items():
            assert float(here[f"{label}_calls"]) == int(diary["calls"])
            for name in ("when", "draws", "found"):
                assert np.float32(here[f"{label}_{name}"]) == np.float32(diary[name][diary["calls"] - 1]), (label, name)
    assert results.is_finite.all()


class Interrupted(Exception):
    pass


@pytest.mark.parametrize(
    "after", [1, pytest.param(3, marks=pytest.mark.long)]
)  # of four epochs; 3 is one at which a party acts, 2 one of the defense
def test_going_on_from_a_checkpoint_ends_the_same(results, tmp_path, monkeypatch, after):
    acted = []
    program, epoch = programs.between_epochs, training._Loop._epoch

    def noting(*arguments, **named):
        acted.append(int(arguments[-3]))
        return program(*arguments, **named)

    noting.lower = program.lower

    def interrupting(self, state, number):
        if number == after:
            raise Interrupted
        return epoch(self, state, number)

    monkeypatch.setattr(programs, "between_epochs", noting)
    with monkeypatch.context() as patch:
        patch.setattr(training._Loop, "_epoch", interrupting)
        with pytest.raises(Interrupted):
            swept(folder=tmp_path, checkpoint_every=1)
    assert acted == list(range(after + 1))
    acted.clear()
    found = swept(folder=tmp_path, checkpoint_every=1)
    assert acted == list(range(after + 1, EPOCHS + 1))  # none of them twice
    for name in results.data_vars:
        np.testing.assert_array_equal(found[name], results[name], err_msg=str(name))


@pytest.mark.long
def test_a_program_is_made_once_for_every_set_of_methods_that_act(monkeypatch):
    """Both act at 0 and 2 of three epochs, the attacker at 3, nobody at 1; the estimate of memory made the programs."""
    planned, called, traced = [], [], []
    program, hook = programs.between_epochs, Diary.on_epoch
    monkeypatch.setattr(programs, "between_epochs", lambda *a: (called.append(a[-1]), program(*a))[1])
    programs.between_epochs.lower = lambda *a: (planned.append(a[-1]), program.lower(*a))[1]
    monkeypatch.setattr(Diary, "on_epoch", lambda self, *a: (traced.append(self.label), hook(self, *a))[1])
    scenario = scenario_of(PartysDiary(at_epochs=(0, 2)), AttackersDiary(at_epochs=(0, 2, -1)))
    sweep(scenario, tiny_data(), {"attacks.1.step": [0.25, 0.5]}, 2, 3, progress=False)
    both, one = frozenset({(0, 2), (0, 2, -1)}), frozenset({(0, 2, -1)})
    assert called == [both, both, one]
    assert set(planned) == {both, one}
    assert sorted(traced) == ["a", "a", "p"]


@pytest.mark.long
def test_where_nobody_acts_nothing_is_called(monkeypatch):
    def never(*arguments, **named):
        raise AssertionError("was called")

    never.lower = never
    monkeypatch.setattr(programs, "between_epochs", never)
    monkeypatch.setattr(training, "_between_one", never)
    run(scenario_of(attacker=Attack()), tiny_data(), jax.random.key(0), 2)
    chain = PartyChain(parts=(PartyTransform(), Attack()))
    sweep(scenario_of(attacker=chain), tiny_data(), seeds=1, epochs=2, progress=False)


class Breaking(ActiveTransform):
    """Test only: what it leaves at some epochs is not finite."""

    addend: float = 0.0
    at_epochs: tuple[int, ...] | None = static(default=None)

    def on_epoch(self, key, state, view, params):
        return jax.tree.map(lambda leaf: leaf + self.addend, params), state


@pytest.mark.parametrize(("at", "expected"), [((-1,), [True, False]), ((0,), [False] * 2)])
def test_parameters_that_break_between_epochs_mark_the_replica(at, expected):
    scenario = tiny_scenario(defense=Breaking(at_epochs=at), head=DenseHead(hidden=()))
    found = sweep(scenario, tiny_data(), {"defense.addend": [0.0, np.inf]}, 2, 2, progress=False)
    assert found.is_finite.isel({"defense.addend": 0}).all()
    for seed in range(2):
        assert found.is_finite.isel({"defense.addend": 1, "seed": seed}).values.tolist() == expected


class Misshapen(Attack):
    """Test only: returns what it is told to."""

    way: str = static(default="")

    def init(self, key, shapes, party):
        return {"count": jnp.int32(0)}

    def on_epoch(self, key, state, view, params):
        cut = jax.tree.map(lambda leaf: leaf[..., :1], params)
        return {
            "params alone": params,
            "two keys": {"params": params, "state": state},
            "cut": (cut, state),
            "other names": ({"others": params}, state),
            "whole numbers": (jax.tree.map(lambda leaf: leaf.astype(jnp.int32), params), state),
            "no params": (None, state),
            "state of floats": (params, {"count": state["count"].astype(jnp.float32)}),
            "more state": (params, state | {"more": jnp.float32(0)}),
            "wide state": (params, {"count": jnp.zeros(3, jnp.int32)}),
        }[self.way]


class MisshapenDefense(ActiveTransform):
    """Test only: the same of a defense."""

    way: str = static(default="")
    init = lambda self, key, shapes: {"count": jnp.int32(0)}  # noqa: E731
    on_epoch = Misshapen.on_epoch


WAYS = {
    "params alone": ("returns dict", "(parameters, state)"),
    "two keys": ("returns dict", "(parameters, state)"),
    "cut": ("parameters with float32[", "must keep the form"),
    "other names": ("parameters with", "nothing"),
    "whole numbers": ("parameters with int32[", "float32["),
    "no params": ("parameters with nothing",),
    "state of floats": ("a state with float32[] at ['count']", "int32[]"),
    "more state": ("a state with float32[] at ['more']", "nothing there"),
    "wide state": ("a state with int32[3] at ['count']",),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("place", ["party", "chain", "defense"])
def test_another_form_is_told_with_the_method_and_the_hook(way, place):
    kind = "MisshapenDefense" if place == "defense" else "Misshapen"
    attacker = Attack() if place == "defense" else Misshapen(way=way)
    attacker = PartyChain(parts=(PartysDiary(), attacker)) if place == "chain" else attacker
    fields = {"defense": MisshapenDefense(way=way)} if place == "defense" else {}
    scenario = scenario_of(attacker=attacker, **fields)
    with pytest.raises(ValueError, match=says(f"{kind}.on_epoch", *WAYS[way])):
        alone(scenario, 1)


class Swapping(ActiveTransform):
    """Test only: returns its state first; with a sum head neither it nor the parameters have a leaf."""

    on_epoch = lambda self, key, state, view, params: (state, params)  # noqa: E731


def test_a_swapped_pair_without_leaves_is_told_with_the_method_and_the_hook():
    scenario = tiny_scenario(defense=Swapping(), head=SumHead())
    with pytest.raises(ValueError, match=says("Swapping.on_epoch returns parameters", "(parameters, state), in this")):
        run(scenario, tiny_data(), jax.random.key(0), epochs=1)


@pytest.mark.parametrize("at", [3, "last", (1.5,), ("0",), (True,), ()])
def test_epochs_that_are_none_are_refused(at):
    kind = type("Untimely", (PartyTransform,), {"at_epochs": at, "__module__": __name__})
    with pytest.raises(ValueError, match=says("Untimely.at_epochs", "whole numbers")):
        scenario_of(kind())


@pytest.mark.parametrize(("at_epochs", "found"), [((4,), "4"), ((1, 5), "5"), ((-5,), "-5")])
def test_an_epoch_that_the_training_has_not_is_refused(at_epochs, found):
    """A method that never acts would be taken for one that does nothing."""
    scenario = scenario_of(attacker=AttackersDiary(at_epochs=at_epochs))
    refused = pytest.raises(ValueError, match=says(f"attacks.1.at_epochs has {found}", "training has 3 epochs"))
    with refused:
        sweep(scenario, tiny_data(), epochs=3, progress=False)
    with refused:
        run(scenario, tiny_data(), jax.random.key(0), epochs=3)
    scenario.check_epochs(5)


def test_what_is_due_is_static():
    """Programs differ by it, so it is no leaf of a view."""
    due = frozenset({(1, -1)})
    numbers = {"epoch": jnp.int32(1), "num_epochs": jnp.int32(1)}
    views = helpers.party_epoch_view(3, {}, due=due), ActiveEpochView(**numbers, labels=jnp.zeros(3), due=due)
    for view in views:
        assert view.due == due
        assert not any(isinstance(leaf, frozenset) for leaf in jax.tree.leaves(view))

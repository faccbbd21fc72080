"""BadVFL: its search against published code and a slow twin, what it feeds, and what it does on real data."""

import functools

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import says, tiny_data, tiny_scenario
from golden_helpers import golden
from sweep_helpers import interrupted_at

import vfl_jax as vfl
from vfl_jax.attacks import BadVFL, GradientReplacement
from vfl_jax.data import load_digits
from vfl_jax.models import MLP, Linear, SumHead
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.presets.digits import DIGITS_PIXELS
from vfl_jax.protocol.chains import PartyChain
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.protocol.triggers import EmbeddingTrigger, FeatureTrigger, PixelTrigger
from vfl_jax.scenario import BatchPlan, PoisonPlan

KEY = jax.random.key(4)
TARGET = 7
STAMP = 1000.0
"""What the test's trigger adds to the features of a row, which are its own number and that below 0."""


def start(attack, num_rows, width, batch_rows):
    shapes = helpers.shapes_of(num_samples=num_rows, widths=(width,), batch_rows=batch_rows)
    return attack.init(jax.random.key(0), shapes, 0)


def view_of(ids, known):
    """The view of a party whose row i has the features (i, −i), and whose trigger adds ``STAMP``."""
    view = helpers.party_view(ids, knowledge=known)
    return view.replace(stamp=lambda features, is_marked: jnp.where(is_marked[:, None], features + STAMP, features))


@helpers.quick_jit
def step(attack, state, ids, known, gradient, seed):
    """One batch: (what is fed, the state after it)."""
    view, key = view_of(ids, known), jax.random.key(seed)
    own = helpers.table_rows(ids)
    fed, state = attack.on_features(key, state, view, own)
    return fed, attack.on_download(key, state, view, gradient)[1]


@helpers.quick_jit
def after_epoch(attack, state, known, epoch):
    view = helpers.party_epoch_view(len(state.is_tried), {}, known, epoch=epoch)
    return attack.on_epoch(jax.random.key(epoch), state, view, {})[1]


def rows(mask):
    return set(np.flatnonzero(np.asarray(mask)).tolist())


class Chosen(BadVFL):
    """Test only: tries the rows of a batch that another program chose, in its order."""

    places: tuple[int, ...] = vfl.static(default=())

    def _drawn(self, key, state, view):
        return jnp.full(len(view.sample_ids), len(view.sample_ids)).at[jnp.array(self.places)].set(jnp.arange(5))


@pytest.mark.parametrize(("num_poisoned", "is_searching"), [(3, True), (4, False)])
def test_the_search_ends_with_the_last_row_that_it_needs(num_poisoned, is_searching):
    attack, known = BadVFL(poison_rate=0.1, search_epochs=9), helpers.knowledge(40, target=[39])
    state = start(attack, 40, 4, 10).replace(is_poisoned=jnp.arange(40) < num_poisoned)
    assert after_epoch(attack, state, known, 1).is_searching == is_searching


def test_it_feeds_and_finds_what_published_code_does():
    """Three batches of ten rows each; the third finds four, of which there is room for one."""
    arrays = golden("badvfl_pkdd_detection")
    attack = BadVFL(poison_rate=float(arrays["max_poison"]) / 40, threshold=float(arrays["threshold"]))
    state = start(attack, 40, 4, 10).replace(message=jnp.asarray(arrays["target_gradient"]), is_heard=jnp.array(True))
    known, similar, poisoned = helpers.knowledge(40, target=[39]), set(), set()
    for batch in range(3):
        x, chosen, gradient = (arrays[f"s{batch}_{name}"] for name in ("x", "chosen", "gradient"))
        scripted = Chosen(**{**vars(attack), "places": tuple(chosen.tolist())})
        view = helpers.party_view(np.arange(10) + 10 * batch, knowledge=known)
        view = view.replace(rows=lambda ids: jnp.asarray(arrays["target_features"])[None].repeat(len(ids), axis=0))
        fed, state = scripted.on_features(jax.random.key(batch), state, view, jnp.asarray(x))
        np.testing.assert_array_equal(fed, arrays[f"s{batch}_x_fed"])
        _, state = scripted.on_download(jax.random.key(batch), state, view, jnp.asarray(gradient))
        poisoned |= {10 * batch + int(row) for row in arrays[f"s{batch}_found"]}
        cosine = [g @ arrays["target_gradient"] / np.linalg.norm(g) for g in gradient.astype(np.float64)]
        bound = 0.6 * np.linalg.norm(arrays["target_gradient"])
        similar |= {10 * batch + int(row) for row in chosen if cosine[row] > bound}
        assert rows(state.is_poisoned) == poisoned
        assert rows(state.is_similar) == similar
        assert len(poisoned) == arrays[f"s{batch}_count"]
    assert len(similar) == 9


class SlowBadVFL:
    """The rules in plain words, row by row; which rows are tried, and who lends features, the method draws."""

    def __init__(self, num_rows, targets, num_poisons, threshold):
        self.num_rows, self.targets, self.num_poisons, self.threshold = num_rows, targets, num_poisons, threshold
        self.message, self.tried, self.similar, self.poisoned = None, set(), set(), []
        self.searching = True

    def may_be_tried(self, ids):
        full = len(self.poisoned) >= self.num_poisons
        if not self.searching or full or (self.message is None and min(self.targets) not in ids):
            return []
        return [row for row in ids if row not in self.tried and row not in self.targets]

    def heard(self, ids, gradient, tried_now):
        of = dict(zip(ids, gradient.astype(np.float64), strict=True))
        self.message = of.get(min(self.targets), self.message)
        self.tried |= set(tried_now)
        for row in tried_now:
            norms = np.sqrt((of[row] ** 2).sum() * (self.message**2).sum())
            if (of[row] * self.message).sum() > self.threshold * norms:
                self.similar.add(row)
                if len(self.poisoned) < self.num_poisons:
                    self.poisoned.append(row)

    def epoch_ends(self, epoch, most):
        everyone = self.tried | set(self.targets) == set(range(self.num_rows))
        self.searching &= not (len(self.poisoned) >= self.num_poisons or epoch >= most or everyone)


@pytest.mark.parametrize(
    ("num_tried", "poison_rate", "most", "end"), [(3, 0.1, 25, "found"), (2, 0.9, 2, "late"), (9, 0.9, 25, "all tried")]
)
def test_it_searches_and_poisons_like_its_twin_over_epochs(num_tried, poison_rate, most, end):
    """The search ends because enough rows are found, because its time is over, or because no row is left."""
    num_rows, width, size, lent, ends = 30, 3, 10, set(), set()
    attack = BadVFL(num_tried=num_tried, poison_rate=poison_rate, search_epochs=most, threshold=0.5)
    for seed in range(3):
        rng, state = np.random.default_rng(seed), start(attack, num_rows, width, size)
        known = helpers.knowledge(num_rows, target=[TARGET, 11])
        twin = SlowBadVFL(num_rows, (TARGET, 11), round(poison_rate * num_rows), 0.5)
        for epoch in range(6):
            for t, ids in enumerate(rng.permutation(num_rows).reshape(3, size).astype(np.int32)):
                gradient = rng.normal(size=(size, width)).astype(np.float32)
                before, searching = rows(state.is_tried), twin.searching
                allowed = twin.may_be_tried(ids.tolist())
                fed, state = step(attack, state, ids, known, gradient, 100 * epoch + t)
                tried = rows(state.is_tried) - before
                assert tried <= set(allowed)
                assert len(tried) == min(num_tried, len(allowed))
                places = dict(zip(ids.tolist(), np.asarray(state.place), strict=True))
                for row, features in zip(ids.tolist(), np.asarray(fed), strict=True):
                    if row in tried:
                        assert features.tolist() == [TARGET, -TARGET]
                    elif row in twin.poisoned and not searching:
                        donor = int(features[0] - STAMP)
                        assert features.tolist() == [donor + STAMP, STAMP - donor]
                        assert donor not in twin.similar
                        assert donor not in twin.targets
                        lent.add(donor)
                    else:
                        assert features.tolist() == [row, -row]
                twin.heard(ids.tolist(), gradient, sorted(tried, key=places.get))
                assert rows(state.is_similar) == twin.similar
                assert rows(state.is_poisoned) == set(twin.poisoned)
            state = after_epoch(attack, state, known, epoch + 1)
            twin.epoch_ends(epoch + 1, most)
            assert bool(state.is_searching) == twin.searching
        has_all = len(twin.tried) == num_rows - 2
        ends.add("found" if len(twin.poisoned) == twin.num_poisons else "all tried" if has_all else "late")
    assert ends == {end}
    assert len(lent) > 15  # at every visit another row


def digits_study(attack, **plan):
    optimizer = Optimizer(kind="momentum", learning_rate=0.05)
    trigger = PixelTrigger(pixels=DIGITS_PIXELS, value=3.0)
    return vfl.Scenario(
        bottoms=(MLP(hidden=(32,), width=10),) * 2,
        head=SumHead(),
        optimizers=(optimizer,) * 2,
        head_optimizer=optimizer,
        attacks=(PartyTransform(), attack),
        poison=PoisonPlan(**{"trigger": trigger, "rate": 0.0, "test_rate": 0.2} | plan),
        batches=BatchPlan(size=32),
    )


@pytest.mark.long
def test_it_plants_a_backdoor_in_real_data_and_numbers_are_swept():
    """With one label known; beside it the honest run, and one that finds its rows but has room for none."""
    over = {"attacks.1.enabled": [0.0, 1.0], "attacks.1.poison_rate": [0.0, 0.05]}
    found = vfl.sweep(digits_study(BadVFL()), load_digits(), over, seeds=2, epochs=15, progress=False).isel(epoch=-1)
    success = found.full_attack_success.values
    assert (success[1, 1] > 0.12).all()
    assert (success[0] < 0.05).all()
    assert (success[1, 0] < 0.05).all()
    at_work = found.isel({"attacks.1.enabled": 1, "attacks.1.poison_rate": 1})
    assert (at_work.poisoned_purity.values > 0.9).all()
    np.testing.assert_allclose(at_work.poisoned_rate.values, 72 / 1437, rtol=1e-5)
    assert (at_work.is_searching.values == 0).all()
    assert (at_work.tried_rate.values < 0.9).all()


def bag_study(attack):
    """Two tags are the trigger, which some rows carry with their true labels, too."""
    return vfl.Scenario(
        bottoms=(Linear(width=3),) * 2,
        head=SumHead(),
        optimizers=(Optimizer(learning_rate=0.1),) * 2,
        attacks=(PartyTransform(), attack),
        poison=PoisonPlan(trigger=FeatureTrigger(party=1, index=(5, 7), value=1.5), rate=0.1, test_rate=0.2),
        batches=BatchPlan(size=8),
    )


EAGER = BadVFL(poison_rate=0.2, threshold=-0.9, search_epochs=2)


@pytest.mark.long
def test_switched_off_it_is_the_honest_run_bit_for_bit():
    study = bag_study(EAGER.replace(enabled=0.0))
    honest = study.replace(attacks=(PartyTransform(), PartyTransform()))
    finals = [vfl.run(scenario, helpers.bag_data(), KEY, epochs=3)[1] for scenario in (study, honest)]
    helpers.assert_bitwise_equal(finals[0].params, finals[1].params)
    assert len(rows(finals[0].attack_states[1].is_poisoned)) > 0  # it listened


@pytest.mark.long
def test_bags_of_ids_are_fed_like_the_rows_they_stand_for_also_in_a_chain():
    chain = PartyChain(parts=(EAGER, GradientReplacement(amplify=2.0)))
    data = helpers.bag_data(weighted=False)
    bags, dense = (vfl.run(bag_study(chain), d, KEY, epochs=4)[1] for d in (data, helpers.as_multi_hot(data)))
    assert int(bags.attack_states[1][0].num_donors) > 0
    assert rows(bags.attack_states[1][0].is_poisoned) == rows(dense.attack_states[1][0].is_poisoned) != set()
    for found, expected in zip(jax.tree.leaves(bags.params), jax.tree.leaves(dense.params), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.long
def test_a_sweep_goes_on_from_a_checkpoint_bit_for_bit(tmp_path):
    study = tiny_scenario(plan={"rate": 0.0}, attacks=(PartyTransform(), EAGER))
    swept = functools.partial(
        vfl.sweep, study, tiny_data(), {"attacks.1.num_tried": [1, 4]}, seeds=2, epochs=5, progress=False
    )
    whole = swept()
    interrupted_at(3, swept, tmp_path)
    for name, variable in swept(folder=tmp_path, checkpoint_every=1).data_vars.items():
        np.testing.assert_array_equal(variable.values, whole[name].values, err_msg=name)


@pytest.mark.parametrize(
    ("plan", "epochs", "message"),
    [
        ({"trigger": EmbeddingTrigger()}, 3, says("BadVFL stamps", "changes features", "poison.attack_trigger")),
        ({"mode": "appended_pair", "rate": 0.1}, 3, says("BadVFL needs poison.mode='in_place'", "appended_pair")),
        ({}, 1, says("BadVFL searches in the first epoch", "Train longer")),
    ],
)
def test_what_does_not_fit_is_refused_by_name(plan, epochs, message):
    with pytest.raises(ValueError, match=message):
        vfl.run(digits_study(BadVFL(), **plan), load_digits(), KEY, epochs=epochs, progress=False)


@pytest.mark.parametrize("fields", [{"poison_rate": 1.5}, {"threshold": 2.0}, {"num_tried": 0}, {"search_epochs": 0}])
def test_numbers_outside_their_range_are_refused(fields):
    with pytest.raises(ValueError, match=f"BadVFL.*{next(iter(fields))}"):
        BadVFL(**fields)

"""VFLMonitor against published code's numbers, against a twin in plain loops, and on digits."""

import dataclasses

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import says
from golden_helpers import golden
from training_helpers import first_rows

import vfl_jax as vfl
from vfl_jax.core.record import cast
from vfl_jax.defenses import VFLMonitor
from vfl_jax.models import MLP, Linear
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.hooks import run_answer, run_infer_hook
from vfl_jax.protocol.views import ActiveInferView, EmbedView

SHAPES = helpers.shapes_of(num_samples=40, num_classes=3, batch_rows=9, widths=(3, 2, 4), active_party=1)
NUMBERS = ("backdoor_accuracy", "main_task_accuracy")


@helpers.quick_jit
def heard(defense, state, ids, labels, epoch, everyone):
    crossing = tuple(everyone[k] for k in state.crossing)
    view = helpers.active_view(ids, labels=labels).replace(epoch=epoch, embeddings=everyone)
    return defense.on_receive(None, state, view, crossing)[1]


@helpers.quick_jit
def inferred(defense, state, everyone, keys):
    """All answers about rows that arrive, one after the other: (distances, suspicion, logits)."""
    view, num_rows = ActiveInferView(embeddings=everyone), len(everyone[0])
    crossing, logits = tuple(everyone[k] for k in state.crossing), jnp.full((num_rows, len(state.bank)), -7.0)
    answer = run_answer(defense, "infer_suspicion", keys, state, view, crossing)
    return (
        defense.votes(state, everyone).distances,
        answer,
        run_infer_hook(defense, "infer_logits", jax.random.clone(keys), state, view, logits),
    )


def keys_of(num_rows, seed=0):
    return jax.random.split(jax.random.key(seed), num_rows)


def test_published_numbers():
    """Bank, directions and rows of the published code; it shows the first of the most voted for a random one."""
    arrays = golden("vflmonitor")
    defense = cast(VFLMonitor(num_directions=8, size=6))
    state = defense.init(jax.random.key(0), helpers.shapes_of(num_classes=4, widths=(3,) * 3))
    state = dataclasses.replace(
        state,
        bank=jnp.concatenate(list(jnp.asarray(arrays["bank"])), axis=-1),
        num_heard=jnp.full(4, 6, jnp.int32),
        directions=jnp.tile(
            arrays["projections"] / np.linalg.norm(arrays["projections"], axis=1, keepdims=True), (1, 1, 3)
        ),
    )
    everyone = tuple(jnp.asarray(arrays["embeddings"][:, k]) for k in range(3))
    distances, answer, logits = inferred(defense, state, everyone, keys_of(9))
    np.testing.assert_allclose(distances, arrays["distances"], rtol=1e-4, atol=1e-5)
    is_decided = arrays["decided"] == 1
    np.testing.assert_array_equal(np.argmax(logits, axis=-1)[is_decided], arrays["label"][is_decided])
    votes = np.argmin(arrays["distances"], axis=-1)
    np.testing.assert_array_equal(answer.is_suspect, [len(set(row)) > 1 for row in votes])
    assert 0 < is_decided.sum() < 9


class Twin:
    """VFLMonitor with lists of rows, each class in turn."""

    def __init__(self, size, keeps_all=False):
        self.size, self.keeps_all, self.bank, self.epoch = size, keeps_all, {}, 0

    def hear(self, epoch, labels, everyone):
        if epoch != self.epoch and not self.keeps_all:
            self.bank = {}
        self.epoch = epoch
        for i, label in enumerate(labels):
            rows = [h[i] for h in everyone]
            self.bank[int(label)] = [*self.bank.get(int(label), []), rows][-self.size :]

    def distances(self, row, directions, num_classes=3):
        """By party and class; directions[c][k] are those of class c and party k, or None for the limit."""
        found = np.full((len(row), num_classes), np.inf)
        for k, h in enumerate(row):
            for c, kept in self.bank.items():
                if directions is None:
                    gaps = [np.sqrt(np.sum((h - b[k]) ** 2)) for b in kept]
                else:
                    gaps = [abs(r @ h - r @ b[k]) for b in kept for r in directions[c][k]]
                found[k, c] = np.mean(gaps)
        return found

    @staticmethod
    def judge(distances):
        """(the classes with the most votes, the number of each class's votes, every party's score)."""
        votes = [int(np.argmin(row)) for row in distances]
        counts = [votes.count(c) for c in range(distances.shape[1])]
        most = [c for c, count in enumerate(counts) if count == max(counts)]
        scores = [np.mean([row[c] / row[vote] - 1 for c in most]) for row, vote in zip(distances, votes, strict=True)]
        return most, counts, scores


def listened(defense, steps=7, **fields):
    """(state, twin) after batches of three epochs in which class 0 is frequent and class 2 rare."""
    defense = cast(defense)
    state, twin = defense.init(jax.random.key(1), SHAPES), Twin(defense.size, defense.epochs == "all")
    for t in range(steps):
        rng = np.random.default_rng(t)
        ids, labels = rng.permutation(40)[:9], np.sort(rng.choice(3, 9, p=(0.7, 0.2, 0.1)))[::-1].copy()
        everyone = [helpers.normal(9, width, seed=10 * t + width) + labels[:, None] for width in SHAPES.widths]
        everyone = [h.astype(np.float32) for h in everyone]
        state = heard(defense, state, jnp.asarray(ids), jnp.asarray(labels), jnp.int32(t // 3), tuple(everyone))
        twin.hear(t // 3, labels, everyone)
    return state, twin


@pytest.mark.parametrize(("epochs", "size"), [("last", 4), ("all", 5)])
def test_the_bank_holds_the_latest_rows_of_every_class(epochs, size):
    """Batches bring more rows of a class than there are places, and none of another."""
    for steps in (1, 5, 7):
        state, twin = listened(VFLMonitor(epochs=epochs, size=size, num_directions=2), steps)
        for c in range(3):
            expected = sorted(np.concatenate(rows).tolist() for rows in twin.bank.get(c, []))
            kept = min(int(state.num_heard[c]), size)
            assert sorted(np.asarray(state.bank[c, :kept]).tolist()) == expected
    assert len(twin.bank[0]) == size


def test_a_bank_that_hears_without_end_keeps_its_places():
    defense = cast(VFLMonitor(size=4, num_directions=1, epochs="all"))
    state = defense.init(jax.random.key(0), SHAPES)
    everyone = tuple(jnp.zeros((9, width)) for width in SHAPES.widths)
    for step in range(20):
        state = heard(defense, state, jnp.arange(9), jnp.zeros(9, jnp.int32), jnp.int32(step), everyone)
    assert 4 <= int(state.num_heard[0]) < 8


@pytest.mark.parametrize("directions", ["shared", "by_class", "all"])
def test_votes_scores_and_suspects_match_the_twin(directions):
    defense = VFLMonitor(directions=directions, num_directions=3, size=5)
    state, twin = listened(defense, steps=6)
    rng = np.random.default_rng(0)
    everyone = [(helpers.normal(30, w, seed=w) + rng.integers(0, 3, (30, 1))).astype(np.float32) for w in SHAPES.widths]
    distances, answer, logits = inferred(cast(defense), state, tuple(everyone), keys_of(30))
    parts = state.parted(np.asarray(state.directions))
    for part in parts:
        np.testing.assert_allclose(np.linalg.norm(part, axis=-1), 1.0, rtol=1e-5)
    chosen = None if directions == "all" else [[p[c % len(p)] for p in parts] for c in range(3)]
    num_open = 0
    for i in range(30):
        expected = twin.distances([h[i] for h in everyone], chosen)
        np.testing.assert_allclose(distances[i], expected, rtol=1e-4, atol=1e-5)
        most, counts, scores = twin.judge(expected)
        np.testing.assert_allclose(answer.score[i], [scores[0], scores[2]], rtol=1e-3, atol=1e-5)
        np.testing.assert_array_equal(np.floor(logits[i]), counts)
        assert np.argmax(logits[i]) in most
        is_other = [len(most) > 1 or np.argmin(expected[k]) != most[0] for k in (0, 2)]
        assert bool(answer.is_suspect[i]) == any(is_other)
        num_open += len(most) > 1
    assert 0 < num_open < 30
    assert 0 < np.sum(answer.is_suspect) < 30


def test_a_draw_is_fair_and_only_among_the_most_voted():
    """Three parties, three classes, one vote each; and two against one, which nothing draws."""
    defense = cast(VFLMonitor(directions="all", size=1))
    state = defense.init(jax.random.key(0), helpers.shapes_of(num_classes=4, widths=(2,) * 3))
    corners = jnp.asarray([[[0.0, 0.0], [9.0, 0.0], [0.0, 9.0], [9.0, 9.0]]] * 3)
    state = dataclasses.replace(
        state, bank=jnp.concatenate(list(corners), axis=-1)[:, None], num_heard=jnp.ones(4, jnp.int32)
    )
    spread = tuple(jnp.tile(corners[k, k][None], (300, 1)) for k in range(3))
    _, answer, logits = inferred(defense, state, spread, keys_of(300))
    drawn = np.bincount(np.argmax(logits, axis=-1), minlength=4)
    assert drawn[3] == 0
    assert drawn[:3].min() > 70
    assert np.all(answer.is_suspect)
    _, answer, logits = inferred(defense, state, (spread[0], spread[1], spread[1]), keys_of(300))
    assert np.all(np.argmax(logits, axis=-1) == 1)
    assert np.all(answer.score[:, 0] > 0)
    assert not np.any(answer.score[:, 1:])


def test_without_a_bank_nothing_is_said():
    defense = cast(VFLMonitor(num_directions=2, size=3))
    everyone = tuple(jnp.asarray(helpers.normal(4, width)) for width in SHAPES.widths)
    _, answer, logits = inferred(defense, defense.init(jax.random.key(0), SHAPES), everyone, keys_of(4))
    assert not np.any(answer.is_suspect)
    assert not np.any(answer.score)
    assert np.all(logits == -7.0)


def test_who_only_reports_changes_no_logits():
    state, _ = listened(VFLMonitor(num_directions=2, size=3), steps=2)
    defense = cast(VFLMonitor(num_directions=2, size=3, action="report"))
    everyone = tuple(jnp.asarray(helpers.normal(4, width)) for width in SHAPES.widths)
    assert np.all(inferred(defense, state, everyone, keys_of(4))[2] == -7.0)


def test_many_directions_find_what_their_limit_finds():
    """Distances of a party differ by one factor alone."""
    state, _ = listened(VFLMonitor(num_directions=2000, size=5), steps=6)
    everyone = tuple(jnp.asarray(helpers.normal(6, width, seed=width)) for width in SHAPES.widths)
    many, _, _ = inferred(cast(VFLMonitor(num_directions=2000, size=5)), state, everyone, keys_of(6))
    limit, _, _ = inferred(cast(VFLMonitor(directions="all", size=5)), state, everyone, keys_of(6))
    factors = np.asarray(many / limit)[..., np.asarray(state.num_heard) > 0]
    # The mean of |⟨r, v⟩| over the circle is 2/π of ‖v‖, and ½ over the sphere in three dimensions.
    np.testing.assert_allclose(factors.mean(axis=(0, 2))[:2], [0.5, 2 / np.pi], rtol=0.02)
    assert np.ptp(factors, axis=(0, 2)).max() < 0.06


def test_centres_follow_their_rows_at_their_own_pace_and_pull_by_the_weight():
    rows = tuple(jnp.asarray(helpers.normal(4, width, seed=width)) for width in (3, 4))
    labels, centres = np.array([0, 2, 2, 0]), helpers.normal(3, 7, seed=9)

    @helpers.quick_jit
    def slopes(weight):
        def penalty(params, rows):
            view = EmbedView(labels=jnp.asarray(labels))
            return cast(VFLMonitor()).replace(weight=weight).on_embed(params, None, view, rows)[1]

        return jax.value_and_grad(penalty, (0, 1))({"centres": jnp.asarray(centres)}, rows)

    gaps = np.concatenate(rows, axis=1) - centres[labels]
    for weight in (0.0, 0.25):
        value, (of_centres, of_rows) = slopes(jnp.float32(weight))
        by_party = [np.mean([0.5 * gap @ gap for gap in part]) for part in (gaps[:, :3], gaps[:, 3:])]
        np.testing.assert_allclose(value, weight * np.mean(by_party), rtol=1e-5)
        np.testing.assert_allclose(np.concatenate(of_rows, axis=1), weight * gaps / 4 / 2, rtol=1e-5)
        expected = np.zeros((3, 7))
        for label, gap in zip(labels, gaps, strict=True):
            expected[label] -= gap / 4
        np.testing.assert_allclose(of_centres["centres"], expected, rtol=1e-5, atol=1e-7)


def test_bad_fields_and_fewer_than_three_parties_are_refused():
    with pytest.raises(ValueError, match=says("VFLMonitor", "here is 2", "three or more")):
        VFLMonitor().check(helpers.shapes_of(widths=(3, 2)), by_role=False)
    for fields, name in (
        ({"size": 0}, "size"),
        ({"num_directions": 0}, "num_directions"),
        ({"weight": -1.0}, "weight"),
    ):
        with pytest.raises(ValueError, match=f"VFLMonitor.{name}"):
            VFLMonitor(**fields)


@pytest.mark.long
def test_it_outvotes_one_attacker_among_four_parties_of_digits():
    """The backdoor falls to what an honest run shows, and rows still get classes, though from quarters of an image."""
    base = vfl.presets.digits_demo()
    scenario = base.replace(
        bottoms=(MLP(width=10),) * 4,
        optimizers=(Optimizer(learning_rate=0.1),) * 4,
        attacks=(vfl.PartyTransform(),) * 3 + (base.attacks[1],),
        poison=base.poison.replace(test_rate=0.5),
    )
    data = first_rows(vfl.load_digits(num_parties=4), 512, 200)
    found = {}
    for name, defense in {"none": vfl.ActiveTransform(), "voted": VFLMonitor(directions="all", size=64)}.items():
        scenario = scenario.replace(defense=vfl.ActiveChain(parts=(defense,)))
        results = vfl.sweep(scenario, data, over={"attack.enabled": [0, 1]}, seeds=2, epochs=20, progress=False)
        found[name] = {key: results[key].isel(epoch=-1).mean("seed").values for key in NUMBERS}
    floor, undefended = found["none"]["backdoor_accuracy"]
    assert undefended > floor + 0.4
    assert found["voted"]["backdoor_accuracy"][1] < found["voted"]["backdoor_accuracy"][0] + 0.1 < floor + 0.2
    assert found["voted"]["main_task_accuracy"][1] > found["none"]["main_task_accuracy"][1] > 0.5
    assert found["voted"]["main_task_accuracy"][0] > found["none"]["main_task_accuracy"][0] - 0.2  # what the vote costs


@pytest.mark.long
def test_a_sweep_over_the_weight_runs_on_bags():
    data = helpers.bag_data(active_party=None)
    data = vfl.repartition(data, 3)
    scenario = helpers.scenario_of(
        [Linear(width=3)] * 3, [Optimizer(learning_rate=0.05)] * 3, defense=VFLMonitor(size=4)
    )
    results = vfl.sweep(scenario, data, over={"defense.weight": [0.0, 0.5]}, seeds=2, epochs=2, progress=False)
    assert np.isfinite(results.loss).all()
    assert (results.penalty.isel({"defense.weight": 1}) > 0).all()
    assert (results.penalty.isel({"defense.weight": 0}) == 0).all()

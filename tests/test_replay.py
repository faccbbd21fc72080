"""Replay and centroid replay: against published code's numbers, against NumPy twins, and at work on digits."""

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_helpers import golden

import vfl_jax as vfl
from vfl_jax.attacks import CentroidReplay, Replay
from vfl_jax.attacks.centroid_replay import noised
from vfl_jax.protocol.knowledge import UNKNOWN, Knowledge, Plan
from vfl_jax.protocol.triggers import EmbeddingTrigger
from vfl_jax.protocol.views import PartyEpochView, PartyInferView
from vfl_jax.scenario import PoisonPlan


def start(attack, num_rows, width, num_classes=3, parties=2, active_party=None):
    shapes = helpers.shapes_of(num_rows, num_classes, 4, 0.2, (width,) * parties, active_party)
    return attack.init(jax.random.key(0), shapes, 1)


def told(labels, target_class=0):
    """The knowledge of these labels, −1 where unknown."""
    labels = jnp.asarray(labels, jnp.int32)
    return Knowledge(jnp.int32(target_class), jnp.zeros(len(labels), bool), labels, blur=None)


def at_inference(own, known, is_attacked):
    attacked = jnp.asarray(is_attacked)
    return PartyInferView(features=jnp.asarray(own), params={}, knowledge=known, is_attacked=attacked)


class RingTwin:
    """A list that, once full, is overwritten from its beginning."""

    def __init__(self, size):
        self.size, self.kept, self.turn = size, [], 0

    def meet(self, row):
        if len(self.kept) < self.size:
            self.kept.append(row)
        else:
            self.kept[self.turn] = row
        self.turn = (self.turn + 1) % self.size


def test_replay_stores_and_sends_what_published_code_does(monkeypatch):
    arrays = golden("secretflow_replay")
    size, targets = int(arrays["batch_size"]), arrays["target_idx"]
    attack, known = Replay(), helpers.knowledge(24, target=targets)
    state = start(attack, 24, 4)
    for batch in range(4):
        own = jnp.asarray(arrays[f"train_h{batch}"])
        view = helpers.party_view(range(batch * size, batch * size + size), knowledge=known)
        sent, state = attack.on_upload(jax.random.key(0), state, view, own)
        np.testing.assert_array_equal(sent, own)
    np.testing.assert_array_equal(state.store[: len(targets)], arrays["store"])
    assert attack.report(state)["num_stored"] == len(targets)
    for batch in range(4):
        own, places = arrays[f"test_h{batch}"], batch * size + np.arange(size)
        is_attacked, drawn = np.isin(places, arrays["poison_idx"]), np.zeros(size, np.int32)
        drawn[is_attacked] = arrays[f"choice{batch}"]

        def draw(key, shape, low, high, drawn=drawn):
            assert (low, int(high)) == (0, len(targets))
            return jnp.asarray(drawn)

        monkeypatch.setattr(jax.random, "randint", draw)
        sent = attack.infer_upload(jax.random.key(0), state, at_inference(own, known, is_attacked), jnp.asarray(own))
        np.testing.assert_array_equal(sent, arrays[f"test_sent{batch}"])


@pytest.mark.parametrize("most_rows", [1, 3, 500])
def test_replay_keeps_the_last_visits_as_its_twin_does(most_rows):
    """Also where a batch has more target rows than the ring has places."""
    targets, rng = (2, 3, 5, 8, 9), np.random.default_rng(0)
    attack, known = Replay(most_rows=most_rows), helpers.knowledge(12, target=targets)
    state, twin = start(attack, 12, 3), RingTwin(min(most_rows, len(targets)))
    for ids in [ids for _ in range(3) for ids in rng.permutation(12).reshape(2, 6)]:
        own = rng.normal(size=(6, 3)).astype(np.float32)
        _, state = attack.on_upload(
            jax.random.key(0), state, helpers.party_view(ids, knowledge=known), jnp.asarray(own)
        )
        for row, i in zip(own, ids, strict=True):
            if i in targets:
                twin.meet(row)
        np.testing.assert_array_equal(state.store[: len(twin.kept)], twin.kept)
        assert state.num_stored == len(twin.kept)


def test_replay_draws_one_stored_row_for_each_attacked_row():
    attack, known, own = Replay(factor=3.0), helpers.knowledge(4, target=range(4)), helpers.normal(400, 2)
    state, attacked = start(attack, 4, 2), np.arange(400) % 2 == 0
    view = at_inference(own, known, attacked)
    np.testing.assert_array_equal(attack.infer_upload(jax.random.key(0), state, view, jnp.asarray(own)), own)
    stored = helpers.normal(4, 2, seed=1)
    training = helpers.party_view(range(4), knowledge=known)
    _, state = attack.on_upload(jax.random.key(0), state, training, jnp.asarray(stored))
    sent = np.asarray(attack.infer_upload(jax.random.key(0), state, view, jnp.asarray(own)))
    np.testing.assert_array_equal(sent[~attacked], own[~attacked])
    which = np.abs(sent[attacked][:, None] - 3 * stored[None]).max(axis=-1).argmin(axis=1)
    np.testing.assert_allclose(sent[attacked], 3 * stored[which], rtol=1e-6)
    assert (np.bincount(which, minlength=4) > 30).all()  # 50 each are expected
    added = attack.replace(combine="add").infer_upload(jax.random.key(0), state, view, jnp.asarray(own))
    np.testing.assert_allclose(added, np.where(attacked[:, None], own + sent, own), rtol=1e-5, atol=1e-6)


def epoch_view(table, known):
    """A party whose bottom embeds row i as ``table[i]``."""
    table = jnp.asarray(table)
    return PartyEpochView(
        epoch=jnp.int32(3), num_epochs=jnp.int32(3), sample_ids=jnp.arange(len(table)), knowledge=known,
        forward=lambda features: features, rows=lambda ids: table[ids],
    )  # fmt: skip


def looked(attack, table, known, num_classes=3, **shapes):
    state = start(attack, len(table), table.shape[1], num_classes, **shapes)
    return attack.on_epoch(jax.random.key(1), state, epoch_view(table, known), {})[1]


def test_noise_is_that_of_published_code():
    arrays = golden("triggerless_defenses_and_noise")
    centre, unit = arrays["centroid"], arrays["unit_normal"]
    expected = arrays["centroid_noised"]
    np.testing.assert_allclose(noised(centre, unit, is_shifted=True), expected, rtol=1e-5, atol=1e-6)
    centred = noised(centre, unit, is_shifted=False)
    np.testing.assert_allclose(centred, expected - centre.mean(), rtol=1e-5, atol=1e-6)


def test_centres_are_the_means_of_known_rows():
    table = helpers.normal(9, 4)
    labels = [0, -1, 0, 1, -1, 1, 1, -1, -1]
    state = looked(CentroidReplay(), table, told(labels))
    np.testing.assert_allclose(state.centres[0], (table[0] + table[2]) / 2, rtol=1e-5)
    np.testing.assert_allclose(state.centres[1], (table[3] + table[5] + table[6]) / 3, rtol=1e-5, atol=1e-6)
    assert state.has_centre.tolist() == [True, True, False]


def blobs(num_rows, seed=0):
    """Rows around three far places, and the place of each."""
    rng = np.random.default_rng(seed)
    which = np.concatenate([rng.permutation(np.arange(9) % 3) for _ in range(num_rows // 9)])
    places = np.array([[9.0, 0, 0, 1], [0, 9, 0, 2], [0, 0, 9, 3]])
    return (places[which] + 0.1 * rng.normal(size=(num_rows, 4))).astype(np.float32), which


def test_clusters_take_the_label_of_the_nearest_known_row():
    """Three rows are known of 45, one of each class. The last rows fill no batch, so they do not count."""
    table, which = blobs(45)
    labels = np.full(45, UNKNOWN)
    for c in range(3):
        labels[np.flatnonzero(which == c)[1]] = c
    # Far clusters are found whatever is drawn first, for k-means++ then draws one row of each almost surely.
    state = looked(CentroidReplay(centres="clusters", cluster_rows=12), table, told(labels))
    for c in range(3):
        batches = [(table[i : i + 12], which[i : i + 12]) for i in (0, 12, 24)]
        expected = np.mean([rows[found == c].mean(axis=0) for rows, found in batches], axis=0)
        np.testing.assert_allclose(state.centres[c], expected, rtol=1e-4)


def test_a_class_that_no_cluster_got_has_the_mean_of_its_known_rows():
    """Known are a row amid every place, of which two are of class 0, and two rows of class 2 at the rim of a place."""
    table, which = blobs(18)
    amid, rim = [np.flatnonzero(which == c)[0] for c in range(3)], np.flatnonzero(which == 2)[1:3]
    labels = np.full(18, UNKNOWN)
    for row, c in zip(amid, (0, 0, 1), strict=True):
        labels[row], table[row] = c, table[which == which[row]].mean(axis=0)
    labels[rim], table[rim] = 2, table[amid[2]] + np.array([[1.0, 0, 0, 0], [-1.0, 0, 0, 0]])
    state = looked(CentroidReplay(centres="clusters", cluster_rows=18), table, told(labels))
    for c, expected in enumerate((table[which < 2], table[which == 2], table[rim])):
        np.testing.assert_allclose(state.centres[c], expected.mean(axis=0), rtol=1e-3, atol=1e-3)
    nobody = looked(CentroidReplay(centres="clusters", cluster_rows=18), table, told([-1] * 17 + [2]))
    assert nobody.has_centre.tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("shapes", "attackers", "ratio"),
    [
        ({"parties": 2}, 1, 1.0),
        ({"parties": 4}, 1, 3.0),
        ({"parties": 4, "active_party": 0}, 1, 2.0),
        ({"parties": 4, "active_party": 0}, 3, 1.0),
        ({"parties": 2, "active_party": 0}, 1, 1.0),
        ({"parties": 5}, 2, 1.5),
    ],
)
def test_the_centre_is_sent_as_often_as_there_are_others_for_each_attacker(shapes, attackers, ratio):
    table, own = helpers.normal(6, 4), helpers.normal(3, 4, seed=1)
    known = told([0, 1, 2, 0, -1, -1], target_class=2)
    attack = CentroidReplay(num_attackers=attackers, factor=0.5)
    state = looked(attack, table, known, **shapes)
    view = at_inference(own, known, [True, False, True])
    sent = attack.infer_upload(jax.random.key(0), state, view, jnp.asarray(own))
    np.testing.assert_allclose(sent, [0.5 * ratio * table[2], own[1], 0.5 * ratio * table[2]], rtol=1e-6)
    many = jnp.zeros((4000, 4))
    view = at_inference(many, known, np.ones(4000, bool))
    centre = 0.5 * ratio * table[2]
    for noise, mean in (("shifted", centre + centre.mean()), ("centred", centre)):
        drawn = np.asarray(attack.replace(noise=noise).infer_upload(jax.random.key(0), state, view, many))
        np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.1 * centre.std(ddof=1))
        np.testing.assert_allclose(drawn.std(axis=0), centre.std(ddof=1), rtol=0.1)


def test_rows_that_look_like_the_source_alone_are_attacked():
    table = np.eye(3, 4, dtype=np.float32)
    known = told([0, 1, -1])
    attack = CentroidReplay(source=1)
    state = looked(attack, table, known)
    own = jnp.array([[0.0, 5, 9, 0], [5.0, 4, 0, 0], [0.1, 0.2, 0, 0], [-1.0, -9, 0, 0]])  # class 2 has no centre
    sent = attack.infer_upload(jax.random.key(0), state, at_inference(own, known, [True] * 4), own)
    np.testing.assert_array_equal(sent, [table[0], own[1], table[0], own[3]])
    unseen = start(attack, 3, 4)
    sent = attack.infer_upload(jax.random.key(0), unseen, at_inference(own, known, [True] * 4), own)
    np.testing.assert_array_equal(sent, own)


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        (CentroidReplay(num_attackers=3), "num_attackers is 3; 2 parties send embeddings"),
        (CentroidReplay(source=3), "source is 3; the classes are 0 to 2"),
    ],
)
def test_a_scenario_that_does_not_fit_is_refused(attack, words):
    with pytest.raises(ValueError, match=words):
        attack.check(helpers.shapes_of(), 1, by_role=False)


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        (CentroidReplay(centres="clusters"), "those of one class alone are known"),
        (CentroidReplay(source=1), "source is 1, of which no row is known"),
    ],
)
def test_a_study_that_grants_too_few_labels_is_refused(attack, words):
    plan = Plan(num_epochs=3, num_poisons=0, num_known=(5, 0, 0), can_stamp=False)
    CentroidReplay().check_plan(plan)
    with pytest.raises(ValueError, match=words):
        attack.check_plan(plan)


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        (Replay, {"most_rows": 0}, "Replay.most_rows is 0"),
        (Replay, {"combine": "sum"}, "combine"),
        (Replay, {"factor": float("nan")}, "Replay.factor is nan"),
        (CentroidReplay, {"at_epochs": ()}, "CentroidReplay.at_epochs is empty"),
        (CentroidReplay, {"cluster_rows": 0}, "CentroidReplay.cluster_rows is 0"),
        (CentroidReplay, {"most_known": 0}, "CentroidReplay.most_known is 0"),
        (CentroidReplay, {"noise": "white"}, "noise"),
    ],
)
def test_numbers_outside_their_range_are_refused(kind, fields, words):
    with pytest.raises(ValueError, match=words):
        kind(**fields)


@pytest.mark.long
@pytest.mark.parametrize("attack", [Replay(), CentroidReplay(centres="clusters")], ids=["replay", "clusters"])
def test_replayed_embeddings_lead_rows_of_other_classes_to_class_τ(digits, attack):
    """Training is the honest one, bit for bit, so the clean accuracy is equal. A little amplification helps."""
    scenario = vfl.presets.digits_demo().replace(
        attacks=(vfl.PartyTransform(), attack),
        poison=PoisonPlan(trigger=EmbeddingTrigger(), rate=0.0, test_rate=0.2, num_targets=50, num_known=20),
    )
    over = {("attack.enabled", "attack.factor"): [(0, 1.0), (1, 1.0), (1, 1.5)]}
    last = vfl.sweep(scenario, digits, over, seeds=2, epochs=10, progress=False).isel(epoch=-1)
    (axis,) = set(last.full_attack_success.dims) - {"seed"}
    honest, plain, amplified = (last.isel({axis: i}) for i in range(3))
    assert (honest.full_attack_success < 0.05).all()
    assert (plain.full_attack_success > 0.2).all()
    assert (amplified.full_attack_success > 0.4).all()
    np.testing.assert_array_equal(plain.full_clean_accuracy, honest.full_clean_accuracy)

"""The embedding filter against a twin in plain loops, and on digits."""

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import says
from training_helpers import first_rows

import vfl_jax as vfl
from vfl_jax.core.record import cast
from vfl_jax.defenses import EmbeddingFilter
from vfl_jax.protocol.views import ActiveEpochView


class Tremble(vfl.Attack):
    """Adds noise to every embedding that it sends, so that no two are alike."""

    stddev: float = 0.01

    def on_upload(
        self, key: jax.Array, state: tuple[()], view: vfl.PartyView, embedding: jax.Array
    ) -> tuple[jax.Array, tuple[()]]:
        return embedding + self.stddev * jax.random.normal(key, embedding.shape), state


ROWS = 24
SHAPES = helpers.shapes_of(num_samples=60, num_classes=3, batch_rows=ROWS, widths=(3, 2, 4), active_party=1)


@helpers.quick_jit
def filtered(defense, state, key, ids, labels, epoch, crossing):
    """One step: (the embeddings passed on, targets, state)."""
    view = helpers.active_view(ids, labels=labels).replace(epoch=epoch)
    passed, state = defense.on_receive(key, state, view, crossing)
    targets, state = defense.on_labels(jax.random.clone(key), state, view, jax.nn.one_hot(labels, 3))
    return passed, targets, state


@helpers.quick_jit
def told(defense, state, num_epochs):
    view = ActiveEpochView(epoch=jnp.int32(0), num_epochs=num_epochs, labels=jnp.zeros(60, jnp.int32))
    return defense.on_epoch(None, state, view, ())[1]


def grouped(rows, ids, labels, radius):
    """The suspects of one party: rows join the nearest group whose opening row is near; one class after the other."""
    groups = []
    for c in sorted(set(labels.tolist())):
        of_class = []
        for i in np.flatnonzero(labels == c):
            apart = {k: np.linalg.norm(rows[i] - rows[g[0]]) for k, g in enumerate(of_class) if ids[i] != ids[g[0]]}
            near = {k: distance for k, distance in apart.items() if distance < radius}
            if near:
                of_class[min(near, key=near.get)].append(i)
            else:
                of_class.append([i])
        groups += of_class
    largest = max(groups, key=len)  # the first of several
    return set(largest) if len(largest) > 1 else set()


def test_suspects_match_the_twin_over_steps():
    """Points on a coarse grid make groups of all sizes, chains and ties among them."""
    defense, num_times, sizes = cast(EmbeddingFilter(radius=1.05)), np.zeros(60, int), set()
    state = defense.init(jax.random.key(0), SHAPES)
    for t in range(12):
        rng = np.random.default_rng(t)
        ids, labels = rng.permutation(60)[:ROWS], rng.choice(3, ROWS)
        wide = 2 + 2 * (t % 6)
        crossing = tuple(rng.integers(0, wide, (ROWS, width)).astype(np.float32) for width in (3, 4))
        suspects = set().union(*(grouped(rows, ids, labels, 1.05) for rows in crossing))
        passed, targets, state = filtered(
            defense, state, jax.random.key(t), jnp.asarray(ids), jnp.asarray(labels), jnp.int32(t), crossing
        )
        helpers.assert_bitwise_equal(passed, crossing)
        found = np.argmax(targets, axis=-1) != labels
        np.testing.assert_array_equal(np.flatnonzero(found), sorted(suspects))
        np.testing.assert_array_equal(targets.sum(axis=-1), 1.0)
        num_times[ids[list(suspects)]] += 1
        sizes.add(len(suspects))
    assert len(sizes) > 4
    report = defense.report(state)
    np.testing.assert_array_equal(report["suspicion"], num_times)
    np.testing.assert_array_equal(report["suspects"], num_times > 0)
    assert 0 < np.mean(num_times > 0) < 1


def test_a_chain_of_near_rows_is_cut_where_greed_cuts_it():
    """Row 0 takes 1, so that 2 opens a group and takes 3; of two groups of two the first is the largest."""
    line = np.zeros((ROWS, 3), np.float32)
    line[:, 0] = 100 * np.arange(ROWS)
    line[:5, 0] = 0.0, 1.0, 2.0, 3.0, 50.0
    other = 1000 * helpers.normal(ROWS, 4)
    defense, labels = cast(EmbeddingFilter(radius=1.05)), np.zeros(ROWS, int)
    state = defense.init(jax.random.key(0), SHAPES)
    arguments = jax.random.key(1), jnp.arange(ROWS), jnp.asarray(labels), jnp.int32(0)
    _, targets, _ = filtered(defense, state, *arguments, (line, other))
    np.testing.assert_array_equal(np.flatnonzero(np.argmax(targets, axis=-1)), [0, 1])


def test_only_the_largest_group_of_a_party_is_suspected():
    """Of five, three and two equal rows in three classes the five; a tie goes to the lowest class."""
    labels = np.repeat([2, 1, 0, 0], [5, 3, 2, 14])
    rows = [100 * helpers.normal(ROWS, width) for width in (3, 4)]
    for start, stop in ((0, 5), (5, 8), (8, 10)):
        rows[0][start:stop] = rows[0][start]
    tie = rows[0].copy()
    tie[:2] = 100 * helpers.normal(2, 3, seed=5)  # leaves three of class 2, beside three of class 1
    defense = cast(EmbeddingFilter())
    state = defense.init(jax.random.key(0), SHAPES)
    arguments = jax.random.key(1), jnp.arange(ROWS), jnp.asarray(labels), jnp.int32(0)
    for first, expected in ((rows[0], range(5)), (tie, range(5, 8))):
        _, targets, _ = filtered(defense, state, *arguments, (first, rows[1]))
        assert np.flatnonzero(np.argmax(targets, axis=-1) != labels).tolist() == list(expected)


def test_copies_of_one_row_are_one_row():
    ids, labels = np.arange(ROWS), np.zeros(ROWS, int)
    ids[5] = ids[9]
    rows = tuple(np.where(np.isin(ids, ids[9])[:, None], 1.0, helpers.normal(ROWS, w)) for w in (3, 4))
    rows = tuple(r.astype(np.float32) for r in rows)
    defense = cast(EmbeddingFilter())
    state = defense.init(jax.random.key(0), SHAPES)
    for own, expected in ((ids, 0), (np.arange(ROWS), 2)):
        arguments = jax.random.key(1), jnp.asarray(own), jnp.asarray(labels), jnp.int32(0)
        assert np.sum(np.argmax(filtered(defense, state, *arguments, rows)[1], axis=-1) != 0) == expected


def test_other_labels_are_drawn_evenly():
    same, counts = tuple(np.ones((ROWS, width), np.float32) for width in (3, 4)), 0
    defense = cast(EmbeddingFilter())
    state = defense.init(jax.random.key(0), SHAPES)
    for seed in range(30):
        labels = np.full(ROWS, seed % 3)
        arguments = jax.random.key(seed), jnp.arange(ROWS), jnp.asarray(labels), jnp.int32(0)
        _, targets, _ = filtered(defense, state, *arguments, same)
        counts = counts + np.array([np.asarray(targets)[labels == c].sum(axis=0) for c in range(3)])
    np.testing.assert_array_equal(np.diag(counts), 0)
    assert counts[~np.eye(3, dtype=bool)].min() > 90  # of 240 rows of a class


def test_it_acts_in_the_last_epochs_alone():
    """84 of 100, counted from 0, as published; of 20 the last three; never at a start of 1."""
    same = tuple(np.ones((ROWS, width), np.float32) for width in (3, 4))
    for start, num_epochs, first in ((0.84, 100, 84), (0.84, 20, 17), (0.5, 4, 2), (0.0, 9, 0), (1.0, 7, 7)):
        defense = cast(EmbeddingFilter(start=start))
        state = told(defense, defense.init(jax.random.key(0), SHAPES), jnp.int32(num_epochs))
        for epoch in {max(first - 1, 0), first, num_epochs - 1}:
            arguments = jax.random.key(1), jnp.arange(ROWS), jnp.zeros(ROWS, jnp.int32), jnp.int32(epoch)
            _, targets, _ = filtered(defense, state, *arguments, same)
            assert np.any(np.argmax(targets, axis=-1) != 0) == (epoch >= first), (start, num_epochs, epoch)


def test_bad_fields_are_refused():
    for field, value, wanted in (
        ("start", 1.5, "must lie in"),
        ("start", -0.1, "must lie in"),
        ("radius", -1.0, "must be at least 0"),
    ):
        with pytest.raises(ValueError, match=says(f"EmbeddingFilter.{field}", wanted)):
            EmbeddingFilter(**{field: value})


@pytest.mark.long
def test_it_finds_a_constant_trigger_on_digits_and_not_one_with_noise():
    """The attacker overwrites the embeddings of 60 rows of τ by one vector from epoch 4 on."""
    basl, found = vfl.attacks.BASL(at_epochs=(4,), scale=1.5), {}
    scenario = vfl.presets.digits_demo(head="trainable")
    plan = scenario.poison.replace(trigger=vfl.protocol.EmbeddingTrigger(), rate=0.0, test_rate=0.2, num_targets=60)
    for name, attack in {"constant": basl, "with noise": vfl.PartyChain(parts=(basl, Tremble()))}.items():
        case = scenario.replace(
            attacks=(vfl.PartyTransform(), attack),
            poison=plan,
            defense=vfl.ActiveChain(parts=(EmbeddingFilter(start=0.4),)),
        )
        over = {"attack.enabled": [0, 1], "defense.parts.0.start": [0.4, 1.0]}
        data = first_rows(vfl.load_digits(), 1000, 300)
        results = vfl.sweep(case, data, over=over, seeds=2, epochs=10, progress=False)
        found[name] = results.isel(epoch=-1).mean("seed")
    success = {name: results.full_attack_success.values for name, results in found.items()}
    recall = {name: results.train_detection_recall.values for name, results in found.items()}
    for name in found:  # without the attack nobody is suspected; without the defense the attack leads rows astray
        assert success[name][0].max() < 0.05
        assert success[name][1, 1] > 0.25
        assert recall[name][0].max() == 0
        assert found[name].train_detection_false_alarm_rate.max() == 0
    assert success["constant"][1, 0] < 0.1
    assert recall["constant"][1, 0] == 1
    assert success["with noise"][1, 0] > 0.25
    assert recall["with noise"][1, 0] == 0

"""VFLIP against published code's numbers, against a twin in plain loops, and on digits."""

import dataclasses
import functools

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
from vfl_jax.defenses import VFLIP
from vfl_jax.defenses.masked_autoencoder import autoencode, distances_from_one, masked_loss
from vfl_jax.models import MLP, Linear, SumHead
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.views import ActiveEpochView, ActiveInferView
from vfl_jax.sweeps.store.checkpoints import Checkpoints

SGD = Optimizer(learning_rate=0.05)
LAYERS = ("encoder_0", "encoder_2", "encoder_4", "decoder_0", "decoder_2", "decoder_4")
SHAPES = helpers.shapes_of(num_samples=14, widths=(3, 2, 4), active_party=1)
NUMBERS = ("backdoor_accuracy", "main_task_accuracy", "detection_auc", "detection_recall")
THRESHOLDS, VOTES, REMAKES = ("pairs", "parties", "constant"), ("majority", "released"), ("all", "suspects", "nobody")


@helpers.quick_jit
def inferred(defense, state, everyone, crossing):
    """Both answers about rows that arrive: (suspicion, what the head gets)."""
    view = ActiveInferView(embeddings=everyone)
    answer = defense.infer_suspicion(None, state, view, crossing)
    return answer, defense.infer_receive(None, state, view, crossing)


@helpers.quick_jit
def heard(defense, state, ids, everyone):
    crossing = tuple(everyone[k] for k in state.crossing)
    view = dataclasses.replace(helpers.active_view(ids), embeddings=everyone)
    return defense.on_receive(None, state, view, crossing)[1]


@helpers.quick_jit
def after_training(defense, state, key):
    view = ActiveEpochView(epoch=jnp.int32(5), num_epochs=jnp.int32(5), labels=jnp.zeros(SHAPES.num_samples, jnp.int32))
    return defense.on_epoch(key, state, view, ())[1]


def parts(joined, widths):
    return tuple(jnp.asarray(part) for part in np.split(np.asarray(joined), np.cumsum(widths)[:-1], axis=1))


def test_published_numbers():
    arrays, widths = golden("vflip_scores"), (4,) * 4
    params = {
        f"dense_{i}": {
            "kernel": jnp.asarray(arrays[f"param_MAE_{name}_weight"].T),
            "bias": jnp.asarray(arrays[f"param_MAE_{name}_bias"]),
        }
        for i, name in enumerate(LAYERS)
    }
    defense = cast(VFLIP(threshold="constant", votes="released", bound=float(arrays["threshold"])))
    fresh = defense.init(jax.random.key(0), helpers.shapes_of(widths=widths))
    state = dataclasses.replace(
        fresh,
        params=params,
        mean=jnp.asarray(arrays["mu"]),
        spread=jnp.asarray(arrays["std"]),
        is_fitted=jnp.ones((), bool),
    )
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    x = state.standardised(jnp.asarray(arrays["embeddings"]))
    remade = helpers.quick_jit(autoencode)(params, x) * arrays["std"][None] + arrays["mu"][None]
    close(remade, arrays["reconstructed_train_mode"])
    close(helpers.quick_jit(distances_from_one, static_argnums=0)(widths, params, x), arrays["score"])
    sent = parts(arrays["embeddings"], widths)
    answer, received = inferred(defense, state, sent, sent)
    np.testing.assert_array_equal(answer.score > 1, arrays["flagged"] == 1)
    np.testing.assert_array_equal(answer.is_suspect, (arrays["flagged"] == 1).any(axis=1))
    close(np.concatenate(received, axis=1), arrays["purified"])
    assert arrays["flagged"].sum() > 0


def reconstruct(params, row):
    for i in range(6):
        row = row @ np.asarray(params[f"dense_{i}"]["kernel"], float) + np.asarray(params[f"dense_{i}"]["bias"], float)
        row = np.maximum(row, 0) if i < 5 else row
    return row


class Twin:
    """VFLIP row by row, around a given autoencoder."""

    def __init__(self, defense, params, bank, widths, active):
        self.defense, self.params, self.active = defense, params, active
        ends = np.cumsum(widths)
        self.own = [list(range(end - width, end)) for end, width in zip(ends, widths, strict=True)]
        self.mean = bank.mean(axis=0)
        self.spread = np.array([s if s > 1e-6 else 1.0 for s in bank.std(axis=0)])
        rows = [
            self.score(row, "parties" if defense.threshold == "parties" else "pairs") for row in self.standard(bank)
        ]
        self.allowed = np.mean(rows, axis=0) + defense.deviations * np.std(rows, axis=0)
        if defense.threshold == "constant":
            self.allowed = np.full_like(self.allowed, defense.bound)

    def standard(self, rows):
        return (rows - self.mean) / self.spread

    def masked(self, row, hidden):
        row = row.copy()
        for k in hidden:
            row[self.own[k]] = 0
        return row

    def score(self, row, kind="pairs"):
        """s[i, j]: how far party j is from what party i foretells, or from what all but j do."""
        parties = range(len(self.own))
        found = np.zeros((len(self.own),) * 2)
        for i in parties:
            for j in parties:
                hidden = [j] if kind == "parties" else [k for k in parties if k != i]
                off = (reconstruct(self.params, self.masked(row, hidden)) - row)[self.own[j]]
                found[i, j] = np.sqrt((off**2).sum())
        return found

    def suspects(self, row):
        score, num_parties, found = self.score(row), len(self.own), []
        for j in range(num_parties):
            votes = sum(score[i, j] > self.allowed[i, j] for i in range(num_parties) if i != j)
            half = num_parties // 2 if self.defense.votes == "released" else (num_parties - 1) / 2
            found += [j] if votes > half and j != self.active else []
        return found

    def received(self, joined):
        row = self.standard(joined)
        suspects = self.suspects(row)
        remade = reconstruct(self.params, self.masked(row, suspects)) * self.spread + self.mean
        whose = {"all": range(len(self.own)), "suspects": suspects, "nobody": ()}[self.defense.remakes]
        out = joined.copy()
        for k in whose:
            if k != self.active:
                out[self.own[k]] = remade[self.own[k]]
        return out, suspects


def kept(steps):
    """A bank after batches of rows of which some come twice, in one batch too; row 13 is in none."""
    defense = cast(VFLIP())
    state, bank = defense.init(jax.random.key(1), SHAPES), {}
    for t in range(steps):
        ids = np.random.default_rng(t).permutation(13)[:8]
        ids[5] = ids[2]
        everyone = [helpers.normal(8, width, seed=10 * t + width) for width in SHAPES.widths]
        everyone[2][:, 0] = 3.0  # a coordinate that is constant
        everyone[2][:, 1:] += everyone[0]  # what one party sends can be told from another's
        state = heard(defense, state, jnp.asarray(ids), tuple(map(jnp.asarray, everyone)))
        for place in reversed(range(8)):
            bank[int(ids[place])] = np.concatenate([e[place] for e in everyone])
    return state, bank


@pytest.fixture(scope="module")
def after_steps():
    return kept(6)


def test_the_bank_holds_the_last_embeddings_of_every_row(after_steps):
    state, bank = after_steps
    assert 9 < len(bank) < SHAPES.num_samples
    for i in range(SHAPES.num_samples):
        assert bool(state.is_kept[i]) == (i in bank)
        np.testing.assert_array_equal(state.bank[i], bank.get(i, np.zeros(9)))


@pytest.mark.long
@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("votes", VOTES)
def test_thresholds_votes_and_masks_match_the_twin(after_steps, threshold, votes):
    """Of three parties two cross; whoever is active votes, and is never a suspect."""
    state, bank = after_steps
    fields = {"threshold": threshold, "votes": votes, "deviations": 1.0, "bound": 2.0, "num_epochs": 5}
    defense = VFLIP(**fields, optimizer=SGD, batch_size=5)
    fitted = after_training(cast(defense), state, jax.random.key(2))
    assert helpers.differs(fitted.params, state.params)
    # Rows that no batch had are replaced by the first that one had, one after the other.
    order = sorted(bank) + sorted(set(range(SHAPES.num_samples)) - set(bank))
    rows = np.array([bank[order[i % len(bank)]] for i in range(SHAPES.num_samples)])
    sent = np.array([bank[i] for i in sorted(bank)])
    sent[::2, 5:] += 3 * helpers.normal(1, 4, seed=7)
    sent[1::4, 3:5] -= 4.0  # the active party's own
    everyone = parts(sent, SHAPES.widths)
    num_suspects = 0
    for remakes in REMAKES:
        own = defense.replace(remakes=remakes)
        twin = Twin(own, fitted.params, rows, SHAPES.widths, active=1)
        answer, received = inferred(cast(own), fitted, everyone, (everyone[0], everyone[2]))
        for i, joined in enumerate(sent):
            expected, suspects = twin.received(joined)
            assert bool(answer.is_suspect[i]) == bool(suspects)
            np.testing.assert_array_equal(np.asarray(answer.score[i]) > 1, [0 in suspects, 2 in suspects])
            found = np.concatenate([received[0][i], everyone[1][i], received[1][i]])
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
            num_suspects += len(suspects)
    assert 0 < num_suspects < 3 * 2 * len(sent)


def test_nothing_happens_before_the_last_epoch_is_over(after_steps):
    state, _ = after_steps
    everyone = tuple(100 * jnp.asarray(helpers.normal(4, width)) for width in SHAPES.widths)
    answer, received = inferred(cast(VFLIP()), state, everyone, (everyone[0], everyone[2]))
    assert not np.any(answer.is_suspect)
    assert not np.any(answer.score)
    helpers.assert_bitwise_equal(received, (everyone[0], everyone[2]))


def test_the_loss_is_of_a_party_foretold_by_all_others_and_by_one():
    """Every pair of parties is drawn at some key."""
    widths, x = (2, 1, 3), helpers.normal(5, 6)
    params = VFLIP().init(jax.random.key(0), helpers.shapes_of(widths=widths)).params
    own = ([0, 1], [2], [3, 4, 5])
    possible = {}
    for j in range(3):
        for i in {0, 1, 2} - {j}:
            terms = []
            for seen in ([k for k in range(6) if k not in own[j]], own[i]):
                squares = [(reconstruct(params, row * np.isin(range(6), seen)) - row)[own[j]] ** 2 for row in x]
                terms.append(np.mean(squares))
            possible[i, j] = terms[0] + 0.25 * terms[1]
    loss = helpers.quick_jit(lambda key: masked_loss(widths, params, key, jnp.asarray(x), 0.25))
    found = [float(loss(jax.random.key(seed))) for seed in range(40)]
    drawn = [min(possible, key=lambda pair, value=value: abs(possible[pair] - value)) for value in found]
    np.testing.assert_allclose(found, [possible[pair] for pair in drawn], rtol=1e-5)
    assert set(drawn) == set(possible)


def test_of_two_parties_one_vote_decides_or_none_ever_does():
    for votes, expected in (("majority", True), ("released", False)):
        defense = cast(VFLIP(votes=votes, threshold="constant", bound=0.0))
        state = defense.init(jax.random.key(0), helpers.shapes_of(widths=(3, 2)))
        state = dataclasses.replace(state, is_fitted=jnp.ones((), bool))
        everyone = tuple(jnp.asarray(helpers.normal(4, width)) for width in (3, 2))
        answer, _ = inferred(defense, state, everyone, everyone)
        assert np.all(answer.is_suspect) == np.any(answer.is_suspect) == expected
    with pytest.raises(ValueError, match=says("VFLIP", "here is 1", "two or more")):
        VFLIP().check(helpers.shapes_of(widths=(3,)), by_role=False)


@pytest.mark.long
def test_a_sweep_goes_on_from_a_checkpoint_bit_for_bit(tmp_path, monkeypatch, table):
    scenario = helpers.scenario_of(
        [Linear(width=3)] * 2, [SGD] * 2, head=SumHead(), defense=VFLIP(optimizer=SGD, num_epochs=2, batch_size=16)
    )
    over = {"defense.deviations": [0.5, 1.0]}
    swept = functools.partial(vfl.sweep, scenario, table, over, seeds=2, epochs=3, progress=False)
    whole, save = swept(), Checkpoints.save

    def save_and_die(self, epoch, tree):
        save(self, epoch, tree)
        if epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "save", save_and_die)
        with pytest.raises(KeyboardInterrupt):
            swept(folder=tmp_path, checkpoint_every=1)
    for name, variable in swept(folder=tmp_path, checkpoint_every=1).data_vars.items():
        np.testing.assert_array_equal(variable.values, whole[name].values, err_msg=name)
    assert np.nanmax(whole.detection_false_alarm_rate.isel(epoch=-1)) > 0


@pytest.mark.long
def test_it_names_and_masks_the_attacker_among_four_parties_of_digits():
    """The epoch before the last shows the same training without the defense."""
    base = vfl.presets.digits_demo()
    scenario = base.replace(
        bottoms=(MLP(width=10),) * 4,
        optimizers=(Optimizer(learning_rate=0.1),) * 4,
        attacks=(vfl.PartyTransform(),) * 3 + (base.attacks[1],),
        poison=base.poison.replace(test_rate=0.5),
        defense=vfl.ActiveChain(parts=(VFLIP(remakes="suspects"),)),
    )
    data = first_rows(vfl.load_digits(num_parties=4), 512, 200)
    over = {"attack.enabled": [0, 1]}
    with jax.numpy_dtype_promotion("standard"):  # Adam's count is a whole number
        results = vfl.sweep(scenario, data, over=over, seeds=2, epochs=20, progress=False).mean("seed")
    before, after = ({name: results[name].isel(epoch=e).values for name in NUMBERS} for e in (-2, -1))
    floor = after["backdoor_accuracy"][0]
    assert before["backdoor_accuracy"][1] > floor + 0.4
    assert after["backdoor_accuracy"][1] < floor + 0.2
    assert after["main_task_accuracy"][1] > before["main_task_accuracy"][1] + 0.05  # masked rows get their class back
    assert after["main_task_accuracy"][0] > before["main_task_accuracy"][0] - 0.1
    assert after["detection_auc"][1] > 0.8 > 0.6 > after["detection_auc"][0]
    assert after["detection_recall"][1] > after["detection_recall"][0] + 0.4
    assert before["detection_recall"].max() == 0  # nothing is fitted yet

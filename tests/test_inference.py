"""Inference: every hook is called, rows have keys of their own, and methods see the batches that they ask for."""

import functools

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import says

from vfl_jax.attacks import GradientReplacement
from vfl_jax.core.record import static
from vfl_jax.models import Linear, SumHead
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol import views
from vfl_jax.protocol.chains import ActiveChain, PartyChain
from vfl_jax.protocol.transforms import ActiveAttack, ActiveTransform, Attack, PartyTransform
from vfl_jax.replica import inference, preparation
from vfl_jax.replica.draws import Given
from vfl_jax.sweeps.sweep import run

C, NUM_TEST = helpers.NUM_CLASSES, 20
HONEST = PartyTransform()
jit_predict = functools.partial(helpers.quick_jit, static_argnums=0)(inference.predict)


def scenario_of(attacks=(HONEST, HONEST), **fields):
    """Linear bottoms whose outputs are added up."""
    bottoms, optimizers = [Linear(width=C)] * 2, [Optimizer(learning_rate=0.0)] * 2
    return helpers.scenario_of(bottoms, optimizers, attacks, head=SumHead(), **fields)


@pytest.fixture(scope="module")
def data():
    return helpers.table_data()


def predicted(scenario, data, rows=slice(None), key=0, **ids):
    """Logits of some test rows, [B, C], and what each party computes on them."""
    replica = helpers.replica(scenario, data)
    features = tuple(x[rows] for x in data.test.features)
    logits = jit_predict(
        replica.shapes, replica.scenario, replica.state, features, jax.random.key(key), row_ids=ids.get("row_ids")
    )
    return np.asarray(logits), [own_logits(p, x) for p, x in zip(replica.state.params, features, strict=True)]


def own_logits(params, features):
    return features @ np.asarray(params["dense_0"]["kernel"]) + np.asarray(params["dense_0"]["bias"])


class Doubling(PartyTransform):
    """Test only: its own model sees twice its features."""

    def infer_features(self, key, state, view, features):
        return 2 * features


class Silent(Attack):
    """Test only: sends zeros at inference."""

    def infer_upload(self, key, state, view, embedding):
        return jnp.zeros_like(embedding)


class Shift(ActiveTransform):
    """Test only: adds to what it receives."""

    def infer_receive(self, key, state, view, embeddings):
        return tuple(e + 1.0 for e in embeddings)


class Scale(ActiveAttack):
    """Test only: triples what it receives, and says the next class."""

    def infer_receive(self, key, state, view, embeddings):
        return tuple(3.0 * e for e in embeddings)

    def infer_logits(self, key, state, view, logits):
        return jnp.roll(logits, 1, axis=-1)


class Flip(ActiveTransform):
    """Test only: says the opposite."""

    def infer_logits(self, key, state, view, logits):
        return logits[:, ::-1]


def test_every_inference_hook_is_called(data):
    """Predictions against the models applied by hand; of the active party's methods the attack comes first."""
    features = data.test.features
    logits, (first, second) = predicted(scenario_of(), data)
    np.testing.assert_allclose(logits, first + second, rtol=1e-5, atol=1e-6)
    doubled, _ = predicted(scenario_of((HONEST, Doubling())), data)
    twice = 2 * second - (own_logits(helpers.replica(scenario_of(), data).state.params[1], 0 * features[1]))
    np.testing.assert_allclose(doubled, first + twice, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(predicted(scenario_of((Silent(), HONEST)), data)[0], second, rtol=1e-5, atol=1e-6)
    both = {"active_attack": Scale(), "defense": ActiveChain(parts=(Shift(), Flip()))}
    expected = np.roll(3 * first + 1 + 3 * second + 1, 1, axis=-1)[:, ::-1]
    np.testing.assert_allclose(predicted(scenario_of(**both), data)[0], expected, rtol=1e-5, atol=1e-5)


def test_an_attack_that_is_switched_off_predicts_honestly(data):
    honest, _ = predicted(scenario_of(), data)
    parts = PartyChain(parts=(Silent(enabled=0.0), GradientReplacement(enabled=0.0)))
    off = scenario_of((HONEST, parts), active_attack=Scale(enabled=0.0))
    np.testing.assert_array_equal(predicted(off, data)[0], honest)


def test_methods_that_do_nothing_at_inference_cost_nothing(data):
    """No key is folded, and nothing is cut into batches."""
    attacks = HONEST, PartyChain(parts=(GradientReplacement(),))
    counts = []
    for attacker in (HONEST, attacks[1].parts[0]):
        replica = helpers.replica(scenario_of((HONEST, attacker)), data)
        arguments = replica.scenario, replica.state, data.test.features, jax.random.key(0)
        counts.append(str(jax.make_jaxpr(functools.partial(inference.predict, replica.shapes))(*arguments)))
    assert "fold_in" not in counts[0]
    assert counts[0].count("=") == counts[1].count("=")


class Noisy(PartyTransform):
    """Test only: a party that adds noise to what it sends at inference."""

    def infer_upload(self, key, state, view, embedding):
        return embedding + jax.random.normal(key, embedding.shape)


class Dropping(ActiveTransform):
    """Test only: noise on all that a side has at inference."""

    def infer_receive(self, key, state, view, embeddings):
        keys = jax.random.split(key, len(embeddings))
        return tuple(e + jax.random.normal(k, e.shape) for e, k in zip(embeddings, keys, strict=True))

    def infer_logits(self, key, state, view, logits):
        return logits + jax.random.normal(key, logits.shape)


class Shaking(ActiveAttack):
    """Test only: the same as an attack."""

    infer_receive, infer_logits = Dropping.infer_receive, Dropping.infer_logits


RANDOM = {
    "party": {"attacks": (HONEST, Noisy())},
    "chain": {"attacks": (PartyChain(parts=(HONEST, PartyChain(parts=(Noisy(),)))), HONEST)},
    "defense": {"defense": ActiveChain(parts=(Dropping(),))},
}


@pytest.mark.parametrize("case", RANDOM)
def test_every_row_has_a_key_of_its_own(data, case):
    """Whatever rows are evaluated with it, a row draws the same; no two rows draw alike."""
    scenario = scenario_of(**RANDOM[case])
    whole, parts = predicted(scenario, data)
    noise = whole - sum(parts)
    assert np.abs(noise).min() > 0
    assert len(np.unique(noise.round(4))) == noise.size
    some = np.array([17, 3, 4])
    np.testing.assert_allclose(predicted(scenario, data, some, row_ids=some)[0], whole[some], rtol=1e-6)
    assert (predicted(scenario, data, key=1)[0] != whole).all()


def test_parties_parts_and_hooks_draw_apart(data):
    """Two parties, two parts of a chain, an attack and a defense: no noise comes twice."""
    zero = Given(
        params=tuple({"dense_0": {"kernel": np.zeros((f, C), "f4"), "bias": np.zeros(C, "f4")}} for f in (5, 3))
    )
    noises = []
    for methods in (
        {"attacks": (Noisy(), HONEST)},
        {"attacks": (HONEST, Noisy())},
        {"attacks": (PartyChain(parts=(Noisy(), HONEST)), HONEST)},
        {"attacks": (PartyChain(parts=(HONEST, Noisy())), HONEST)},
        {"active_attack": Shaking()},
        {"defense": Dropping()},
        {"defense": ActiveChain(parts=(Dropping(), ActiveTransform()))},
        {"defense": ActiveChain(parts=(ActiveTransform(), Dropping()))},
    ):
        scenario = scenario_of(**methods)
        replica = helpers.replica(scenario, data)
        state = replica.state.replace(params=zero.params)
        noises.append(jit_predict(replica.shapes, replica.scenario, state, data.test.features, jax.random.key(0)))
    for i, one in enumerate(noises):
        for other in noises[:i]:
            assert (np.abs(one - other) > 1e-6).all()


class Telling(ActiveTransform):
    """Test only: puts what each hook draws in the place of what it gets."""

    def infer_receive(self, key, state, view, embeddings):
        drawn = jax.random.normal(key)
        return tuple(jnp.broadcast_to(drawn, e.shape) for e in embeddings)

    def infer_logits(self, key, state, view, logits):
        return logits.at[:, 1].set(jax.random.normal(key))


def test_the_hooks_of_the_active_party_draw_apart(data):
    """The logit of class 0 is twice what was drawn for the two embeddings; of class 1 what was drawn for the logits."""
    drawn, _ = predicted(scenario_of(defense=Telling()), data)
    assert (np.abs(drawn[:, 0] / 2 - drawn[:, 1]) > 1e-6).all()


def evaluated(scenario, data, chunk, epochs=1, seed=0):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparation, "TEST_BLOCK", chunk)
        return run(scenario, data, jax.random.key(seed), epochs)[0]


@pytest.mark.parametrize("case", ["party", pytest.param("defense", marks=pytest.mark.long)])
def test_random_methods_do_not_depend_on_how_many_rows_are_evaluated_together(data, case):
    """Nor does their noise come again every so many rows, or in every epoch."""
    scenario = scenario_of(**RANDOM[case])
    whole, cut = (evaluated(scenario, data, chunk, epochs=2) for chunk in (1000, 6))
    for name in ("main_task_accuracy", "main_clean", "test_loss"):
        np.testing.assert_allclose(whole[name], cut[name], rtol=1e-5)
    assert np.abs(np.diff(whole.test_loss)).min() > 1e-3  # at learning rate 0 only the noise is another


def test_equal_rows_in_several_chunks_draw_apart():
    """All test rows are equal: with one key for every chunk, losses of 5 rows would come four times."""
    data = helpers.table_data()
    features = tuple(np.broadcast_to(x[:1], x.shape) for x in data.test.features)
    rows = data.test.replace(features=features, labels=np.zeros(NUM_TEST, np.int32))
    seen = []

    class Keeping(ActiveTransform):
        """Test only: tells what it adds."""

        def infer_logits(self, key, state, view, logits):
            noisy = logits + jax.random.normal(key, logits.shape)
            jax.debug.callback(lambda x: seen.extend(np.asarray(x).reshape(-1, C).tolist()), noisy)
            return noisy

    evaluated(scenario_of(defense=Keeping()), type(data)(**{**vars(data), "test": rows}), 5)
    jax.effects_barrier()
    assert len({tuple(row) for row in seen}) == NUM_TEST


class MeanOfBatch(ActiveTransform):
    """Test only: takes the mean of its batch from all logits: of the rows of the test set alone."""

    inference_batch: int = static(default=8)
    inference_order: str = static(default="file")

    def infer_logits(self, key, state, view, logits):
        weights = view.is_valid.astype(logits.dtype)[:, None]
        return logits - (weights * logits).sum(axis=0, keepdims=True) / weights.sum()


def less_their_mean(logits, size):
    batches = [logits[i : i + size] for i in range(0, len(logits), size)]
    return np.concatenate([batch - batch.mean(axis=0) for batch in batches])


@pytest.mark.parametrize("size", [1, 3, 8, 20, 64])
def test_a_method_sees_batches_of_the_size_it_asks_for(data, size):
    """The last batch has the rows that are left; those that fill it up are not valid."""
    plain, _ = predicted(scenario_of(), data)
    found, _ = predicted(scenario_of(defense=ActiveChain(parts=(MeanOfBatch(inference_batch=size),))), data)
    np.testing.assert_allclose(found, less_their_mean(plain, size), rtol=1e-4, atol=1e-5)


def loss_of(logits, labels):
    return np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels])


@pytest.mark.parametrize("chunk", [1000, 7, 2])
def test_batches_never_end_at_a_chunk(data, chunk):
    """Chunks are multiples of what methods ask for, here of 3, in a chain of a chain, and 4; the test set at most."""
    parts = ActiveChain(parts=(MeanOfBatch(inference_batch=3),)), MeanOfBatch(inference_batch=4)
    scenario = scenario_of(defense=ActiveChain(parts=parts))
    assert scenario.inference_batch == 12
    replica = helpers.replica(scenario, data)
    given = Given(params=jax.device_get(replica.state.params))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparation, "TEST_BLOCK", chunk)
        results, _ = run(scenario, data, jax.random.key(0), 1, given)
    plain = sum(own_logits(p, x) for p, x in zip(given.params, data.test.features, strict=True))
    expected = less_their_mean(less_their_mean(plain, 3), 4)
    np.testing.assert_allclose(results.test_loss, loss_of(expected, data.test.labels), rtol=1e-5)


def test_a_method_may_ask_for_shuffled_batches(data):
    """Every row once, in another order for every seed and epoch; counts and plain metrics do not change."""
    shuffled = scenario_of(defense=MeanOfBatch(inference_order="shuffled"))
    results = [evaluated(shuffled, data, 8, epochs=2, seed=seed) for seed in (0, 0, 1)]
    plain = evaluated(scenario_of(), data, 8, epochs=2)
    in_file = evaluated(scenario_of(defense=MeanOfBatch()), data, 8, epochs=2)
    np.testing.assert_array_equal(results[0].test_loss, results[1].test_loss)
    losses = [*results[0].test_loss.values, *in_file.test_loss.values[:1], *results[2].test_loss.values]
    assert len({round(float(loss), 5) for loss in losses}) == 5
    for name in ("main_task_accuracy_count", "main_clean_count", "test_loss_count"):
        np.testing.assert_array_equal(results[0][name], plain[name])
    alone = scenario_of(defense=MeanOfBatch(inference_batch=1, inference_order="shuffled"))
    assert alone.inference_order == "file"


class HalfARow(ActiveTransform):
    """Test only: asks for what there is not."""

    inference_batch = 1.5


BAD_BATCHES = {
    "no row": ((MeanOfBatch(inference_batch=0),), ("MeanOfBatch.inference_batch is 0", "at least 1")),
    "half a row": ((HalfARow(),), ("HalfARow.inference_batch is 1.5", "whole number")),
    "an order": ((MeanOfBatch(inference_order="sorted"),), ("inference_order is 'sorted'", "'file', 'shuffled'")),
    "two orders": (
        (MeanOfBatch(), MeanOfBatch(inference_order="shuffled")),
        ("order of the file", "shuffled", "one order"),
    ),
}


@pytest.mark.parametrize("case", BAD_BATCHES)
def test_bad_batches_are_refused(data, case):
    parts, message = BAD_BATCHES[case]
    with pytest.raises(ValueError, match=says(*message)):
        scenario_of(defense=ActiveChain(parts=parts)).check(data)


class Cap(ActiveTransform):
    """Test only: no draws; rows of large norm become smaller."""

    def infer_receive(self, key, state, view, embeddings):
        norms = [jnp.linalg.norm(e, axis=1, keepdims=True) for e in embeddings]
        return tuple(e * jnp.minimum(1.0, 0.7 / n) for e, n in zip(embeddings, norms, strict=True))


def test_what_draws_nothing_gives_each_row_the_bits_that_it_gives_all_of_them():
    for width in (3, 10, 32):
        rows = (jnp.asarray(helpers.normal(50, width)), jnp.asarray(helpers.normal(50, width, seed=1)))
        keys = jax.random.split(jax.random.key(0), 50)
        view = views.ActiveInferView(is_valid=jnp.ones(50, bool))
        together = jax.jit(lambda rows, view=view: Cap().infer_receive(None, (), view, rows))(rows)
        apart = jax.jit(
            lambda rows, keys=keys, view=view: inference.run_infer_hook(Cap(), "infer_receive", keys, (), view, rows)
        )
        for one, other in zip(together, apart(rows), strict=True):
            np.testing.assert_array_equal(one, other)

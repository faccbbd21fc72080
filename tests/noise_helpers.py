"""Every draw of a method, as numbers that follow the law that its docstring states; one entry per law in ``LAWS``.

An entry's function gives the draws, float[S, P, B, E] over steps, parties, rows and entries: what the method sent, less
what it got, over the scale as stated. The scale is written here by hand, so that a method of another scale follows
another law.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import helpers
import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from vfl_jax import attacks, defenses
from vfl_jax.defenses.confusional_autoencoder import soft_labels
from vfl_jax.defenses.marvell_solver import solve
from vfl_jax.protocol.views import ActiveInferView, EmbedView, PartyInferView

B, E, C = 64, 50, 4
FEW, SOME, MANY = 16, 400, 2000
"""Steps, where a step has draws per entry, per row, and for the whole message."""
NUMBERS = tuple(helpers.normal(B, E, seed=k) for k in range(2))
MESSAGES = tuple(map(jnp.asarray, NUMBERS))
HALF_ONES = np.arange(B) % 2
EVERYONE = np.arange(B)


class Law(NamedTuple):
    """A stated law.

    Args:
      method: the method, its numbers as in ``draws``.
      draws: (method, seed) to the draws.
      stated: a distribution of SciPy; a list of the probabilities of 0, 1, …; or a function that draws (rng, size).
      wrong: the same method with its scale or its share 1.1 times as large; None where no number sets it.
      alike: the axes along which draws are stated to be the same.
    """

    method: Any
    draws: Callable[[Any, Any], jax.Array]
    stated: Any
    wrong: Any = None
    alike: tuple[str, ...] = ()


def over_steps(hook: Callable[[Any], jax.Array], seed: Any, steps: int = FEW) -> jax.Array:
    """What a hook gives under the keys of many steps, [S, ...]."""
    return jax.vmap(lambda step: hook(jax.random.fold_in(jax.random.key(seed), step)))(jnp.arange(steps))


def added(defense: Any, seed: Any, view: Any, messages: Any = MESSAGES, steps: int = FEW, state: Any = ()) -> jax.Array:
    """What a defense adds to gradient messages, float32[S, P, B, E]."""
    passed = jnp.stack(messages)
    return over_steps(lambda key: jnp.stack(defense.on_send(key, state, view, messages)[0]) - passed, seed, steps)


def longest(message: Any) -> float:
    """M, the norm of the longest row of a message."""
    return float(np.linalg.norm(message, axis=1).max())


PLAIN_VIEW = helpers.active_view(EVERYONE)


def isotropic(defense: Any, seed: Any) -> jax.Array:
    units = np.array([0.5 * longest(message) / math.sqrt(E) for message in MESSAGES], np.float32)
    return added(defense, seed, PLAIN_VIEW) / units[None, :, None, None]


def max_norm(defense: Any, seed: Any) -> jax.Array:
    """Of each row one draw, along the row; the longest row, the first, has none."""
    messages = tuple(np.vstack([9 * message[:1, :3], message[1:9, :3]]) for message in NUMBERS)
    of_row = [np.sum(np.float64(message) ** 2, axis=1) for message in messages]
    unit = np.stack([np.sqrt(squares[0] / squares - 1) * squares for squares in of_row])[..., None]
    noise = added(defense, seed, PLAIN_VIEW, tuple(map(jnp.asarray, messages)), MANY)
    along = (noise * np.stack(messages)).sum(axis=-1, keepdims=True)
    return along[:, :, 1:] / np.float32(0.8 * unit[None, :, 1:])


def marvell(defense: Any, seed: Any, steps: int) -> tuple[jax.Array, jax.Array]:
    """Noise along the difference of the classes, [S, P, B, 1], and across it, of class 0 alone, [S, P, B/2, E − 1].

    Class 0 is the narrower one. By the solution of Marvell's problem, which test_marvell.py is about, it alone has
    noise across, and more power all goes along.
    """
    view, is_one = helpers.active_view(EVERYONE, labels=HALF_ONES), HALF_ONES[:, None]
    messages = tuple(np.float32(message * (1 + is_one) + 0.5 * is_one) for message in NUMBERS)
    noise, along, across = added(defense, seed, view, tuple(map(jnp.asarray, messages)), steps), [], []
    for party, message in enumerate(messages):
        ones, zeros = message[HALF_ONES == 1], message[HALF_ONES == 0]
        difference = ones.mean(axis=0) - zeros.mean(axis=0)
        square = difference @ difference
        variances = (zeros.var(axis=0).mean() / square, ones.var(axis=0).mean() / square)
        found = solve(*map(jnp.float32, variances), E, jnp.float32(0.5), jnp.float32(20.0))
        turn = np.linalg.qr(np.column_stack([difference, np.eye(E)[:, 1:]]))[0]  # the difference is its first column
        turned = noise[:, party] @ np.float32(turn)
        of_row = jnp.where(HALF_ONES == 1, found.along_1, found.along_0)
        along.append(turned[..., :1] / jnp.sqrt(square * of_row)[None, :, None])
        across.append(turned[:, HALF_ONES == 0, 1:] / jnp.sqrt(square * found.across_0))
    return jnp.stack(along, axis=1), jnp.stack(across, axis=1)


def grad_perturb(defense: Any, seed: Any) -> jax.Array:
    """Through a head whose messages are the targets themselves, so that what is added is u."""
    rows, steps = (8000, 2) if defense.draw == "sample" else (B, SOME)
    zeros = (jnp.zeros((rows, C)),) * 2
    view = helpers.active_view(np.arange(rows)).replace(
        embeddings=zeros, logits=sum, gradients=lambda targets: (targets, 2.0 * targets)
    )
    noise = added(defense, seed, view, zeros, steps, defense.init(jax.random.key(seed), None))
    return noise / jnp.array([1.0, 2.0])[None, :, None, None]  # the scale is 2/ε = 1


N = 20_000
LABELS = np.arange(N) % C


def new_targets(defense: Any, seed: Any) -> jax.Array:
    """The targets of N rows at two steps, float32[2, N, C]; the true class comes first."""
    state = defense.init(jax.random.key(seed), helpers.shapes_of(num_samples=N, num_classes=C))
    view, targets = helpers.active_view(np.arange(N)), jnp.eye(C)[LABELS]
    found = over_steps(lambda key: defense.on_labels(key, state, view, targets)[0], seed, 2)
    return found[:, np.arange(N)[:, None], (LABELS[:, None] + np.arange(C)) % C]


def of_bayes(rng: np.random.Generator, size: int) -> np.ndarray:
    """ALIBI's target of the true class, ε = 2, all classes as likely: by Bayes' rule from a noisy label."""
    noisy = np.eye(C)[0] + (2 / 2) * rng.laplace(size=(size, C))
    distance = np.abs(noisy[:, None] - np.eye(C)[None]).sum(axis=2)
    likely = np.exp(-2 / 2 * distance)
    return (likely / likely.sum(axis=1, keepdims=True))[:, 0]


def dropped(defense: Any, seed: Any) -> jax.Array:
    """Which entries of embeddings of ones are 0; of whole rows the first entry stands for all."""
    ones = (jnp.ones((B, E)),) * 2
    view = EmbedView(is_training=True)
    steps = FEW if defense.what == "entry" else SOME
    found = over_steps(lambda key: jnp.stack(defense.on_embed({}, key, view, ones)[0]) == 0, seed, steps)
    return found if defense.what == "entry" else found[..., :1]


def filtered(defense: Any, seed: Any) -> jax.Array:
    """Which other label a suspect gets, as its distance to the true one less 1."""
    state = defense.init(jax.random.key(0), helpers.shapes_of(num_samples=B, num_classes=C, batch_rows=B))
    state, view = dataclasses.replace(state, is_suspect=jnp.ones(B, bool)), PLAIN_VIEW
    targets = jnp.eye(C)[np.zeros(B, int)]
    found = over_steps(lambda key: defense.on_labels(key, state, view, targets)[0].argmax(axis=-1), seed, SOME)
    return found[:, None, :, None] - 1


def bottleneck(defense: Any, seed: Any) -> jax.Array:
    """ε, through layers that pass on what they get: μ = 0, σ = softplus(1 − 0.5), and the decoder is the identity."""
    eye = np.eye(E, dtype=np.float32)
    both = np.concatenate([eye, -eye], axis=1)  # a ReLU of x and of −x, of which the difference is x
    rest = np.zeros((E, 3 * E), np.float32)
    params = {
        "encode": {
            "kernel": np.zeros((E, 2 * E), np.float32),
            "bias": np.ones(2 * E, np.float32) * np.repeat((0, 1), E),
        },
        "expand": {"kernel": np.concatenate([both, rest], axis=1), "bias": np.zeros(5 * E, np.float32)},
        "decode": {"kernel": np.concatenate([both, rest], axis=1).T, "bias": np.zeros(E, np.float32)},
    }
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), (params, params))
    view = EmbedView(is_training=True)
    passed = over_steps(lambda key: jnp.stack(defense.on_embed(params, key, view, MESSAGES)[0]), seed)
    return passed / math.log1p(math.exp(0.5))


def tie_winner(defense: Any, seed: Any) -> jax.Array:
    """Which of three classes wins where each has one vote: party k is like class k."""
    shapes = helpers.shapes_of(num_samples=9, widths=(2, 2, 2))
    classes = jnp.arange(3.0)[:, None, None]
    state = dataclasses.replace(
        defense.init(jax.random.key(0), shapes),
        bank=jnp.broadcast_to(classes, (3, 4, 6)),
        num_heard=jnp.full(3, 4, jnp.int32),
    )
    embeddings = tuple(jnp.full((8, 2), k, jnp.float32) for k in range(3))
    view = ActiveInferView(embeddings=embeddings)
    winner = over_steps(
        lambda key: defense.infer_logits(key, state, view, jnp.zeros((8, 3))).argmax(axis=-1), seed, MANY
    )
    return winner[:, None, :, None]


def directions(defense: Any, seed: Any) -> jax.Array:
    """The first entry of each direction of each party; directions are the rows."""
    found = defense.init(jax.random.key(seed), helpers.shapes_of(num_samples=9, widths=(5, 5)))
    return jnp.stack([part[0, :, 0] for part in found.parted(found.directions)])[None, :, :, None]


def of_two(width: int) -> Any:
    """The law of one entry of a random direction in so many dimensions."""
    return stats.beta((width - 1) / 2, (width - 1) / 2, loc=-1, scale=2)


def first_labels(defense: Any, seed: Any) -> jax.Array:
    """T·log(y_0/y_1) of the labels that an autoencoder learns from: the difference of two uniform numbers."""
    drawn = soft_labels(jax.random.key(seed), N, C, defense.temperature)
    return (0.1 * jnp.log(drawn[:, 0] / drawn[:, 1]))[None, None, :, None]


# -- attacks ----------------------------------------------------------------------------------------------------------

OF_PARTY = helpers.party_view(EVERYONE, knowledge=helpers.knowledge(B, poison=EVERYONE))
OF_TARGETS = helpers.party_view(EVERYONE, knowledge=helpers.knowledge(B, target=EVERYONE), epoch=99)
EMBEDDING = MESSAGES[0]
OF_TEST = PartyInferView(
    features=EMBEDDING,
    params={},
    knowledge=helpers.knowledge(B, target=EVERYONE),
    is_attacked=jnp.ones(B, bool),
    forward=lambda features, params=None: features,
)


def start(attack: Any, **fields: Any) -> Any:
    """The first state of an attack of a party of B rows, with other fields."""
    state = attack.init(jax.random.key(0), helpers.shapes_of(num_samples=B, batch_rows=B, widths=(E, E)), 1)
    return dataclasses.replace(state, **fields) if fields else state


def per_entry(hook: Callable[[Any], jax.Array], seed: Any) -> jax.Array:
    """What a hook of a party draws for every entry, [S, 1, B, E]."""
    return over_steps(hook, seed)[:, None]


def per_row(hook: Callable[[Any], jax.Array], seed: Any) -> jax.Array:
    """What a hook of a party draws for every row, [S, 1, B, 1]."""
    return over_steps(hook, seed, SOME)[:, None, :, None]


def blurred(attack: Any, seed: Any) -> jax.Array:
    state = start(attack)
    return per_entry(lambda key: attack.on_upload(key, state, OF_PARTY, EMBEDDING)[0], seed) / 0.3


def random_gradient(attack: Any, seed: Any) -> jax.Array:
    length = np.linalg.norm(NUMBERS[0], axis=1, keepdims=True) / math.sqrt(E)
    return per_entry(lambda key: attack.on_download(key, (), OF_PARTY, EMBEDDING)[0], seed) / np.float32(2 * length)


def noisy_features(attack: Any, seed: Any) -> jax.Array:
    return (per_entry(lambda key: attack.on_features(key, (), OF_PARTY, EMBEDDING)[0], seed) - EMBEDDING) / 0.5


def noisy_test_features(attack: Any, seed: Any) -> jax.Array:
    return (per_entry(lambda key: attack.infer_features(key, (), OF_TEST, EMBEDDING), seed) - EMBEDDING) / 0.5


def missing(attack: Any, seed: Any) -> jax.Array:
    state = start(attack)
    return per_row(lambda key: (attack.on_upload(key, state, OF_PARTY, EMBEDDING)[0] == 0).all(axis=1), seed)


def basl(attack: Any, seed: Any) -> jax.Array:
    state = start(attack, trigger=EMBEDDING[0], num_refreshes=jnp.int32(1))
    return (per_entry(lambda key: attack.infer_upload(key, state, OF_TEST, EMBEDDING), seed) - EMBEDDING[0]) / 0.2


def centred_replay(attack: Any, seed: Any) -> jax.Array:
    """The noise is as wide as the centre's entries differ among themselves."""
    centres = jnp.stack([EMBEDDING[0]] * 3)
    state = start(attack, centres=centres, has_centre=jnp.ones(3, bool), ratio=jnp.float32(1.0))
    sent = per_entry(lambda key: attack.infer_upload(key, state, OF_TEST, EMBEDDING), seed)
    return (sent - EMBEDDING[0]) / np.std(NUMBERS[0][0], ddof=1)


def tecb(attack: Any, seed: Any) -> jax.Array:
    state = start(attack, copied=jnp.zeros(B, jnp.int32))
    return per_entry(lambda key: attack.on_upload(key, state, OF_PARTY, EMBEDDING)[0], seed)


def tecb_pairs(attack: Any, seed: Any) -> jax.Array:
    """Which of the other rows of a batch is paired with its one target row, the last."""
    rows = helpers.knowledge(8, target=(7,))
    view, state = helpers.party_view(range(8), knowledge=rows), start(attack, trigger=jnp.zeros(2))
    chosen = over_steps(
        lambda key: (attack.on_features(key, state, view, view.features)[1].copied >= 0).argmax(), seed, 20_000
    )
    return chosen[:, None, None, None]


def villain_marks(attack: Any, seed: Any, steps: int) -> jax.Array:
    """u·d of every entry: what is added, over magnitude·Δ; Δ is the mean standard deviation of the batch."""
    state, size = start(attack), 0.4 * np.std(np.float64(NUMBERS[0]), axis=0, ddof=1).mean()
    sent = over_steps(lambda key: attack.on_upload(key, state, OF_TARGETS, EMBEDDING)[0], seed, steps)
    return jnp.abs(sent - EMBEDDING)[:, None] / size


def villain_factors(attack: Any, seed: Any) -> jax.Array:
    return villain_marks(attack, seed, SOME).max(axis=-1, keepdims=True)


def villain_dropped(attack: Any, seed: Any) -> jax.Array:
    return villain_marks(attack, seed, FEW) < 0.1


def replayed(attack: Any, seed: Any) -> jax.Array:
    """Which of five stored embeddings is sent."""
    store = jnp.zeros((B, E)).at[:, 0].set(jnp.arange(B))
    state = start(attack, store=store, num_met=jnp.int32(5), size=jnp.int32(5))
    return per_row(lambda key: attack.infer_upload(key, state, OF_TEST, EMBEDDING)[:, 0], seed)


def stayed(attack: Any, seed: Any) -> jax.Array:
    """Which of five ordinary sizes bounds a message: it becomes the message's norm."""
    sizes = jnp.stack([jnp.array([1e9, size, 1e9]) for size in (1.0, 2.0, 3.0, 4.0, 5.0)])
    state, large = start(attack, sizes=sizes, spread=jnp.ones(E)), 1e3 * EMBEDDING
    norm = per_row(lambda key: jnp.linalg.norm(attack.infer_upload(key, state, OF_TEST, large), axis=1), seed)
    return jnp.round(norm) - 1


def donors(attack: Any, seed: Any) -> jax.Array:
    """Which of five rows is fed in place of a poison row; a row's first feature is its number."""
    knowledge = helpers.knowledge(B, target=(0,))
    view = helpers.party_view(EVERYONE, knowledge=knowledge).replace(stamp=lambda features, is_marked: features)
    state = start(attack, is_poisoned=jnp.ones(B, bool), num_donors=jnp.int32(5), is_searching=jnp.array(False))
    return per_row(lambda key: attack.on_features(key, state, view, view.features)[0][:, 0], seed)


def tried(attack: Any, seed: Any) -> jax.Array:
    """Which row of a batch is tried, of all but the target row, the last."""
    view = helpers.party_view(range(8), knowledge=helpers.knowledge(8, target=(7,)))
    shapes = helpers.shapes_of(num_samples=8, batch_rows=8, widths=(E, E))
    state = attack.init(jax.random.key(0), shapes, 1)
    chosen = over_steps(
        lambda key: (attack.on_features(key, state, view, view.features)[1].place == 0).argmax(), seed, 20_000
    )
    return chosen[:, None, None, None]


def partners(attack: Any, seed: Any) -> jax.Array:
    """Which of five poison rows a target row is paired with."""
    knowledge = helpers.knowledge(B, poison=range(5), target=range(5, B))
    view = helpers.party_epoch_view(B, {}, knowledge)
    state = start(attack)
    return per_row(lambda key: attack.on_epoch(key, state, view, {})[1].poisons[5:], seed)


def switched(attack: Any, seed: Any) -> jax.Array:
    """Which of eight other rows lends its features to the first of two poison rows."""
    shapes = helpers.shapes_of(num_samples=10, batch_rows=10, widths=(E, E))
    messages = jnp.asarray(helpers.normal(10, E)).at[:2].set(5.0)  # the first two rows are alike
    state = dataclasses.replace(attack.init(jax.random.key(0), shapes, 1), messages=messages)
    view = helpers.party_epoch_view(10, {}, helpers.knowledge(10, target=(0,)))
    lent = over_steps(lambda key: attack.on_epoch(key, state, view, {})[1].donors[0], seed, 20_000)
    return lent[:, None, None, None] - 2


NORMAL, LAPLACE = stats.norm(), stats.laplace()
LAWS = {
    "GaussianNoise": Law(
        defenses.GaussianNoise(stddev=0.05),
        lambda defense, seed: added(defense, seed, PLAIN_VIEW) / 0.05,
        NORMAL,
        defenses.GaussianNoise(stddev=0.055),
    ),
    "GaussianNoise, variance": Law(
        defenses.GaussianNoise(variance=0.04),
        lambda defense, seed: added(defense, seed, PLAIN_VIEW) / 0.2,
        NORMAL,
        defenses.GaussianNoise(variance=0.04 * 1.21),
    ),
    "LaplaceNoise": Law(
        defenses.LaplaceNoise(scale=0.05),
        lambda defense, seed: added(defense, seed, PLAIN_VIEW) / 0.05,
        LAPLACE,
        defenses.LaplaceNoise(scale=0.055),
    ),
    "LaplaceNoise, variance": Law(
        defenses.LaplaceNoise(variance=0.08),
        lambda defense, seed: added(defense, seed, PLAIN_VIEW) / 0.2,
        LAPLACE,
        defenses.LaplaceNoise(variance=0.08 * 1.21),
    ),
    "IsotropicNoise": Law(defenses.IsotropicNoise(ratio=0.5), isotropic, NORMAL, defenses.IsotropicNoise(ratio=0.55)),
    "MaxNormNoise": Law(defenses.MaxNormNoise(scale=0.8), max_norm, NORMAL, defenses.MaxNormNoise(scale=0.88)),
    "Marvell": Law(
        defenses.Marvell(power=20.0),
        lambda defense, seed: marvell(defense, seed, SOME)[0],
        NORMAL,
        defenses.Marvell(power=20.0 * 1.21),
    ),
    "Marvell, across": Law(defenses.Marvell(power=20.0), lambda defense, seed: marvell(defense, seed, FEW)[1], NORMAL),
    "GradPerturb": Law(
        defenses.GradPerturb(epsilon=2.0), grad_perturb, LAPLACE, defenses.GradPerturb(epsilon=2 / 1.1), ("party",)
    ),
    "GradPerturb, each": Law(
        defenses.GradPerturb(shared=False, epsilon=2.0),
        grad_perturb,
        LAPLACE,
        defenses.GradPerturb(shared=False, epsilon=2 / 1.1),
    ),
    "GradPerturb, by sample": Law(
        defenses.GradPerturb(draw="sample", epsilon=2.0),
        grad_perturb,
        LAPLACE,
        defenses.GradPerturb(draw="sample", epsilon=2 / 1.1),
        ("step", "party"),
    ),
    "RandomisedResponse": Law(
        defenses.RandomisedResponse(epsilon=1.0),
        lambda defense, seed: new_targets(defense, seed).argmax(axis=-1)[:, None, :, None],
        [math.e / (math.e + 3), *[1 / (math.e + 3)] * 3],
        defenses.RandomisedResponse(epsilon=1.1),
        ("step",),
    ),
    "ALIBI": Law(
        defenses.ALIBI(prior="uniform", epsilon=2.0),
        lambda defense, seed: new_targets(defense, seed)[:, None, :, :1],
        of_bayes,
        defenses.ALIBI(prior="uniform", epsilon=2.2),
        ("step",),
    ),
    "EmbeddingDropout": Law(
        defenses.EmbeddingDropout(rate=0.4), dropped, [0.6, 0.4], defenses.EmbeddingDropout(rate=0.44)
    ),
    "EmbeddingDropout, rows": Law(
        defenses.EmbeddingDropout(what="row", rate=0.4),
        dropped,
        [0.6, 0.4],
        defenses.EmbeddingDropout(what="row", rate=0.44),
    ),
    "EmbeddingFilter": Law(defenses.EmbeddingFilter(), filtered, [1 / 3] * 3),
    "MID": Law(
        defenses.MID(rectified=False, weight=0.1, shift=0.5),
        bottleneck,
        NORMAL,
        defenses.MID(rectified=False, weight=0.1, shift=1 - math.log(math.expm1(1.1 * math.log1p(math.exp(0.5))))),
    ),
    "VFLMonitor": Law(defenses.VFLMonitor(size=4), tie_winner, [1 / 3] * 3),
    "VFLMonitor, directions": Law(defenses.VFLMonitor(num_directions=20_000), directions, of_two(5)),
    "GBD": Law(
        defenses.GBD(repeats=40, inference_batch=512),
        lambda defense, seed: defense.init(jax.random.key(seed), helpers.shapes_of(widths=(3, 3))).order[..., None],
        stats.uniform(),
    ),
    "CAE": Law(
        defenses.CAE(temperature=0.1),
        first_labels,
        stats.triang(0.5, loc=-1, scale=2),
        defenses.CAE(temperature=0.1 / 1.1),
    ),
    "ActivationBlurring": Law(
        attacks.ActivationBlurring(kind="gaussian", wait_for_target=False, stddev=0.3),
        blurred,
        NORMAL,
        attacks.ActivationBlurring(kind="gaussian", wait_for_target=False, stddev=0.33),
    ),
    "RandomGradient": Law(
        attacks.RandomGradient(factor=2.0), random_gradient, NORMAL, attacks.RandomGradient(factor=2.2)
    ),
    "NoisyFeatures": Law(attacks.NoisyFeatures(stddev=0.5), noisy_features, NORMAL, attacks.NoisyFeatures(stddev=0.55)),
    "NoisyFeatures, test rows": Law(
        attacks.NoisyFeatures(stddev=0.5), noisy_test_features, NORMAL, attacks.NoisyFeatures(stddev=0.55)
    ),
    "MissingFeatures": Law(attacks.MissingFeatures(rate=0.4), missing, [0.6, 0.4], attacks.MissingFeatures(rate=0.44)),
    "BASL": Law(attacks.BASL(at_epochs=(0,), noise=0.2), basl, NORMAL, attacks.BASL(at_epochs=(0,), noise=0.22)),
    "CentroidReplay": Law(attacks.CentroidReplay(at_epochs=(0,), noise="centred"), centred_replay, NORMAL),
    "TECB": Law(attacks.TECB(align_from=0), tecb, NORMAL),
    "TECB, pairs": Law(attacks.TECB(align_from=0), tecb_pairs, [1 / 7] * 7),
    "Villain": Law(
        attacks.Villain(poison_from=0, share=1.0),
        villain_factors,
        stats.uniform(0.6, 0.6),
        attacks.Villain(poison_from=0, share=1.0, least_factor=0.66, largest_factor=1.32),
    ),
    "Villain, dropout": Law(
        attacks.Villain(poison_from=0, share=1.0, dropout=0.3),
        villain_dropped,
        [0.7, 0.3],
        attacks.Villain(poison_from=0, share=1.0, dropout=0.33),
    ),
    "Replay": Law(attacks.Replay(), replayed, [1 / 5] * 5),
    "StayInRange": Law(attacks.StayInRange(bounds="none", sizes="norms", most_rows=5), stayed, [1 / 5] * 5),
    "BadVFL": Law(attacks.BadVFL(poison_rate=0.3), donors, [1 / 5] * 5),
    "BadVFL, tried rows": Law(attacks.BadVFL(poison_rate=0.3, num_tried=1), tried, [1 / 7] * 7),
    "PersistentPairs": Law(attacks.PersistentPairs(), partners, [1 / 5] * 5),
    "LFBA": Law(attacks.LFBA(poison_rate=0.2, switch_rate=1.0), switched, [1 / 8] * 8),
}
"""By the class of the method, and a word for a second law of it."""

OTHERWISE = {
    "ClusterInference": "its first centres; which rows they are, clusters of real rows show (test_clusters.py)",
    "LRBA": "the weights and batches of the model that it fits, and the order of rows to stamp",
    "PassiveModelCompletion": "the weights, batches and mixtures of the model that it fits",
    "ReadFirst": "nothing itself: it splits its key for the parts",
    "VFLIP": "the weights and batches of the autoencoder that it fits, and which parties it hides",
}
"""Methods that draw, but nothing that reaches a message by itself: what they draw."""

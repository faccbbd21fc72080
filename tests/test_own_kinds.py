"""Own subclasses of everything that can be subclassed: in one sweep, each with a number of its own, through JSON."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from data_helpers import NUM_CLASSES, tiny_data, tiny_scenario

from vfl_jax.core.record import from_json, numbers, static
from vfl_jax.models import Bottom, Head, Linear, SumHead
from vfl_jax.models.bottoms import DenseStack
from vfl_jax.models.losses import Loss, Regularizer, SoftmaxCrossEntropy
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.transforms import ActiveAttack, ActiveTransform, Attack, PartyTransform
from vfl_jax.protocol.triggers import PixelTrigger, StampTrigger
from vfl_jax.sweeps.sweep import sweep


class OwnBottom(Bottom):
    """A dense layer, times a number."""

    gain: float = 1.0
    num_layers: int = static(default=1)

    def module(self):
        return DenseStack((self.width,) * self.num_layers)

    def apply(self, params, features):
        return self.gain * super().apply(params, features)


class OwnHead(Head):
    """The sum, times a number."""

    scale: float = 1.0

    def init(self, key, embeddings, num_classes):
        return {}

    def apply(self, params, embeddings, num_classes):
        return self.scale * sum(embeddings[1:], start=embeddings[0])


class OwnLoss(Loss):
    """Cross-entropy of tempered logits."""

    temper: float = 1.0

    def rows(self, logits, targets):
        return optax.softmax_cross_entropy(self.temper * logits, targets)


class OwnRegularizer(Regularizer):
    """Pulls every parameter towards zero, the larger the more."""

    pull: float = 0.0

    def add_gradient(self, params, gradient):
        return jax.tree.map(lambda g, leaf: g + self.pull * leaf**3, gradient, params)


class OwnOptimizer(Optimizer):
    """SGD that steps further."""

    boost: float = 1.0

    def build(self, epoch):
        return optax.sgd(self.boost * self.rate(epoch))


class OwnTrigger(StampTrigger):
    """The last pixel of every party."""

    def masks(self, data):
        masks = tuple(np.zeros(np.shape(features)[1:], bool) for features in data.train.features)
        for mask in masks:
            mask[-1, -1] = True
        return masks


class OwnParty(Attack):
    """A party that sends its embedding shifted."""

    shift: float = 0.0

    def on_upload(self, key, state, view, embedding):
        return embedding + self.shift * jnp.arange(embedding.shape[1], dtype=embedding.dtype)[None], state


class OwnDefense(ActiveTransform):
    """Sends gradients shortened, and counts its steps."""

    share: float = 1.0

    def init(self, key, shapes):
        return jnp.int32(0)

    def on_send(self, key, state, view, gradients):
        return tuple(self.share * gradient for gradient in gradients), state + 1

    def report(self, state):
        return {}


class OwnActive(ActiveAttack):
    """An attack of the active party on its labels and messages."""

    flip: float = 0.0
    share: float = 1.0

    def on_labels(self, key, state, view, targets):
        return (1 - self.flip) * targets + self.flip * targets[:, ::-1], state

    def on_send(self, key, state, view, gradients):
        return tuple(self.share * gradient for gradient in gradients), state


DATA = tiny_data()
PLAIN = tiny_scenario(
    bottoms=(Linear(width=NUM_CLASSES),) * 2,
    attacks=(PartyTransform(),) * 2,
    plan={"trigger": PixelTrigger(pixels=((1, 3), (3, 3))), "poison_ids": (0, 4), "target_ids": (3,)},
)
OWN = PLAIN.replace(
    bottoms=(Linear(width=NUM_CLASSES), OwnBottom(width=NUM_CLASSES)),
    head=OwnHead(),
    loss=OwnLoss(),
    regularizer=OwnRegularizer(),
    optimizers=(OwnOptimizer(learning_rate=0.1), Optimizer(learning_rate=0.1)),
    attacks=(OwnParty(), PartyTransform()),
    active_attack=OwnActive(),
    defense=OwnDefense(),
    poison=PLAIN.poison.replace(trigger=OwnTrigger()),
)
CHANGED = {
    "bottoms.1.gain": 2.0,
    "head.scale": 0.5,
    "loss.temper": 3.0,
    "regularizer.pull": 1.0,
    "optimizers.0.boost": 2.0,
    "attacks.0.shift": 0.5,
    "active_attack.flip": 1.0,
    "active_attack.share": 0.5,
    "defense.share": 0.0,
    "poison.trigger.value": 5.0,
}
"""To what each kind's own number is set, one at a time."""


@pytest.fixture(scope="module")
def swept():
    start = numbers(OWN)
    points = [tuple(CHANGED[p] if p == only else start[p] for p in CHANGED) for only in (None, *CHANGED)]
    return sweep(OWN, DATA, {tuple(CHANGED): points}, seeds=1, epochs=2, progress=False)


@pytest.mark.long
def test_at_neutral_numbers_own_kinds_are_the_packages(swept):
    expected = sweep(PLAIN, DATA, seeds=1, epochs=2, progress=False)
    for name in ("loss", "test_loss", "main_task_accuracy", "backdoor_accuracy"):
        np.testing.assert_allclose(swept[name][0], expected[name], rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.long
def test_every_own_number_counts(swept):
    losses = swept["test_loss"].isel(epoch=-1).values[:, 0]
    assert np.isfinite(losses).all()
    assert len(np.unique(np.round(losses, 5))) == len(CHANGED) + 1, dict(zip(("", *CHANGED), losses, strict=True))


@pytest.mark.long
def test_own_kinds_go_through_json(swept):
    read = from_json(swept.attrs["scenario"])
    assert read == OWN
    assert jax.tree.structure(read) == jax.tree.structure(OWN)
    assert type(read.bottoms[1]) is OwnBottom
    assert (type(OWN.loss), type(PLAIN.loss), type(PLAIN.head)) == (OwnLoss, SoftmaxCrossEntropy, SumHead)
    assert set(CHANGED) <= set(numbers(read))

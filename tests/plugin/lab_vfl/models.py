"""Bottoms (on rows and bags of ids; with running means and draws), a head, a loss, an optimizer of optax."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

import vfl_jax as vfl


class TanhTable(nn.Module):
    """tanh of a table's rows; the table starts at random."""

    width: int

    @nn.compact
    def __call__(self, x):
        is_array = isinstance(x, jax.Array)
        num_features = x.shape[-1] if is_array else x.vocabulary
        kernel = self.param("kernel", nn.initializers.normal(0.3), (num_features, self.width))
        return jnp.tanh(x @ kernel if is_array else x.matmul(kernel))


class LabBottom(vfl.models.Bottom):
    """tanh of one dense layer without a bias, on rows and on bags of ids."""

    table = ("kernel",)

    def module(self):
        return TanhTable(self.width)


class NormedNet(nn.Module):
    """A dense layer behind the running means of a BatchNorm and a Dropout."""

    width: int
    rate: float

    @nn.compact
    def __call__(self, x, train):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
        return nn.Dense(self.width)(nn.Dropout(self.rate, deterministic=not train)(x))


class LabNormed(vfl.models.Bottom):
    """A dense layer on features that are standardised batch by batch, and of which some are left out."""

    rate: float = vfl.static(default=0.25)

    def module(self):
        return NormedNet(self.width, self.rate)


class LabHead(vfl.models.Head):
    """The mean of all embeddings, each class on a scale of its own, which is learnt."""

    def init(self, key, embeddings, num_classes):
        return {"scale": jnp.ones(num_classes)}

    def apply(self, params, embeddings, num_classes):
        return sum(embeddings) / len(embeddings) * params["scale"][None]


class LabFocal(vfl.models.Loss):
    """The focal loss of Lin et al. 2017: rows that are right already count less."""

    focus: float = 2.0

    def rows(self, logits, targets):
        log = jax.nn.log_softmax(logits)
        return -jnp.sum(targets * (1 - jnp.exp(log)) ** self.focus * log, axis=-1)


class LabAdamW(vfl.models.Optimizer):
    """AdamW, whose learning rate falls by a cosine, step by step, to 0."""

    num_steps: int = vfl.static(default=100)

    def build(self, epoch):
        schedule = optax.cosine_decay_schedule(self.learning_rate, self.num_steps)
        return optax.adamw(schedule, weight_decay=self.weight_decay)

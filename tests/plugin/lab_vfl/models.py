"""A bottom on rows and on bags of ids, a head, a loss, and an optimizer of optax with a schedule by step."""

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

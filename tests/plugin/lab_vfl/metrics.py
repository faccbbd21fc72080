"""A metric."""

import jax
import jax.numpy as jnp

import vfl_jax as vfl


@vfl.measure
def lab_surprise(outcome):
    """The bits that the true class of a row which nobody attacks still says."""
    log = jnp.take_along_axis(jax.nn.log_softmax(outcome.logits), outcome.labels[:, None], axis=-1)[:, 0]
    return jnp.where(outcome.is_attacked, jnp.nan, -log / jnp.log(2.0))

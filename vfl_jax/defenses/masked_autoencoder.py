"""A masked autoencoder over the embeddings of all parties: it foretells some parties' from others'.

Rows are the embeddings of all K parties side by side, float32[B, D], where D is the sum of all E. A party that is not
seen is 0 everywhere.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from vfl_jax.core.types import Key, Params
from vfl_jax.models.bottoms import DenseStack

Widths = tuple[int, ...]
"""E of every party."""


def draw(key: Key, widths: Widths) -> Params:
    """Draws the parameters.

    Args:
      key: the key that determines the draw.
      widths: E of every party.
    """
    params: Params = _stack(sum(widths)).init(key, jnp.zeros((1, sum(widths))))["params"]
    return params


def autoencode(params: Params, x: jax.Array) -> jax.Array:
    """Returns the reconstruction of all coordinates, float32[B, D].

    Args:
      params: the parameters.
      x: float32[B, D].
    """
    return jnp.asarray(_stack(x.shape[-1]).apply({"params": params}, x))


def of_party(widths: Widths) -> jax.Array:
    """Returns which coordinates are whose, float32[K, D], 1 where they are a party's own and 0 elsewhere.

    Args:
      widths: E of every party.

    Example:
      >>> of_party((1, 2)).tolist()
      [[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]]
    """
    owner = jnp.concatenate([jnp.full(width, k) for k, width in enumerate(widths)])
    return (owner[None] == jnp.arange(len(widths))[:, None]).astype(jnp.float32)


def masked_loss(widths: Widths, params: Params, key: Key, x: jax.Array, single_weight: jax.Array | float) -> jax.Array:
    """Returns the loss of a batch: how wrong one party is foretold, by all others and by one; both are drawn.

    Args:
      widths: E of every party.
      params: the parameters.
      key: the key that draws the two parties.
      x: float32[B, D].
      single_weight: the weight of what one party foretells.

    Returns:
      float32[].
    """
    num_parties, own = len(widths), of_party(widths)
    key_hidden, key_single = jax.random.split(key)
    hidden = jax.random.randint(key_hidden, (), 0, num_parties)
    single = (hidden + jax.random.randint(key_single, (), 1, num_parties)) % num_parties
    target = own[hidden]

    def error(seen: jax.Array) -> jax.Array:
        squares = (autoencode(params, x * seen[None]) - x) ** 2
        return (squares * target[None]).sum() / (len(x) * target.sum())

    return error(1.0 - target) + single_weight * error(own[single])


def distances_from_one(widths: Widths, params: Params, x: jax.Array) -> jax.Array:
    """Returns how far each party is from what another one alone foretells, float32[B, K, K]; 0 from itself.

    Args:
      widths: E of every party.
      params: the parameters.
      x: float32[B, D].

    Returns:
      the distance of party j from what party i foretells at [:, i, j].
    """
    own = of_party(widths)
    found = jax.lax.map(lambda seen: _distances(own, params, x, seen), own)
    return jnp.moveaxis(found, 0, 1) * (1.0 - jnp.eye(len(own)))[None]


def distances_from_all_others(widths: Widths, params: Params, x: jax.Array) -> jax.Array:
    """Returns how far each party is from what all others foretell, float32[B, K].

    Args:
      widths: E of every party.
      params: the parameters.
      x: float32[B, D].
    """
    own = of_party(widths)
    return jnp.diagonal(jax.lax.map(lambda target: _distances(own, params, x, 1.0 - target), own), axis1=0, axis2=2)


def _distances(own: jax.Array, params: Params, x: jax.Array, seen: jax.Array) -> jax.Array:
    """Returns the distances of all parties from what the coordinates ``seen`` foretell, float32[B, K]."""
    squares = (autoencode(params, x * seen[None]) - x) ** 2
    return jnp.sqrt(jnp.matmul(squares, own.T, precision="highest"))


def _stack(size: int) -> DenseStack:
    """Returns the network for D coordinates: narrower up to the middle, and wider again."""
    inner = [max(1, int(size * share)) for share in (15 / 16, 7 / 8, 3 / 4, 7 / 8, 15 / 16)]
    return DenseStack((*inner, size))

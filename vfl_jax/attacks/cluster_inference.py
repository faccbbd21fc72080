"""Label inference by k-means (Liu, Lyu, Cui, Tao 2022)."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp

from vfl_jax.attacks.evidence import Kind, unit
from vfl_jax.attacks.reader import Heard, Reader, Reading, class_means, most_likely
from vfl_jax.core.checks import check_count
from vfl_jax.core.record import static
from vfl_jax.core.types import Array, Key
from vfl_jax.protocol.transforms import Attack


class ClusterInference(Reader, Attack):
    """Clusters all rows by k-means, and gives every cluster the class of the known rows near it; changes nothing.

    Let u_i be row i's own embedding, or its mean gradient message, at length 1.

    1. C centers are the means of u over the known rows of each class ("known"; a class without a known row takes a row
       that lies far from the others), or random rows that lie far from each other ("plus_plus": k-means++, of
       ``num_starts`` draws the one that ends with the least sum of squared distances).
    2. In ``num_steps`` steps every row joins its nearest center, and every center moves to the mean of its rows.
    3. Under "known" a center has its class from the start. Under "plus_plus" it gets the class whose known rows' mean
       is nearest, so that several clusters may be of one class.

    A row scores −‖u_i − center‖² for each class, of its nearest center. Give ``poison.num_known``: classes of which no
    row is known are never guessed.

    Source: Liu, Lyu, Cui, Tao, *Similarity-based label inference attack against training and inference of split
    learning* (arXiv:2203.05222), which starts at one known row per class and pairs clusters with classes one to one.

    Args:
      enabled: 1 or 0; the attack only listens, so both give the honest run.
      of: "gradients", or "embeddings", the party's own after the epoch.
      evidence: the gradients whose mean is used: "last", "sum", "fading" or "directions".
      start: "known" or "plus_plus".
      num_starts: the number of draws under "plus_plus".
      num_steps: the number of steps.
      way: the ending of the metrics' names, so that several readers can listen in one chain.
      at_epochs: the numbers of finished epochs after which it reads, −1 after the last; None is after every one.

    Raises:
      ValueError: where ``of``, ``evidence`` or ``start`` is none of these, or a number is below 1.

    Example:
      >>> import vfl_jax as vfl
      >>> vfl.attacks.ClusterInference(of="embeddings", start="plus_plus").num_starts
      4
    """

    of: Literal["gradients", "embeddings"] = static(default="gradients")
    evidence: Kind = static(default="last")
    start: Literal["known", "plus_plus"] = static(default="known")
    num_starts: int = static(default=4)
    num_steps: int = static(default=20)
    way: str = static(default="")
    at_epochs: tuple[int, ...] | None = static(default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        numbers = {"num_starts": self.num_starts, "num_steps": self.num_steps}
        check_count(**{f"ClusterInference.{name}": value for name, value in numbers.items()})

    def infer(self, key: Key, heard: Heard) -> Reading:
        rows, is_there = heard.rows(self.of)
        rows = unit(jnp.where(is_there[:, None], rows, 0.0))
        means, has_known = class_means(rows, is_there, heard.known_labels, heard.num_classes)
        if self.start == "known":
            centers, _ = self._moved(rows, is_there, plus_plus(key, rows, is_there, means, has_known))
            classes = jnp.eye(heard.num_classes, dtype=bool) & has_known[None]
        else:
            nobody = jnp.zeros_like(has_known)
            keys = jax.random.split(key, self.num_starts)
            drawn = [plus_plus(one, rows, is_there, jnp.zeros_like(means), nobody) for one in keys]
            ended = [self._moved(rows, is_there, centers) for centers in drawn]
            best = jnp.argmin(jnp.stack([cost for _, cost in ended]))
            centers = jnp.stack([moved for moved, _ in ended])[best]
            nearest = jnp.argmin(jnp.where(has_known[None], distances(centers, means), jnp.inf), axis=1)
            classes = jax.nn.one_hot(nearest, heard.num_classes, dtype=bool) & has_known[None]
        scores = jnp.where(classes[None], -distances(rows, centers)[:, :, None], -jnp.inf).max(axis=1)
        return most_likely(scores, is_there)

    def _moved(self, rows: Array, is_there: Array, centers: Array) -> tuple[jax.Array, jax.Array]:
        """Returns (the centers after all steps, float32[C, E]; the sum of squared distances, float32[])."""

        def step(_: Array, centers: Array) -> jax.Array:
            nearest = jnp.argmin(distances(rows, centers), axis=1)
            member = jax.nn.one_hot(jnp.where(is_there, nearest, -1), len(centers))
            counts = member.sum(axis=0)[:, None]
            return jnp.where(counts > 0, member.T @ rows / jnp.maximum(counts, 1.0), centers)

        moved = jax.lax.fori_loop(0, self.num_steps, step, jnp.asarray(centers))
        return moved, jnp.where(is_there, distances(rows, moved).min(axis=1), 0.0).sum()


def distances(rows: Array, centers: Array) -> jax.Array:
    """Returns the squared distances of rows, float32[N, E], and centers, float32[C, E]: float32[N, C]."""
    squares = (rows**2).sum(axis=1)[:, None] + (centers**2).sum(axis=1)[None]
    return jnp.maximum(squares - 2.0 * rows @ centers.T, 0.0)


def plus_plus(key: Key, rows: Array, is_there: Array, centers: Array, is_set: Array) -> jax.Array:
    """Draws the centers that are not set, one after another, as k-means++ does; float32[C, E].

    Args:
      key: the key of the draws.
      rows: float32[N, E].
      is_there: bool[N], the rows that can be drawn.
      centers: float32[C, E].
      is_set: bool[C], the centers that stay as they are.
    """

    def draw(place: Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        centers, is_set = carry
        nearest = jnp.where(is_set[None], distances(rows, centers), jnp.inf).min(axis=1)
        chance = jnp.where(is_there, jnp.where(is_set.any(), nearest, 1.0), 0.0)
        chance = jnp.where(chance.sum() > 0, chance, 1.0)  # fewer different rows than centers
        row = jax.random.categorical(jax.random.fold_in(key, place), jnp.log(chance))
        new = jnp.where(is_set[place], centers[place], rows[row])
        return centers.at[place].set(new), is_set.at[place].set(True)

    return jax.lax.fori_loop(0, len(centers), draw, (jnp.asarray(centers), jnp.asarray(is_set)))[0]

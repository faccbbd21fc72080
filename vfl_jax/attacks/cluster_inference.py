"""Label inference by k-means (Liu, Lyu, Cui, Tao 2022)."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp

from vfl_jax.attacks.evidence import Kind, unit
from vfl_jax.attacks.reader import Heard, Reader, Reading, most_likely
from vfl_jax.core.checks import check_count
from vfl_jax.core.record import static
from vfl_jax.core.types import Array, Key
from vfl_jax.models.clusters import class_means, draw_centres, k_means, lloyd, squared_distances
from vfl_jax.protocol.knowledge import UNKNOWN
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
        known_labels = jnp.where(is_there, heard.known_labels, UNKNOWN)
        means, has_known = class_means(rows, known_labels, heard.num_classes)
        if self.start == "known":
            first = draw_centres(key, rows, means, has_known, is_there)
            centers = lloyd(rows, first, self.num_steps, is_there)
            classes = jnp.eye(heard.num_classes, dtype=bool) & has_known[None]
        else:
            centers = self._best(key, rows, is_there, heard.num_classes)
            nearest = jnp.argmin(jnp.where(has_known[None], squared_distances(centers, means), jnp.inf), axis=1)
            classes = jax.nn.one_hot(nearest, heard.num_classes, dtype=bool) & has_known[None]
        scores = jnp.where(classes[None], -squared_distances(rows, centers)[:, :, None], -jnp.inf).max(axis=1)
        return most_likely(scores, is_there)

    def _best(self, key: Key, rows: Array, is_there: Array, num_clusters: int) -> jax.Array:
        """Returns the centers, float32[C, E], of the draw that ends with the least sum of squared distances."""
        keys = jax.random.split(key, self.num_starts)
        ended = jnp.stack([k_means(one, rows, num_clusters, self.num_steps, is_there) for one in keys])
        nearest = jnp.stack([squared_distances(rows, centers).min(axis=1) for centers in ended])
        return ended[jnp.argmin(jnp.where(is_there[None], nearest, 0.0).sum(axis=1))]

"""Centroid replay, "triggerless": at inference the centre of class τ (Liu et al. 2026, arXiv:2602.20593)."""

from __future__ import annotations

from typing import Literal

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_count, check_range
from vfl_jax.core.record import static
from vfl_jax.core.types import Array, Key, Params
from vfl_jax.models.clusters import class_means, k_means, squared_distances
from vfl_jax.protocol.knowledge import UNKNOWN, Plan, Shapes, where_rows
from vfl_jax.protocol.needs import Needs
from vfl_jax.protocol.transforms import Attack
from vfl_jax.protocol.views import PartyEpochView, PartyInferView

Centres = Literal["labels", "clusters"]
Noise = Literal["none", "shifted", "centred"]


@flax.struct.dataclass
class CentroidReplayState:
    """The state of the attack.

    Args:
      centres: float32[C, E], the centre of the own embeddings of every class; 0 for a class without one.
      has_centre: bool[C]; none before the attack has looked.
      ratio: float32[], a of the class's docstring, without ``factor``.
    """

    centres: jax.Array
    has_centre: jax.Array
    ratio: jax.Array


class CentroidReplay(Attack):
    """Trains honestly, finds the centre c_y of every class among its own embeddings, and sends c_τ for attacked rows.

    Training changes nothing, so no defense that acts in training alone can be credited with stopping this attack. The
    party embeds training rows with its own bottom after the epochs of ``at_epochs``. Then ::

        centres="labels"     c_y is the mean over the known rows of class y.
        centres="clusters"   every ``cluster_rows`` training rows, in the order of the file, are cut into C clusters by
                             k-means (first centres as k-means++ draws them). A cluster gets the label of the known row
                             nearest to its centre. Of every such batch, the mean over the rows with label y is its
                             centre of y; c_y is the mean of these. A class that no cluster got has that of "labels".

    At inference the party sends factor · a · c_τ + ε for every attacked row h. Here a = (P − A)/A for A attackers
    among the P parties that send embeddings, and 1 where all of them attack. With m and s the mean and the standard
    deviation (over E − 1) of the entries of factor · a · c_τ, the entries of ε are drawn from ::

        noise="none"      nothing, as published code does by itself
        noise="shifted"   N(m, s²), as its flag ``--add_noise`` does: every entry also moves by m
        noise="centred"   N(0, s²)

    With ``source``, only those attacked rows are sent so whose own embedding has its largest cosine with c_source,
    among the classes that have a centre; published code always asks this of rows. Its two scores, over the rows that
    look like the source and over those of them that are of it, are not metrics here: ``full_attack_success_by_class``
    tells classes apart. Where class τ has no centre the party sends what an honest one does. A large ``factor`` may
    lead rows to a third class: a head learns nothing about embeddings of that length.

    **Labels.** Published code reads the *true* label of the row nearest to every cluster's centre in every batch: with
    MNIST some 4,680 labels, 8 % of the training rows. Here no label is read but those that the scenario grants:
    ``poison.num_known`` rows of every class, or, for "labels", ``poison.num_targets`` of class τ alone. For ``source``,
    its class must be among the known ones.

    Further differences: published code clusters the embeddings of the last epoch's batches, while the bottom still
    learns, and takes a random vector for a class that a batch lacks, which pulls its centre towards 1/2; here such a
    batch does not count. It adds every defended gradient to the undefended one, so that its defenses do not act, and
    steps twice with the same parameters; both are no part of the attack.

    A scenario needs no poison rows: ``EmbeddingTrigger()`` with ``poison.rate`` 0. ``report`` gives the number of
    classes with a centre. Source: Liu, Lou, Wang, Cao, Wang 2026 (arXiv:2602.20593), read in its published code; its
    tables could not be read.

    Args:
      enabled: 1 for the attack, 0 for the honest run.
      at_epochs: the numbers of finished epochs after which centres are computed anew; −1 is after the last.
      centres: where centres come from.
      most_known: the largest number of known rows that are used, drawn at random.
      cluster_rows: the number of rows that are clustered together; 128 in published code, its batch.
      num_attackers: A, the number of parties that attack together.
      noise: what is added.
      source: the number of the class whose rows alone are attacked; None attacks all that are to be attacked.
      factor: a factor on a · c_τ; 1 is published.

    Raises:
      ValueError: where ``at_epochs`` is empty, a count is below 1, or ``factor`` is NaN; with a scenario of fewer
        parties than ``num_attackers``, or without a class of number ``source``; with a study that grants no known row
        of this class, or under "clusters" those of one class alone.

    Example:
      >>> import vfl_jax as vfl
      >>> scenario = vfl.Scenario(
      ...     attacks=[vfl.PartyTransform(), vfl.attacks.CentroidReplay(centres="clusters")],
      ...     poison=vfl.PoisonPlan(trigger=vfl.protocol.EmbeddingTrigger(), rate=0.0, num_known=20),
      ... )
      >>> scenario.attackers
      (1,)
    """

    needs = Needs(trigger="message", poison_rate=0.0, num_known=500)

    at_epochs: tuple[int, ...] = static(default=(-1,))
    centres: Centres = static(default="labels")
    most_known: int = static(default=5000)
    cluster_rows: int = static(default=128)
    num_attackers: int = static(default=1)
    noise: Noise = static(default="none")
    source: int | None = static(default=None)
    factor: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.at_epochs:
            raise ValueError(
                "CentroidReplay.at_epochs is empty, so that there would never be a centre. Give at least one number of "
                "finished epochs, such as −1, after the last."
            )
        counts = {name: getattr(self, name) for name in ("most_known", "cluster_rows", "num_attackers")}
        check_count(**{f"CentroidReplay.{name}": count for name, count in counts.items()})
        check_range("CentroidReplay", factor=self.factor)

    def check(self, shapes: Shapes, party: int, by_role: bool) -> None:
        num_senders = len(shapes.crossing)
        if self.num_attackers > num_senders:
            raise ValueError(
                f"CentroidReplay.num_attackers is {self.num_attackers}; {num_senders} parties send embeddings. Give at "
                "most as many."
            )
        if self.source is not None and not 0 <= self.source < shapes.num_classes:
            raise ValueError(
                f"CentroidReplay.source is {self.source}; the classes are 0 to {shapes.num_classes - 1}. Give one of "
                "them, or None to attack rows of every class."
            )

    def check_plan(self, plan: Plan) -> None:
        num_classes = sum(number > 0 for number in plan.num_known)
        if self.centres == "clusters" and num_classes < 2:
            raise ValueError(
                "CentroidReplay(centres='clusters') tells clusters apart by known labels, and those of one class alone "
                "are known. Give poison.num_known, or centres='labels'."
            )
        if self.source is not None and not plan.num_known[self.source]:
            raise ValueError(
                f"CentroidReplay.source is {self.source}, of which no row is known. Give poison.num_known, or "
                "source=None."
            )

    def init(self, key: Key, shapes: Shapes, party: int) -> CentroidReplayState:
        num_honest = len(shapes.crossing) - self.num_attackers
        return CentroidReplayState(
            centres=jnp.zeros((shapes.num_classes, shapes.widths[party])),
            has_centre=jnp.zeros(shapes.num_classes, bool),
            ratio=jnp.float32(num_honest / self.num_attackers if num_honest else 1.0),
        )

    def on_epoch(
        self, key: Key, state: CentroidReplayState, view: PartyEpochView, params: Params
    ) -> tuple[Params, CentroidReplayState]:
        key_known, key_clusters = jax.random.split(key)
        known, labels = self._known(key_known, view)
        centres, has_centre = class_means(known, labels, len(state.centres))
        if self.centres == "clusters":
            found, is_found = self._of_clusters(key_clusters, view, known, labels, len(state.centres))
            centres, has_centre = where_rows(is_found, found, centres), has_centre | is_found
        return params, CentroidReplayState(centres, has_centre, state.ratio)

    def infer_upload(
        self, key: Key, state: CentroidReplayState, view: PartyInferView, embedding: jax.Array
    ) -> jax.Array:
        target = view.knowledge.target_class
        centre = self.factor * state.ratio * state.centres[target]
        sent = jnp.broadcast_to(centre[None], embedding.shape)
        if self.noise != "none":
            sent = noised(sent, jax.random.normal(key, embedding.shape), is_shifted=self.noise == "shifted")
        fires = view.is_attacked & state.has_centre[target]
        if self.source is not None:
            fires = fires & (most_alike(embedding, state.centres, state.has_centre) == self.source)
        return where_rows(fires, sent, embedding)

    def report(self, state: CentroidReplayState) -> dict[str, jax.Array]:
        return {"num_centres": jnp.sum(state.has_centre, dtype=jnp.float32)}

    def _known(self, key: Key, view: PartyEpochView) -> tuple[jax.Array, jax.Array]:
        """Returns (own embeddings, labels) of known rows, drawn at random; −1 where there is none."""
        labels = view.knowledge.known_labels
        order = jnp.argsort(jnp.where(labels == UNKNOWN, 2.0, jax.random.uniform(key, labels.shape)))
        ids = order[: min(self.most_known, len(labels))]
        return view.forward(view.rows(ids)), labels[ids]

    def _of_clusters(
        self, key: Key, view: PartyEpochView, known: Array, labels: Array, num_classes: int
    ) -> tuple[jax.Array, jax.Array]:
        """Returns the centres by clusters, float32[C, E], and the classes that have one, bool[C]."""
        size = min(self.cluster_rows, len(view.sample_ids))
        num_batches = len(view.sample_ids) // size
        batches = view.sample_ids[: num_batches * size].reshape(num_batches, size)

        def one_batch(numbered: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            number, ids = numbered
            own = view.forward(view.rows(ids))
            centres = k_means(jax.random.fold_in(key, number), own, num_classes)
            distance = jnp.where((labels == UNKNOWN)[None], jnp.inf, squared_distances(centres, known))
            label_of_cluster = labels[jnp.argmin(distance, axis=1)]
            return class_means(own, label_of_cluster[jnp.argmin(squared_distances(own, centres), axis=1)], num_classes)

        means, is_there = jax.lax.map(one_batch, (jnp.arange(num_batches), batches))
        count = jnp.sum(is_there, axis=0, dtype=jnp.int32)
        total = jnp.where(is_there[..., None], means, 0.0).sum(axis=0)
        return total / jnp.maximum(count, 1).astype(jnp.float32)[:, None], count > 0


def noised(centre: Array, unit: Array, is_shifted: bool) -> jax.Array:
    """Adds noise as wide as the entries of a vector differ among themselves.

    Args:
      centre: float32[..., E].
      unit: float32[..., E], draws from N(0, 1).
      is_shifted: whether the noise has the mean of the entries, as published code has it, or 0.

    Returns:
      float32[..., E].

    Example:
      >>> import jax.numpy as jnp
      >>> noised(jnp.array([1.0, 2.0, 3.0]), jnp.array([0.0, 0.0, 1.0]), is_shifted=True).tolist()
      [3.0, 4.0, 6.0]
    """
    centre = jnp.asarray(centre)
    spread = jnp.std(centre, axis=-1, keepdims=True, ddof=min(1, centre.shape[-1] - 1))
    shift = jnp.mean(centre, axis=-1, keepdims=True) if is_shifted else 0.0
    return centre + shift + spread * unit


def most_alike(embeddings: Array, centres: Array, has_centre: Array) -> jax.Array:
    """Returns the class whose centre has the largest cosine with each embedding, int32[B].

    Args:
      embeddings: float32[B, E].
      centres: float32[C, E].
      has_centre: bool[C], the classes that may be chosen.
    """
    norm = jnp.linalg.norm(centres, axis=-1)
    cosine = embeddings @ (centres / jnp.maximum(norm, 1e-12)[:, None]).T  # the own norm changes no order
    return jnp.argmax(jnp.where(has_centre[None], cosine, -jnp.inf), axis=-1).astype(jnp.int32)

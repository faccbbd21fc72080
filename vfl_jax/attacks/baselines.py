"""Baselines without a plan, against which attacks are held: what an attack adds to mere poison or mere damage.

The first changes no message, the next two break the training on poison rows, the last two spoil rows.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.core.bags import BagOfIds
from vfl_jax.core.checks import check_range
from vfl_jax.core.record import static
from vfl_jax.core.types import Features, Key, State
from vfl_jax.protocol.knowledge import Plan, Shapes, where_rows
from vfl_jax.protocol.needs import Needs
from vfl_jax.protocol.transforms import Attack
from vfl_jax.protocol.views import PartyInferView, PartyView

Poisoned = Literal["drawn", "target"]


class PoisonedData(Attack):
    """Follows the protocol honestly, on rows that carry the trigger.

    Under ``rows="drawn"`` these are the poison rows of the scenario, which keep their true labels, so that nothing
    leads them to class τ: what an attack shows beyond this is due to its messages. This is "rsa" of LFBA's published
    code. The package stamps these rows for every method, so with ``enabled`` 0 the run is the same. Under
    ``rows="target"`` the party stamps the attack trigger on its known target rows, too, and so links the trigger with
    the label τ, without a change of any message (clean-label poisoning). That takes a conspicuous trigger and many
    rows. A scenario grants a trigger that can be stamped; for "target" also target rows (``poison.num_targets``), and
    no poison rows, which would work against it (``poison.rate`` 0).

    Args:
      enabled: 1 for the attack, 0 for the honest run.
      rows: the rows that carry the trigger, "drawn" or "target".

    Raises:
      ValueError: where ``rows`` is another word; under "target", with a scenario without a trigger that can be stamped.
    """

    rows: Poisoned = static(default="drawn")

    def check_plan(self, plan: Plan) -> None:
        if self.rows == "target":
            plan.needs_stamp("PoisonedData(rows='target')")

    def on_features(self, key: Key, state: State, view: PartyView, features: Features) -> tuple[Features, State]:
        if self.rows == "drawn":
            return features, state
        if view.stamp is None:
            raise ValueError(
                "PoisonedData(rows='target') stamps the trigger on target rows, and the scenario has none that changes "
                "features: give poison.attack_trigger, such as FeatureTrigger or PixelTrigger."
            )
        _, is_target = view.knowledge.find(view)
        return view.stamp(features, is_target), state


class SignFlip(Attack):
    """Trains with −``factor`` · g in place of the gradient g of every poison row.

    So the party's own model climbs the loss of these rows, with no class in mind. A scenario grants poison rows
    (``poison.rate``) with a trigger on features. There is no source: it is the plainest change of a gradient.

    Args:
      enabled: 1 for the attack, 0 for the honest run.
      factor: the factor on −g.

    Raises:
      ValueError: where ``factor`` is NaN; with a study without poison rows.
    """

    needs = Needs(poison_rate=0.1)
    factor: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("SignFlip", factor=self.factor)

    def check_plan(self, plan: Plan) -> None:
        plan.needs_poisons("SignFlip")

    def on_download(self, key: Key, state: State, view: PartyView, gradient: jax.Array) -> tuple[jax.Array, State]:
        is_poison, _ = view.knowledge.find(view)
        return where_rows(is_poison, -self.factor * gradient, gradient), state


class RandomGradient(Attack):
    """Trains with a random row in place of the gradient g of every poison row: N(0, ``factor``² · ‖g‖²/E) per entry.

    So the row has the expected square length of g, times ``factor``², and says nothing. It is the control of gradient
    replacement: whatever this shows, a class is not needed for. A scenario grants poison rows (``poison.rate``) with a
    trigger on features. There is no source.

    Args:
      enabled: 1 for the attack, 0 for the honest run.
      factor: the factor on the length.

    Raises:
      ValueError: where ``factor`` is NaN; with a study without poison rows.
    """

    factor: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("RandomGradient", factor=self.factor)

    def check_plan(self, plan: Plan) -> None:
        plan.needs_poisons("RandomGradient")

    def on_download(self, key: Key, state: State, view: PartyView, gradient: jax.Array) -> tuple[jax.Array, State]:
        is_poison, _ = view.knowledge.find(view)
        length = jnp.sqrt(jnp.mean(gradient**2, axis=-1, keepdims=True))  # ‖g‖/√E
        drawn = self.factor * length * jax.random.normal(key, gradient.shape)
        return where_rows(is_poison, drawn, gradient), state


class NoisyFeatures(Attack):
    """Adds Gaussian noise to its own features: of poison rows in training, of attacked rows at inference.

    x becomes x + N(0, ``stddev``²) per entry, drawn anew at every visit, and with ``clip`` is cut to [0, 1]. A bag of
    ids has no other numbers than the weights of the ids that a row has; these get the noise. It has no class in mind,
    so the metric to read is ``full_recovered_utility``, the accuracy on attacked rows. A scenario grants a trigger that
    can be stamped, or ``EmbeddingTrigger()``. Source: VFLAIR's noisy samples, whose code always clips, gives no default
    for the noise, and in one version touches a tenth of the test rows, and no training row.

    Args:
      enabled: 1 for the attack, 0 for the honest run.
      clip: whether features are cut to [0, 1]; right for images, wrong for standardised tables.
      stddev: the standard deviation of the noise, in the units of the features.

    Raises:
      ValueError: where ``stddev`` is negative.
    """

    needs = Needs(trigger="message", poison_rate=0.1)
    clip: bool = static(default=False)
    stddev: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("NoisyFeatures", 0.0, stddev=self.stddev)

    def on_features(self, key: Key, state: State, view: PartyView, features: Features) -> tuple[Features, State]:
        is_poison, _ = view.knowledge.find(view)
        return self._spoilt(key, features, is_poison), state

    def infer_features(self, key: Key, state: State, view: PartyInferView, features: Features) -> Features:
        return self._spoilt(key, features, view.is_attacked)

    def _spoilt(self, key: Key, features: Features, rows: jax.Array) -> Features:
        """Returns the features with noise on some rows, bool[B]."""
        if isinstance(features, BagOfIds):
            ids = jnp.asarray(features.ids)
            weights = jnp.ones(ids.shape) if features.weights is None else jnp.asarray(features.weights)
            return dataclasses.replace(features, weights=self._spoilt(key, weights, rows))
        noisy = features + self.stddev * jax.random.normal(key, features.shape)
        return where_rows(rows, jnp.clip(noisy, 0.0, 1.0) if self.clip else noisy, features)


@flax.struct.dataclass
class MissingFeaturesState:
    """The state of the attack.

    Args:
      is_missing: bool[B], the rows of the present batch whose embeddings are missing.
    """

    is_missing: jax.Array


class MissingFeatures(Attack):
    """Sends zeros in place of embeddings: of a share of the rows in training, of attacked rows at inference.

    In training every row of a batch is missing with probability ``rate``, drawn anew at every visit, and the party then
    trains without the gradient of this row. At inference the evaluation says which rows are attacked, a share
    ``poison.test_rate`` of them, or all. The attack has no class in mind, so the metric to read is
    ``full_recovered_utility``, the accuracy on attacked rows. A scenario needs no poison rows: ``EmbeddingTrigger()``
    with ``poison.rate`` 0. Source: VFLAIR's missing features, which score the accuracy on missing rows, and give no
    default for the rate. One version of its code takes whole test batches at once, and no training row: ``rate`` 0.

    Args:
      enabled: 1 for the attack, 0 for the honest run.
      rate: the share of missing rows in training, in [0, 1].

    Raises:
      ValueError: where ``rate`` lies outside [0, 1].
    """

    needs = Needs(trigger="message", poison_rate=0.0)
    rate: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("MissingFeatures", 0.0, 1.0, rate=self.rate)

    def init(self, key: Key, shapes: Shapes, party: int) -> MissingFeaturesState:
        return MissingFeaturesState(jnp.zeros(shapes.batch_rows, bool))

    def on_upload(
        self, key: Key, state: MissingFeaturesState, view: PartyView, embedding: jax.Array
    ) -> tuple[jax.Array, MissingFeaturesState]:
        is_missing = jax.random.bernoulli(key, self.rate, (len(embedding),))
        return where_rows(is_missing, jnp.zeros_like(embedding), embedding), MissingFeaturesState(is_missing)

    def on_download(
        self, key: Key, state: MissingFeaturesState, view: PartyView, gradient: jax.Array
    ) -> tuple[jax.Array, MissingFeaturesState]:
        return where_rows(state.is_missing, jnp.zeros_like(gradient), gradient), state

    def infer_upload(
        self, key: Key, state: MissingFeaturesState, view: PartyInferView, embedding: jax.Array
    ) -> jax.Array:
        return where_rows(view.is_attacked, jnp.zeros_like(embedding), embedding)

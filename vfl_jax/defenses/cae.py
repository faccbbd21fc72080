"""The confusional autoencoder, CAE: Zou et al. 2022 (IEEE Transactions on Big Data)."""

from __future__ import annotations

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_count, check_range
from vfl_jax.core.record import static
from vfl_jax.core.types import Key, Params, State
from vfl_jax.defenses.confusional_autoencoder import EntropyOf, draw, encode, log_decode, soft_labels, terms
from vfl_jax.models.fitting import fit
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.knowledge import Shapes
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.protocol.views import ActiveInferView, ActiveView


@flax.struct.dataclass
class CAEState:
    """What the defense keeps of its autoencoder.

    Args:
      codes: float32[C, C], row c is what class c is encoded as.
      decoder: the parameters of the decoder.
    """

    codes: jax.Array
    decoder: Params


class CAE(ActiveTransform):
    """Trains towards labels that an autoencoder confuses, and decodes what the model predicts::

        training     targets := enc(e_y)
        inference    logits  := log dec(softmax(logits))

    Encoder and decoder are dense layers C → hidden → C with ReLU and a softmax. They learn before the first step, from
    drawn labels alone: y is the softmax of C uniform numbers, sharpened to the power of 1/temperature. They minimise::

        kept_weight · CE(dec(enc y), y)  −  entropy_weight · H(enc y)  −  CE(enc y, y)

    so a code can be told from others, spreads over classes, and its largest entry is another class than y. Sources: Zou
    et al. 2022, *Defending batch-level label inference and replacement attacks in vertical federated learning*, whose λ
    is ``entropy_weight``, and its published code. DCAE is the same with discrete gradients after it::

        vfl.ActiveChain(parts=(CAE(), DiscreteGradients(width="fixed", bins=12.0, bound=3e-4)))

    in the published code; in VFLAIR's ``width="first_message"``, with 12 bins.

    Text and code disagree, and options choose. The code applies a softmax to what is a distribution already before
    either cross-entropy, so that these hardly slope (``second_softmax``), and its entropy is the mean over entries,
    which is C times smaller (``entropy_of``); both defaults are the code's. Another script trains the ``extended``
    decoder, and one trains with a negative λ, which this takes, too.

    **Two classes have no confusion**: the only other class is the code's largest entry, so the published encoder is a
    plain flip of labels, e_0 → about e_1. At λ = 0 codes of more classes are nearly a permutation, too.

    The published autoencoder has (6C + 2)² hidden units and learns from 30,000 labels; for ten classes that takes as
    long as a training. The default is as good by what ``report`` shows, in about a second: every class is decoded right
    (``codes_decoded`` 1), every code's largest entry is another class (``codes_moved`` 1), and at λ = 1 the entropy
    of codes (``codes_entropy``, the mean over entries) is that of ten published passes, 0.20 of at most 0.22 for ten
    classes. A run where these fail has a bad autoencoder. Grid points share it unless one of its numbers is swept. The
    published pre-training, whose number of passes could not be verified (it takes batches in one order)::

        CAE(hidden=None, first_stddev=0.01, num_labels=30_000, num_epochs=21,
            optimizer=Optimizer(kind="adam", learning_rate=5e-4))

    This buys no privacy: every row of a class has the same code, so messages still fall into classes. It hides which
    class is which from one who knows no label; who knows some rows of every class learns the codes from their gradients
    (:class:`vfl_jax.attacks.DictionaryReplacement`), and a recorded gradient of the target class leads to it as it is.
    A loss that takes one-hot targets only, such as ``MulticlassHinge``, does not go with it. The training accuracy
    counts undecoded logits, so it says nothing here.

    Args:
      hidden: the width of hidden layers; None takes the published (6C + 2)².
      extended: whether the decoder has one more linear layer, C → 2·(6C + 2), in front.
      second_softmax: whether cross-entropies take the softmax of distributions, as in the published code.
      entropy_of: H: "entries", the mean over entries (the code), or "rows", the mean over rows of the sum (the text).
      num_labels: the number of drawn labels.
      batch_size: the number of labels in a batch.
      num_epochs: the number of passes over the labels.
      optimizer: the optimizer of the autoencoder.
      encoded: 1 for the defense, 0 for none: targets and logits then pass bit for bit. There is nothing between.
      entropy_weight: λ; 0, 0.1, 0.5, 1 and 2 in the published code's files.
      kept_weight: the weight of decoding right; 10 in the published code.
      temperature: T; at 0.025 labels are nearly one-hot.
      first_stddev: the standard deviation of first kernels.

    Raises:
      ValueError: where ``encoded`` lies outside [0, 1], ``temperature`` is below 0.0001, ``kept_weight`` or
        ``first_stddev`` is negative, λ is NaN, or a number of labels, passes or units is no whole number of at least 1.

    Example:
      >>> import jax.numpy as jnp
      >>> import vfl_jax as vfl
      >>> from vfl_jax.defenses.cae import CAEState
      >>> state = CAEState(codes=jnp.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]]), decoder=())
      >>> targets, _ = vfl.defenses.CAE().on_labels(None, state, None, jnp.array([[0.0, 1.0, 0.0]]))
      >>> targets.tolist()
      [[0.5, 0.0, 0.5]]
    """

    neutral = {"encoded": 0.0}
    hidden: int | None = static(default=128)
    extended: bool = static(default=False)
    second_softmax: bool = static(default=True)
    entropy_of: EntropyOf = static(default="entries")
    num_labels: int = static(default=12_800)
    batch_size: int = static(default=128)
    num_epochs: int = static(default=10)
    optimizer: Optimizer = Optimizer(kind="adam", learning_rate=0.01)
    encoded: float = 1.0
    entropy_weight: float = 1.0
    kept_weight: float = 10.0
    temperature: float = 0.025
    first_stddev: float = 0.1

    def __post_init__(self) -> None:
        counts = {name: getattr(self, name) for name in ("num_labels", "batch_size", "num_epochs")}
        counts |= {} if self.hidden is None else {"hidden": self.hidden}
        check_count(**{f"CAE.{name}": count for name, count in counts.items()})
        check_range("CAE", 0.0, 1.0, encoded=self.encoded)
        check_range("CAE", 0.0, kept_weight=self.kept_weight, first_stddev=self.first_stddev)
        check_range("CAE", 1e-4, temperature=self.temperature)
        check_range("CAE", entropy_weight=self.entropy_weight)

    def init(self, key: Key, shapes: Shapes) -> CAEState:
        params = self.pretrain(key, shapes.num_classes)
        return CAEState(codes=encode(params, jnp.eye(shapes.num_classes)), decoder=params["decoder"])

    def pretrain(self, key: Key, num_classes: int) -> Params:
        """Trains an autoencoder; it depends on no data.

        Args:
          key: the key that determines labels, first parameters and batches.
          num_classes: C.

        Returns:
          {"encoder": layers, "decoder": layers}, dense layers of float32 arrays.
        """
        key_params, key_labels, key_batches = (jax.random.fold_in(key, part) for part in range(3))
        hidden = self.hidden or (6 * num_classes + 2) ** 2
        params = draw(key_params, num_classes, hidden, self.extended, self.first_stddev)
        labels = soft_labels(key_labels, self.num_labels, num_classes, self.temperature)

        def loss(params: Params, key: Key, rows: jax.Array) -> jax.Array:
            return self.loss(params, labels[rows])

        return fit(key_batches, self.optimizer, loss, params, self.num_labels, self.batch_size, self.num_epochs)

    def loss(self, params: Params, labels: jax.Array) -> jax.Array:
        """Returns the loss of an autoencoder on a batch, float32[].

        Args:
          params: the parameters of the autoencoder.
          labels: class distributions, float32[B, C].
        """
        kept, entropy, confused = terms(params, labels, self.second_softmax, self.entropy_of)
        return self.kept_weight * kept - self.entropy_weight * entropy - confused

    def on_labels(self, key: Key, state: CAEState, view: ActiveView, targets: jax.Array) -> tuple[jax.Array, CAEState]:
        # Of one-hot targets this is the code itself; of others the mixture of codes.
        return jnp.where(jnp.asarray(self.encoded) > 0, targets @ state.codes, targets), state

    def infer_logits(self, key: Key, state: CAEState, view: ActiveInferView, logits: jax.Array) -> jax.Array:
        decoded = log_decode(state.decoder, jax.nn.softmax(logits))
        return jnp.where(jnp.asarray(self.encoded) > 0, decoded, logits)

    def report(self, state: State) -> dict[str, jax.Array]:
        classes, codes = jnp.arange(len(state.codes)), state.codes
        decoded = log_decode(state.decoder, codes)
        entries = jnp.where(codes > 0, -codes * jnp.log(jnp.where(codes > 0, codes, 1.0)), 0.0)
        return {
            "codes_decoded": (jnp.argmax(decoded, axis=-1) == classes).mean(),
            "codes_moved": (jnp.argmax(codes, axis=-1) != classes).mean(),
            "codes_entropy": entries.mean(),
        }

"""Somebody's own methods, as mypy sees them; `make types` reads this file, and nothing runs it.

What a method cannot see is an error, and what it may do is none. An error that is expected is ignored by its code; mypy
complains of an ignored error that is not there.
"""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

import vfl_jax as vfl

# What is flagged.


class ReadingLabels(vfl.Attack):
    def on_download(
        self, key: jax.Array, state: Any, view: vfl.PartyView, gradient: jax.Array
    ) -> tuple[jax.Array, Any]:
        return gradient * view.labels[:, None], state  # type: ignore[attr-defined]


class ReadingFeatures(vfl.ActiveTransform):
    def on_send(
        self, key: jax.Array, state: Any, view: vfl.ActiveView, gradients: tuple[jax.Array, ...]
    ) -> tuple[tuple[jax.Array, ...], Any]:
        return tuple(g * view.features for g in gradients), state  # type: ignore[attr-defined]


class Forgetting(vfl.Attack):
    def report(self, state: Any) -> jax.Array:  # type: ignore[override]
        return state


class ReadingIds(vfl.Attack):
    def infer_upload(self, key: jax.Array, state: Any, view: vfl.PartyInferView, embedding: jax.Array) -> jax.Array:
        return embedding * view.sample_ids  # type: ignore[attr-defined]


class Optimising(vfl.Attack):
    def init(self, key: jax.Array, shapes: vfl.Shapes, party: int) -> Any:
        return jnp.zeros(len(shapes.rowwise))  # type: ignore[attr-defined]


vfl.attacks.GradientReplacement(amplify="10")  # type: ignore[arg-type]


# What passes.


@flax.struct.dataclass
class Heard:
    total: jax.Array  # float32[E]


class Replaying(vfl.Attack):
    amplify: float = 3.0

    def init(self, key: jax.Array, shapes: vfl.Shapes, party: int) -> Heard:
        return Heard(total=jnp.zeros(shapes.widths[party]))

    def on_download(
        self, key: jax.Array, state: Heard, view: vfl.PartyView, gradient: jax.Array
    ) -> tuple[jax.Array, Heard]:
        is_poison, is_target = view.knowledge.find(view)
        total = state.total.at[:].add(gradient[jnp.argmax(is_target)])
        replaced = gradient.at[view.sample_ids.argmax()].set(self.amplify * total)
        return jnp.where(is_poison[:, None], replaced, gradient), Heard(total=total)

    def infer_upload(self, key: jax.Array, state: Heard, view: vfl.PartyInferView, embedding: jax.Array) -> jax.Array:
        return embedding + view.features.sum() * state.total[None]

    def report(self, state: Heard) -> dict[str, jax.Array]:
        return {"heard": state.total}

    def check(self, shapes: vfl.Shapes, party: int, by_role: bool) -> None:
        if shapes.active_party == party:
            raise ValueError(f"{shapes.num_classes} classes")


class Shortening(vfl.ActiveTransform):
    share: float = 1.0
    norm: str = vfl.static(default="l2")

    def on_send(
        self, key: jax.Array, state: Any, view: vfl.ActiveView, gradients: tuple[jax.Array, ...]
    ) -> tuple[tuple[jax.Array, ...], Any]:
        seen = view.labels.at[0].get() * self.share
        return tuple(g * seen for g in gradients), state


class Plain(vfl.Attack):
    def on_upload(self, key, state, view, embedding):
        return 2 * embedding, state


class Together(vfl.ActiveTransform):
    # Class attributes of the bases, declared as fields.
    inference_batch: int = vfl.static(default=8)
    optimizer: vfl.models.Optimizer = vfl.models.Optimizer(learning_rate=0.1)


attacks = (Plain(), Replaying(amplify=2.0, enabled=0.0), vfl.PartyTransform())
vfl.Scenario(attacks=attacks, defense=vfl.ActiveChain(parts=(Shortening(), vfl.defenses.Clipping(bound=1.0))))

"""The state of one replica before its first step: what its models begin with, and what its methods do."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.core.types import Features, Key, Params
from vfl_jax.models import Bottom, Head, Optimizer
from vfl_jax.protocol import own_params
from vfl_jax.protocol.knowledge import Shapes
from vfl_jax.protocol.mistakes import call
from vfl_jax.replica.draws import Draws, Given
from vfl_jax.replica.keys import party_key
from vfl_jax.replica.preparation import Inputs
from vfl_jax.replica.state import Streams, TrainState
from vfl_jax.scenario import Scenario

BEFORE_TRAINING = np.uint32(2**32 - 1)
"""The step number in the keys of ``init``; no step has this number."""

OWN_PARAMS = np.uint32(2**32 - 2)
"""The step number in the keys of methods' own parameters; no step has this number."""


OF_MODELS = ("params", "head_params", "opt_states", "head_opt_state", "model_states")
"""The parts of a first state that :func:`init_models` makes; :func:`init_methods` makes the others."""


class Models(NamedTuple):
    """What a scenario says of models, apart from what methods do: cells that share it share their initial parameters.

    Args:
      bottoms: the K bottom models.
      head: the head.
      optimizers: the optimizers of the K parties.
      head_optimizer: the optimizer of the head.
    """

    bottoms: tuple[Bottom, ...]
    head: Head
    optimizers: tuple[Optimizer, ...]
    head_optimizer: Optimizer

    @classmethod
    def of(cls, scenario: Scenario) -> Models:
        """Returns the models of a scenario."""
        return cls(scenario.bottoms, scenario.head, scenario.optimizers, scenario.head_optimizer)


def init(shapes: Shapes, inputs: Inputs, scenario: Scenario, draws: Draws, given: Given = Given()) -> TrainState:
    """Returns the state of one replica before its first step; its parameters depend on the seed alone.

    Args:
      shapes: the sizes that the protocol makes public.
      inputs: the data on the device.
      scenario: the scenario, with numbers cast to their dtypes.
      draws: the draws of the seed.
      given: parameters that are not drawn.

    Raises:
      ValueError: where given parameters have another structure or other shapes than the models.
    """
    learned = init_models(shapes, inputs.train.features, Models.of(scenario), draws.key, given)
    return TrainState(**learned, **init_methods(shapes, scenario, draws.key, learned["params"]))


def init_models(
    shapes: Shapes, features: tuple[Features, ...], models: Models, key: Key, given: Given
) -> dict[str, Any]:
    """Returns the part of a replica's first state that no method has a say in.

    Args:
      shapes: the sizes that the protocol makes public.
      features: the training features, leaves [N, ...] per party.
      models: the models and their optimizers, with numbers cast to their dtypes.
      key: the seed's key.
      given: parameters that are not drawn.

    Returns:
      parameters, the states of optimizers, and what models hold beside parameters, by the names of ``TrainState``.

    Raises:
      ValueError: where given parameters have another structure or other shapes than the models.
    """
    stream, first = Streams.of(key).init, jnp.int32(0)
    sample = jax.tree.map(lambda leaf: leaf[:1], features)
    num_parties = len(shapes.widths)
    keys = [jax.random.fold_in(stream, k) for k in range(num_parties)]
    drawn = [bottom.init_with_state(keys[k], sample[k]) for k, bottom in enumerate(models.bottoms)]
    params = tuple(of_one for of_one, _ in drawn)
    embeddings = tuple(jnp.zeros((1, width)) for width in shapes.widths)
    head_params = models.head.init(jax.random.fold_in(stream, num_parties), embeddings, shapes.num_classes)
    params = _given_params("given.params", given.params, params)
    head_params = _given_params("given.head_params", given.head_params, head_params)
    made = {
        "params": params,
        "head_params": head_params,
        "opt_states": tuple(o.build(first).init(p) for o, p in zip(models.optimizers, params, strict=True)),
        "head_opt_state": models.head_optimizer.build(first).init(head_params),
        "model_states": tuple(held for _, held in drawn),
    }
    return jax.tree.map(_settled, made)


def init_methods(shapes: Shapes, scenario: Scenario, key: Key, params: tuple[Params, ...]) -> dict[str, Any]:
    """Returns the part of a replica's first state that belongs to its methods.

    Args:
      shapes: the sizes that the protocol makes public.
      scenario: the scenario, with numbers cast to their dtypes.
      key: the seed's key.
      params: the parameters of the K bottom models, of which a party's method sees its own.

    Returns:
      the states of methods, their own parameters and those of their optimizers, by the names of ``TrainState``.
    """
    streams = Streams.of(key)
    sides = (scenario.active_attack, streams.active_attack), (scenario.defense, streams.defense)
    default = scenario.head_optimizer
    own = [own_params.init(m, jax.random.fold_in(stream, OWN_PARAMS), shapes, default) for m, stream in sides]
    active, defense = (call(m, "init", jax.random.fold_in(stream, BEFORE_TRAINING), shapes) for m, stream in sides)
    made = {
        "attack_states": tuple(
            call(attack, "init_with_params", party_key(streams.attack, BEFORE_TRAINING, k), shapes, k, params[k])
            for k, attack in enumerate(scenario.attacks)
        ),
        "active_attack_state": active,
        "defense_state": defense,
        "method_params": (own[0][0], own[1][0]),
        "method_opt_states": (own[0][1], own[1][1]),
    }
    return jax.tree.map(_settled, made)


def _settled(leaf: Any) -> jax.Array:
    """Returns an array of a settled dtype: a weak one, as of ``jnp.full(shape, 0.0)``, makes every program another."""
    return jnp.asarray(leaf, jnp.asarray(leaf).dtype)


def _given_params(name: str, given: Any, drawn: Any) -> Any:
    """Returns the given parameters, or else the drawn ones, after a check of structure and shapes."""
    if given is None:
        return drawn
    found, expected = (
        {jax.tree_util.keystr(p): np.shape(leaf) for p, leaf in jax.tree_util.tree_leaves_with_path(tree)}
        for tree in (given, drawn)
    )
    if found != expected:
        differing = sorted(k for k in found.keys() | expected.keys() if found.get(k) != expected.get(k))
        where = differing[0]
        raise ValueError(
            f"{name}{where} has shape {found.get(where)}; the scenario's models have {expected.get(where)} there."
        )
    return jax.tree.map(lambda leaf, like: jnp.asarray(leaf, like.dtype), given, drawn)
